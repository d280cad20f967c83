"""The words of the project as frozen values, and the Protocols that modules plug into.

Paths are `str` as the operating system gives them (undecodable bytes as surrogates), because a
scan makes tens of thousands. Values are named tuples: on the start-up path a frozen dataclass costs
0.6 ms to define and a named tuple 0.1 ms, and `preflight` has about 30 ms in all.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

SIZES = ("tiny", "base", "small", "medium", "large")
WEIGHTS = (".bin", ".safetensors", ".pt", ".pth", ".npz", ".gguf", ".onnx", ".ckpt", ".h5")
WEIGHTY_BYTES = 1 << 20  # of weights: configuration and vocabularies are shorter


class Status(enum.StrEnum):
    """Say whether an engine would load an entry."""

    READY = "ready"  # would load
    INCOMPLETE = "incomplete"  # something is missing
    CORRUPT = "corrupt"  # something is there and wrong
    IN_PROGRESS = "in-progress"  # somebody is downloading it now
    UNKNOWN = "unknown"  # nothing says whether it is right
    ABSENT = "absent"  # named, and nothing of it is there


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
        """Go through the plain files."""
        raise NotImplementedError

    def path_of(self, file: PlainFile) -> str:
        """Return where the engine looks for a plain file."""
        raise NotImplementedError

    def held(self) -> Iterator[tuple[int, int, int]]:
        """Go through device, inode and length of all physical files that can be read."""
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
    """Go through device, inode and length of the files that can be read."""
    for artifact in artifacts:
        if artifact.stamp and artifact.state is State.PRESENT and not artifact.bundle:
            yield artifact.stamp[:3]


class Requirement(NamedTuple):
    """One file or bundle that an engine opens; any one of `names` will do, the first is usual."""

    names: tuple[str, ...]
    formats: tuple[str | None, ...]  # one for each name
    bytes: int | None = None  # published size, where there is one
    digest: Digest | None = None  # published digest, where it holds for every revision
    tokenizer: bool = False  # without it the engine asks the network, or writes nothing
    optional: bool = False  # read where it is there, and not missed
    opened: bool = False  # of what is optional: always read where it is there
    keys: tuple[str, ...] = ()  # of a JSON object, which must have one of them
    values: tuple[tuple[str, str | int], ...] = ()  # that it must have
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by name what must be there with it
    most_trailing: int | None = None  # bytes after the end that the engine bears, `None` for any

    def format_of(self, name: str) -> str | None:
        """Return the format that the file `name` has, where the engine reads one."""
        return self.formats[self.names.index(name)]


class FileSet(NamedTuple):
    """What versions `since` to `until` of an engine need; an empty bound is open."""

    requirements: tuple[Requirement, ...]
    since: str = ""
    until: str = ""
    folder: str = ""  # the folder these versions look in, where the folder's name changed

    def chosen(self, listed: Collection[str]) -> set[str]:
        """Choose of a listing what is opened: of several names the first, a bundle as a whole.

        An index of weights brings all of their shards.
        """
        found: set[str] = set()
        for need in self.requirements:
            for name in need.names:
                below = [each for each in listed if each.startswith(name + "/")]
                if name in listed or below:
                    found.update(below or (name,))
                    break
        if any(name.endswith(".safetensors.index.json") for name in found):
            found |= {name for name in listed if name.endswith(".safetensors") and "/" not in name}
        return found


class Claim(NamedTuple):
    """Say that an engine would load an entry as one of its models."""

    engine: str  # by its name in `cachedoctor engines`
    model: str  # as the engine names it
    sizes: tuple[str, ...]  # that the model answers
    needs: FileSet  # for the version of the engine that is assumed
    others: tuple[FileSet, ...] = ()  # of other versions, newest first
    repository: str = ""  # on the hub, where a missing file would come from
    prefix: str = ""  # the folder in that repository
    url: str = ""  # of a CDN file
    version: str = ""  # the version assumed, empty for the newest
    revision: str = ""  # of the repository, for which `published` holds
    published: Mapping[str, tuple[int, Digest]] = {}  # file name to size and digest
    tokenizer: str = ""  # the repository that the tokenizer comes from, where that is another
    tokenizer_folders: tuple[str, ...] = ()  # where its tokenizer may lie, the usual place first
    shadows: tuple[str, ...] = ()  # what is there and would be loaded in place of the model
    known_by: str = "name"  # or `shape`, where no table has the model
    by_path: bool = False  # the engine loads it by its path only, wherever it lies
    snapshot: tuple[str, ...] = ()  # patterns of what the hub's client is asked for as a whole
    heeds_absence: bool = False  # it believes a note that the repository lacks a file


class Entry(NamedTuple):
    """One model at one place, with the engines that would load it."""

    id: str  # the same from run to run
    locator: str  # the layout that it lies in: `hub-cache`, `documents`, …
    root: str  # the place that the layout is at
    path: str  # where the engine is pointed to
    name: str  # the repository or folder as its locator spells it
    artifacts: tuple[Artifact, ...] | Files  # its files and bundles
    revision: str | None = None  # the commit, in a hub cache
    refs: tuple[str, ...] = ()  # branches that lead to the revision
    claims: tuple[Claim, ...] = ()  # of engines that would load it; none for a file of no engine
    promises: Mapping[str, tuple[int, Digest]] = {}  # what the layout says every file must be
    retired: str = ""  # the engine and the last version of it that read this, where none does now

    @property
    def notable(self) -> Sequence[Artifact]:
        """Return the files that a rule need look at: all but small ones that are as promised."""
        return self.artifacts if isinstance(self.artifacts, tuple) else self.artifacts.notable

    @property
    def present(self) -> set[str]:
        """Return the names of the files that are there."""
        found = {artifact.name for artifact in self.notable if artifact.state is State.PRESENT}
        if not isinstance(self.artifacts, tuple):
            found.update(self.artifacts.names())
        return found

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the length of each physical file that is there, by its path."""
        if isinstance(self.artifacts, tuple):
            return {a.file: a.size_bytes for a in self.artifacts if a.stamp}
        return self.artifacts.sizes()

    @property
    def by_shape(self) -> bool:
        """Say whether nothing but its shape tells what model this is."""
        return bool(self.claims) and all(claim.known_by == "shape" for claim in self.claims)

    @property
    def nothing_here(self) -> bool:
        """Say whether none of its files lies in its own folder: a tokenizer may lie elsewhere."""
        below = self.path.rstrip("/") + "/"
        return len(self.notable) == len(self.artifacts) and all(
            artifact.state is State.MISSING or not f"{artifact.path}/".startswith(below)
            for artifact in self.notable
        )

    @property
    def held(self) -> Iterator[tuple[int, int, int]]:
        """Go through device, inode and length of the physical files that can be read."""
        return held(self.artifacts) if isinstance(self.artifacts, tuple) else self.artifacts.held()

    @property
    def engines(self) -> tuple[str, ...]:
        """Name the engines that would load this entry."""
        return tuple(claim.engine for claim in self.claims)

    @property
    def model(self) -> str | None:
        """Name the model as its first engine does, or `None` for an entry of no engine."""
        return self.claims[0].model if self.claims else None

    @property
    def title(self) -> str:
        """Return `engine/model`, or the name that the layout gives."""
        return f"{self.claims[0].engine}/{self.claims[0].model}" if self.claims else self.name


class Root(NamedTuple):
    """One locator at one path on this host, with the locator's own listing of it."""

    locator: str
    path: str
    entries: tuple[Entry, ...]
    listing: object = None  # typed by the locator; rules ask with isinstance
    error: str = ""  # why it could not be read, or empty
    closed: str = ""  # the folder on the way to it that cannot be read
    gone: str = ""  # what on the way to it leads to a place that is not there
    text: str = ""  # what on the way to it was a link and is a small file now
    aim: str = ""  # where that leads
    users: tuple[str, ...] = ()  # the engines that would look there, where nothing can be seen


class Survey:
    """Everything found on a host; what is looked up in it is indexed when it is first asked for."""

    def __init__(self, roots: tuple[Root, ...], around: tuple[str, ...] = ()) -> None:
        """Take the roots with their entries, and folders in which copies may lie as well."""
        self.roots = roots
        self.around = around

    @property
    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all roots."""
        return (entry for root in self.roots for entry in root.entries)

    def root_of(self, entry: Entry) -> Root:
        """Return the root that `entry` lies in."""
        return self._by_place[entry.locator, entry.root]

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the artifacts that are said to have this digest, in hex."""
        for found in self._by_digest.get(digest, ()):
            if isinstance(found, Files):
                yield from found.holding(digest)
            else:
                yield found

    def answering(self, *keys: tuple[str, str]) -> list[Entry]:
        """Return the entries with any of these pairs of engine and model, or locator and name."""
        found = {at: entry for key in keys for at, entry in self._by_name.get(key, ())}
        return [found[at] for at in sorted(found)]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], Root]:
        return {(root.locator, root.path): root for root in self.roots}

    @cached_property
    def _by_digest(self) -> dict[str, list[Artifact | Files]]:
        found: dict[str, list[Artifact | Files]] = {}
        for entry in self.entries:
            for artifact in entry.notable:
                if artifact.digest is not None:
                    found.setdefault(artifact.digest.hex, []).append(artifact)
            if isinstance(entry.artifacts, Files):
                for digest in entry.artifacts.contents():
                    found.setdefault(digest, []).append(entry.artifacts)
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], list[tuple[int, Entry]]]:
        found: dict[tuple[str, str], list[tuple[int, Entry]]] = {}
        for at, entry in enumerate(self.entries):
            keys = [(claim.engine, claim.model) for claim in entry.claims]
            for key in {*keys, (entry.locator, entry.name)}:
                found.setdefault(key, []).append((at, entry))
        return found


class Reading(NamedTuple):
    """What a format's header says of its file."""

    length_bytes: int  # how long the file must be
    details: Mapping[str, int | str]


class Format(Protocol):
    """The bytes of one file."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Walk the header and offsets of `file`, which is at byte 0 and `size_bytes` long.

        Reads kilobytes of a gigabyte file. Raises `FormatError` at the first byte that is wrong.
        """
        ...


class Bundle(Protocol):
    """The files of one folder that counts as one thing."""

    def inspect(self, path: str) -> Reading:
        """Check the folder at `path` from names, sizes and headers; raises `FormatError`."""
        ...


class Progress(Protocol):
    """What long work reports to; a caller that shows nothing passes `SILENT`."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin a piece of work; `None` when its size is not known."""
        ...

    def advance(self, done_bytes: int) -> None:
        """Add to the bytes done."""
        ...

    def finish(self) -> None:
        """End the piece of work that was begun last."""
        ...


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Show nothing."""

    def advance(self, done_bytes: int) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


SILENT = Silent()


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the words that an error about an unknown name ends with, empty if none is near."""
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if not close:
        return ""
    likeness = [difflib.SequenceMatcher(None, name, word).ratio() for word in close]
    close = [word for word, one in zip(close, likeness, strict=True) if one > likeness[0] - 0.1]
    return "; did you mean " + " or ".join(f"`{word}`" for word in close) + "?"
