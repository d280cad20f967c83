"""Fetch from a CDN, resuming downloads and hashing them as they stream."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from typing import TYPE_CHECKING

from cachedoctor.errors import FetchError
from cachedoctor.text import masked
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from cachedoctor.findings import CdnFetch
    from cachedoctor.host import Host
    from cachedoctor.system.fetch import Mirrors
    from cachedoctor.vocabulary import Progress


OPENAI = "https://openaipublic.azureedge.net"
ATTEMPTS = 4
PAUSE_S = 0.5  # before the second attempt; doubles each time
STALL_S = 30.0
_CHUNK_BYTES = 1 << 20


def fetch_cdn(
    source: CdnFetch, path: str, expected: Digest, host: Host, mirrors: Mirrors, progress: Progress
) -> None:
    """Fetch a file to `path`, resuming from what is there and proving its SHA-256 on the way.

    If the result of a resumed download is wrong, the existing part was bad, so everything is
    fetched once more. Raises `FetchError`, after several attempts where a retry can help.
    """
    url = source.url.replace(OPENAI, mirrors.openai.rstrip("/")) if mirrors.openai else source.url
    if os.path.lexists(path) and source.bytes and os.path.getsize(path) > source.bytes:
        os.truncate(path, 0)
    resumed = os.path.lexists(path) and os.path.getsize(path) > 0
    progress.start(f"fetching {os.path.basename(url)}", source.bytes or None)
    try:
        measured = _attempts(url, path, source.bytes, host, progress)
        if measured != expected.hex and resumed:
            os.truncate(path, 0)
            measured = _attempts(url, path, source.bytes, host, progress)
    finally:
        progress.finish()
    if measured != expected.hex:
        os.truncate(path, 0)
        raise FetchError(
            f"`{masked(url)}` sent the wrong bytes: sha256 {measured}, expected {expected.hex}",
            hint="a proxy may be in the way; nothing was changed",
        )


class _RetryError(Exception):
    """A failure that a retry can cure; its text is for the user."""


def _attempts(url: str, path: str, size: int, host: Host, progress: Progress) -> str:
    """Download to the end, pausing between attempts, and return the SHA-256 of the whole."""
    pause = PAUSE_S
    for attempt in range(ATTEMPTS):
        try:
            return _download(url, path, size, host, progress)
        except _RetryError as error:
            if attempt == ATTEMPTS - 1:
                raise FetchError(
                    f"{error}: `{masked(url)}`", hint="try again later; what has arrived is kept"
                ) from error
            time.sleep(pause)
            pause *= 2
    raise AssertionError("unreachable")


def _download(url: str, path: str, size: int, host: Host, progress: Progress) -> str:
    state = hashlib.sha256()
    with open(path, "ab+") as file:
        file.seek(0)
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
            progress.advance(len(chunk))
        have = file.tell()
        if size and have == size:
            return state.hexdigest()
        with _response(url, have, host) as response:
            if have and response.status_code == 200:  # the server ignores ranges
                file.truncate(0)
                state = hashlib.sha256()
                have = 0
            try:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    have += len(chunk)
                    if size and have > size:
                        raise FetchError(f"`{masked(url)}` sends more than {size} bytes")
                    file.write(chunk)
                    state.update(chunk)
                    progress.advance(len(chunk))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise FetchError(f"the disk is full: `{path}`") from error
                raise _RetryError("the connection broke") from error
            finally:
                file.flush()
                os.fsync(file.fileno())
    if size and have < size:
        raise _RetryError("the connection ended early")
    return state.hexdigest()


@contextlib.contextmanager
def _response(url: str, have: int, host: Host) -> Iterator[requests.Response]:
    import requests

    with requests.Session() as session:
        session.trust_env = False  # use the proxies of the examined environment, not ours
        variables = host.environment
        for scheme in ("http", "https"):
            proxy = variables.get(f"{scheme}_proxy") or variables.get(f"{scheme.upper()}_PROXY")
            if proxy and not _bypassed(url, variables.get("no_proxy") or variables.get("NO_PROXY")):
                session.proxies[scheme] = proxy
        for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            if variables.get(name):
                session.verify = variables[name]
                break
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            response = session.get(url, headers=headers, stream=True, timeout=STALL_S)
        except requests.exceptions.SSLError as error:
            raise FetchError(
                f"the certificate of `{masked(url)}` cannot be checked",
                hint="a proxy that opens TLS needs its certificate in SSL_CERT_FILE",
            ) from error
        except requests.exceptions.Timeout as error:
            raise _RetryError(f"no answer in {STALL_S:.0f} s") from error
        except requests.exceptions.RequestException as error:
            raise _RetryError("no connection") from error
        with response:
            _check(response, url, have)
            yield response


def _bypassed(url: str, names: str | None) -> bool:
    import requests.utils

    return bool(names) and bool(requests.utils.should_bypass_proxies(url, names))


def _check(response: requests.Response, url: str, have: int) -> None:
    """Raise with a clear message unless the response is the file, or the rest of it."""
    status = response.status_code
    if status in (200, 206):
        if "text/html" in response.headers.get("Content-Type", ""):
            raise FetchError(
                f"`{masked(url)}` answered with a web page, not a file",
                hint="log in to the network (a captive portal?) or leave the proxy, then try again",
            )
        start = f"bytes {have}-"
        if status == 206 and not response.headers.get("Content-Range", "").startswith(start):
            raise FetchError(f"`{masked(url)}` sent a different part than requested")
        return
    words = {
        401: "needs a login",
        403: "is forbidden",
        404: "does not exist",
        416: "says that the partial is longer than the file",
    }
    if status == 429 or status >= 500:
        raise _RetryError(f"the server answered {status}")
    raise FetchError(f"`{masked(url)}` {words.get(status, 'was refused')} (HTTP {status})")
