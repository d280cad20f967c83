"""Where libraries put files: one module a layout, its docstring the directory tree it models.

A module holds `LOCATOR: Locator`. What a layout promises (sizes and digests by blob name, tree
manifest or address) is put into the artifacts here; what an engine needs of them is not known here.
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
BOOKS = ".cache/huggingface/download"  # where clients note what they downloaded to a folder
LIVE_S = 600  # law 7: where a holder cannot be known, a younger partial counts as live


L = TypeVar("L")


class Leaving(enum.Enum):
    """What a place without models holds."""

    DOWNLOADS = enum.auto()  # finished, and never moved to where they belong
    COMPILED = enum.auto()  # made again when it is gone
    PIECES = enum.auto()  # of files, to download faster the next time


class Origin(NamedTuple):
    """A repository at a commit, and the folder in it that an entry is."""

    repository: str
    commit: str
    prefix: str = ""


class At(NamedTuple):
    """A root that a path somebody named lies in, is or holds."""

    root: str
    only: frozenset[str] | None = None  # the only names to list there


class Unit(NamedTuple):
    """Folders of a root that are looked at by one process, because they share files."""

    folders: tuple[str, ...]
    bytes: int  # of what is large; the rest is not weighed
    files: int


class Share(NamedTuple):
    """What one of several processes looks at: of each divided root some folders."""

    folders: Mapping[str, frozenset[str]]  # by the root's path
    rest: bool  # and all that is not divided


class Locator(Generic[L]):
    """One layout, and what can be asked of it; `L` is what its roots list besides entries."""

    name: ClassVar[str]
    title: ClassVar[str] = ""  # for people, where the name is not enough
    followed: ClassVar[bool] = False  # engines follow a link in place of its folder
    moved_by: ClassVar[str] = ""  # the setting that names another place, `{to}`
    has_revisions: ClassVar[bool] = False  # a model has several, and branches that lead to them
    single_file: ClassVar[bool] = False  # a model is one file
    written_in_place: ClassVar[bool] = False  # clients write a file's final name from the start
    keeps_notes: ClassVar[bool] = False  # clients fetch again what they have written nothing about
    demands_notes: ClassVar[bool] = False  # offline, one file without a note is refused with all
    compares_times: ClassVar[bool] = False  # a note counts only for a file not changed since
    gets_stuck: ClassVar[bool] = False  # a partial as long as its file ends every download
    mixes_variants: ClassVar[bool] = False  # a model's quantisations share one folder
    named_only: ClassVar[bool] = False  # lies where somebody says, under whatever name
    packs_bundles: ClassVar[bool] = False  # bundles are published as archives
    divided: ClassVar[bool] = False  # several processes may look at a root, each at some folders

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the folders on `host` where this layout may be, whether they exist or not."""
        raise NotImplementedError

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the root at `path`; `wanted` names the only repositories, folders or files to list.

        Stat calls and small manifests only. Raises `OSError` when the root itself cannot be listed.
        """
        raise NotImplementedError

    def around(self, path: str) -> At | None:
        """Return the root of this layout around `path`, where that settles what `path` is.

        `path` holds no symlinks. Where no layout answers, each is asked for what is `at` it.
        """
        return None

    def at(self, path: str) -> At | None:
        """Return the root of this layout that the names at and below `path` tell."""
        return None

    def units(self, path: str) -> Iterator[Unit]:
        """Go through what of a divided root can be looked at alone."""
        yield from ()

    def joined(self, listings: Sequence[L]) -> L:
        """Return the listing of a divided root from those of its shares."""
        raise NotImplementedError

    def share(self, path: str, host: Host, folders: frozenset[str], *, rest: bool) -> Root:
        """List these folders of a divided root, and with the `rest` what is in none.

        Raises `OSError` as `read` does.
        """
        raise NotImplementedError

    def place(self, root: str, name: str) -> str:
        """Return where a repository, folder or file called `name` lies below `root`."""
        return os.path.join(root, name)

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return the artifact `name` that `entry` lacks, with what the layout promises of it."""
        path = os.path.join(entry.root if self.single_file else entry.path, name)
        bundle = name.endswith(BUNDLES)
        return Artifact(name=name, path=path, file=path, state=State.MISSING, bundle=bundle)

    def besides(self, listing: L) -> Iterator[tuple[int, ...]]:
        """Yield device, inode and length of the files of a root that are in no model."""
        yield from ()

    def noted_absent(self, entry: Entry, listing: L) -> frozenset[str]:
        """Name the files of which a client noted that this revision has none."""
        return frozenset()

    def commit(self, entry: Entry, listing: L) -> str:
        """Return the commit that an entry is of, or empty where nothing here tells."""
        return entry.revision or ""

    def origin(self, entry: Entry, listing: L) -> Origin | None:
        """Return where on the hub exactly this entry came from, where something here tells."""
        return None


Layout: TypeAlias = Locator[Any]  # whatever it lists


@cache
def names() -> tuple[str, ...]:
    """Name every layout, as JSON does: the modules of this folder with hyphens."""
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


def listed(kind: type[Locator[L]], root: Root) -> L | None:
    """Return what a root of this kind of layout lists, `None` for another kind or an unread one."""
    layout = find(root.locator)
    if root.listing is None or not isinstance(layout, kind):
        return None
    return cast("L", root.listing)


class Leftover(NamedTuple):
    """One file or folder that is no part of any model: a partial, a temporary, a cache."""

    path: str
    stamp: Stamp
    name: str = ""  # of the file that it was to become, within its entry
    digest: Digest | None = None  # that the whole file has
    bytes: int = 0  # of what is in it


class Metadata(NamedTuple):
    """What a client wrote down about one file that it downloaded to a folder: three lines."""

    path: str
    commit: str
    etag: str
    time_s: float  # the client believes it only of a file that was not changed since
    error: str = ""  # why it cannot be understood


class FolderListing(NamedTuple):
    """The folders of one root: by entry id the partials, and what clients wrote of each file."""

    partials: dict[str, tuple[Leftover, ...]]
    metadata: Mapping[str, Mapping[str, Metadata]] = {}
    locks: Mapping[str, tuple[str, ...]] = {}  # held while a client downloads
    closed: Mapping[str, tuple[tuple[str, str], ...]] = {}  # folders of notes that are shut, why


class LeavingsListing(NamedTuple):
    """What a place holds besides models."""

    leftovers: tuple[Leftover, ...]


class ModelFolders(Locator[FolderListing]):
    """The layouts in which a model is a folder or a file that no blob stands behind."""

    def besides(self, listing: FolderListing) -> Iterator[tuple[int, ...]]:
        """Yield the partials."""
        return (left.stamp[:3] for lefts in listing.partials.values() for left in lefts)

    def commit(self, entry: Entry, listing: FolderListing) -> str:
        """Return the commit that all notes of an entry name, if it is one."""
        notes = listing.metadata.get(entry.id, {}).values()
        commits = {note.commit for note in notes if not note.error}
        return commits.pop() if len(commits) == 1 else ""

    def origin(self, entry: Entry, listing: FolderListing) -> Origin | None:
        """Return the repository of the entry's model, at the commit that all notes name."""
        commit = self.commit(entry, listing)
        claim = entry.claims[0] if entry.claims else None
        if not (claim and claim.repository and commit):
            return None
        return Origin(claim.repository, commit, claim.prefix)


class Leavings(Locator[LeavingsListing]):
    """The places that hold no models."""

    leaves: ClassVar[Leaving]


def digest_of(etag: str) -> Digest | None:
    """Return the digest that an etag of the hub is, or `None` for one of another kind."""
    algorithm = _BY_LENGTH.get(len(etag))
    if algorithm is None or etag.encode("ascii", "replace").translate(None, _HEX):
        return None
    return Digest(algorithm, etag)


def given(entry: Entry, host: Host) -> frozenset[str] | None:
    """Name the engines to which somebody gave the entry's root: none for all that use the layout.

    `None` for a root that nobody added.
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
    """Say whether the entry's root is one of its layout's own."""
    roots = find(entry.locator).roots(host)
    return any(os.path.realpath(root) == entry.root for root in roots)


def entry_id(locator: str, root: str, name: str) -> str:
    """Return an id that is the same from run to run: `<locator>/<8 hex of the root>/<name>`."""
    return f"{locator}/{zlib.crc32(os.fsencode(root)):08x}/{name}"


def being_written(path: str, stamp: Stamp, opened: Open) -> bool:
    """Return whether somebody is writing the file at `path` right now (law 7).

    Where other machines may write, what is not open here is not known to be at rest.
    """
    users = opened.of((path,))
    if users is not None and (path in users or mounts.is_local(path)):
        return path in users
    return time.time() - stamp.mtime_ns / 1e9 < LIVE_S
