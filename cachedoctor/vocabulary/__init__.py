"""The words of the project as frozen values, and the Protocols that modules plug into.

Paths are `str` as the operating system gives them (undecodable bytes as surrogates), because a
scan makes tens of thousands. Values are named tuples: on the start-up path a frozen dataclass costs
0.6 ms to define and a named tuple 0.1 ms, and `preflight` has about 30 ms in all.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO, Protocol

from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary.artifacts import Artifact as Artifact
from cachedoctor.vocabulary.artifacts import Digest as Digest
from cachedoctor.vocabulary.artifacts import Evidence as Evidence
from cachedoctor.vocabulary.artifacts import Files as Files
from cachedoctor.vocabulary.artifacts import PlainFile as PlainFile
from cachedoctor.vocabulary.artifacts import Stamp as Stamp
from cachedoctor.vocabulary.artifacts import State as State
from cachedoctor.vocabulary.artifacts import held as held

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SIZES = ("tiny", "base", "small", "medium", "large")
WEIGHTS = (".bin", ".safetensors", ".pt", ".pth", ".npz", ".gguf", ".onnx", ".ckpt", ".h5")
BUNDLES = (".mlmodelc", ".mlpackage")  # folders that count as one thing
WEIGHTY_BYTES = 1 << 20  # of weights: configuration and vocabularies are shorter


class Status(enum.StrEnum):
    """Say whether an engine would load an entry."""

    READY = "ready"  # would load
    INCOMPLETE = "incomplete"  # something is missing
    CORRUPT = "corrupt"  # something is there and wrong
    IN_PROGRESS = "in-progress"  # somebody is downloading it now
    UNKNOWN = "unknown"  # nothing says whether it is right
    ABSENT = "absent"  # named, and nothing of it is there


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
    needed: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by name, keys that it must have, all
    only: tuple[str, ...] = ()  # keys beside which none may be
    among: tuple[tuple[str, tuple[str | int, ...]], ...] = ()  # by key, what it may say where it is
    agrees: tuple[
        tuple[str, str, int, int], ...
    ] = ()  # key, tensor, its axis, by what it is shared
    speaks: bool = False  # a vocabulary that must have Whisper's own words
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by name what must be there with it
    most_trailing: int | None = None  # bytes after the end that the engine bears, `None` for any
    bears: tuple[str, ...] = ()  # names of which it bears any all the same

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
    marker: tuple[str, str] = ("", "")  # a file that says which commit a folder holds, and which


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
    def names(self) -> Iterator[str]:
        """Yield the name of every file that is there or ought to be."""
        yield from (artifact.name for artifact in self.notable)
        if not isinstance(self.artifacts, tuple):
            yield from self.artifacts.names()

    def find(self, name: str) -> Artifact | None:
        """Return the file of this name, or `None`; of many files, no other is made for it."""
        if isinstance(self.artifacts, tuple):
            return next((each for each in self.artifacts if each.name == name), None)
        return self.artifacts.find(name)

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
        """Yield device, inode and length of the physical files that can be read."""
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
    listing: object = None  # of the kind that the locator lists; `locators.listed` tells
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
    def _by_digest(self) -> dict[str, tuple[Artifact | Files, ...]]:
        """Return who has each digest; most have one, and the files of an entry share the tuple."""
        found: dict[str, tuple[Artifact | Files, ...]] = {}
        for entry in self.entries:
            for artifact in entry.notable:
                if artifact.digest is not None:
                    key = artifact.digest.hex
                    found[key] = (*found.get(key, ()), artifact)
            if isinstance(entry.artifacts, Files):
                alone = (entry.artifacts,)
                for key in entry.artifacts.contents():
                    found[key] = (*found[key], entry.artifacts) if key in found else alone
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
