"""One repository's folder in the hub cache, as found on disk: branches, blobs, manifests."""

from __future__ import annotations

import os
import re
import stat
import struct
from typing import TYPE_CHECKING

from cachedoctor.locators import (
    Leftover,
    Look,
    Stand,
    _notes,
    evicted,
    is_litter,
    look,
    plain,
    reason,
    stamp_of,
    stands_in,
)
from cachedoctor.locators._blobs import NO_PROMISES, Blobs, Promises
from cachedoctor.looking import quietly
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.vocabulary import Stamp

_PARTIAL = r"([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete"
# Files that the client makes briefly, to test symlinks or to publish a blob.
_PROBE = r"tmp_[0-9a-f-]{36}|\.[0-9a-f]{40,64}\.[0-9a-f]{8}\.(?:shared|new|old)"
_ETAG_LENGTHS = (40, 64)
_LINK_BYTES = 300  # a symlink to the store, saved as text, is shorter


class Lost(NamedTuple):
    """One folder replaced by something that points elsewhere: a symlink, an alias, a text file."""

    path: str
    stand: Stand


class Partial(NamedTuple):
    """One partial download, abandoned or still running."""

    path: str
    etag: str
    stamp: Stamp


class Repository(NamedTuple):
    """One `models--org--name` folder."""

    path: str
    kind: str
    name: str
    refs: tuple[_notes.Ref, ...]
    commits: tuple[str, ...]
    blobs: Blobs
    partials: tuple[Partial, ...]
    trees: Mapping[str, Promises]
    locks: str
    unreadable: tuple[tuple[str, str], ...] = ()  # folders that could not be listed, and why
    bad_trees: tuple[tuple[str, str], ...] = ()  # manifests that cannot be parsed, and why
    no_exist: Mapping[str, tuple[str, ...]] = {}  # by commit, the files known to be absent from it
    probes: tuple[Leftover, ...] = ()
    notes_closed: tuple[tuple[str, str], ...] = ()  # unreadable metadata folders, and why
    lost: tuple[Lost, ...] = ()
    outside: tuple[tuple[str, str], ...] = ()  # folders that are symlinks, and their targets
    elsewhere: frozenset[str] = frozenset()  # commits whose snapshot folder is a symlink

    @property
    def is_model(self) -> bool:
        """Return whether it is a model's, not a data set's or a space's."""
        return self.kind == "model"

    def promises(self, commit: str) -> Promises:
        """Return the manifest of a revision, empty if there is none."""
        return self.trees.get(commit, NO_PROMISES)


def opened(path: str, unreadable: list[tuple[str, str]]) -> int | None:
    """Open a folder for use with `dir_fd`, which is much faster than whole paths.

    Return `None` if it is missing or unreadable; record the latter in `unreadable`.
    """
    try:
        return quietly.open_folder(path)
    except OSError as error:
        if error.errno not in _notes.NOT_THERE:
            unreadable.append((path, reason(error)))
        return None


class _Reader:
    """What has been found so far in one repository's folders."""

    def __init__(self) -> None:
        """Start empty."""
        self.unreadable: list[tuple[str, str]] = []
        self.notes_closed: list[tuple[str, str]] = []
        self.bad_trees: list[tuple[str, str]] = []
        self.probes: list[Leftover] = []
        self.lost: list[Lost] = []
        self.outside: list[tuple[str, str]] = []

    def folder(self, path: str) -> list[quietly.Listed]:
        """List a model folder, following a symlink; record one that is broken."""
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


def read(root: str, folder: str, *, store: bool) -> Repository:
    """Read the repository `folder` of the hub cache at `root`, with or without a shared store."""
    path = f"{root}/{folder}"
    kind, _, rest = folder.partition("--")
    locks = f"{root}/.locks/{folder}"
    seen = _Reader()
    parts = {entry.name for entry in seen.folder(path)}
    if "blobs" in parts:
        _stands_for_blobs(f"{path}/blobs", seen)
    blobs, partials = _blobs(root, f"{path}/blobs", seen, store=store)
    snapshots = seen.folder(f"{path}/snapshots") if "snapshots" in parts else []
    commits = [e.name for e in snapshots if e.folder or (e.link and os.path.isdir(e.path))]
    for entry in snapshots:
        if entry.name not in commits:
            seen.folder(entry.path)  # records what it is instead
    try:  # locks are read only when something is wrong
        os.close(quietly.open_folder(locks, os.O_NOFOLLOW))
    except OSError as error:
        seen.notes_closed += _notes.why_not(locks, error)
    linked = os.path.islink(f"{path}/snapshots")
    elsewhere = frozenset(e.name for e in snapshots if (linked or e.link) and e.name in commits)
    seen.outside += [(e.path, os.path.realpath(e.path)) for e in snapshots if e.link]
    notes = (seen.notes_closed, seen.bad_trees)
    trees = _notes.trees(f"{path}/trees", blobs, *notes) if "trees" in parts else {}
    no_exist = _notes.absent(f"{path}/.no_exist", notes[0]) if ".no_exist" in parts else {}
    refs = _notes.refs(f"{path}/refs", seen.unreadable, seen.probes) if "refs" in parts else ()
    return Repository(
        path=path,
        kind=kind.removesuffix("s"),
        name=rest.replace("--", "/", 1),
        refs=tuple(refs),
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
    """Record a `blobs` that is a symlink or not a folder."""
    try:
        plain_folder = stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return
    if not plain_folder:
        seen.folder(path)


def _blobs(
    root: str, folder: str, seen: _Reader, *, store: bool
) -> tuple[Blobs, tuple[Partial, ...]]:
    """List the blobs; with a store, a short one can be a symlink to it saved as text."""
    blobs = Blobs(folder)
    partials: list[Partial] = []
    closed: list[tuple[str, str]] = []
    descriptor = opened(folder, closed)
    if descriptor is None:
        known = {path for path, _ in seen.unreadable}
        seen.unreadable += [row for row in closed if row[0] not in known]
        return blobs, ()
    user = os.geteuid()
    shortest = _LINK_BYTES if store else 0
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                    etag = len(name) in _ETAG_LENGTHS and name[0] != "t"
                    if etag and status.st_size >= shortest and plain(status, user):
                        blobs.add_plain(name, status)
                    elif re.fullmatch(_PROBE, name):
                        seen.probes.append(_notes.leftover(f"{folder}/{name}", status))
                    elif (away := evicted(name)) or is_litter(name):
                        if away:
                            blobs.add(away, Look(State.EVICTED, f"{folder}/{away}"))
                    elif (partial := re.fullmatch(_PARTIAL, name)) and stat.S_ISREG(status.st_mode):
                        found = Partial(f"{folder}/{name}", partial[1], stamp_of(status))
                        partials.append(found)
                    else:
                        blobs.add(name, look(f"{folder}/{name}", root))
                except FileNotFoundError:  # deleted since the listing
                    continue
                except (OSError, struct.error) as error:
                    said = reason(error) if isinstance(error, OSError) else str(error)
                    blobs.add(name, Look(State.UNREADABLE, f"{folder}/{name}", None, said))
    except OSError as error:
        seen.unreadable.append((folder, reason(error)))
    finally:
        os.close(descriptor)
    return blobs, tuple(partials)
