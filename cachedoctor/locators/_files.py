"""The files of one snapshot, kept small: a cache has very many, and almost all are healthy.

Artifacts that a rule or an engine asks for are built on demand.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, overload

from cachedoctor.locators import digest_of
from cachedoctor.locators._blobs import HELD, READ, REMEMBERED, SIZE
from cachedoctor.vocabulary import (
    WEIGHTS,
    WEIGHTY_BYTES,
    Artifact,
    Evidence,
    Files,
    PlainFile,
    State,
    held,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.locators import Look
    from cachedoctor.locators._blobs import Blobs, Promises
    from cachedoctor.vocabulary import Stamp

_ETAG, _NAME = itemgetter(1), itemgetter(2)  # columns of a manifest row


class Links(Files):
    """The files of one snapshot, which are symlinks to blobs."""

    __slots__ = (
        "_asked",
        "_blobs",
        "_plain",
        "_promises",
        "_snapshot",
        "folder",
        "notable",
        "promised",
    )

    def __init__(self, snapshot: str, blobs: Blobs, promises: Promises) -> None:
        """Start empty."""
        self.folder = blobs.folder
        self._snapshot = snapshot
        self._blobs = blobs
        self._promises = promises
        self._plain: list[tuple[int, str, str]] = []  # manifest rows, or rows shaped like them
        self._asked: dict[str, Artifact | None] = {}
        self.notable: list[Artifact] = []
        self.promised = 0

    @property
    def blobs(self) -> Blobs:
        """Return the blobs that the symlinks point to."""
        return self._blobs

    def promises(self, name: str) -> bool:
        """Return whether the manifest lists a file."""
        return name in self._promises

    def add_plain(self, links: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Record plain symlinks, given as name and blob, and return the others.

        Plain means small, and either the blob's name and length match the manifest, or no manifest
        lists the file and it holds no weights.
        """
        packed, promised = self._blobs.packed, self._promises.rows
        plain = self._plain
        notable: list[tuple[str, str]] = []
        before = len(plain)
        unpromised = 0
        for link in links:
            name, etag = link
            stamp = packed.get(etag)
            size = SIZE(stamp)[0] if stamp else WEIGHTY_BYTES
            row = promised.get(name)
            if size >= WEIGHTY_BYTES:
                notable.append(link)
            elif row is None:
                if name.endswith(WEIGHTS) or digest_of(etag) is None:
                    notable.append(link)
                else:
                    plain.append((size, etag, name))
                    unpromised += 1
            elif row[1] == etag and row[0] == size:
                plain.append(row)
            else:
                notable.append(link)
        self.promised += len(plain) - before - unpromised
        return notable

    def add_notable(self, name: str, path: str, found: Look, etag: str) -> None:
        """Record any other file; `etag` is the name of its blob, if it has one."""
        self._asked.clear()
        self.notable.append(self._artifact(name, path, found, etag))

    def columns(self) -> tuple[object, ...]:
        """Return the columns from which another process can rebuild this value."""
        names, etags = list(map(_NAME, self._plain)), list(map(_ETAG, self._plain))
        return (
            self._snapshot,
            self._blobs,
            self._promises,
            names,
            etags,
            self.notable,
            self.promised,
        )

    @classmethod
    def of_columns(
        cls,
        snapshot: str,
        blobs: Blobs,
        promises: Promises,
        names: list[str],
        etags: list[str],
        notable: list[Artifact],
        promised: int,
    ) -> Links:
        """Rebuild a value from its columns."""
        found = cls(snapshot, blobs, promises)
        sizes = (SIZE(blobs.packed[etag])[0] for etag in etags)
        found._plain = list(zip(sizes, etags, names, strict=True))
        found.notable, found.promised = notable, promised
        return found

    def plain(self) -> Iterator[PlainFile]:
        """Yield the plain files."""
        promised, proof_of = self._promises.rows, self._blobs.proof_of
        for size, etag, name in self._plain:
            evidence = Evidence.TREE if name in promised else Evidence.BLOB_NAME
            proof = proof_of(etag)
            yield PlainFile(
                name=name,
                file=etag,
                size_bytes=size,
                evidence=evidence,
                proven=proof > 0,
                remembered=proof == REMEMBERED,
            )

    def unproven(self) -> Iterator[tuple[str, int]]:
        """Yield names and lengths of the blobs whose content has not been proven yet."""
        pairs = ((etag, size) for size, etag, _ in self._plain)
        if not self._blobs.proofs:
            return pairs
        proof_of = self._blobs.proof_of
        return ((etag, size) for etag, size in pairs if not proof_of(etag))

    def path_of(self, file: PlainFile) -> str:
        """Return the path at which the engine opens a plain file."""
        return f"{self._snapshot}/{file.name}"

    def stamp_of(self, file: str) -> Stamp | None:
        """Return the stamp of the blob with this name, or `None` if it cannot be read."""
        return self._blobs.stamp_of(file)

    def proven(self) -> int:
        """Return how many plain files have proven content."""
        if not self._blobs.proofs:
            return 0
        return sum(self._blobs.proof_of(etag) > 0 for _, etag, _ in self._plain)

    def prove(self, file: str, *, remembered: bool) -> None:
        """Record that the blob with this name contains what its name says."""
        self._blobs.prove(file, REMEMBERED if remembered else READ)

    def names(self) -> Sequence[str]:
        """Return the names of the plain files."""
        return list(map(_NAME, self._plain))

    def find(self, name: str) -> Artifact | None:
        """Return the file with this name, or `None`."""
        if name in self._asked:  # one engine after another asks for the same file
            return self._asked[name]
        found = next((each for each in self.notable if each.name == name), None)
        if found is None:
            for row in self._plain:
                if row[2] == name:
                    found = self._of(row)
                    break
        self._asked[name] = found
        return found

    def contents(self) -> set[str]:
        """Return the distinct hex digests of the plain files."""
        return set(map(_ETAG, self._plain))  # a file whose blob has any other name is not plain

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the plain files with this digest."""
        yield from (self._of(row) for row in self._plain if row[1] == digest)

    def doubt(self, file: str) -> None:
        """Make every file notable that points to the blob with this name."""
        self._asked.clear()
        doubted = [row for row in self._plain if row[1] == file]
        self._plain = [row for row in self._plain if row[1] != file]
        for _, _, name in doubted:
            self.promised -= name in self._promises
            self.add_notable(name, f"{self._snapshot}/{name}", self._blobs[file], file)

    def sizes(self) -> dict[str, int]:
        """Return the length of each existing physical file, by path."""
        start = self.folder + "/"
        found = {start + etag: size for size, etag, _ in self._plain}
        found.update((a.file, a.size_bytes) for a in self.notable if a.stamp)
        return found

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of every readable physical file."""
        plain = map(HELD, map(self._blobs.packed.__getitem__, map(_ETAG, self._plain)))
        return chain(held(self.notable), plain)

    def linked(self) -> set[str]:
        """Return the names of the blobs that files point to."""
        start = self.folder + "/"
        notable = (a.file[len(start) :] for a in self.notable if a.file.startswith(start))
        return set(chain(map(_ETAG, self._plain), notable))

    @overload
    def __getitem__(self, index: int) -> Artifact: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Artifact]: ...

    def __getitem__(self, index: int | slice) -> Artifact | Sequence[Artifact]:
        """Return one file, or a slice."""
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Artifact]:
        """Yield the notable files, then the plain ones, each sorted by name."""
        yield from sorted(self.notable)
        yield from map(self._of, sorted(self._plain, key=_NAME))

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._plain) + len(self.notable)

    def _of(self, row: tuple[int, str, str]) -> Artifact:
        size, etag, name = row
        promised = name in self._promises.rows
        return Artifact(
            name=name,
            path=f"{self._snapshot}/{name}",
            file=f"{self.folder}/{etag}",
            state=State.PRESENT,
            stamp=self._blobs.stamp_of(etag),
            size_bytes=size,
            expected_bytes=size if promised else None,
            digest=digest_of(etag),
            evidence=Evidence.TREE
            if promised or self._blobs.is_listed(etag)
            else Evidence.BLOB_NAME,
        )

    def _artifact(self, name: str, path: str, found: Look, etag: str) -> Artifact:
        size, digest = self._promises.get(name, (None, None))
        evidence = None if size is None else Evidence.TREE
        if etag and digest is None and (digest := digest_of(etag)):
            listed = self._blobs.is_listed(etag)
            evidence = Evidence.TREE if listed else Evidence.BLOB_NAME
        stamp = found.stamp
        return Artifact(
            name=name,
            path=path,
            file=found.file,
            state=found.state,
            stamp=stamp,
            size_bytes=stamp.size_bytes if stamp else 0,
            format=None,
            required_by=(),
            expected_bytes=size,
            digest=digest,
            evidence=evidence,
            detail=found.detail,
            outside=found.outside,
        )
