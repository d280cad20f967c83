"""Read files whose content something is known of, and remember what they held.

A cache has very many plain files: they are read and taken in by the row. All revisions of a
repository have their files in one folder, so what is proven for one is for all.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.doctor.contents import (
    Contents,
    mark,
    notable_by_file,
    plain_by_folder,
    recalled,
)
from cachedoctor.locators import digest_of
from cachedoctor.system import digest
from cachedoctor.system import rows as in_rows
from cachedoctor.system.ledger import Ledger, Measured, rows_of, written
from cachedoctor.system.rows import FoundRow, Row
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.system.ledger import Written
    from cachedoctor.vocabulary import Artifact, Entry, Files, Progress, Stamp

_WRITTEN_AT_ONCE = 1000  # rows of the ledger


def read(
    host: Host,
    entries: Sequence[Entry],
    *,
    fresh: bool = False,
    max_age_s: int | None = None,
    whole: bool = True,
    progress: Progress = SILENT,
    mine: Callable[[str], bool] | None = None,
    threads: int | None = None,
) -> Contents:
    """Read every file of which something is known, and remember what it held.

    With `mine` only the files whose paths it takes: others are another process's.
    Where the entries are not the `whole` survey, nobody looks whether other files are gone.

    What is remembered as right is not read again, unless it is older than `max_age_s` or `fresh` is
    asked for; what was wrong always is. Interrupted, what was read stays remembered.
    """
    since_s = int(time.time()) - max_age_s if max_age_s is not None else 0
    known = Contents() if fresh else recalled(host, entries, since_s=since_s)
    folders, notable = plain_by_folder(entries), notable_by_file(entries)
    digests: dict[str, Mapping[str, str]] = {}
    rows, work = _unproven(folders, notable, mine)
    for path, artifacts in notable.items():
        held = known.digests.get(path, {})
        if held and _is_right(artifacts, held):
            digests[path] = held
        elif (algorithms := _algorithms(artifacts)) and (mine is None or mine(path)):
            size = artifacts[0].size_bytes
            work.append(digest.Work(*os.path.split(path), size, algorithms))
    remembered = frozenset(digests)
    taken = _Taken(folders, notable, digests)
    ledger = Ledger(host.state)
    done: list[Written] = []
    kept = 0
    total = sum(item.size_bytes for item in work) + sum(row.size_bytes for row in rows)
    progress.start("reading", total)
    with ledger.kept_open():
        try:
            for found in _all_of(rows, work, taken.again, progress, threads):
                done += taken.row(found) if isinstance(found, FoundRow) else taken.file(*found)
                if len(done) >= _WRITTEN_AT_ONCE:
                    kept += ledger.keep(done)
                    done.clear()
        finally:  # Ctrl-C keeps what was read
            progress.finish()
            kept += ledger.keep(done)
            if whole and mine is None:  # it looks at the folder of each row
                ledger.forget_gone(kept)
    return Contents(digests, remembered, taken.errors)


def _all_of(
    rows: Sequence[Row],
    work: Sequence[digest.Work],
    again: Sequence[digest.Work],
    progress: Progress,
    threads: int | None,
) -> Iterator[digest.Found | FoundRow]:
    """Yield the digests of `work` and `rows`, then of what was put into `again` meanwhile."""
    pieces: Iterator[Callable[[], Sequence[digest.Found | FoundRow]]] = chain(
        digest.pieces(work, progress), in_rows.pieces(rows, progress)
    )
    yield from chain.from_iterable(digest.shared_out(pieces, threads))
    yield from digest.of_many(again, progress, threads)


def _unproven(
    folders: Mapping[str, Sequence[Files]],
    notable: Collection[str],
    mine: Callable[[str], bool] | None,
) -> tuple[list[Row], list[digest.Work]]:
    """Return what is to be read of plain files, each once: small ones in rows, and the others.

    With `mine` only those whose paths it takes.
    """
    rows: list[Row] = []
    others: list[digest.Work] = []
    for folder, lists in folders.items():
        kinds: dict[str, list[tuple[str, int]]] = {}
        for name, size in dict(chain.from_iterable(files.unproven() for files in lists)).items():
            named = digest_of(name)
            path = f"{folder}/{name}"
            if named is None or path in notable or not (mine is None or mine(path)):
                continue
            if size <= in_rows.MOST_BYTES:
                kinds.setdefault(named.algorithm, []).append((name, size))
            else:
                others.append(digest.Work(folder, name, size, frozenset((named.algorithm,))))
        rows += (Row(folder, algorithm, files) for algorithm, files in kinds.items())
    return rows, others


class _Taken:
    """What was read so far: right plain files are marked, the digests of all others are kept."""

    def __init__(
        self,
        folders: Mapping[str, Sequence[Files]],
        notable: Mapping[str, Sequence[Artifact]],
        digests: dict[str, Mapping[str, str]],
    ) -> None:
        """Add to `digests`, by path; reading begins now."""
        self._folders = folders
        self._notable = notable
        self._began_ns = time.time_ns()
        self.digests = digests
        self.errors: dict[str, str] = {}
        self.again: list[digest.Work] = []  # a name that is not git's SHA-1 may be a plain one

    def row(self, found: FoundRow) -> Iterator[Written]:
        """Take in what came of plain files; returns what is to be remembered."""
        folder, algorithm, files = found.row
        lists = self._folders[folder]
        first = lists[0]
        kept: list[tuple[str, Stamp, str]] = []
        for (name, size), value in zip(files, found.digests, strict=True):
            if isinstance(value, OSError):
                self._fail(f"{folder}/{name}", value)
                continue
            stamp = first.stamp_of(name)
            if stamp is not None:
                kept.append((name, stamp, value))
            if value == name:
                first.prove(name, remembered=False)
            else:
                item = digest.Work(folder, name, size, frozenset((algorithm,)))
                self._doubt(lists, item, {algorithm: value})
        return rows_of(folder, algorithm, kept, self._began_ns)

    def file(self, item: digest.Work, found: dict[str, str] | OSError) -> Iterator[Written]:
        """Take in what came of one file; returns what is to be remembered."""
        path = item.path
        if isinstance(found, OSError):
            self._fail(path, found)
            return iter(())
        if path in self._notable:
            self.digests[path] = found
            stamp = self._notable[path][0].stamp
        else:
            lists = self._folders[item.folder]
            stamp = lists[0].stamp_of(item.name)
            if path in self.digests:
                self.digests[path] = {**self.digests[path], **found}
            elif item.name in found.values():
                lists[0].prove(item.name, remembered=False)  # they share the physical file
            else:
                self._doubt(lists, item, found)
        held = self.digests.get(path, found)
        return written([Measured(path, stamp, held, self._began_ns)] if stamp else ())

    def _fail(self, path: str, error: OSError) -> None:
        self.errors[path] = error.strerror or str(error)

    def _doubt(self, lists: Sequence[Files], item: digest.Work, found: dict[str, str]) -> None:
        """Keep the digests of a plain file that is not what its name says."""
        self.digests[item.path] = found
        mark(lists, item.name, right=False, remembered=False)
        if digest.GIT_SHA1 in item.algorithms:
            self.again.append(item._replace(algorithms=frozenset((digest.SHA1,))))


def _algorithms(artifacts: Sequence[Artifact]) -> frozenset[str]:
    """Return what must be computed of a file so that it can be judged."""
    named = frozenset(
        known.algorithm for a in artifacts for known in (a.digest, a.also) if known is not None
    )
    if any(artifact.may_be_sha1 for artifact in artifacts):
        named |= {"sha1"}
    archive = not named and any(formats.has_checksums(a.format) for a in artifacts)
    return frozenset(("crc32",)) if archive else named


def _is_right(artifacts: Sequence[Artifact], held: Mapping[str, str]) -> bool:
    """Say whether what is remembered of a file is all that it must be."""
    if any(a.digest and not a.judge(held) for a in artifacts):
        return False
    return any(a.digest for a in artifacts) or held.get("crc32") == "ok"
