"""What is wrong and how to cure it, as data: findings, repairs, and the operations in them.

A repair first stages and proves its needs, then takes steps with fixed inverses (law 5).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeGuard, TypeVar

from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Artifact, Digest, Entry, Root, Stamp, Status


class Severity(enum.StrEnum):
    """Rank findings: an error breaks the engine or its output, a note is hygiene."""

    ERROR = "error"  # the engine will fail, or give wrong results
    WARNING = "warning"  # it works, but something is wrong
    NOTE = "note"  # waste and hygiene

    @property
    def rank(self) -> int:
        """Return the rank, 0 for the gravest."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Circumstance(enum.Enum):
    """What one finding reveals about an entry that makes other rules stay silent."""

    DOWNLOADING = enum.auto()  # missing files are on their way
    CLOSED = enum.auto()  # files in an unlistable folder are not known to be missing
    BROKEN_REF = enum.auto()  # with a broken branch, no revision counts as detached
    GONE = enum.auto()  # the place is offline, so its content is unknown
    SUPERSEDED = enum.auto()  # half of an old revision can be gone for good


class Safety(enum.StrEnum):
    """State what a repair can cost: nothing, a download, or manual work."""

    SAFE = "safe"  # uses bytes already on this machine
    FETCHES = "fetches"  # can need a download
    MANUAL = "manual"  # only a person can do it


class Proof(NamedTuple):
    """What one staged file must be; `name` is relative to its need, empty for the need itself."""

    name: str
    bytes: int | None
    digest: Digest | None
    format: str | None = None


class LocalCopy(NamedTuple):
    """Copy files already on this machine; a single file has an empty relative name."""

    files: tuple[tuple[str, str], ...]  # relative name, physical path
    why: str  # the source's name in a plan: "hub cache", "another repository"
    proofs: tuple[Proof, ...] = ()  # of this copy, beyond what every source must satisfy


class HubFetch(NamedTuple):
    """Fetch from the hub: one file by path, or every file below a folder that ends in `/`."""

    repository: str
    revision: str
    path: str
    bytes: int  # 0 if unknown in advance


class CdnFetch(NamedTuple):
    """Fetch one file by URL, resuming from a partial copy if there is one."""

    url: str
    bytes: int
    resume: str = ""


class Text(NamedTuple):
    """Write a short text."""

    text: str


class Parts(NamedTuple):
    """Join the parts of a pack, each named by its SHA-256."""

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    why: str


Source = LocalCopy | HubFetch | CdnFetch | Text | Parts


def is_download(source: Source) -> TypeGuard[HubFetch | CdnFetch]:
    """Return whether a source needs the network."""
    return isinstance(source, (HubFetch, CdnFetch))


class Need(NamedTuple):
    """One file or folder to stage and prove before anything changes; sources are tried in order."""

    name: str  # below `staged/`, unique within a repair
    sources: tuple[Source, ...]
    proofs: tuple[Proof, ...]
    folder: bool = False


_Step = TypeVar("_Step")


def step(kind: type[_Step]) -> type[_Step]:
    """Make a named tuple differ from equal ones of other kinds: setting aside is not making."""

    def equal(self: tuple[object, ...], other: object) -> bool:
        return type(self) is type(other) and tuple.__eq__(self, other)

    def differs(self: tuple[object, ...], other: object) -> bool:
        return not equal(self, other)

    def hashed(self: tuple[object, ...]) -> int:
        return hash((type(self).__name__, *self))

    for name, method in (("__eq__", equal), ("__ne__", differs), ("__hash__", hashed)):
        setattr(kind, name, method)
    return kind


@step
class SetAside(NamedTuple):
    """Move what is at `path` into the run folder."""

    path: str


@step
class Put(NamedTuple):
    """Move the staged need `name` to `path`, which must not exist."""

    name: str
    path: str


@step
class Rename(NamedTuple):
    """Rename `path` to `target`, which must not exist."""

    path: str
    target: str


@step
class Link(NamedTuple):
    """Create a symlink at `path`, which must not exist, pointing to `target`."""

    path: str
    target: str


@step
class MakeFolder(NamedTuple):
    """Create the folder `path`; an existing one is left as it is."""

    path: str


class Clone(NamedTuple):
    """Let the file at `path` share the blocks of the identical file `source`.

    Names, inodes and times do not change, so there is nothing to undo.
    """

    source: str
    path: str
    bytes: int


Step = SetAside | Put | Rename | Link | MakeFolder | Clone


class Guard(NamedTuple):
    """What a repair was built from, `None` for nothing; times and inode must still match."""

    path: str
    stamp: Stamp | None
    tree: str = ""  # of everything below a folder, from `copying`: must match too


class Repair(NamedTuple):
    """How to cure one finding."""

    kind: str  # a word for programs: `fetch-model`, `relink`, …
    safety: Safety  # what it can cost
    describe: str  # one imperative line; for a manual repair, the exact command
    needs: tuple[Need, ...] = ()  # what is staged and proven first
    steps: tuple[Step, ...] = ()  # what is done then, each with its inverse
    guards: tuple[Guard, ...] = ()  # what must not have changed
    fetch_bytes: int = 0  # size of the download; see `fetch_bytes_known`
    copy_bytes: int = 0  # size of what is copied on this machine
    aside_bytes: int = 0  # size of what is set aside
    root: str = ""  # the root that the steps change
    locks: tuple[str, ...] = ()  # the client's own lock files, held during the steps
    deferred: bool = False  # a whole model, without steps until the hub has listed its files

    @property
    def fetch_bytes_known(self) -> bool:
        """Return whether `fetch_bytes` is the whole download, not only the known part."""
        if self.safety is Safety.FETCHES and not self.needs:  # a model not looked up yet
            return self.fetch_bytes > 0
        return all(
            need.sources[0].bytes or (need.proofs and all(p.bytes is not None for p in need.proofs))
            for need in self.needs
            if is_download(need.sources[0])
        )


class Subject(NamedTuple):
    """What a finding was made from: an entry and one of its files, or a root without an entry."""

    entry: Entry | None = None
    artifact: Artifact | None = None
    root: Root | None = None
    layout: str = ""  # if there is no root either: the layout concerned

    def __repr__(self) -> str:
        """Return a short form: a whole entry is too long to read."""
        place = self.entry.id if self.entry else self.root and self.root.path
        return f"Subject({place!r}, {self.artifact and self.artifact.name!r})"


class Finding(NamedTuple):
    """One defect at one physical place."""

    code: str  # `CD` and three digits; see `cachedoctor explain`
    slug: str  # the code's name
    severity: Severity  # how severe it is
    path: str  # the physical file or folder
    message: str  # what is wrong, for people
    entries: tuple[str, ...] = ()  # ids of the models concerned
    engines: tuple[str, ...] = ()  # engines affected, if no entry tells
    locator: str | None = None  # the layout that contains it
    links: tuple[str, ...] = ()  # the names that point to the path
    measured: int | str | None = None  # the actual value: a length, a digest, a text
    expected: int | str | None = None  # the required value
    unit: str | None = None  # of `measured` and `expected`: `bytes`, or none
    evidence: str | None = None  # what it was checked against
    repair: Repair | None = None  # how to cure it, or none if nothing can
    bytes: int = 0  # freed by setting it aside, after `quarantine empty`
    leaves: Status | None = None  # the status of its entries, if it determines one
    shows: Circumstance | None = None  # for other rules, not for users
    subjects: tuple[Subject, ...] = ()  # only for the repair: neither compared nor shown

    def __eq__(self, other: object) -> bool:
        """Compare the public fields."""
        return isinstance(other, Finding) and self[:-1] == other[:-1]

    def __hash__(self) -> int:
        """Return the hash of the public fields."""
        return hash(self[:-1])

    @property
    def made_from(self) -> tuple[Entry, ...]:
        """Return the distinct entries that the finding was made from."""
        found = {subject.entry.id: subject.entry for subject in self.subjects if subject.entry}
        return tuple(found.values())


class Readiness(NamedTuple):
    """State which model answers for an engine and a size, and whether it can load now."""

    engine: str  # the engine asked about
    size: str | None  # the size asked for
    model: str | None  # the model that answers
    ready: bool  # whether it can load now
    entry: str | None = None  # id of the model's entry, if there is one
    path: str | None = None  # where it is, or would be
    code: str | None = None  # code of the finding in the way
    why: str | None = None  # what is wrong, for people
    by: str = "name"  # `name`, or `path` if it cannot be loaded by name
