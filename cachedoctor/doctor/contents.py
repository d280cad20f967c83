"""The contents of files, as far as they were read, judged by the best local evidence.

A file has one verdict: it matches its evidence, or it does not; there is no evidence; or it could
not be read. An archive's own checksums count if no digest is known.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import digest_of
from cachedoctor.system.ledger import Ledger
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Evidence, Files, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Artifact, Entry, PlainFile

CHECKSUMS = "checksums in the archive"


class FileVerdict(NamedTuple):
    """The verdict on one file, and the evidence for it."""

    path: str  # the physical file
    links: tuple[str, ...]  # the names that point to it
    engines: tuple[str, ...]  # engines that open it
    size_bytes: int  # its length
    verdict: str  # ok, bad, unknown, unreadable
    evidence: str | None = None  # what it was checked against: `blob name`, `lock file`, …
    algorithm: str | None = None  # of both digests: `sha256`, `git-sha1`, `crc32`, …
    measured: str | None = None  # the digest of the file's content
    expected: str | None = None  # the digest it must have
    remembered: bool = False  # read by an earlier run, not now
    error: str = ""  # why it could not be read

    @property
    def proven(self) -> bool:
        """Return whether its content is right."""
        return self.verdict == "ok"

    @property
    def wrong(self) -> bool:
        """Return whether its content is wrong, or cannot be read."""
        return self.verdict in ("bad", "unreadable")

    @property
    def unproven(self) -> bool:
        """Return whether there is no evidence to check it against."""
        return self.verdict == "unknown"


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


def verdicts(entries: Sequence[Entry], contents: Contents) -> Iterator[FileVerdict]:
    """Yield the verdict on each physical file."""
    return _verdicts(entries, contents, None)


class Counted(NamedTuple):
    """How many files one kind of evidence proved, and their bytes together."""

    evidence: str
    remembered: bool  # not read now
    files: int
    bytes: int


def counted(
    entries: Sequence[Entry], contents: Contents
) -> tuple[list[FileVerdict], list[Counted]]:
    """Return the verdict on each physical file, but only counts of the proven plain ones."""
    counts: dict[tuple[Evidence, bool], list[int]] = {}
    others = list(_verdicts(entries, contents, counts))
    return others, [
        Counted(evidence.value, remembered, *row) for (evidence, remembered), row in counts.items()
    ]


def _verdicts(
    entries: Sequence[Entry],
    contents: Contents,
    counts: dict[tuple[Evidence, bool], list[int]] | None,
) -> Iterator[FileVerdict]:
    """Yield the verdict on each file; with `counts`, proven plain files are only counted there."""
    notable = notable_by_file(entries)
    links: dict[str, list[str]] = {}  # the plain names of notable files
    plain: dict[str, tuple[PlainFile, list[str]]] = {}
    kinds: dict[int, str | None] = {}  # the algorithm by the length of a proven name
    for folder, lists in plain_by_folder(entries).items():
        plain.clear()
        counted: set[str] = set()
        for files in lists:
            for file in files.plain():
                path = f"{folder}/{file.file}"
                if path in notable:
                    links.setdefault(path, []).append(files.path_of(file))
                elif counts is not None and file.proven:
                    if file.file not in counted:
                        counted.add(file.file)
                        row = counts.setdefault((file.evidence, file.remembered), [0, 0])
                        row[0] += 1
                        row[1] += file.size_bytes
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
        if entry.plain is not None:
            found.setdefault(entry.plain.folder, []).append(entry.plain)
    return found


def mark(lists: Sequence[Files], file: str, *, right: bool, remembered: bool) -> None:
    """Mark a plain file as right or doubted in the lists of its folder."""
    if right:
        lists[0].prove(file, remembered=remembered)  # the lists share the physical file
        return
    for files in lists:
        files.doubt(file)


def notable_by_file(entries: Iterable[Entry]) -> dict[str, list[Artifact]]:
    """Return the notable artifacts by the physical file that they point to."""
    files: dict[str, list[Artifact]] = {}
    for entry in entries:
        for artifact in entry.notable:
            there = artifact.state in (State.PRESENT, State.UNREADABLE)
            if there and artifact.stamp and not artifact.bundle:
                files.setdefault(artifact.file, []).append(artifact)
    return files
