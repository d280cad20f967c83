"""One repository's folder in the hub cache, as it is on disk: branches, blobs, manifests."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.locators import (
    Leftover,
    Look,
    Stand,
    evicted,
    is_litter,
    is_ref,
    look,
    plain,
    reason,
    stamp_of,
    stands_in,
)
from cachedoctor.locators._blobs import NO_PROMISES, Blobs, Promises
from cachedoctor.looking import quietly, untrusted
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.vocabulary import Stamp

_PARTIAL = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")
# What the client makes for a moment: to try links, to publish a blob, to write a branch.
_PROBE = re.compile(r"tmp_[0-9a-f-]{36}|\.[0-9a-f]{40,64}\.[0-9a-f]{8}\.(?:shared|new|old)")
_BRANCH_PROBE = re.compile(r".+\.[0-9a-f]{8}\.tmp")
_ETAG_LENGTHS = (40, 64)
_DIGEST = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_TREE_LIMIT_BYTES = 64 << 20
_TREE_VERSION = 1
_LINK_BYTES = 300  # of a link to the store that was saved as text
BRANCH = "main"  # what engines ask for


class Ref(NamedTuple):
    """One file below `refs/`, as it is on disk."""

    name: str
    path: str
    text: str
    stamp: Stamp
    folder: bool = False  # a folder where the file belongs


class Lost(NamedTuple):
    """One folder of which only what leads to it is here: a link to nowhere, an alias, a text."""

    path: str
    stand: Stand


class Partial(NamedTuple):
    """One download that did not end, or has not ended yet."""

    path: str
    etag: str
    stamp: Stamp


class Marker(NamedTuple):
    """One empty file that says that a revision lacks a file."""

    path: str
    commit: str
    name: str


class Repository(NamedTuple):
    """One `models--org--name` folder."""

    path: str
    kind: str
    name: str
    refs: tuple[Ref, ...]
    commits: tuple[str, ...]
    blobs: Blobs
    partials: tuple[Partial, ...]
    trees: Mapping[str, Promises]
    locks: str
    unreadable: tuple[tuple[str, str], ...] = ()  # folders that could not be listed, and why
    bad_trees: tuple[tuple[str, str], ...] = ()  # manifests that cannot be understood, and why
    no_exist: tuple[Marker, ...] = ()
    probes: tuple[Leftover, ...] = ()
    notes_closed: tuple[tuple[str, str], ...] = ()  # folders of the client's notes, and why
    lost: tuple[Lost, ...] = ()
    outside: tuple[tuple[str, str], ...] = ()  # folders that are links, and where they lead
    elsewhere: frozenset[str] = frozenset()  # commits whose snapshot is a link

    def promises(self, commit: str) -> Promises:
        """Return what the manifest of a revision says, or nothing where there is none."""
        return self.trees.get(commit, NO_PROMISES)


def listed(path: str, unreadable: list[tuple[str, str]]) -> list[quietly.Listed]:
    """List a folder of notes; one that is not there is empty, one that is closed is remembered.

    The client makes no links to such folders, so one is not followed: it may lead anywhere.
    """
    try:
        if os.path.islink(path):
            unreadable.append((path, f"a link to `{os.readlink(path)}` is not followed"))
            return []
        return [entry for entry in quietly.listed(path) if not is_litter(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unreadable.append((path, reason(error)))
        return []


def opened(path: str, unreadable: list[tuple[str, str]]) -> int | None:
    """Open a folder for names relative to it, which is much faster than whole paths.

    `None` where there is none, or none that can be read, which is remembered.
    """
    try:
        return quietly.open_folder(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            unreadable.append((path, reason(error)))
        return None


class _Reader:
    """What is found on the way through one repository's folders."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.unreadable: list[tuple[str, str]] = []
        self.notes_closed: list[tuple[str, str]] = []
        self.bad_trees: list[tuple[str, str]] = []
        self.probes: list[Leftover] = []
        self.lost: list[Lost] = []
        self.outside: list[tuple[str, str]] = []

    def folder(self, path: str) -> list[quietly.Listed]:
        """List a folder of the model's own, by a link too; what leads nowhere is remembered."""
        try:
            if os.path.islink(path):
                target = os.path.realpath(path)
                if not os.path.exists(target):
                    self.lost.append(Lost(path, Stand("link", os.readlink(path))))
                    return []
                self.outside.append((path, target))
            return [entry for entry in quietly.listed(path) if not is_litter(entry.name)]
        except NotADirectoryError:
            stand = stands_in(path)
            if stand is not None:
                self.lost.append(Lost(path, stand))
        except FileNotFoundError:
            pass
        except OSError as error:
            self.unreadable.append((path, reason(error)))
        return []


def read(root: str, folder: str) -> Repository:
    """Read the repository that lies in `folder` of the hub cache at `root`."""
    path = f"{root}/{folder}"
    kind, _, rest = folder.partition("--")
    locks = f"{root}/.locks/{folder}"
    seen = _Reader()
    parts = {entry.name for entry in seen.folder(path)}
    if "blobs" in parts:
        _stands_for_blobs(f"{path}/blobs", seen)
    store = os.path.isdir(f"{root}/blobs")
    blobs, partials = _blobs(root, f"{path}/blobs", seen, store=store)
    snapshots = seen.folder(f"{path}/snapshots") if "snapshots" in parts else []
    commits = [e.name for e in snapshots if e.folder or (e.link and os.path.isdir(e.path))]
    for entry in snapshots:
        if entry.name not in commits:
            seen.folder(entry.path)  # says what it is instead
    if os.path.islink(locks):
        listed(locks, seen.notes_closed)
    elif (descriptor := opened(locks, seen.notes_closed)) is not None:
        os.close(descriptor)  # what it holds is asked only when something is amiss
    linked = os.path.islink(f"{path}/snapshots")
    elsewhere = frozenset(e.name for e in snapshots if (linked or e.link) and e.name in commits)
    seen.outside += [(e.path, os.path.realpath(e.path)) for e in snapshots if e.link]
    trees = _trees(f"{path}/trees", blobs, seen) if "trees" in parts else {}
    no_exist = tuple(_markers(f"{path}/.no_exist", seen)) if ".no_exist" in parts else ()
    return Repository(
        path=path,
        kind=kind.removesuffix("s"),
        name=rest.replace("--", "/", 1),
        refs=tuple(_refs(f"{path}/refs", seen)) if "refs" in parts else (),
        commits=tuple(sorted(commits)),
        blobs=blobs,
        partials=partials,
        trees=trees,
        locks=locks,
        unreadable=tuple(seen.unreadable),
        bad_trees=tuple(seen.bad_trees),
        no_exist=no_exist,
        probes=tuple(seen.probes),
        notes_closed=tuple(seen.notes_closed),
        lost=tuple(seen.lost),
        outside=tuple(seen.outside),
        elsewhere=elsewhere,
    )


def _stands_for_blobs(path: str, seen: _Reader) -> None:
    """Note a `blobs` that is a link, or no folder at all."""
    try:
        plain_folder = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return
    if not plain_folder:
        seen.folder(path)


def _blobs(
    root: str, folder: str, seen: _Reader, *, store: bool
) -> tuple[Blobs, tuple[Partial, ...]]:
    """List the blobs; where there is a store, a short one may be a link to it saved as text."""
    blobs = Blobs(folder)
    partials: list[Partial] = []
    closed: list[tuple[str, str]] = []
    descriptor = opened(folder, closed)
    if descriptor is None:
        known = {path for path, _ in seen.unreadable}
        seen.unreadable += [row for row in closed if row[0] not in known]
        return blobs, ()
    user = os.geteuid()
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                    short = store and status.st_size < _LINK_BYTES
                    etag = len(name) in _ETAG_LENGTHS and name[0] != "t"
                    if etag and not short and plain(status, user):
                        blobs.add_plain(name, status)
                    elif _PROBE.fullmatch(name):
                        seen.probes.append(_leftover(f"{folder}/{name}", status))
                    elif (away := evicted(name)) or is_litter(name):
                        if away:
                            blobs.add(away, Look(State.EVICTED, f"{folder}/{away}"))
                    elif (partial := _PARTIAL.fullmatch(name)) and stat.S_ISREG(status.st_mode):
                        found = Partial(f"{folder}/{name}", partial[1], stamp_of(status))
                        partials.append(found)
                    else:
                        blobs.add(name, look(f"{folder}/{name}", root))
                except FileNotFoundError:  # gone since it was listed
                    continue
                except (OSError, struct.error) as error:
                    said = reason(error) if isinstance(error, OSError) else str(error)
                    blobs.add(name, Look(State.UNREADABLE, f"{folder}/{name}", None, said))
    except OSError as error:
        seen.unreadable.append((folder, reason(error)))
    finally:
        os.close(descriptor)
    return blobs, tuple(partials)


def _refs(folder: str, seen: _Reader) -> Iterator[Ref]:
    """Yield the branches; names that git would refuse are none.

    A folder called like the branch that engines ask for is that branch, and a broken one.
    """
    stack = [folder]
    while stack:
        for entry in listed(stack.pop(), seen.unreadable):
            name = entry.path[len(folder) + 1 :]
            if entry.folder and name == BRANCH:
                yield Ref(name, entry.path, "", stamp_of(entry.stat()), folder=True)
            elif entry.folder:
                stack.append(entry.path)
            elif _BRANCH_PROBE.fullmatch(entry.name):
                seen.probes.append(_leftover(entry.path, entry.stat()))
            elif is_ref(name):
                try:
                    with untrusted.open_regular(entry.path) as file:
                        text = file.read(4096).decode("utf-8", "surrogateescape")
                    stamp = stamp_of(entry.stat())
                except OSError as error:
                    seen.unreadable.append((entry.path, reason(error)))
                    continue
                yield Ref(name, entry.path, text, stamp)


def _markers(folder: str, seen: _Reader) -> Iterator[Marker]:
    for commit in listed(folder, seen.notes_closed):
        stack = [commit.path] if commit.folder else []
        while stack:
            for entry in listed(stack.pop(), seen.notes_closed):
                if entry.folder:
                    stack.append(entry.path)
                else:
                    yield Marker(entry.path, commit.name, entry.path[len(commit.path) + 1 :])


def _leftover(path: str, status: os.stat_result) -> Leftover:
    return Leftover(path, stamp_of(status), bytes=status.st_size)


def _trees(folder: str, blobs: Blobs, seen: _Reader) -> dict[str, Promises]:
    """Read every manifest by its commit; what cannot be understood is remembered."""
    trees: dict[str, Promises] = {}
    etags = {name: name for name in blobs if _DIGEST.fullmatch(name)}
    for entry in listed(folder, seen.notes_closed):
        if entry.file and not quietly.may(entry.path, os.R_OK):
            seen.notes_closed.append((entry.path, os.strerror(errno.EACCES)))
        elif entry.name.endswith(".json"):
            trees[entry.name[:-5]], why = _tree(entry.path, etags)
            if why:
                seen.bad_trees.append((entry.path, why))
    blobs.manifests = tuple(trees.values())
    return trees


def _tree(path: str, etags: Mapping[str, str]) -> tuple[Promises, str]:
    """Read a tree manifest; one that cannot be understood promises nothing, and why.

    One that cannot be read, or of a version that is not known yet, is not bad for that. `etags`
    are texts that are in memory already.
    """
    rows: dict[str, tuple[int, str, str]] = {}
    try:
        raw = untrusted.read_json(path, _TREE_LIMIT_BYTES)
        if raw.get("format_version", _TREE_VERSION) != _TREE_VERSION:
            return NO_PROMISES, ""
        for name, row in raw["files"].items():
            etag = row.get("lfs_sha256")
            size = row.get("lfs_size") if etag else row["size"]
            etag = etag or row["blob_id"]
            known = etags.get(etag) or (etag if _DIGEST.fullmatch(etag) else None)
            if known and untrusted.count(size) is not None and untrusted.below(name):
                rows[name] = (size, known, name)
    except OSError:
        return NO_PROMISES, ""
    except ValueError as error:
        return NO_PROMISES, str(error)
    except (KeyError, TypeError, AttributeError):
        return NO_PROMISES, "it is no list of files"
    return Promises(rows), ""
