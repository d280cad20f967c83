"""Read files, check them against the best local evidence, and remember their digests.

A file has one verdict: it matches its evidence, or it does not; there is no evidence; or it could
not be read. An archive's own checksums count if no digest is known.
"""

from __future__ import annotations

import os
import time
from itertools import chain
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.locators import digest_of
from cachedoctor.system.ledger import Ledger, Measured
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import SILENT, Evidence, Files, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.system.digest import Work
    from cachedoctor.vocabulary import Artifact, Entry, PlainFile, Progress

CHECKSUMS = "checksums in the archive"
_WRITTEN_AT_ONCE = 1000  # rows of the ledger


class FileVerdict(NamedTuple):
    """The verdict on one file, and the evidence for it."""

    path: str  # of the physical file
    links: tuple[str, ...]  # the names that lead to it
    engines: tuple[str, ...]  # that open it
    size_bytes: int  # its length
    verdict: str  # ok, bad, unknown, unreadable
    evidence: str | None = None  # what it was checked against: `blob name`, `lock file`, …
    algorithm: str | None = None  # of the digest: `sha256`, `git-sha1`, `crc32`, …
    measured: str | None = None  # the digest of the file's content
    expected: str | None = None  # the digest it must have
    remembered: bool = False  # read by an earlier run, not now
    error: str = ""  # why it could not be read


class Contents(NamedTuple):
    """The digests of the notable files, as far as they were read now or are remembered."""

    digests: Mapping[str, Mapping[str, str]] = {}  # by path, then by algorithm
    remembered: frozenset[str] = frozenset()
    errors: Mapping[str, str] = {}


def recalled(host: Host, entries: Sequence[Entry], *, since_s: int = 0) -> Contents:
    """Return the digests that earlier runs read, since `since_s`, of files unchanged since then.

    Marks plain files as proven; those whose content does not match their name become notable.
    """
    ledger = Ledger(host.state)
    if not ledger.exists:
        return Contents()
    by_folder = plain_by_folder(entries)
    for folder, name, stamp, algorithm, value in ledger.recall(by_folder, since_s=since_s):
        named = digest_of(name)
        own = named is not None and named.algorithm == algorithm
        if own and by_folder[folder][0].stamp_of(name) == stamp:
            mark(by_folder[folder], name, right=value == name, remembered=True)
    notable = notable_by_file(entries)
    digests: dict[str, dict[str, str]] = {}
    folders = dict.fromkeys(map(os.path.dirname, notable))
    for folder, name, stamp, algorithm, value in ledger.recall(folders, since_s=since_s):
        path = f"{folder}/{name}"
        if path in notable and notable[path][0].stamp == stamp:
            digests.setdefault(path, {})[algorithm] = value
    return Contents(digests, frozenset(digests))


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
    from cachedoctor.system import digest

    since_s = int(time.time()) - max_age_s if max_age_s is not None else 0
    known = Contents() if fresh else recalled(host, entries, since_s=since_s)
    by_folder = plain_by_folder(entries)
    notable = notable_by_file(entries)
    digests: dict[str, Mapping[str, str]] = {}
    work = list(_plain_work(by_folder, notable))
    mine = mine or _all_are
    for path, artifacts in notable.items():
        held = known.digests.get(path, {})
        if held and _is_right(artifacts, held):
            digests[path] = held
        elif algorithms := _algorithms(artifacts):
            size = artifacts[0].size_bytes
            work.append(digest.Work(*os.path.split(path), size, algorithms))
    remembered = frozenset(digests)
    work = [item for item in work if mine(item.path)]
    errors: dict[str, str] = {}
    done: list[Measured] = []
    written = 0
    again: list[Work] = []
    ledger = Ledger(host.state)
    began_ns = time.time_ns()
    progress.start("reading", sum(item.size_bytes for item in work))
    with ledger.kept_open():
        try:
            for item, found in _all_of(work, again, progress, threads):
                path = item.path
                if isinstance(found, OSError):
                    errors[path] = found.strerror or str(found)
                    continue
                if path in notable:
                    digests[path] = found
                    stamp = notable[path][0].stamp
                else:
                    lists = by_folder[item.folder]
                    stamp = lists[0].stamp_of(item.name)
                    _judge_plain(lists, item, path, found, digests, again)
                if stamp:
                    done.append(Measured(path, stamp, digests.get(path, found), began_ns))
                if len(done) >= _WRITTEN_AT_ONCE:
                    written += ledger.remember(done)
                    done.clear()
        finally:  # Ctrl-C keeps what was read
            progress.finish()
            written += ledger.remember(done)
            if whole and mine is _all_are:  # costly: looks into the folder of every row
                ledger.forget_gone(written)
    return Contents(digests, remembered, errors)


def _all_are(_path: str) -> bool:
    return True


def _judge_plain(
    lists: Sequence[Files],
    item: Work,
    path: str,
    found: Mapping[str, str],
    digests: dict[str, Mapping[str, str]],
    again: list[Work],
) -> None:
    """Mark a plain file as right or doubted by its digest; keeps the digests of a doubted one.

    A name that is not git's SHA-1 may be a plain SHA-1, so such a file is read again.
    """
    from cachedoctor.system import digest

    name = item.name
    if path in digests:
        digests[path] = {**digests[path], **found}
    elif name in found.values():
        lists[0].prove(name, remembered=False)  # the lists share the physical file
    else:
        digests[path] = found
        mark(lists, name, right=False, remembered=False)
        if digest.GIT_SHA1 in item.algorithms:
            again.append(item._replace(algorithms=frozenset((digest.SHA1,))))


def _all_of(
    work: Sequence[Work], again: list[Work], progress: Progress, threads: int | None
) -> Iterator[tuple[Work, dict[str, str] | OSError]]:
    """Yield the digests of `work`, then of the work added to `again` meanwhile."""
    from cachedoctor.system import digest

    yield from digest.of_many(work, progress, threads)
    yield from digest.of_many(again, progress, threads)


def verdicts(entries: Sequence[Entry], contents: Contents) -> Iterator[FileVerdict]:
    """Yield the verdict on each physical file."""
    notable = notable_by_file(entries)
    links: dict[str, list[str]] = {}  # the plain names of notable files
    plain: dict[str, tuple[PlainFile, list[str]]] = {}
    kinds: dict[int, str | None] = {}  # the algorithm by the length of a proven name
    for folder, lists in plain_by_folder(entries).items():
        plain.clear()
        for files in lists:
            for file in files.plain():
                path = f"{folder}/{file.file}"
                if path in notable:
                    links.setdefault(path, []).append(files.path_of(file))
                else:
                    plain.setdefault(path, (file, []))[1].append(files.path_of(file))
        for path, (file, names) in plain.items():
            length = len(file.file)
            if file.proven and length not in kinds:
                digest = digest_of(file.file)
                kinds[length] = digest.algorithm if digest else None
            yield _plain_verdict(path, file, tuple(names), kinds.get(length), contents)
    for path, artifacts in notable.items():
        found = _verdict(path, artifacts, contents)
        yield found._replace(links=(*found.links, *links.get(path, ())))


def _plain_verdict(
    path: str, file: PlainFile, links: tuple[str, ...], algorithm: str | None, contents: Contents
) -> FileVerdict:
    if not file.proven:
        error = contents.errors.get(path, "")
        word = "unreadable" if error else "unknown"
        return FileVerdict(
            path=path,
            links=links,
            engines=(),
            size_bytes=file.size_bytes,
            verdict=word,
            error=error,
        )
    name, evidence = file.file, file.evidence.value
    # by position, which is faster: a cache has very many of these
    values = (path, links, (), file.size_bytes, "ok", evidence, algorithm, name, name)
    return FileVerdict._make((*values, file.remembered, ""))


def _verdict(path: str, artifacts: Sequence[Artifact], contents: Contents) -> FileVerdict:
    told = next((a for a in artifacts if a.digest is not None), artifacts[0])
    found = FileVerdict(
        path=path,
        links=tuple(dict.fromkeys(a.path for a in artifacts if a.path != path)),
        engines=tuple(dict.fromkeys(name for a in artifacts for name in a.required_by)),
        size_bytes=told.size_bytes,
        verdict="unknown",
        remembered=path in contents.remembered,
    )
    held = contents.digests.get(path, {})
    if path in contents.errors or told.state is State.UNREADABLE:
        return found._replace(verdict="unreadable", error=contents.errors.get(path, told.detail))
    if told.digest is not None and told.digest.algorithm in held:
        proof = told.matching(held) or told.digest
        evidence = Evidence.TABLE if proof == told.also else told.evidence
        measured = held[proof.algorithm]
        return found._replace(
            verdict={True: "ok", False: "bad", None: "unknown"}[told.judge(held)],
            evidence=evidence.value if evidence else None,
            algorithm=proof.algorithm,
            measured=measured,
            expected=proof.hex,
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


def plain_by_folder(entries: Iterable[Entry]) -> dict[str, list[Files]]:
    """Return the lists of plain files by the folder of their physical files."""
    found: dict[str, list[Files]] = {}
    for entry in entries:
        if not isinstance(entry.artifacts, tuple):
            found.setdefault(entry.artifacts.folder, []).append(entry.artifacts)
    return found


def mark(lists: Sequence[Files], file: str, *, right: bool, remembered: bool) -> None:
    """Mark a plain file as right or doubted in the lists of its folder."""
    if right:
        lists[0].prove(file, remembered=remembered)  # the lists share the physical file
        return
    for files in lists:
        files.doubt(file)


def _plain_work(
    by_folder: Mapping[str, Sequence[Files]], notable: Collection[str]
) -> Iterator[Work]:
    """Yield the work for plain files that are not yet proven, each once."""
    from cachedoctor.system.digest import Work

    wanted: dict[str, frozenset[str]] = {}
    for folder, lists in by_folder.items():
        for name, size in dict(chain.from_iterable(mine.unproven() for mine in lists)).items():
            digest = digest_of(name)
            if digest is not None and f"{folder}/{name}" not in notable:
                algorithms = wanted.setdefault(digest.algorithm, frozenset((digest.algorithm,)))
                yield Work(folder, name, size, algorithms)


def notable_by_file(entries: Iterable[Entry]) -> dict[str, list[Artifact]]:
    """Return the notable artifacts by the physical file that they lead to."""
    files: dict[str, list[Artifact]] = {}
    for entry in entries:
        for artifact in entry.notable:
            there = artifact.state in (State.PRESENT, State.UNREADABLE)
            if there and artifact.stamp and not artifact.bundle:
                files.setdefault(artifact.file, []).append(artifact)
    return files


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
