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
from cachedoctor.system import child, digest, listed, shipped
from cachedoctor.text import masked
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from cachedoctor.findings import HubFetch
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress

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


def hub_listing(repository: str, revision: str, host: Host, mirrors: Mirrors) -> Listing:
    """Return what a repository contains at a revision; raises `FetchError`."""
    answer = _ask_child({"repository": repository, "revision": revision}, host, mirrors)
    return _listing(answer)


def _told(source: HubFetch) -> str:
    """Describe a fetch: the file and its model, a repository or a folder of a shared one."""
    path = source.path.rstrip("/")
    folder, _, below = path.partition("/")
    model = folder if below else os.path.basename(source.repository)
    return f"fetching {os.path.basename(path)} of {model}"


def fetch_hub(
    source: HubFetch, folder: str, host: Host, mirrors: Mirrors, progress: Progress
) -> Listing:
    """Fetch a file, or every file below a path that ends in `/`, into `folder`, and prove each.

    Returns the fetched files and their commit. Raises `FetchError` when the hub refuses, or when a
    file is not what the hub itself promised.
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
                f"nothing came for {HUB_STALL_S:.0f} s: `{source.repository}`",
                hint="try again later; nothing was changed",
            )

    try:
        listing = _listing(_ask_child(request, host, mirrors, poll))
        poll()  # count what came after the last poll, so that the bar reaches its end
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
    """Return where FluidAudio is configured to download its own repositories from.

    Source: FluidInference/FluidAudio v0.15.5 `ModelRegistry.swift`.
    """
    mine = repository.startswith("FluidInference/")
    variables = host.environment if mine and "HF_ENDPOINT" not in host.environment else {}
    return variables.get("REGISTRY_URL") or variables.get("MODEL_REGISTRY_URL") or ""


def _words(answer: dict[str, Any], request: dict[str, str], where: str) -> str:
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
