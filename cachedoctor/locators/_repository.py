"""One repository's folder in the hub cache, as it is on disk: branches, blobs, manifests."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import untrusted
from cachedoctor.locators import Leftover, Look, look, plain, reason, stamp_of
from cachedoctor.locators._files import NO_PROMISES, Blobs, Promises
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


class Ref(NamedTuple):
    """One file below `refs/`, as it is on disk."""

    name: str
    path: str
    text: str
    stamp: Stamp


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

    def promises(self, commit: str) -> Promises:
        """Return what the manifest of a revision says, or nothing where there is none."""
        return self.trees.get(commit, NO_PROMISES)


def listed(path: str, unreadable: list[tuple[str, str]]) -> list[os.DirEntry[str]]:
    """List a folder; one that is not there is empty, one that cannot be read is remembered.

    The client makes no links to folders, so one is not followed: it may lead anywhere.
    """
    try:
        if os.path.islink(path):
            unreadable.append((path, f"a link to `{os.readlink(path)}` is not followed"))
            return []
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unreadable.append((path, reason(error)))
        return []


def opened(path: str, unreadable: list[tuple[str, str]]) -> int | None:
    """Open a folder for names relative to it, which is much faster than whole paths.

    `None` where there is none, or none that can be read, which is remembered; as `listed`.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            listed(path, unreadable)  # says what it is instead
        elif error.errno != errno.ENOENT:
            unreadable.append((path, reason(error)))
        return None


def read(root: str, folder: str) -> Repository:
    """Read the repository that lies in `folder` of the hub cache at `root`."""
    path = f"{root}/{folder}"
    kind, _, rest = folder.partition("--")
    locks = f"{root}/.locks/{folder}"
    unreadable: list[tuple[str, str]] = []
    probes: list[Leftover] = []
    bad_trees: list[tuple[str, str]] = []
    parts = {entry.name for entry in listed(path, unreadable)}
    blobs, partials = _blobs(root, f"{path}/blobs", unreadable, probes)
    snapshots = listed(f"{path}/snapshots", unreadable) if "snapshots" in parts else ()
    commits = (entry.name for entry in snapshots if entry.is_dir(follow_symlinks=False))
    return Repository(
        path,
        kind.removesuffix("s"),
        rest.replace("--", "/", 1),
        tuple(_refs(f"{path}/refs", unreadable, probes)) if "refs" in parts else (),
        tuple(sorted(commits)),
        blobs,
        partials,
        _trees(f"{path}/trees", blobs, bad_trees) if "trees" in parts else {},
        locks,
        tuple(unreadable),
        tuple(bad_trees),
        tuple(_markers(f"{path}/.no_exist")) if ".no_exist" in parts else (),
        tuple(probes),
    )


def _blobs(
    root: str, folder: str, unreadable: list[tuple[str, str]], probes: list[Leftover]
) -> tuple[Blobs, tuple[Partial, ...]]:
    blobs = Blobs(folder)
    partials: list[Partial] = []
    descriptor = opened(folder, unreadable)
    if descriptor is None:
        return blobs, ()
    user = os.geteuid()
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                name = entry.name
                try:
                    status = entry.stat(follow_symlinks=False)
                    if len(name) in _ETAG_LENGTHS and name[0] != "t" and plain(status, user):
                        blobs.add_plain(name, status)
                    elif _PROBE.fullmatch(name):
                        probes.append(_leftover(f"{folder}/{name}", status))
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
        unreadable.append((folder, reason(error)))
    finally:
        os.close(descriptor)
    return blobs, tuple(partials)


def _refs(folder: str, unreadable: list[tuple[str, str]], probes: list[Leftover]) -> Iterator[Ref]:
    stack = [folder]
    while stack:
        for entry in listed(stack.pop(), unreadable):
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            elif _BRANCH_PROBE.fullmatch(entry.name):
                probes.append(_leftover(entry.path, entry.stat(follow_symlinks=False)))
            else:
                try:
                    with untrusted.open_regular(entry.path) as file:
                        text = file.read(4096).decode("utf-8", "surrogateescape")
                    stamp = stamp_of(entry.stat(follow_symlinks=False))
                except OSError as error:
                    unreadable.append((entry.path, reason(error)))
                    continue
                yield Ref(entry.path[len(folder) + 1 :], entry.path, text, stamp)


def _markers(folder: str) -> Iterator[Marker]:
    for commit in listed(folder, []):
        stack = [commit.path] if commit.is_dir(follow_symlinks=False) else []
        while stack:
            for entry in listed(stack.pop(), []):
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    yield Marker(entry.path, commit.name, entry.path[len(commit.path) + 1 :])


def _leftover(path: str, status: os.stat_result) -> Leftover:
    return Leftover(path, stamp_of(status), bytes=status.st_size)


def _trees(folder: str, blobs: Blobs, bad_trees: list[tuple[str, str]]) -> dict[str, Promises]:
    """Read every manifest by its commit; what cannot be understood is remembered."""
    trees: dict[str, Promises] = {}
    etags = {name: name for name in blobs if _DIGEST.fullmatch(name)}
    for entry in listed(folder, []):
        if entry.name.endswith(".json"):
            trees[entry.name[:-5]], why = _tree(entry.path, etags)
            if why:
                bad_trees.append((entry.path, why))
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
