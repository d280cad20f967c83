"""The content of one `blobs/` folder and the promises of manifests, both packed to save memory."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cachedoctor.locators import Look, digest_of
from cachedoctor.vocabulary import Digest, Stamp, State

if TYPE_CHECKING:
    import os

_PACKED = struct.Struct("=qQqqqB")
SIZE = struct.Struct("=16xq17x").unpack
HELD = struct.Struct("=qQq17x").unpack
REMEMBERED, READ = 1, 2  # how a file's content was proven


class Blobs(Mapping[str, Look]):
    """The files of one `blobs/` folder by name."""

    __slots__ = ("_odd", "folder", "manifests", "packed", "proofs")

    def __init__(self, folder: str) -> None:
        """Start empty."""
        self.folder = folder
        self.packed: dict[str, bytes] = {}  # readable regular files only
        self._odd: dict[str, Look] = {}
        self.proofs = 0
        self.manifests: tuple[Promises, ...] = ()  # for every revision of the repository

    def is_listed(self, name: str) -> bool:
        """Return whether a manifest lists `name` as a digest, so that it is one from the hub."""
        return any(row[1] == name for rows in self.manifests for row in rows.rows.values())

    def add(self, name: str, found: Look) -> None:
        """Record the look at `name`."""
        self._odd[name] = found

    def add_plain(self, name: str, status: os.stat_result) -> None:
        """Record a regular file that this user can read.

        Raises `struct.error` for numbers out of range for any real file system.
        """
        self.packed[name] = _PACKED.pack(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, 0
        )

    def stamp_of(self, name: str) -> Stamp | None:
        """Return the stamp of a readable regular file, or `None` for anything else."""
        packed = self.packed.get(name)
        return None if packed is None else Stamp._make(_PACKED.unpack(packed)[:5])

    def proof_of(self, name: str) -> int:
        """Return how a file's content was proven: 0 for not yet, else `REMEMBERED` or `READ`."""
        return self.packed[name][-1]

    def prove(self, name: str, proof: int) -> None:
        """Record how a file's content was proven."""
        self.proofs += not self.proof_of(name)
        self.packed[name] = self.packed[name][:-1] + bytes((proof,))

    def columns(self) -> tuple[object, ...]:
        """Return the columns from which another process can rebuild this value."""
        names, packed = list(self.packed), b"".join(self.packed.values())
        return self.folder, names, packed, self._odd, self.manifests

    @classmethod
    def of_columns(
        cls,
        folder: str,
        names: list[str],
        packed: bytes,
        odd: dict[str, Look],
        manifests: tuple[Promises, ...],
    ) -> Blobs:
        """Rebuild a value from its columns."""
        found = cls(folder)
        for at, name in enumerate(names):
            found.packed[name] = packed[at * _PACKED.size : (at + 1) * _PACKED.size]
        found._odd = odd
        found.manifests = manifests
        return found

    def __getitem__(self, name: str) -> Look:
        """Return the look at one file."""
        stamp = self.stamp_of(name)
        if stamp is not None:
            return Look(State.PRESENT, f"{self.folder}/{name}", stamp)
        return self._odd[name]

    def __contains__(self, name: object) -> bool:
        """Return whether the folder contains `name`."""
        return name in self.packed or name in self._odd

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        yield from self.packed
        yield from self._odd

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self.packed) + len(self._odd)


class Promises(Mapping[str, tuple[int, Digest]]):
    """What a manifest says about every file in a revision: repository path to size and digest."""

    __slots__ = ("rows",)

    def __init__(self, rows: dict[str, tuple[int, str, str]]) -> None:
        """Keep rows of size, digest in hex and path, keyed by that same path string."""
        self.rows = rows

    def columns(self) -> tuple[object, ...]:
        """Return the columns from which another process can rebuild this value."""
        rows = self.rows.values()
        return list(self.rows), [row[0] for row in rows], [row[1] for row in rows]

    @classmethod
    def of_columns(cls, names: list[str], sizes: list[int], etags: list[str]) -> Promises:
        """Rebuild a value from its columns."""
        rows = zip(names, sizes, etags, strict=True)
        return cls({name: (size, etag, name) for name, size, etag in rows})

    def __getitem__(self, name: str) -> tuple[int, Digest]:
        """Return the size and digest of one file."""
        size, etag, _ = self.rows[name]
        digest = digest_of(etag)
        if digest is None:
            raise KeyError(name)
        return size, digest

    def __contains__(self, name: object) -> bool:
        """Return whether a file is listed."""
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        """Yield the paths."""
        return iter(self.rows)

    def __len__(self) -> int:
        """Return the number of paths."""
        return len(self.rows)


NO_PROMISES = Promises({})
