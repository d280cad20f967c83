"""What is wrong and what cures it, as data: findings, repairs, the operations they consist of.

A repair is needs, which are staged and proven, and then steps with fixed inverses (law 5).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Artifact, Digest, Entry, Root, Stamp, Status


class Severity(enum.StrEnum):
    """Order findings: an error breaks the engine or makes it lie, a note is hygiene."""

    ERROR = "error"  # the engine will fail, or lie
    WARNING = "warning"  # it works, but something is wrong
    NOTE = "note"  # waste and hygiene

    @property
    def rank(self) -> int:
        """Return 0 for the gravest."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Circumstance(enum.Enum):
    """What one finding shows of an entry, under which other rules are silent about it."""

    DOWNLOADING = enum.auto()  # what is missing is on its way
    CLOSED = enum.auto()  # what lies in a folder that cannot be listed is not known to be missing
    BROKEN_REF = enum.auto()  # nothing is detached while a branch leads nowhere
    GONE = enum.auto()  # a place that is not here: nothing is said of what would be below it
    SUPERSEDED = enum.auto()  # half of an old revision may be gone for good


class Safety(enum.StrEnum):
    """Say what a repair may cost: nothing, a download, or a person's hands."""

    SAFE = "safe"  # from bytes that are here
    FETCHES = "fetches"  # may cost a download
    MANUAL = "manual"  # only a person can do it


class Proof(NamedTuple):
    """What one staged file must be: `name` is relative to its need, empty for the need itself."""

    name: str
    bytes: int | None
    digest: Digest | None
    format: str | None = None


class LocalCopy(NamedTuple):
    """Copy files that are already on this machine; a single file's relative name is empty."""

    files: tuple[tuple[str, str], ...]  # relative name, physical path
    why: str  # how a plan names this source: "hub cache", "another repository"
    proofs: tuple[Proof, ...] = ()  # what this copy is said to be, beyond what any source must


class HubFetch(NamedTuple):
    """Fetch from the hub: one file by its path, or every file below a folder that ends in `/`."""

    repository: str
    revision: str
    path: str
    bytes: int  # 0 when not known before asking


class CdnFetch(NamedTuple):
    """Fetch one file by its address, going on from a partial copy where there is one."""

    url: str
    bytes: int
    resume: str = ""


class Text(NamedTuple):
    """Write these few characters."""

    text: str


class Parts(NamedTuple):
    """Join the parts of a pack, each named by its SHA-256."""

    paths: tuple[str, ...]
    digests: tuple[str, ...]
    why: str


Source = LocalCopy | HubFetch | CdnFetch | Text | Parts


class Need(NamedTuple):
    """One file or folder that is staged and proven before anything changes; sources in order."""

    name: str  # below `staged/`, unique within a repair
    sources: tuple[Source, ...]
    proofs: tuple[Proof, ...]
    folder: bool = False


_Step = TypeVar("_Step")


def step(kind: type[_Step]) -> type[_Step]:
    """Make a named tuple unequal to those of other kinds: setting aside is not making a folder."""

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
    """Move the staged need `name` to `path`, where nothing is."""

    name: str
    path: str


@step
class Rename(NamedTuple):
    """Rename `path` to `target`, where nothing is."""

    path: str
    target: str


@step
class Link(NamedTuple):
    """Make `path`, where nothing is, a symbolic link to `target`."""

    path: str
    target: str


@step
class MakeFolder(NamedTuple):
    """Make the folder `path`; one that is there already is left as it is."""

    path: str


class Clone(NamedTuple):
    """Let the file at `path` share the blocks of `source`, whose bytes are the same.

    Names, inodes and times stay as they are, so there is nothing to take back.
    """

    source: str
    path: str
    bytes: int


Step = SetAside | Put | Rename | Link | MakeFolder | Clone


class Guard(NamedTuple):
    """What a repair was built from: `None` for nothing there. Times and inode must still agree."""

    path: str
    stamp: Stamp | None
    tree: str = ""  # of everything below a folder, as `copying` takes it: must be the same, too


class Repair(NamedTuple):
    """How one finding is cured."""

    kind: str  # a word for programs: `fetch-model`, `relink`, …
    safety: Safety  # what it may cost
    describe: str  # one imperative line; for a manual one, the exact command
    needs: tuple[Need, ...] = ()  # what is brought and proven first
    steps: tuple[Step, ...] = ()  # what is then done, each with its inverse
    guards: tuple[Guard, ...] = ()  # what must still be as it was seen
    fetch_bytes: int = 0  # to download; see `fetch_bytes_known`
    copy_bytes: int = 0  # to copy on this machine
    aside_bytes: int = 0  # that are set aside
    root: str = ""  # the root that the steps change
    locks: tuple[str, ...] = ()  # the client's own lock files, held while the steps are taken
    deferred: bool = False  # a whole model, without steps until the hub has listed its files

    @property
    def fetch_bytes_known(self) -> bool:
        """Return whether `fetch_bytes` is all that it downloads, and not only what is known."""
        if self.safety is Safety.FETCHES and not self.needs:  # a model that is not looked up yet
            return self.fetch_bytes > 0
        return all(
            need.sources[0].bytes or (need.proofs and all(p.bytes is not None for p in need.proofs))
            for need in self.needs
            if isinstance(need.sources[0], (HubFetch, CdnFetch))
        )


class Subject(NamedTuple):
    """What a finding was made from: an entry and one file of it, or a root and no entry."""

    entry: Entry | None = None
    artifact: Artifact | None = None
    root: Root | None = None
    layout: str = ""  # of no root: the layout whose places are meant

    def __repr__(self) -> str:
        """Name it: a whole entry is longer than anybody reads."""
        place = self.entry.id if self.entry else self.root and self.root.path
        return f"Subject({place!r}, {self.artifact and self.artifact.name!r})"


class Finding(NamedTuple):
    """One thing that is wrong, at one physical place."""

    code: str  # `CD` and three digits; `cachedoctor explain` has its page
    slug: str  # the code's name
    severity: Severity  # how grave it is
    path: str  # the physical file or folder
    message: str  # what is wrong, for people
    entries: tuple[str, ...] = ()  # ids of the models that it is about
    engines: tuple[str, ...] = ()  # that trip over it, where no entry tells
    locator: str | None = None  # the layout that it lies in
    links: tuple[str, ...] = ()  # the names that lead to the path
    measured: int | str | None = None  # what was found: a length, a digest, a text
    expected: int | str | None = None  # what it must be
    unit: str | None = None  # of both: `bytes`, or none
    evidence: str | None = None  # what it was held against
    repair: Repair | None = None  # how it is cured, or none where nobody knows
    bytes: int = 0  # what setting it aside would free after `quarantine empty`
    leaves: Status | None = None  # what its entries are, where it says anything about that
    shows: Circumstance | None = None  # for other rules, not for people
    subjects: tuple[Subject, ...] = ()  # for the repair alone: neither compared nor shown

    def __eq__(self, other: object) -> bool:
        """Compare what is said."""
        return isinstance(other, Finding) and self[:-1] == other[:-1]

    def __hash__(self) -> int:
        """Return the hash of what is said."""
        return hash(self[:-1])

    @property
    def made_from(self) -> tuple[Entry, ...]:
        """Return the entries that the finding was made from, each once."""
        found = {subject.entry.id: subject.entry for subject in self.subjects if subject.entry}
        return tuple(found.values())


class Readiness(NamedTuple):
    """Say which model would answer an engine and a size, and whether it can load now."""

    engine: str  # that was asked about
    size: str | None  # that was asked for
    model: str | None  # that answers
    ready: bool  # whether it would load now
    entry: str | None = None  # its id, where there is one
    path: str | None = None  # where it is, or where it would be
    code: str | None = None  # of what is wrong
    why: str | None = None  # what is wrong, for people
    by: str = "name"  # or `path`: not by a call that only names it
