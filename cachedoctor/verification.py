"""Read files against the best evidence there is without a network, and remember what they held.

A file has one verdict: its content is what its evidence says, or not; nothing says what it must be;
or it could not be read. The archives' own checksums count where no digest is known.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.ledger import Ledger, Measured
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Artifact, Entry, Progress

CHECKSUMS = "checksums in the archive"
_ARCHIVES = ("torch_zip", "npz")


class FileVerdict(NamedTuple):
    """What one file is, by what evidence."""

    path: str
    links: tuple[str, ...]  # the names that lead to it
    engines: tuple[str, ...]
    size_bytes: int
    verdict: str  # ok, bad, unknown, unreadable
    evidence: str | None = None
    algorithm: str | None = None
    measured: str | None = None
    expected: str | None = None
    remembered: bool = False  # known without reading it now
    error: str = ""


class Throttled:
    """A `Progress` that holds the reading threads back to a number of bytes a second."""

    def __init__(self, progress: Progress, bytes_a_second: int) -> None:
        """Report on to `progress`."""
        self._progress = progress
        self._rate = bytes_a_second
        self._lock = threading.Lock()
        self._free_at = 0.0  # when everything read so far would have been read at this rate

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin a piece of work."""
        self._free_at = time.monotonic()
        self._progress.start(label, total_bytes)

    def advance(self, done_bytes: int) -> None:
        """Add to the bytes done, and wait until they are due."""
        self._progress.advance(done_bytes)
        with self._lock:
            self._free_at += done_bytes / self._rate
            wait_s = self._free_at - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)

    def finish(self) -> None:
        """End the piece of work."""
        self._progress.finish()


class Contents(NamedTuple):
    """What files hold, as far as it was read now or is remembered."""

    digests: Mapping[str, Mapping[str, str]] = {}  # by path, then by algorithm
    remembered: frozenset[str] = frozenset()
    errors: Mapping[str, str] = {}


def recalled(host: Host, entries: Iterable[Entry], *, since_s: int = 0) -> Contents:
    """Return what earlier runs read, since `since_s`, of files that did not change."""
    ledger = Ledger(host.state)
    if not ledger.exists:
        return Contents()
    files = _files(entries)
    wanted = ((path, a[0].stamp) for path, a in files.items() if a[0].stamp and _algorithms(a))
    known = ledger.recall(wanted, since_s=since_s)
    return Contents(known, frozenset(known))


def read(
    host: Host,
    entries: Iterable[Entry],
    *,
    fresh: bool = False,
    max_age_s: int | None = None,
    progress: Progress = SILENT,
) -> Contents:
    """Read every file of which something is known, and remember what it held.

    What is remembered as right is not read again, unless it is older than `max_age_s` or `fresh` is
    asked for; what was wrong always is. Interrupted, what was read stays remembered.
    """
    from cachedoctor import digest

    since_s = int(time.time()) - max_age_s if max_age_s is not None else 0
    known = Contents() if fresh else recalled(host, entries, since_s=since_s)
    files = _files(entries)
    right = {
        path: known.digests[path]
        for path, artifacts in files.items()
        if path in known.digests and _is_right(artifacts, known.digests[path])
    }
    work = [
        digest.Work(path, artifacts[0].size_bytes, _algorithms(artifacts))
        for path, artifacts in files.items()
        if path not in right and _algorithms(artifacts)
    ]
    found: dict[str, Mapping[str, str]] = dict(right)
    errors: dict[str, str] = {}
    done: list[Measured] = []
    began_ns = time.time_ns()
    progress.start("reading", sum(item.size_bytes for item in work))
    try:
        for item, digests in digest.of_many(work, progress):
            stamp = files[item.path][0].stamp
            if isinstance(digests, OSError):
                errors[item.path] = digests.strerror or str(digests)
            elif stamp:
                found[item.path] = digests
                done.append(Measured(item.path, stamp, digests, began_ns))
    finally:  # Ctrl-C keeps what was read
        progress.finish()
        ledger = Ledger(host.state)
        ledger.remember(done)
        ledger.forget_gone()
    return Contents(found, frozenset(right), errors)


def verdicts(entries: Iterable[Entry], contents: Contents) -> tuple[FileVerdict, ...]:
    """Return what each file is, in the order of paths."""
    return tuple(
        _verdict(path, artifacts, contents) for path, artifacts in sorted(_files(entries).items())
    )


def _verdict(path: str, artifacts: Sequence[Artifact], contents: Contents) -> FileVerdict:
    told = next((a for a in artifacts if a.digest is not None), artifacts[0])
    found = FileVerdict(
        path,
        tuple(dict.fromkeys(a.path for a in artifacts if a.path != path)),
        tuple(dict.fromkeys(name for a in artifacts for name in a.required_by)),
        told.size_bytes,
        "unknown",
        remembered=path in contents.remembered,
    )
    held = contents.digests.get(path, {})
    if path in contents.errors or told.state is State.UNREADABLE:
        return found._replace(verdict="unreadable", error=contents.errors.get(path, told.detail))
    if told.digest is not None and told.digest.algorithm in held:
        measured = held[told.digest.algorithm]
        return found._replace(
            verdict="ok" if measured == told.digest.hex else "bad",
            evidence=told.evidence.value if told.evidence else None,
            algorithm=told.digest.algorithm,
            measured=measured,
            expected=told.digest.hex,
        )
    if "crc32" in held:
        sound = held["crc32"] == "ok"
        return found._replace(
            verdict="ok" if sound else "bad",
            evidence=CHECKSUMS,
            algorithm="crc32",
            measured=None if sound else held["crc32"],
        )
    return found


def _files(entries: Iterable[Entry]) -> dict[str, list[Artifact]]:
    """Return by physical file the artifacts that lead to it."""
    files: dict[str, list[Artifact]] = {}
    for entry in entries:
        for artifact in entry.artifacts:
            there = artifact.state in (State.PRESENT, State.UNREADABLE)
            if there and artifact.stamp and not artifact.bundle:
                files.setdefault(artifact.file, []).append(artifact)
    return files


def _algorithms(artifacts: Sequence[Artifact]) -> frozenset[str]:
    """Return what must be computed of a file so that it can be judged."""
    named = frozenset(a.digest.algorithm for a in artifacts if a.digest)
    archive = not named and any(a.format in _ARCHIVES for a in artifacts)
    return frozenset(("crc32",)) if archive else named


def _is_right(artifacts: Sequence[Artifact], held: Mapping[str, str]) -> bool:
    """Say whether what is remembered of a file is all that it must be."""
    if any(a.digest and held.get(a.digest.algorithm) != a.digest.hex for a in artifacts):
        return False
    return any(a.digest for a in artifacts) or held.get("crc32") == "ok"
