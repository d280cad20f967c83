"""What is wrong and what cures it, as data: findings, repairs, the operations they consist of.

A repair is needs, which are staged and proven, and then steps with fixed inverses (law 5).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Digest, Stamp


class Severity(enum.StrEnum):
    """Order findings: an error breaks the engine or makes it lie, a note is hygiene."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """Return 0 for the gravest."""
        return list(Severity).index(self)


class Safety(enum.StrEnum):
    """Say what a repair may cost: nothing, a download, or a person's hands."""

    SAFE = "safe"
    FETCHES = "fetches"
    MANUAL = "manual"


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


Source = LocalCopy | HubFetch | CdnFetch | Text


class Need(NamedTuple):
    """One file or folder that is staged and proven before anything changes; sources in order."""

    name: str  # below `staged/`, unique within a repair
    sources: tuple[Source, ...]
    proofs: tuple[Proof, ...]
    folder: bool = False


class SetAside(NamedTuple):
    """Move what is at `path` into the run folder."""

    path: str


class Put(NamedTuple):
    """Move the staged need `name` to `path`, where nothing is."""

    name: str
    path: str


class Rename(NamedTuple):
    """Rename `path` to `target`, where nothing is."""

    path: str
    target: str


class Link(NamedTuple):
    """Make `path`, where nothing is, a symbolic link to `target`."""

    path: str
    target: str


class MakeFolder(NamedTuple):
    """Make the folder `path`; one that is there already is left as it is."""

    path: str


Step = SetAside | Put | Rename | Link | MakeFolder


class Guard(NamedTuple):
    """What a repair was built from: `None` for nothing there. Times and inode must still agree."""

    path: str
    stamp: Stamp | None


class Repair(NamedTuple):
    """How one finding is cured."""

    kind: str
    safety: Safety
    describe: str  # one imperative line; for a manual one, the exact command
    needs: tuple[Need, ...] = ()
    steps: tuple[Step, ...] = ()
    guards: tuple[Guard, ...] = ()
    fetch_bytes: int = 0
    copy_bytes: int = 0
    aside_bytes: int = 0
    root: str = ""  # the root that the steps change
    locks: tuple[str, ...] = ()  # the client's own lock files, held while the steps are taken


class Finding(NamedTuple):
    """One thing that is wrong, at one physical place."""

    code: str
    slug: str
    severity: Severity
    path: str
    message: str
    entries: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    locator: str | None = None
    links: tuple[str, ...] = ()
    measured: int | str | None = None
    expected: int | str | None = None
    unit: str | None = None
    evidence: str | None = None
    repair: Repair | None = None
    bytes: int = 0  # what setting it aside would free after `quarantine empty`


class Readiness(NamedTuple):
    """Say which model would answer an engine and a size, and whether it can load now."""

    engine: str
    size: str | None
    model: str | None
    ready: bool
    entry: str | None = None
    path: str | None = None
    code: str | None = None
    why: str | None = None
    by: str = "name"  # or `path`: not by a call that only names it
