"""The files of one snapshot in little memory: a cache has very many, and almost all are right.

What a rule or an engine asks about is made when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from cachedoctor.locators import digest_of
from cachedoctor.locators._blobs import READ, REMEMBERED, SIZE
from cachedoctor.vocabulary import (
    WEIGHTS,
    WEIGHTY_BYTES,
    Artifact,
    Evidence,
    Files,
    PlainFile,
    held,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.locators import Look
    from cachedoctor.locators._blobs import Blobs, Promises
    from cachedoctor.vocabulary import Stamp


class Links(Files):
    """The files of one snapshot, which are links to blobs."""

    __slots__ = (
        "_asked",
        "_blobs",
        "_etags",
        "_names",
        "_packed",
        "_promises",
        "_sizes",
        "_snapshot",
        "folder",
        "notable",
        "promised",
    )

    def __init__(self, snapshot: str, blobs: Blobs, promises: Promises) -> None:
        """Begin with none."""
        self.folder = blobs.folder
        self._snapshot = snapshot
        self._blobs = blobs
        self._packed = blobs.packed
        self._promises = promises
        self._names: list[str] = []
        self._etags: list[str] = []
        self._sizes: list[int] = []
        self._asked: dict[str, Artifact | None] = {}
        self.notable: list[Artifact] = []
        self.promised = 0

    @property
    def blobs(self) -> Blobs:
        """Return the blobs that the links lead to."""
        return self._blobs

    def promises(self, name: str) -> bool:
        """Say whether the manifest lists a file."""
        return name in self._promises

    def add(self, name: str, etag: str) -> bool:
        """Remember a link to the blob `etag` as plain, unless there is more to say of it.

        Plain is a small file whose blob has the name and the length that the manifest promises, or
        one that no manifest speaks of and that is no weights.
        """
        packed = self._packed.get(etag)
        size = SIZE(packed)[0] if packed else WEIGHTY_BYTES
        if size >= WEIGHTY_BYTES:
            return False
        promise = self._promises.rows.get(name)
        if promise is not None:
            if promise[1] != etag or promise[0] != size:
                return False
            size, etag, name = promise  # the same objects: a cache has many
            self.promised += 1
        elif name.endswith(WEIGHTS) or digest_of(etag) is None:
            return False
        self._names.append(name)
        self._etags.append(etag)
        self._sizes.append(size)
        return True

    def add_notable(self, name: str, path: str, found: Look, etag: str) -> None:
        """Remember whatever else there is; `etag` is the name of its blob, where it has one."""
        self._asked.clear()
        self.notable.append(self._artifact(name, path, found, etag))

    def columns(self) -> tuple[object, ...]:
        """Return what another process makes the same value of."""
        names, etags = self._names, self._etags
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
        """Make the value of which these are the columns."""
        found = cls(snapshot, blobs, promises)
        found._names, found._etags = names, etags
        found._sizes = [SIZE(blobs.packed[etag])[0] for etag in etags]
        found.notable, found.promised = notable, promised
        return found

    def plain(self) -> Iterator[PlainFile]:
        """Yield the plain files."""
        promised, proof_of = self._promises.rows, self._blobs.proof_of
        for name, etag, size in zip(self._names, self._etags, self._sizes, strict=True):
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
        """Yield names and lengths of the blobs whose content was not proven yet."""
        pairs = zip(self._etags, self._sizes, strict=True)
        if not self._blobs.proofs:
            return pairs
        proof_of = self._blobs.proof_of
        return ((etag, size) for etag, size in pairs if not proof_of(etag))

    def path_of(self, file: PlainFile) -> str:
        """Return where the engine looks for a plain file."""
        return f"{self._snapshot}/{file.name}"

    def stamp_of(self, file: str) -> Stamp | None:
        """Return the stamp of the blob of this name, if it can be read."""
        return self._blobs.stamp_of(file)

    def proven(self) -> int:
        """Count the plain files whose content was proven."""
        return sum(map(bool, map(self._blobs.proof_of, self._etags))) if self._blobs.proofs else 0

    def prove(self, file: str, *, remembered: bool) -> None:
        """Note that the blob of this name holds what its name says."""
        self._blobs.prove(file, REMEMBERED if remembered else READ)

    def names(self) -> Sequence[str]:
        """Return the names of the plain files."""
        return self._names

    def find(self, name: str) -> Artifact | None:
        """Return the file of this name, or `None`."""
        if name in self._asked:  # by one engine after the other
            return self._asked[name]
        found = next((each for each in self.notable if each.name == name), None)
        if found is None and name in self._names:
            etag = self._etags[self._names.index(name)]
            found = self._artifact(name, f"{self._snapshot}/{name}", self._blobs[etag], etag)
        self._asked[name] = found
        return found

    def contents(self) -> set[str]:
        """Return the hex digest that each plain file has, once for each content."""
        return set(self._etags)  # whatever else they are called by is not plain

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the plain files that have this digest."""
        for name, etag in zip(self._names, self._etags, strict=True):
            if etag == digest:
                yield self._artifact(name, f"{self._snapshot}/{name}", self._blobs[etag], etag)

    def doubt(self, file: str) -> None:
        """Make those notable whose blob has this name."""
        self._asked.clear()
        for at in reversed([at for at, etag in enumerate(self._etags) if etag == file]):
            name = self._names.pop(at)
            self.promised -= name in self._promises
            del self._etags[at], self._sizes[at]
            self.add_notable(name, f"{self._snapshot}/{name}", self._blobs[file], file)

    def sizes(self) -> dict[str, int]:
        """Return the length of each physical file that is there, by its path."""
        start = self.folder + "/"
        pairs = zip(self._etags, self._sizes, strict=True)
        found = {start + etag: size for etag, size in pairs}
        found.update((a.file, a.size_bytes) for a in self.notable if a.stamp)
        return found

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of all physical files that can be read."""
        yield from held(self.notable)
        yield from map(self._blobs.held, self._etags)

    def linked(self) -> Iterator[str]:
        """Yield the names of the blobs that files lead to."""
        yield from self._etags
        start = self.folder + "/"
        for artifact in self.notable:
            if artifact.file.startswith(start):
                yield artifact.file[len(start) :]

    @overload
    def __getitem__(self, index: int) -> Artifact: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Artifact]: ...

    def __getitem__(self, index: int | slice) -> Artifact | Sequence[Artifact]:
        """Return one file, or some."""
        return tuple(self)[index]

    def __iter__(self) -> Iterator[Artifact]:
        """Yield the files by name, the notable ones first."""
        yield from sorted(self.notable)
        for name, etag in sorted(zip(self._names, self._etags, strict=True)):
            yield self._artifact(name, f"{self._snapshot}/{name}", self._blobs[etag], etag)

    def __len__(self) -> int:
        """Count the files."""
        return len(self._names) + len(self.notable)

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
