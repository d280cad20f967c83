"""One file or bundle of an entry: what exists, what is expected of it, and why."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Evidence(enum.StrEnum):
    """State why we trust an expected size or digest."""

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
    """State what was found at an artifact's path."""

    PRESENT = "present"
    MISSING = "missing"
    DANGLING = "dangling"  # a symlink whose target is missing
    GONE = "gone"  # a symlink or alias to a missing place outside the root
    TEXT = "link-as-text"  # a small file with the target of a former symlink
    UNREADABLE = "unreadable"
    EVICTED = "evicted"  # iCloud keeps the content and restores it when the file is opened
    OTHER = "other"  # a folder in place of a file, a FIFO, a device, a symlink loop


class Digest(NamedTuple):
    """A digest and its kind: `sha256`, or `git-sha1` over git's blob header and the content."""

    algorithm: str
    hex: str


class Stamp(NamedTuple):
    """Identify one state of one file, so that any later change can be detected."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Artifact(NamedTuple):
    """One file or bundle of an entry: what exists, what is expected, and why."""

    name: str  # relative to the entry, with forward slashes
    path: str  # where the engine looks
    file: str  # the physical file behind it, or where it belongs
    state: State
    stamp: Stamp | None = None  # of the physical file, if present
    size_bytes: int = 0  # of the existing file; for a bundle, the sum of its files
    format: str | None = None  # a module of `formats`, if a known engine reads this file
    required_by: tuple[str, ...] = ()
    expected_bytes: int | None = None
    digest: Digest | None = None
    evidence: Evidence | None = None
    detail: str = ""  # for `state`: a symlink's target, an error message
    bundle: bool = False  # a folder that counts as one unit
    also: Digest | None = None  # published: proves the content whatever the name says
    outside: str = ""  # the real path if a symlink points outside the root: never written to

    def judge(self, held: Mapping[str, str]) -> bool | None:
        """Return whether measured digests prove the content right or wrong; `None` if neither.

        A blob's name is the server's ETag, and a proxy can send another one than the hub does: a
        40-digit name that is not git's SHA-1 can be a plain SHA-1, or meaningless.
        """
        right = self.matching(held)
        if right is not None:
            return True
        if self.digest is None or self.digest.algorithm not in held:
            return None
        return None if self.evidence is Evidence.BLOB_NAME and self.may_be_sha1 else False

    def matching(self, held: Mapping[str, str]) -> Digest | None:
        """Return the digest that proves the content right, or `None`."""
        known = [found for found in (self.digest, self.also) if found is not None]
        if self.digest is not None and self.may_be_sha1:
            known.append(Digest("sha1", self.digest.hex))
        return next((found for found in known if held.get(found.algorithm) == found.hex), None)

    @property
    def may_be_sha1(self) -> bool:
        """Return whether the digest comes from an ETag, and so can be a SHA-1 other than git's."""
        named = self.evidence in (Evidence.BLOB_NAME, Evidence.METADATA)
        return named and self.digest is not None and self.digest.algorithm == "git-sha1"


class PlainFile(NamedTuple):
    """One small file that is exactly as promised, so that there is nothing else to say about it."""

    name: str  # relative to the entry
    file: str  # the name of the physical file, which is its digest
    size_bytes: int
    evidence: Evidence
    proven: bool  # every byte was read
    remembered: bool  # but in an earlier run


class Files(Sequence[Artifact]):
    """The files of an entry: the notable ones, and the plain ones, which can be very many."""

    __slots__ = ()

    folder: str  # the folder with the physical files of the plain ones
    notable: Sequence[Artifact]
    promised: int  # how many plain files a manifest lists

    def plain(self) -> Iterator[PlainFile]:
        """Yield the plain files."""
        raise NotImplementedError

    def unproven(self) -> Iterator[tuple[str, int]]:
        """Yield name and length of each plain file's physical file that has not been proven yet."""
        raise NotImplementedError

    def path_of(self, file: PlainFile) -> str:
        """Return the path at which the engine opens a plain file."""
        raise NotImplementedError

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of every readable physical file."""
        raise NotImplementedError

    def sizes(self) -> Mapping[str, int]:
        """Return the length of each existing physical file, by path."""
        raise NotImplementedError

    def stamp_of(self, file: str) -> Stamp | None:
        """Return the stamp of the physical file with this name, or `None` if it cannot be read."""
        raise NotImplementedError

    def proven(self) -> int:
        """Return how many plain files have proven content."""
        raise NotImplementedError

    def prove(self, file: str, *, remembered: bool) -> None:
        """Record that the physical file with this name contains what its name says."""
        raise NotImplementedError

    def names(self) -> Iterable[str]:
        """Return the names of the plain files."""
        raise NotImplementedError

    def find(self, name: str) -> Artifact | None:
        """Return the file with this name, or `None`."""
        raise NotImplementedError

    def contents(self) -> Iterable[str]:
        """Return the distinct hex digests of the plain files."""
        raise NotImplementedError

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the plain files with this digest."""
        raise NotImplementedError

    def doubt(self, file: str) -> None:
        """Make files notable whose physical file has this name: its content is different."""
        raise NotImplementedError


def held(artifacts: Iterable[Artifact]) -> Iterator[tuple[int, int, int]]:
    """Yield device, inode and length of the readable files."""
    for artifact in artifacts:
        if artifact.stamp and artifact.state is State.PRESENT and not artifact.bundle:
            yield artifact.stamp[:3]
