"""Which entries share files, by inode, and blocks, if asked for and the system can tell."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from cachedoctor.system import extents
from cachedoctor.vocabulary import WEIGHTY_BYTES, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.system.usage import Mounts
    from cachedoctor.vocabulary import Artifact, Entry


class Shares:
    """What some entries hold together, and each of them alone.

    With `mounts` each large file on one that may share blocks is opened and asked for its extents;
    without, a clone counts as a file of its own.
    """

    def __init__(self, entries: Sequence[Entry], *, mounts: Mounts | None) -> None:
        """Count the files of `entries`."""
        self._files = {e.id: {(d, n): size for d, n, size in e.held} for e in entries}
        self._owners = Counter(chain.from_iterable(self._files.values()))
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
        self._again = sum(extents.twice(mine) for mine in runs.values())
        self.all_known = not self._cloned or bool(self._again)

    @property
    def total(self) -> int:
        """Return how many bytes they hold together, each file and each shared block once."""
        every: dict[tuple[int, int], int] = {}
        for files in self._files.values():
            every.update(files)
        return sum(every.values()) - self._again

    def size(self, entry: Entry) -> int:
        """Return how many bytes an entry holds, each file once."""
        return sum(self._files[entry.id].values())

    def files(self, entry: Entry) -> int:
        """Count the files of an entry, each once."""
        return len(self._files[entry.id])

    def own(self, entry: Entry) -> int:
        """Return how much goes when an entry alone goes."""
        taken = self._taken
        return sum(size for key, size in self._files[entry.id].items() if key not in taken)

    def exact(self, entry: Entry) -> bool:
        """Return whether no block of an entry is known to be shared."""
        return self._cloned.isdisjoint(self._files[entry.id])

    def names(self, entry: Entry) -> int:
        """Count the names of an entry's largest file."""
        largest = weights(entry)
        if largest is None or largest.stamp is None:
            return 1
        key = (largest.stamp.device, largest.stamp.inode)
        return max(self._links.get(key, 1), self._owners[key])

    @cached_property
    def _taken(self) -> set[tuple[int, int]]:
        """Return the files that somebody else has, too, or the blocks of which somebody has."""
        shared = {key for key, owners in self._owners.items() if owners > 1}
        linked = {key for key, links in self._links.items() if links > 1 and self._unmet(key)}
        return shared | linked | self._cloned | self._elsewhere

    def _unmet(self, key: tuple[int, int]) -> bool:
        """Say whether a file has a hard link that we have not met."""
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
