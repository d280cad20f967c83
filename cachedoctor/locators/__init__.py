"""Where libraries put files: one module per layout, whose docstring shows its directory tree.

Each module defines `LOCATOR: Locator`. A layout adds to its artifacts what it promises: sizes and
digests from blob names, tree manifests or URLs. What engines need is decided elsewhere.
"""

from __future__ import annotations

import enum
import importlib
import os
import time
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeAlias, TypeVar, cast

from cachedoctor.locators._litter import evicted as evicted
from cachedoctor.locators._litter import is_litter as is_litter
from cachedoctor.locators._litter import is_ref as is_ref
from cachedoctor.locators._look import Look as Look
from cachedoctor.locators._look import inside as inside
from cachedoctor.locators._look import kind as kind
from cachedoctor.locators._look import look as look
from cachedoctor.locators._look import plain as plain
from cachedoctor.locators._look import reason as reason
from cachedoctor.locators._look import regular as regular
from cachedoctor.locators._look import stamp_of as stamp_of
from cachedoctor.locators._way import Stand as Stand
from cachedoctor.locators._way import Way as Way
from cachedoctor.locators._way import Ways as Ways
from cachedoctor.locators._way import stands_in as stands_in
from cachedoctor.locators._way import volume_gone as volume_gone
from cachedoctor.looking import mounts
from cachedoctor.system import shipped
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import BUNDLES, Artifact, Digest, Stamp, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.system.in_use import Open
    from cachedoctor.vocabulary import Entry, Root

_HEX = b"0123456789abcdef"
_BY_LENGTH = {40: "git-sha1", 64: "sha256"}
BOOKS = ".cache/huggingface/download"  # where clients keep metadata about their downloads
LIVE_S = 600  # law 7: a partial younger than this counts as live if its holder is unknown


L = TypeVar("L")


class Leaving(enum.Enum):
    """What a place without models contains."""

    DOWNLOADS = enum.auto()  # complete, but never moved into place
    COMPILED = enum.auto()  # rebuilt on demand
    PIECES = enum.auto()  # parts of files, kept to speed up later downloads


class Origin(NamedTuple):
    """A repository at a commit, and the path of an entry inside it."""

    repository: str
    commit: str
    prefix: str = ""


class At(NamedTuple):
    """A root at, above or below a path given by the user."""

    root: str
    only: frozenset[str] | None = None  # the only names to list there


class Unit(NamedTuple):
    """Folders of a root that share files, so one process must scan them together."""

    folders: tuple[str, ...]
    bytes: int  # of large files only
    files: int


class Share(NamedTuple):
    """The part of each divided root that one of several processes scans."""

    folders: Mapping[str, frozenset[str]]  # keyed by root path
    rest: bool  # also everything outside the divided folders


class Locator(Generic[L]):
    """One layout and its capabilities; `L` is the type of what a root lists besides entries."""

    name: ClassVar[str]
    title: ClassVar[str] = ""  # shown to users when the name is not enough
    followed: ClassVar[bool] = False  # engines follow a symlink in place of its folder
    moved_by: ClassVar[str] = ""  # the setting that moves it to `{to}`
    has_revisions: ClassVar[bool] = False  # models have several revisions, and branches
    single_file: ClassVar[bool] = False  # each model is one file
    written_in_place: ClassVar[bool] = False  # clients write straight to the final name
    keeps_notes: ClassVar[bool] = False  # clients download files again if their metadata is missing
    demands_notes: ClassVar[bool] = False  # offline, one file without metadata fails them all
    compares_times: ClassVar[bool] = False  # metadata of a file changed since does not count
    gets_stuck: ClassVar[bool] = False  # a partial as long as its file blocks every download
    mixes_variants: ClassVar[bool] = False  # a model's quantisations share one folder
    named_only: ClassVar[bool] = False  # found only at a path the user names, under any name
    packs_bundles: ClassVar[bool] = False  # bundles are published as archives
    divided: ClassVar[bool] = False  # a root can be split between processes by folder

    def roots(self, host: Host) -> Iterator[str]:
        """Yield every folder on `host` where this layout could be, existing or not."""
        raise NotImplementedError

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the root at `path`, limited to the repositories, folders or files in `wanted`.

        Uses only stat calls and small manifests. Raises `OSError` if the root cannot be listed.
        """
        raise NotImplementedError

    def around(self, path: str) -> At | None:
        """Return this layout's root around `path`, if that alone settles what `path` is.

        `path` is free of symlinks. If no layout answers, each is asked for the root `at` it.
        """
        return None

    def at(self, path: str) -> At | None:
        """Return this layout's root, judging by the names at and below `path`."""
        return None

    def units(self, path: str) -> Iterator[Unit]:
        """Yield the parts of a divided root that can be scanned separately."""
        yield from ()

    def joined(self, listings: Sequence[L]) -> L:
        """Merge the listings of all shares of a divided root into one."""
        raise NotImplementedError

    def share(self, path: str, host: Host, folders: frozenset[str], *, rest: bool) -> Root:
        """List these folders of a divided root, plus everything outside them if `rest`.

        Raises `OSError` like `read`.
        """
        raise NotImplementedError

    def place(self, root: str, name: str) -> str:
        """Return the path of a repository, folder or file called `name` below `root`."""
        return os.path.join(root, name)

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return the artifact `name` missing from `entry`, with what the layout promises of it."""
        path = os.path.join(entry.root if self.single_file else entry.path, name)
        bundle = name.endswith(BUNDLES)
        return Artifact(name=name, path=path, file=path, state=State.MISSING, bundle=bundle)

    def besides(self, listing: L) -> Iterator[tuple[int, ...]]:
        """Yield device, inode and length of each file in a root that belongs to no model."""
        yield from ()

    def noted_absent(self, entry: Entry, listing: L) -> frozenset[str]:
        """Return the files that a client recorded as absent from this revision."""
        return frozenset()

    def commit(self, entry: Entry, listing: L) -> str:
        """Return the commit of an entry, or an empty string if unknown."""
        return entry.revision or ""

    def origin(self, entry: Entry, listing: L) -> Origin | None:
        """Return where on the hub exactly this entry came from, or `None` if unknown."""
        return None


Layout: TypeAlias = Locator[Any]  # whatever its listing type


@cache
def names() -> tuple[str, ...]:
    """Return the name of every layout as JSON spells it: module names with hyphens."""
    return tuple(sorted(module.replace("_", "-") for module in shipped.modules(__name__)))


@cache
def find(name: str) -> Layout:
    """Return the layout called `name`."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    locator: Layout = module.LOCATOR
    return locator


def of(place: Entry | Root) -> Layout:
    """Return the layout of an entry or a root."""
    return find(place.locator)


def commit_of(entry: Entry, root: Root) -> str:
    """Return the commit of an entry of `root`, or an empty string if unknown."""
    return of(root).commit(entry, root.listing) if root.listing is not None else ""


def listed(kind: type[Locator[L]], root: Root) -> L | None:
    """Return the listing of a root with this kind of layout; `None` for another kind or unread."""
    layout = find(root.locator)
    if root.listing is None or not isinstance(layout, kind):
        return None
    return cast("L", root.listing)


class Leftover(NamedTuple):
    """One file or folder that belongs to no model: a partial, a temporary file, a cache."""

    path: str
    stamp: Stamp
    name: str = ""  # of the intended file, relative to its entry
    digest: Digest | None = None  # of the complete file
    bytes: int = 0  # total size of the content


class Metadata(NamedTuple):
    """What a client recorded about one file downloaded to a folder: three lines."""

    path: str
    commit: str
    etag: str
    time_s: float  # clients trust this record only if the file has not changed since
    error: str = ""  # why it cannot be parsed


class FolderListing(NamedTuple):
    """The folders of one root: partials and client metadata, by entry id."""

    partials: dict[str, tuple[Leftover, ...]]
    metadata: Mapping[str, Mapping[str, Metadata]] = {}
    locks: Mapping[str, tuple[str, ...]] = {}  # held while a client downloads
    closed: Mapping[str, tuple[tuple[str, str], ...]] = {}  # unreadable metadata folders, and why


class LeavingsListing(NamedTuple):
    """What a place contains besides models."""

    leftovers: tuple[Leftover, ...]


class ModelFolders(Locator[FolderListing]):
    """The layouts whose models are folders or files with no blobs behind them."""

    def besides(self, listing: FolderListing) -> Iterator[tuple[int, ...]]:
        """Yield the partials."""
        return (left.stamp[:3] for lefts in listing.partials.values() for left in lefts)

    def commit(self, entry: Entry, listing: FolderListing) -> str:
        """Return the commit that all metadata of an entry agrees on, or an empty string."""
        notes = listing.metadata.get(entry.id, {}).values()
        commits = {note.commit for note in notes if not note.error}
        return commits.pop() if len(commits) == 1 else ""

    def origin(self, entry: Entry, listing: FolderListing) -> Origin | None:
        """Return the repository of the entry's model at the commit its metadata agrees on."""
        commit = self.commit(entry, listing)
        claim = entry.claims[0] if entry.claims else None
        if not (claim and claim.repository and commit):
            return None
        return Origin(claim.repository, commit, claim.prefix)


class Leavings(Locator[LeavingsListing]):
    """The places that hold no models."""

    leaves: ClassVar[Leaving]


def digest_of(etag: str) -> Digest | None:
    """Return the digest in a hub etag, or `None` if the etag is not a digest."""
    algorithm = _BY_LENGTH.get(len(etag))
    if algorithm is None or etag.encode("ascii", "replace").translate(None, _HEX):
        return None
    return Digest(algorithm, etag)


def given(entry: Entry, host: Host) -> frozenset[str] | None:
    """Return the engines that the user tied the entry's root to; empty means every engine.

    `None` if the user did not add this root.
    """
    mine = [
        place
        for place in host.places
        if place.kind == entry.locator and os.path.realpath(place.path) == entry.root
    ]
    if not mine:
        return None
    return frozenset(place.engine for place in mine if place.engine)


def is_usual(entry: Entry, host: Host) -> bool:
    """Return whether the entry's root is one of its layout's default roots."""
    roots = find(entry.locator).roots(host)
    return any(os.path.realpath(root) == entry.root for root in roots)


def entry_id(locator: str, root: str, name: str) -> str:
    """Return an id that is stable across runs: `<locator>/<8 hex of the root>/<name>`."""
    return f"{locator}/{zlib.crc32(os.fsencode(root)):08x}/{name}"


def being_written(path: str, stamp: Stamp, opened: Open) -> bool:
    """Return whether some process is writing the file at `path` right now (law 7).

    Where other machines can write, a file nobody holds open here can still be in use.
    """
    users = opened.of((path,))
    if users is not None and (path in users or mounts.is_local(path)):
        return path in users
    return time.time() - stamp.mtime_ns / 1e9 < LIVE_S
