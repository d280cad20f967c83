"""Read the files that there is evidence for, and remember their digests.

A cache has very many plain files: they are read and recorded in rows. All revisions of a repository
keep their files in one folder, so what is proven for one is proven for all.
"""

from __future__ import annotations

import os
import re
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

_HEX = re.compile("[0-9a-f]*")
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
    """Read every file that there is evidence for, and remember its digest.

    With `mine`, reads only the paths it accepts: the others belong to another process.
    Unless the entries are the `whole` survey, the ledger is not checked for deleted files.

    A file remembered as right is not read again, unless that is older than `max_age_s` or `fresh`
    is set; a file that was wrong is always read. After an interrupt, what was read is remembered.
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
            if whole and mine is None:  # costly: looks into the folder of every row
                ledger.forget_gone(kept)
    return Contents(digests, remembered, taken.errors)


def _all_of(
    rows: Sequence[Row],
    work: Sequence[digest.Work],
    again: Sequence[digest.Work],
    progress: Progress,
    threads: int | None,
) -> Iterator[digest.Found | FoundRow]:
    """Yield the digests of `work` and `rows`, then of the work added to `again` meanwhile."""
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
    """Return the plain files to read, each once: small ones in rows, and the others.

    With `mine`, only the paths it accepts.
    """
    rows: list[Row] = []
    others: list[digest.Work] = []
    noted: dict[str, set[str]] = {}
    for path in notable:
        folder, _, name = path.rpartition("/")
        noted.setdefault(folder, set()).add(name)
    for folder, lists in folders.items():
        passed = noted.get(folder, set())
        kinds: dict[int, list[tuple[str, int]]] = {}
        for each in dict(chain.from_iterable(files.unproven() for files in lists)).items():
            if each[0] not in passed and (mine is None or mine(f"{folder}/{each[0]}")):
                kinds.setdefault(len(each[0]), []).append(each)
        for files in map(_named_by_digest, kinds.values()):
            if named := digest_of(files[0][0]) if files else None:
                small = [each for each in files if each[1] <= in_rows.MOST_BYTES]
                rows += [Row(folder, named.algorithm, small)] if small else []
                alone = (each for each in files if each[1] > in_rows.MOST_BYTES)
                wanted = frozenset((named.algorithm,))
                others += (digest.Work(folder, name, size, wanted) for name, size in alone)
    return rows, others


def _named_by_digest(files: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those of these files, whose names are equally long, that are called as a digest is."""
    if _HEX.fullmatch("".join(name for name, _ in files)):  # most often all of them
        return files
    return [each for each in files if digest_of(each[0])]


class _Taken:
    """What was read so far: marks plain files that are right, keeps the digests of all others."""

    def __init__(
        self,
        folders: Mapping[str, Sequence[Files]],
        notable: Mapping[str, Sequence[Artifact]],
        digests: dict[str, Mapping[str, str]],
    ) -> None:
        """Collect into `digests`, by path; reading starts now."""
        self._folders = folders
        self._notable = notable
        self._began_ns = time.time_ns()
        self.digests = digests
        self.errors: dict[str, str] = {}
        self.again: list[digest.Work] = []  # a name that is not git's SHA-1 may be a plain SHA-1

    def row(self, found: FoundRow) -> Iterator[Written]:
        """Record the digests of a row of plain files; returns what to remember."""
        folder, algorithm, files = found.row
        lists = self._folders[folder]
        first = lists[0]
        kept: list[tuple[str, Stamp, str]] = []
        for (name, size), value in zip(files, found.digests, strict=True):
            if isinstance(value, OSError):
                self._record_error(f"{folder}/{name}", value)
                continue
            stamp = first.stamp_of(name)
            if stamp is not None:
                kept.append((name, stamp, value))
            if value == name:
                first.prove(name, remembered=False)
            else:
                item = digest.Work(folder, name, size, frozenset((algorithm,)))
                self._record_mismatch(lists, item, {algorithm: value})
        return rows_of(folder, algorithm, kept, self._began_ns)

    def file(self, item: digest.Work, found: dict[str, str] | OSError) -> Iterator[Written]:
        """Record the digests of one file; returns what to remember."""
        path = item.path
        if isinstance(found, OSError):
            self._record_error(path, found)
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
                lists[0].prove(item.name, remembered=False)  # the lists share the physical file
            else:
                self._record_mismatch(lists, item, found)
        held = self.digests.get(path, found)
        return written([Measured(path, stamp, held, self._began_ns)] if stamp else ())

    def _record_error(self, path: str, error: OSError) -> None:
        self.errors[path] = error.strerror or str(error)

    def _record_mismatch(
        self, lists: Sequence[Files], item: digest.Work, found: dict[str, str]
    ) -> None:
        """Keep the digests of a plain file whose content does not match its name."""
        self.digests[item.path] = found
        mark(lists, item.name, right=False, remembered=False)
        if digest.GIT_SHA1 in item.algorithms:
            self.again.append(item._replace(algorithms=frozenset((digest.SHA1,))))


def _algorithms(artifacts: Sequence[Artifact]) -> frozenset[str]:
    """Return the algorithms needed to judge a file."""
    named = frozenset(
        known.algorithm for a in artifacts for known in (a.digest, a.also) if known is not None
    )
    if any(artifact.may_be_sha1 for artifact in artifacts):
        named |= {"sha1"}
    archive = not named and any(formats.has_checksums(a.format) for a in artifacts)
    return frozenset(("crc32",)) if archive else named


def _is_right(artifacts: Sequence[Artifact], held: Mapping[str, str]) -> bool:
    """Return whether the remembered digests of a file match everything expected of it."""
    if any(a.digest and not a.judge(held) for a in artifacts):
        return False
    return any(a.digest for a in artifacts) or held.get("crc32") == "ok"
