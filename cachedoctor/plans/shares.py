"""Which entries share files, by inode, and blocks, if asked for and the system can tell."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor.system import extents
from cachedoctor.vocabulary import WEIGHTY_BYTES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.system.usage import Mounts
    from cachedoctor.vocabulary import Artifact, Entry


class Shares:
    """What some entries hold together, and each of them alone.

    With `mounts`, every large file on a mount that may share blocks is opened to read its extents;
    without, a clone counts as a file of its own.
    """

    def __init__(self, entries: Sequence[Entry], *, mounts: Mounts | None) -> None:
        """Count the files of `entries`."""
        self._counts: dict[str, tuple[int, int]] = {}  # bytes and files, by the id of an entry
        self._owners: dict[tuple[int, int], int] = {}  # of files that several entries have
        self._total = self._count(entries)
        self._paths: dict[tuple[int, int], set[str]] = {}  # of files with hard links
        self._links: dict[tuple[int, int], int] = {}
        self._cloned: set[tuple[int, int]] = set()
        self._elsewhere = {
            (a.stamp.device, a.stamp.inode)
            for entry in entries
            for a in entry.notable
            if a.outside and a.stamp
        }  # behind a link out of the place: removing the link keeps its target
        runs: dict[int, list[tuple[int, int]]] = {}
        for artifact in _large(entries):
            assert artifact.stamp is not None
            key = (artifact.stamp.device, artifact.stamp.inode)
            known = key in self._links
            if not known:
                self._links[key] = _links(artifact.file)
            if self._links[key] > 1:
                self._paths.setdefault(key, set()).update((artifact.file, artifact.path))
            if known or mounts is None or not mounts.may_share(artifact.file):
                continue
            for extent in extents.of(artifact.file) or ():
                if extent.shared:
                    self._cloned.add(key)
                    runs.setdefault(key[0], []).append((extent.physical, extent.bytes))
        self._again = sum(extents.counted_twice(mine) for mine in runs.values())
        self.all_known = not self._cloned or bool(self._again)

    @property
    def total(self) -> int:
        """Return how many bytes they hold together, each file and each shared block once."""
        return self._total - self._again

    def size(self, entry: Entry) -> int:
        """Return how many bytes an entry holds, each file once."""
        return self._counts[entry.id][0]

    def files(self, entry: Entry) -> int:
        """Count the files of an entry, each once."""
        return self._counts[entry.id][1]

    def own(self, entry: Entry) -> int:
        """Return how many bytes removing this entry alone would free."""
        taken = self._shared_elsewhere
        if not taken:
            return self.size(entry)
        shared = {(d, n): size for d, n, size in entry.held if (d, n) in taken}
        return self.size(entry) - sum(shared.values())

    def exact(self, entry: Entry) -> bool:
        """Return whether no block of an entry is known to be shared."""
        return not self._cloned or self._cloned.isdisjoint((d, n) for d, n, _ in entry.held)

    def names(self, entry: Entry) -> int:
        """Count the names of an entry's largest file."""
        largest = weights(entry)
        if largest is None or largest.stamp is None:
            return 1
        key = (largest.stamp.device, largest.stamp.inode)
        return max(self._links.get(key, 1), self._owners.get(key, 1))

    def _count(self, entries: Sequence[Entry]) -> int:
        """Count the files of each entry, and return how long they are together.

        A cache has very many, so nothing but its inode is kept of one that a single entry has.
        """
        met: dict[int, set[int]] = {}
        total = 0
        for entry in entries:
            mine: dict[int, dict[int, int]] = {}
            for device, inode, length in entry.held:
                mine.setdefault(device, {})[inode] = length
            for device, files in mine.items():
                known = met.setdefault(device, set())
                for inode in known.intersection(files):
                    self._owners[device, inode] = self._owners.get((device, inode), 1) + 1
                    total -= files[inode]
                known.update(files)
            size = sum(sum(files.values()) for files in mine.values())
            self._counts[entry.id] = size, sum(map(len, mine.values()))
            total += size
        return total

    @cached_property
    def _shared_elsewhere(self) -> set[tuple[int, int]]:
        """Return the files that something else also has, or shares blocks with."""
        linked = {
            key for key, links in self._links.items() if links > 1 and self._has_outside_name(key)
        }
        return self._owners.keys() | linked | self._cloned | self._elsewhere

    def _has_outside_name(self, key: tuple[int, int]) -> bool:
        """Return whether a file has another name, outside these entries: one that would stay."""
        names = {path for path in self._paths[key] if not os.path.islink(path)}
        return self._links[key] > max(1, len(names))


def weights(entry: Entry) -> Artifact | None:
    """Return the largest readable file of an entry."""
    there = (a for a in entry.notable if a.state is State.PRESENT and not a.bundle)
    return max(there, key=lambda artifact: artifact.size_bytes, default=None)


def _large(entries: Sequence[Entry]) -> Iterator[Artifact]:
    for entry in entries:
        for artifact in entry.notable:
            large = artifact.size_bytes >= WEIGHTY_BYTES
            if artifact.stamp and artifact.state is State.PRESENT and large and not artifact.bundle:
                yield artifact


def _links(path: str) -> int:
    try:
        return os.lstat(path).st_nlink
    except OSError:
        return 1
