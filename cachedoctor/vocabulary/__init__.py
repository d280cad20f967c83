"""The project's terms as frozen values, and the Protocols that modules plug into.

Paths are `str` as the operating system gives them (undecodable bytes as surrogates), because a
scan makes tens of thousands. Values are named tuples: on the start-up path a frozen dataclass costs
0.6 ms to define and a named tuple 0.1 ms, and `preflight` has only about 30 ms.
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
from cachedoctor.vocabulary.progress import SILENT as SILENT
from cachedoctor.vocabulary.progress import Progress as Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

SIZES = ("tiny", "base", "small", "medium", "large")
WEIGHTS = (".bin", ".safetensors", ".pt", ".pth", ".npz", ".gguf", ".onnx", ".ckpt", ".h5")
BUNDLES = (".mlmodelc", ".mlpackage")  # folders that count as one unit
WEIGHTY_BYTES = 1 << 20  # only weights are this large; configurations and vocabularies are smaller


class Status(enum.StrEnum):
    """State whether an engine would load an entry."""

    READY = "ready"  # would load
    INCOMPLETE = "incomplete"  # something is missing
    CORRUPT = "corrupt"  # something is present but wrong
    IN_PROGRESS = "in-progress"  # being downloaded now
    UNKNOWN = "unknown"  # nothing says whether it is right
    ABSENT = "absent"  # asked for by name, and nothing of it exists


class Requirement(NamedTuple):
    """One file or bundle that an engine opens; any of `names` will do, the first is usual."""

    names: tuple[str, ...]
    formats: tuple[str | None, ...]  # one per name
    bytes: int | None = None  # published size, if any
    digest: Digest | None = None  # published digest, if the same for every revision
    tokenizer: bool = False  # without it the engine uses the network, or writes nothing
    optional: bool = False  # read if present, not missed otherwise
    opened: bool = False  # if optional: always read when present
    keys: tuple[str, ...] = ()  # keys; a JSON object must have at least one of them
    values: tuple[tuple[str, str | int], ...] = ()  # keys and values that it must have
    needed: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by file name, keys that it must all have
    only: tuple[str, ...] = ()  # keys besides which it must have none
    among: tuple[tuple[str, tuple[str | int, ...]], ...] = ()  # by key, allowed values
    agrees: tuple[tuple[str, str, int, int], ...] = ()  # key, tensor, its axis, the divisor
    speaks: bool = False  # must contain Whisper's own tokens
    beside: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by name, the files it requires beside it
    most_trailing: int | None = None  # extra bytes tolerated at the end, `None` for any number
    bears: tuple[str, ...] = ()  # names for which any number is tolerated

    def format_of(self, name: str) -> str | None:
        """Return the format of the file `name`, or `None` if the engine does not read it."""
        return self.formats[self.names.index(name)]


class FileSet(NamedTuple):
    """What versions `since` to `until` of an engine need; an empty bound is open."""

    requirements: tuple[Requirement, ...]
    since: str = ""
    until: str = ""
    folder: str = ""  # the folder these versions use, if it was renamed

    def chosen(self, listed: Collection[str]) -> set[str]:
        """Return the listed files that would be opened: the first of several names, whole bundles.

        An index of weights includes all of its shards.
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
    """State that an engine would load an entry as one of its models."""

    engine: str  # as in `cachedoctor engines`
    model: str  # as the engine names it
    sizes: tuple[str, ...]  # sizes that the model answers
    needs: FileSet  # the files that the assumed version needs
    others: tuple[FileSet, ...] = ()  # the files that other versions need, newest first
    repository: str = ""  # its repository on the hub, the source of missing files
    prefix: str = ""  # the folder within that repository
    url: str = ""  # address of a CDN file
    version: str = ""  # the assumed version, empty for the newest
    revision: str = ""  # the commit of the repository to which `published` applies
    published: Mapping[str, tuple[int, Digest]] = {}  # file name to size and digest
    tokenizer: str = ""  # the repository of the tokenizer, if not the model's own
    tokenizer_folders: tuple[str, ...] = ()  # where the tokenizer can be, the usual place first
    shadows: tuple[str, ...] = ()  # existing paths that would be loaded in place of the model
    known_by: str = "name"  # `name`, or `shape` for a model in no table
    by_path: bool = False  # whether the engine loads it only by its path
    snapshot: tuple[str, ...] = ()  # patterns that it fetches with `snapshot_download`
    heeds_absence: bool = False  # whether it trusts a record that the repository lacks a file
    marker: tuple[str, str] = ("", "")  # a file that states a folder's commit, and that commit


class Entry(NamedTuple):
    """One model at one place, with the engines that would load it."""

    id: str  # stable across runs
    locator: str  # its layout: `hub-cache`, `documents`, …
    root: str  # the path of the layout's root
    path: str  # what the engine is given
    name: str  # the repository or folder, spelled as in its layout
    artifacts: tuple[Artifact, ...] | Files  # its files and bundles
    revision: str | None = None  # the commit, in a hub cache
    refs: tuple[str, ...] = ()  # branches that point to the revision
    claims: tuple[Claim, ...] = ()  # claims of engines that would load it
    promises: Mapping[str, tuple[int, Digest]] = {}  # what the layout says each file must be
    retired: str = ""  # the engine and its last version that read this, if none does now

    @property
    def plain(self) -> Files | None:
        """Return the list that packs its plain files, if it has any."""
        return None if isinstance(self.artifacts, tuple) else self.artifacts

    @property
    def notable(self) -> Sequence[Artifact]:
        """Return the files that rules must look at: all but small ones that match their promise."""
        return self.artifacts if isinstance(self.artifacts, tuple) else self.artifacts.notable

    @property
    def present(self) -> set[str]:
        """Return the names of the existing files."""
        found = {artifact.name for artifact in self.notable if artifact.state is State.PRESENT}
        if not isinstance(self.artifacts, tuple):
            found.update(self.artifacts.names())
        return found

    @property
    def names(self) -> Iterator[str]:
        """Yield the name of every file that exists or should."""
        yield from (artifact.name for artifact in self.notable)
        if not isinstance(self.artifacts, tuple):
            yield from self.artifacts.names()

    def find(self, name: str) -> Artifact | None:
        """Return the file with this name, or `None`, without building the other files."""
        if isinstance(self.artifacts, tuple):
            return next((each for each in self.artifacts if each.name == name), None)
        return self.artifacts.find(name)

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the length of each existing physical file, by path."""
        if isinstance(self.artifacts, tuple):
            return {a.file: a.size_bytes for a in self.artifacts if a.stamp}
        return self.artifacts.sizes()

    @property
    def by_shape(self) -> bool:
        """Return whether the model was recognised only by its shape."""
        return bool(self.claims) and all(claim.known_by == "shape" for claim in self.claims)

    @property
    def nothing_here(self) -> bool:
        """Return whether its folder holds none of its files; a tokenizer can be elsewhere."""
        below = self.path.rstrip("/") + "/"
        return len(self.notable) == len(self.artifacts) and all(
            artifact.state is State.MISSING or not f"{artifact.path}/".startswith(below)
            for artifact in self.notable
        )

    @property
    def held(self) -> Iterator[tuple[int, int, int]]:
        """Yield device, inode and length of the readable physical files."""
        return held(self.artifacts) if isinstance(self.artifacts, tuple) else self.artifacts.held()

    @property
    def engines(self) -> tuple[str, ...]:
        """Return the engines that would load this entry."""
        return tuple(claim.engine for claim in self.claims)

    @property
    def model(self) -> str | None:
        """Return the model as its first engine names it, or `None` if no engine would load it."""
        return self.claims[0].model if self.claims else None

    @property
    def title(self) -> str:
        """Return `engine/model`, or the name in the layout."""
        return f"{self.claims[0].engine}/{self.claims[0].model}" if self.claims else self.name


class Root(NamedTuple):
    """One locator at one path on this host, with the locator's own listing of it."""

    locator: str
    path: str
    entries: tuple[Entry, ...]
    listing: object = None  # its type depends on the locator; see `locators.listed`
    error: str = ""  # why it could not be read, or empty
    closed: str = ""  # the parent folder that cannot be read
    gone: str = ""  # the symlink, alias or mount above it whose target is missing
    text: str = ""  # a small file above it that used to be a symlink
    aim: str = ""  # where `gone` or `text` points
    users: tuple[str, ...] = ()  # the engines that would look there, if nothing can be seen


class Survey:
    """Everything found on a host; its indexes are built on first use."""

    def __init__(
        self,
        roots: tuple[Root, ...],
        around: tuple[str, ...] = (),
        owner: Callable[[str], str] = lambda path: "",
    ) -> None:
        """Take the roots with their entries, and further folders that can hold copies.

        `owner` returns the app whose folder contains a path, or an empty string.
        """
        self.roots = roots
        self.around = around
        self.owner = owner

    def with_roots(self, roots: tuple[Root, ...]) -> Survey:
        """Return the survey with other roots."""
        return Survey(roots, self.around, self.owner)

    @property
    def entries(self) -> Iterator[Entry]:
        """Yield the entries of all roots."""
        return (entry for root in self.roots for entry in root.entries)

    def root_of(self, entry: Entry) -> Root:
        """Return the root that contains `entry`."""
        return self._by_place[entry.locator, entry.root]

    def holding(self, digest: str) -> Iterator[Artifact]:
        """Yield the artifacts recorded with this digest, in hex."""
        for found in self._by_digest.get(digest, ()):
            if isinstance(found, Files):
                yield from found.holding(digest)
            else:
                yield found

    def answering(self, *keys: tuple[str, str]) -> list[Entry]:
        """Return the entries that match any pair of engine and model, or locator and name."""
        found = {at: entry for key in keys for at, entry in self._by_name.get(key, ())}
        return [found[at] for at in sorted(found)]

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], Root]:
        return {(root.locator, root.path): root for root in self.roots}

    @cached_property
    def _by_digest(self) -> dict[str, tuple[Artifact | Files, ...]]:
        """Return the owners of each digest; most have one, and an entry's files share the tuple."""
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
    """What a format's header says about its file."""

    length_bytes: int  # the required length of the file
    details: Mapping[str, int | str]


class Format(Protocol):
    """The bytes of one file."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Walk the header and offsets of `file`, which is at byte 0 and `size_bytes` long.

        Reads kilobytes of a gigabyte file. Raises `FormatError` at the first byte that is wrong.
        """
        ...


class Bundle(Protocol):
    """The files of one folder that counts as one unit."""

    def inspect(self, path: str) -> Reading:
        """Check the folder at `path` from names, sizes and headers; raises `FormatError`."""
        ...


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the suggestion that ends an error about an unknown name, empty if none is near."""
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if not close:
        return ""
    likeness = [difflib.SequenceMatcher(None, name, word).ratio() for word in close]
    close = [word for word, one in zip(close, likeness, strict=True) if one > likeness[0] - 0.1]
    return "; did you mean " + " or ".join(f"`{word}`" for word in close) + "?"
