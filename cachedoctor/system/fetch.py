"""Fetch from the hub; nothing fetched goes straight into a cache.

The real `huggingface_hub` does the fetching, in a child process (`hub_client`) with the examined
environment, into a folder of ours.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import FetchError
from cachedoctor.looking import untrusted
from cachedoctor.system import child, digest, disk, listed, shipped
from cachedoctor.text import masked
from cachedoctor.vocabulary import SILENT, Digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from cachedoctor.findings import HubFetch
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress

    Answer = dict[str, Any]  # of the client, as it came

HUB = "https://huggingface.co"
HUB_STALL_S = 300.0  # the client itself gives up long before this and retries
HUB_LISTING_S = 300.0
HUB_LONGEST_S = 24 * 3600.0
# What a child needs from our own environment, even when another home is examined.
_OWN_VARIABLES = ("PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LANG", "TMPDIR")


class Mirrors(NamedTuple):
    """Where to fetch from; an empty field is the default."""

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


class Hub:
    """The hub as the examined environment sees it; a context manager that ends the client.

    The first request starts the client, and all others use the same one: starting it costs a
    quarter of a second of processor time.
    """

    def __init__(self, host: Host, mirrors: Mirrors, scratch: str) -> None:
        """Ask for nothing yet; whatever the client caches goes below `scratch`, which is ours."""
        self._host, self._mirrors, self._scratch = host, mirrors, scratch
        self._clients: dict[str, child.Talk] = {}  # by the address of the hub

    def __enter__(self) -> Hub:
        """Return the hub itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the client and remove what it cached."""
        self._end()
        if os.path.lexists(self._scratch):
            disk.remove_tree(self._scratch)

    def listing(self, repository: str, revision: str) -> Listing:
        """Return what a repository contains at a revision; raises `FetchError`."""
        return _listing(self._ask({"repository": repository, "revision": revision}))

    def fetch(self, source: HubFetch, folder: str, progress: Progress) -> None:
        """Fetch a file, or every file below a path that ends in `/`, into `folder`.

        Raises `FetchError` when the hub refuses, or when a file is not what the hub itself
        promised.
        """
        request = {
            "repository": source.repository,
            "revision": source.revision,
            "path": source.path,
            "folder": folder,
        }
        progress.start(_told(source), source.bytes or None)
        seen, moved_s = 0, time.monotonic()

        def poll() -> None:
            nonlocal seen, moved_s
            now = _held_bytes(folder)
            progress.advance(max(0, now - seen))  # even 0: this is where a caller can give up
            if now > seen:
                seen, moved_s = now, time.monotonic()
            elif time.monotonic() - moved_s > HUB_STALL_S:
                raise FetchError(
                    f"no data for {HUB_STALL_S:.0f} s: `{source.repository}`",
                    hint="try again later; nothing was changed",
                )

        try:
            listing = _listing(self._ask(request, poll))
            poll()  # count what came after the last poll, so that the bar reaches its end
        finally:
            progress.finish()
        for file in listing.files:
            _prove(file, os.path.join(folder, file.path))

    def _ask(self, request: dict[str, str], poll: Callable[[], None] | None = None) -> Answer:
        """Ask the client; one that is interrupted or gives no answer is ended."""
        endpoint = self._mirrors.hub or _registry(request["repository"], self._host)
        endpoint = endpoint or self._host.environment.get("HF_ENDPOINT", "")
        where = masked(endpoint or HUB)
        client = self._client(endpoint)
        asked = json.dumps(request).encode()
        try:
            line = client.ask(asked, HUB_LONGEST_S if poll else HUB_LISTING_S, poll)
            answer = _answer(line, client, where)
        except BaseException:
            self._end()
            raise
        if "error" in answer:
            raise FetchError(_words(answer, request, where), hint="nothing was changed")
        return answer

    def _client(self, endpoint: str) -> child.Talk:
        """Return the running client of a hub, or start it; it reads its environment only once."""
        if endpoint not in self._clients:
            own = {name: os.environ[name] for name in _OWN_VARIABLES if name in os.environ}
            environment = {
                **own,
                "HOME": self._host.home,
                **self._host.environment,
                "HF_HUB_CACHE": self._scratch,
                "HF_XET_CACHE": os.path.join(self._scratch, "xet"),
                "HF_HUB_DISABLE_SHARED_BLOBS": "1",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "HF_HUB_DISABLE_PROGRESS_BARS": "1",
                "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            }
            if endpoint:
                environment["HF_ENDPOINT"] = endpoint
            command = shipped.command("cachedoctor.system.hub_client")
            self._clients[endpoint] = child.Talk(command, environment)
        return self._clients[endpoint]

    def _end(self) -> None:
        while self._clients:
            self._clients.popitem()[1].end()


def _told(source: HubFetch) -> str:
    """Describe a fetch: the file and its model, a repository or a folder of a shared one."""
    path = source.path.rstrip("/")
    folder, _, below = path.partition("/")
    model = folder if below else os.path.basename(source.repository)
    return f"fetching {os.path.basename(path)} of {model}"


def _prove(file: Listed, path: str) -> None:
    """Raise `FetchError` if a fetched file does not have the digest that the hub promised."""
    algorithm = file.digest.algorithm
    measured = digest.of_file(path, frozenset((algorithm,)), SILENT)[algorithm]
    if measured != file.digest.hex:
        raise FetchError(
            f"`{file.path}` arrived with the wrong bytes: its {algorithm} is {measured}, "
            f"the hub promised {file.digest.hex}",
            hint="try again, or use another mirror",
        )


def _held_bytes(folder: str) -> int:
    total = 0
    for base, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(base, name)).st_size
    return total


def _listing(answer: Answer) -> Listing:
    commit, rows = answer.get("commit"), answer.get("files")
    if why := listed.wrong(commit, rows):
        raise FetchError(f"the hub lists {why}", hint="nothing was fetched")
    files = (
        Listed(row["path"], row["bytes"], Digest(row["algorithm"], row["hex"]))
        for row in rows or ()
    )
    return Listing(str(commit), tuple(files))


def _answer(line: bytes | child.Silence, client: child.Talk, where: str) -> Answer:
    """Parse the client's answer; raises `FetchError` if there is none."""
    if not isinstance(line, child.Silence):
        with contextlib.suppress(ValueError):
            answer: Answer = untrusted.parse_json(line)
            return answer
        ended = "answered with no JSON"
        last = [line.decode(errors="replace").strip()]
    elif line.timed_out:
        raise FetchError(f"no answer from {where} in time", hint="nothing was changed")
    else:
        ended = (
            f"ended with signal {line.signal}"
            if line.signal
            else f"ended with exit code {line.code}"
        )
        last = client.errors.decode(errors="replace").strip().splitlines()[-1:]
    raise FetchError(
        masked(f"the hub client {ended}: {' '.join(last)}"),
        hint="`pip install -U huggingface_hub` reinstalls it",
    )


def _registry(repository: str, host: Host) -> str:
    """Return where FluidAudio is configured to download its own repositories from.

    Source: FluidInference/FluidAudio v0.15.5 `ModelRegistry.swift`.
    """
    mine = repository.startswith("FluidInference/")
    variables = host.environment if mine and "HF_ENDPOINT" not in host.environment else {}
    return variables.get("REGISTRY_URL") or variables.get("MODEL_REGISTRY_URL") or ""


def _words(answer: Answer, request: dict[str, str], where: str) -> str:
    """Turn the client's exception into a sentence."""
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
