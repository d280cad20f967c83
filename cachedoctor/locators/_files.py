"""The files of a hub cache in little memory: it has a hundred thousand, and almost all are right.

What a rule or an engine asks about is made when it is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, overload

from cachedoctor.locators import Look, digest_of
from cachedoctor.vocabulary import (
    WEIGHTS,
    WEIGHTY_BYTES,
    Artifact,
    Digest,
    Evidence,
    Files,
    PlainFile,
    Stamp,
    State,
    held,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

_PACKED = struct.Struct("=qQqqqB")
_SIZE = struct.Struct("=16xq17x").unpack
_HELD = struct.Struct("=qQq17x").unpack
_ETAG, _NAME = itemgetter(1), itemgetter(2)  # of a row of a manifest
REMEMBERED, READ = 1, 2


class Blobs(Mapping[str, Look]):
    """The files of one `blobs/` folder by name."""

    __slots__ = ("_odd", "folder", "manifests", "packed", "proofs")

    def __init__(self, folder: str) -> None:
        """Begin with none."""
        self.folder = folder
        self.packed: dict[str, bytes] = {}  # packed: what is a regular file and readable
        self._odd: dict[str, Look] = {}
        self.proofs = 0
        self.manifests: tuple[Promises, ...] = ()  # of every revision of the repository

    def is_listed(self, name: str) -> bool:
        """Say whether a manifest has `name` as a digest, so that it means one of the hub's."""
        return any(row[1] == name for rows in self.manifests for row in rows.rows.values())

    def add(self, name: str, found: Look) -> None:
        """Remember what lies under `name`."""
        self._odd[name] = found

    def add_plain(self, name: str, status: os.stat_result) -> None:
        """Remember a regular file that this user can read.

        Raises `struct.error` for numbers that no file system should have.
        """
        self.packed[name] = _PACKED.pack(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, 0
        )

    def stamp_of(self, name: str) -> Stamp | None:
        """Return the stamp of a regular file that can be read, and `None` for all else."""
        packed = self.packed.get(name)
        return None if packed is None else Stamp._make(_PACKED.unpack(packed)[:5])

    def proof_of(self, name: str) -> int:
        """Return whether a file's content was proven: 0 for no, then `REMEMBERED` or `READ`."""
        return self.packed[name][-1]

    def prove(self, name: str, proof: int) -> None:
        """Note how a file's content was proven."""
        self.proofs += not self.proof_of(name)
        self.packed[name] = self.packed[name][:-1] + bytes((proof,))

    def __getitem__(self, name: str) -> Look:
        """Return the look at one file."""
        stamp = self.stamp_of(name)
        if stamp is not None:
            return Look(State.PRESENT, f"{self.folder}/{name}", stamp)
        return self._odd[name]

    def __contains__(self, name: object) -> bool:
        """Say whether anything lies under `name`."""
        return name in self.packed or name in self._odd

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        yield from self.packed
        yield from self._odd

    def __len__(self) -> int:
        """Count them."""
        return len(self.packed) + len(self._odd)


class Promises(Mapping[str, tuple[int, Digest]]):
    """What a manifest says of every file of a revision: path in the repository to size, digest."""

    __slots__ = ("rows",)

    def __init__(self, rows: dict[str, tuple[int, str, str]]) -> None:
        """Take by path sizes, the hex of digests, and the path again, to have it once."""
        self.rows = rows

    def __getitem__(self, name: str) -> tuple[int, Digest]:
        """Return what is said of one file."""
        size, etag, _ = self.rows[name]
        digest = digest_of(etag)
        if digest is None:
            raise KeyError(name)
        return size, digest

    def __contains__(self, name: object) -> bool:
        """Say whether a file is listed."""
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        """Yield the paths."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Count them."""
        return len(self.rows)


NO_PROMISES = Promises({})


class Links(Files):
    """The files of one snapshot, which are links to blobs."""

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
        """Begin with none."""
        self.folder = blobs.folder
        self._snapshot = snapshot
        self._blobs = blobs
        self._promises = promises
        self._plain: list[tuple[int, str, str]] = []  # rows of the manifest, or like them
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

    def add_plain(self, links: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Remember the links that are plain, by name and blob; return those with more to say.

        Plain is a small file whose blob has the name and the length that the manifest promises, or
        one that no manifest speaks of and that is no weights.
        """
        packed, promised = self._blobs.packed, self._promises.rows
        plain = self._plain
        notable: list[tuple[str, str]] = []
        before = len(plain)
        unpromised = 0
        for link in links:
            name, etag = link
            stamp = packed.get(etag)
            size = _SIZE(stamp)[0] if stamp else WEIGHTY_BYTES
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
        """Remember whatever else there is; `etag` is the name of its blob, where it has one."""
        self._asked.clear()
        self.notable.append(self._artifact(name, path, found, etag))

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

    def path_of(self, file: PlainFile) -> str:
        """Return where the engine looks for a plain file."""
        return f"{self._snapshot}/{file.name}"

    def stamp_of(self, file: str) -> Stamp | None:
        """Return the stamp of the blob of this name, if it can be read."""
        return self._blobs.stamp_of(file)

    def proven(self) -> int:
        """Count the plain files whose content was proven."""
        if not self._blobs.proofs:
            return 0
        return sum(self._blobs.proof_of(etag) > 0 for _, etag, _ in self._plain)

    def prove(self, file: str, *, remembered: bool) -> None:
        """Note that the blob of this name holds what its name says."""
        self._blobs.prove(file, REMEMBERED if remembered else READ)

    def names(self) -> Sequence[str]:
        """Return the names of the plain files."""
        return list(map(_NAME, self._plain))

    def find(self, name: str) -> Artifact | None:
        """Return the file of this name, or `None`."""
        if name in self._asked:  # by one engine after the other
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
        """Return the hex digest that each plain file has, once for each content."""
        return set(map(_ETAG, self._plain))  # whatever else they are called by is not plain

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the plain files that have this digest."""
        yield from (self._of(row) for row in self._plain if row[1] == digest)

    def doubt(self, file: str) -> None:
        """Make those notable whose blob has this name."""
        self._asked.clear()
        doubted = [row for row in self._plain if row[1] == file]
        self._plain = [row for row in self._plain if row[1] != file]
        for _, _, name in doubted:
            self.promised -= name in self._promises
            self.add_notable(name, f"{self._snapshot}/{name}", self._blobs[file], file)

    def sizes(self) -> dict[str, int]:
        """Return the length of each physical file that is there, by its path."""
        start = self.folder + "/"
        found = {start + etag: size for size, etag, _ in self._plain}
        found.update((a.file, a.size_bytes) for a in self.notable if a.stamp)
        return found

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of all physical files that can be read."""
        plain = map(_HELD, map(self._blobs.packed.__getitem__, map(_ETAG, self._plain)))
        return chain(held(self.notable), plain)

    def linked(self) -> set[str]:
        """Name the blobs that files lead to."""
        start = self.folder + "/"
        notable = (a.file[len(start) :] for a in self.notable if a.file.startswith(start))
        return set(chain(map(_ETAG, self._plain), notable))

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
        yield from map(self._of, sorted(self._plain, key=_NAME))

    def __len__(self) -> int:
        """Count the files."""
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
