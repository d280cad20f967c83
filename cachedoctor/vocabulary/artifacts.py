"""One file or bundle of an entry: what is there, what is expected of it, and why."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Evidence(enum.StrEnum):
    """Say why we believe an expected size or digest."""

    LOCK = "lock file"
    TREE = "hub tree manifest"
    BLOB_NAME = "blob name"
    METADATA = "download metadata"
    LISTING = "the hub's listing"
    URL = "digest in the URL"
    TABLE = "published table"
    SIBLING = "sibling copy"
    STRUCTURE = "structure"


class State(enum.StrEnum):
    """Say what a look at an artifact's path met."""

    PRESENT = "present"
    MISSING = "missing"
    DANGLING = "dangling"  # a link whose target is gone
    GONE = "gone"  # a link or alias to a place outside that is not there
    TEXT = "link-as-text"  # a small file that says where a link led
    UNREADABLE = "unreadable"
    EVICTED = "evicted"  # iCloud keeps the content and gives it back when it is opened
    OTHER = "other"  # a folder where a file belongs, a FIFO, a device, a link loop


class Digest(NamedTuple):
    """A digest and how it is made: `sha256`, or `git-sha1` of git's blob header and the content."""

    algorithm: str
    hex: str


class Stamp(NamedTuple):
    """Identify one state of one file, so that a later look can tell whether it changed."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Artifact(NamedTuple):
    """One file or bundle of an entry: what is there, and what is expected and why."""

    name: str  # within the entry, with forward slashes
    path: str  # where the engine looks
    file: str  # the physical file behind it, or where it belongs
    state: State
    stamp: Stamp | None = None  # of the physical file, when present
    size_bytes: int = 0  # of what is there; a bundle's is the sum of its files
    format: str | None = None  # a module of `formats`, when a known engine reads this file
    required_by: tuple[str, ...] = ()
    expected_bytes: int | None = None
    digest: Digest | None = None
    evidence: Evidence | None = None
    detail: str = ""  # of `state`: a link's target, an error's text
    bundle: bool = False  # a folder that counts as one thing
    also: Digest | None = None  # published of it: proves the content whatever its name says
    outside: str = ""  # where the bytes lie, when a link leads out of the root: never written to

    def judge(self, held: Mapping[str, str]) -> bool | None:
        """Say whether digests that were measured prove the content right or wrong, or neither.

        A blob's name is what a server gave as its ETag, and a proxy may give another than the hub:
        a name of 40 digits that is not git's SHA-1 may be a plain one, or mean nothing.
        """
        right = self.matching(held)
        if right is not None:
            return True
        if self.digest is None or self.digest.algorithm not in held:
            return None
        return None if self.evidence is Evidence.BLOB_NAME and self.may_be_sha1 else False

    def matching(self, held: Mapping[str, str]) -> Digest | None:
        """Return the digest that proves the content right, if one does."""
        known = [found for found in (self.digest, self.also) if found is not None]
        if self.digest is not None and self.may_be_sha1:
            known.append(Digest("sha1", self.digest.hex))
        return next((found for found in known if held.get(found.algorithm) == found.hex), None)

    @property
    def may_be_sha1(self) -> bool:
        """Say whether the digest is an ETag that may be another SHA-1 than git's."""
        named = self.evidence in (Evidence.BLOB_NAME, Evidence.METADATA)
        return named and self.digest is not None and self.digest.algorithm == "git-sha1"


class PlainFile(NamedTuple):
    """One file of which nothing is to be said but that it is what was promised, small as it is."""

    name: str  # within the entry
    file: str  # the physical file's name, which is its digest
    size_bytes: int
    evidence: Evidence
    proven: bool  # every byte was read
    remembered: bool  # but not now


class Files(Sequence[Artifact]):
    """The files of an entry: the notable ones, and the plain ones, of which a cache has many."""

    __slots__ = ()

    folder: str  # where the physical files of the plain ones lie
    notable: Sequence[Artifact]
    promised: int  # how many of the plain ones a manifest speaks of

    def plain(self) -> Iterator[PlainFile]:
        """Yield the plain files."""
        raise NotImplementedError

    def unproven(self) -> Iterator[tuple[str, int]]:
        """Yield name and length of each physical file of a plain one that was not proven yet."""
        raise NotImplementedError

    def path_of(self, file: PlainFile) -> str:
        """Return where the engine looks for a plain file."""
        raise NotImplementedError

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of all physical files that can be read."""
        raise NotImplementedError

    def sizes(self) -> Mapping[str, int]:
        """Return the length of each physical file that is there, by its path."""
        raise NotImplementedError

    def stamp_of(self, file: str) -> Stamp | None:
        """Return the stamp of the physical file of this name, if it can be read."""
        raise NotImplementedError

    def proven(self) -> int:
        """Count the plain files whose content was proven."""
        raise NotImplementedError

    def prove(self, file: str, *, remembered: bool) -> None:
        """Note that the physical file of this name holds what its name says."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """Return the names of the plain files."""
        raise NotImplementedError

    def find(self, name: str) -> Artifact | None:
        """Return the file of this name, or `None`."""
        raise NotImplementedError

    def contents(self) -> Iterable[str]:
        """Return the hex digest that each plain file has, once for each content."""
        raise NotImplementedError

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the plain files that have this digest."""
        raise NotImplementedError

    def doubt(self, file: str) -> None:
        """Make those notable whose physical file has this name: it holds something else."""
        raise NotImplementedError


def held(artifacts: Iterable[Artifact]) -> Iterator[tuple[int, int, int]]:
    """Yield device, inode and length of the files that can be read."""
    for artifact in artifacts:
        if artifact.stamp and artifact.state is State.PRESENT and not artifact.bundle:
            yield artifact.stamp[:3]
