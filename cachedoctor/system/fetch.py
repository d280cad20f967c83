"""The only module that talks to the network; nothing of what it fetches goes into a cache.

Hub files are fetched by the real `huggingface_hub`, in a child process (`hub_client`) with the
environment that was examined, into a folder of ours. CDN files are fetched with
`requests`, resumed, and hashed while they stream.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import FetchError
from cachedoctor.looking import untrusted
from cachedoctor.system import child, digest, listed, shipped
from cachedoctor.text import masked
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from cachedoctor.findings import CdnFetch, HubFetch
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress

HUB = "https://huggingface.co"
OPENAI = "https://openaipublic.azureedge.net"
ATTEMPTS = 4
PAUSE_S = 0.5  # before the second attempt; doubled before each further one
STALL_S = 30.0
HUB_STALL_S = 300.0  # the client itself gives up long before, and tries again
HUB_LISTING_S = 300.0
HUB_LONGEST_S = 24 * 3600.0
_CHUNK_BYTES = 1 << 20
# What a child needs of the running process even when another home is examined.
_OWN_VARIABLES = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LANG", "TMPDIR")


class Mirrors(NamedTuple):
    """Where to fetch from instead of the usual place; empty is the usual."""

    hub: str = ""
    openai: str = ""


class Listed(NamedTuple):
    """One file of a repository, as the hub lists it."""

    path: str
    bytes: int
    digest: Digest


class Listing(NamedTuple):
    """The files of a repository at one commit."""

    commit: str
    files: tuple[Listed, ...]


def hub_listing(repository: str, revision: str, host: Host, mirrors: Mirrors) -> Listing:
    """Ask the hub what a repository holds at a revision; raises `FetchError`."""
    answer = _ask_child({"repository": repository, "revision": revision}, host, mirrors)
    return _listing(answer)


def fetch_hub(
    source: HubFetch, folder: str, host: Host, mirrors: Mirrors, progress: Progress
) -> Listing:
    """Fetch a file, or every file below a path that ends in `/`, into `folder`, and prove each.

    Returns what was fetched and the commit it is of. Raises `FetchError` when the hub refuses, or
    when a file is not what the hub itself promised.
    """
    request = {
        "repository": source.repository,
        "revision": source.revision,
        "path": source.path,
        "folder": folder,
    }
    progress.start(f"fetching {os.path.basename(source.path.rstrip('/'))}", source.bytes or None)
    seen, moved_s = 0, time.monotonic()

    def poll() -> None:
        nonlocal seen, moved_s
        now = _held_bytes(folder)
        progress.advance(max(0, now - seen))  # also nothing: a caller may have given up
        if now > seen:
            seen, moved_s = now, time.monotonic()
        elif time.monotonic() - moved_s > HUB_STALL_S:
            raise FetchError(
                f"nothing came for {HUB_STALL_S:.0f} s: `{source.repository}`",
                hint="try again later; nothing was changed",
            )

    try:
        listing = _listing(_ask_child(request, host, mirrors, poll))
    finally:
        progress.finish()
    for file in listing.files:
        path = os.path.join(folder, file.path)
        algorithm = file.digest.algorithm
        from cachedoctor.vocabulary import SILENT

        measured = digest.of_file(path, frozenset((algorithm,)), SILENT)[algorithm]
        if measured != file.digest.hex:
            raise FetchError(
                f"`{file.path}` came with the wrong bytes: its {algorithm} is {measured}, "
                f"the hub promised {file.digest.hex}",
                hint="try again, or another mirror",
            )
    return listing


def fetch_cdn(
    source: CdnFetch, path: str, expected: Digest, host: Host, mirrors: Mirrors, progress: Progress
) -> None:
    """Fetch a file to `path`, going on from what is there, with its SHA-256 proven on the way.

    What a resumed download brings is thrown away once if the whole proves wrong, because then the
    first part was. Raises `FetchError`, after several attempts where another may help.
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
    """A failure that another attempt may mend; its text is for the user."""


def _attempts(url: str, path: str, size: int, host: Host, progress: Progress) -> str:
    """Download to the end, with pauses between attempts, and return the whole's SHA-256."""
    pause = PAUSE_S
    for attempt in range(ATTEMPTS):
        try:
            return _download(url, path, size, host, progress)
        except _RetryError as error:
            if attempt == ATTEMPTS - 1:
                raise FetchError(
                    f"{error}: `{masked(url)}`", hint="try again later; what came so far is kept"
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
            if have and response.status_code == 200:  # ranges are not understood here
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
        session.trust_env = False  # the proxies are those of the examined environment, not ours
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
    """Raise in clear words unless the answer is the file, or the rest of it."""
    status = response.status_code
    if status in (200, 206):
        if "text/html" in response.headers.get("Content-Type", ""):
            raise FetchError(
                f"`{masked(url)}` answered with a web page, not a file",
                hint="log in to the network (a captive portal?) or leave the proxy, then try again",
            )
        start = f"bytes {have}-"
        if status == 206 and not response.headers.get("Content-Range", "").startswith(start):
            raise FetchError(f"`{masked(url)}` sent another part than was asked for")
        return
    words = {
        401: "needs a login",
        403: "is forbidden",
        404: "is not there",
        416: "says that the partial is longer than the file",
    }
    if status == 429 or status >= 500:
        raise _RetryError(f"the server answered {status}")
    raise FetchError(f"`{masked(url)}` {words.get(status, 'was refused')} (HTTP {status})")


def _held_bytes(folder: str) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size
    return total


def _listing(answer: dict[str, Any]) -> Listing:
    commit, rows = answer.get("commit"), answer.get("files")
    if why := listed.wrong(commit, rows):
        raise FetchError(f"the hub lists {why}", hint="nothing was fetched")
    files = (
        Listed(row["path"], row["bytes"], Digest(row["algorithm"], row["hex"]))
        for row in rows or ()
    )
    return Listing(str(commit), tuple(files))


def _ask_child(
    request: dict[str, str], host: Host, mirrors: Mirrors, poll: Any = None
) -> dict[str, Any]:
    own = {name: os.environ[name] for name in _OWN_VARIABLES if name in os.environ}
    scratch = os.path.join(request.get("folder", host.state), ".hub")
    environment = {
        **own,
        "HOME": host.home,
        **host.environment,
        "HF_HUB_CACHE": scratch,
        "HF_XET_CACHE": os.path.join(scratch, "xet"),
        "HF_HUB_DISABLE_SHARED_BLOBS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
    endpoint = mirrors.hub or _registry(request["repository"], host)
    if endpoint:
        environment["HF_ENDPOINT"] = endpoint
    result = child.run(
        shipped.command("cachedoctor.system.hub_client"),
        environment=environment,
        request=json.dumps(request).encode() + b"\n",
        timeout_s=HUB_LONGEST_S if poll else HUB_LISTING_S,
        on_poll=poll,
    )
    where = masked(environment.get("HF_ENDPOINT", HUB))
    if result.timed_out:
        raise FetchError(f"no answer from {where} in time", hint="nothing was changed")
    try:
        answer: dict[str, Any] = untrusted.parse_json(result.output)
    except ValueError:
        ended = f"signal {result.signal}" if result.signal else f"exit code {result.code}"
        last = result.errors.decode(errors="replace").strip().splitlines()[-1:]
        raise FetchError(
            masked(f"the hub client ended with {ended}: {' '.join(last)}"),
            hint="`pip install -U huggingface_hub` brings a whole one",
        ) from None
    if "error" in answer:
        raise FetchError(_words(answer, request, where), hint="nothing was changed")
    return answer


def _registry(repository: str, host: Host) -> str:
    """Return where FluidAudio was told to download from, for its own repositories.

    Source: FluidInference/FluidAudio v0.15.5 `ModelRegistry.swift`.
    """
    mine = repository.startswith("FluidInference/")
    variables = host.environment if mine and "HF_ENDPOINT" not in host.environment else {}
    return variables.get("REGISTRY_URL") or variables.get("MODEL_REGISTRY_URL") or ""


def _words(answer: dict[str, Any], request: dict[str, str], where: str) -> str:
    """Turn what the client raised into a sentence."""
    repository, path = f"`{request['repository']}`", f"`{request.get('path', '')}`"
    names, status = answer["error"], answer.get("status")
    known = {
        "GatedRepoError": f"{repository} is gated: accept its terms and set HF_TOKEN",
        "RepositoryNotFoundError": f"{repository} is not on {where}, or needs a token",
        "RevisionNotFoundError": f"{repository} has no revision {request['revision']}",
        "EntryNotFoundError": f"{repository} has no {path}",
        "OfflineModeIsEnabled": "the environment forbids the network (HF_HUB_OFFLINE)",
        "ConnectError": f"no connection to {where}",
        "TimeoutException": f"no answer from {where}",
    }
    for name in names:
        if name in known:
            return known[name]
    if answer.get("errno") == errno.ENOSPC:
        return "the disk is full"
    if "ListingError" in names:
        return f"{where} lists {answer['message']}, in {repository}"
    if status:
        return f"{where} answered {status} for {repository}"
    return f"{repository} could not be fetched from {where}: {masked(answer['message'])}"
