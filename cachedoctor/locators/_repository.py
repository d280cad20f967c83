"""One repository's folder in the hub cache, as it is on disk: branches, blobs, manifests."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.locators import Leftover, Look, digest_of, look, reason, regular, stamp_of
from cachedoctor.vocabulary import Digest, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.vocabulary import Stamp

_PARTIAL = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")
# What the client makes for a moment: to try links, to publish a blob, to write a branch.
_PROBE = re.compile(r"tmp_[0-9a-f-]{36}|\.[0-9a-f]{40,64}\.[0-9a-f]{8}\.(?:shared|new|old)")
_BRANCH_PROBE = re.compile(r".+\.[0-9a-f]{8}\.tmp")
_ETAG_LENGTHS = (40, 64)
_TREE_LIMIT_BYTES = 64 << 20
_TREE_VERSION = 1

Promises = dict[str, tuple[int, Digest]]  # path in the repository to size and digest


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
    blobs: Mapping[str, Look]
    partials: tuple[Partial, ...]
    trees: Mapping[str, Promises]
    locks: str
    unreadable: tuple[tuple[str, str], ...] = ()  # folders that could not be listed, and why
    bad_trees: tuple[tuple[str, str], ...] = ()  # manifests that cannot be understood, and why
    no_exist: tuple[Marker, ...] = ()
    probes: tuple[Leftover, ...] = ()


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


def read(root: str, folder: str) -> Repository:
    """Read the repository that lies in `folder` of the hub cache at `root`."""
    path = os.path.join(root, folder)
    kind, _, rest = folder.partition("--")
    locks = os.path.join(root, ".locks", folder)
    unreadable: list[tuple[str, str]] = []
    title = (kind.removesuffix("s"), rest.replace("--", "/", 1))
    if os.path.islink(path):
        listed(path, unreadable)
        return Repository(path, *title, (), (), {}, (), {}, locks, tuple(unreadable))
    probes: list[Leftover] = []
    blobs, partials = _blobs(root, os.path.join(path, "blobs"), unreadable, probes)
    snapshots = listed(os.path.join(path, "snapshots"), unreadable)
    commits = sorted(entry.name for entry in snapshots if entry.is_dir(follow_symlinks=False))
    trees: dict[str, Promises] = {}
    bad_trees: list[tuple[str, str]] = []
    for entry in listed(os.path.join(path, "trees"), []):
        if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
            promises, why = _tree(entry.path)
            trees[entry.name[:-5]] = promises
            if why:
                bad_trees.append((entry.path, why))
    refs = tuple(_refs(os.path.join(path, "refs"), unreadable, probes))
    return Repository(
        path,
        *title,
        refs,
        tuple(commits),
        blobs,
        partials,
        trees,
        locks,
        tuple(unreadable),
        tuple(bad_trees),
        tuple(_markers(os.path.join(path, ".no_exist"))),
        tuple(probes),
    )


def _blobs(
    root: str, folder: str, unreadable: list[tuple[str, str]], probes: list[Leftover]
) -> tuple[dict[str, Look], tuple[Partial, ...]]:
    blobs: dict[str, Look] = {}
    partials: list[Partial] = []
    for entry in listed(folder, unreadable):
        name = entry.name
        try:
            file = entry.is_file(follow_symlinks=False)
            if file and len(name) in _ETAG_LENGTHS and name[0] != "t":  # what almost all are
                blobs[name] = regular(entry.path, entry.stat(follow_symlinks=False))
            elif _PROBE.fullmatch(name):
                probes.append(_leftover(entry.path, entry.stat(follow_symlinks=False)))
            elif not file:
                blobs[name] = look(entry.path, root)
            elif partial := _PARTIAL.fullmatch(name):
                stamp = stamp_of(entry.stat(follow_symlinks=False))
                partials.append(Partial(entry.path, partial[1], stamp))
            else:
                blobs[name] = regular(entry.path, entry.stat(follow_symlinks=False))
        except FileNotFoundError:  # gone since it was listed
            continue
        except OSError as error:
            blobs[name] = Look(State.UNREADABLE, entry.path, None, reason(error))
    return blobs, tuple(partials)


def _refs(folder: str, unreadable: list[tuple[str, str]], probes: list[Leftover]) -> Iterator[Ref]:
    stack = [folder]
    while stack:
        for entry in listed(stack.pop(), unreadable):
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            elif _BRANCH_PROBE.fullmatch(entry.name):
                probes.append(_leftover(entry.path, entry.stat(follow_symlinks=False)))
            elif entry.is_file(follow_symlinks=False):
                try:
                    with open(entry.path, "rb") as file:
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


def _is_plain(name: str) -> bool:
    """Say whether a name leads to a place below the revision."""
    if "/" not in name:
        return name not in ("", "..")
    parts = name.split("/")
    return ".." not in parts and "" not in parts


def _tree(path: str) -> tuple[Promises, str]:
    """Read a tree manifest; one that cannot be understood promises nothing, and why.

    One that cannot be read, or of a version that is not known yet, is not bad for that.
    """
    promises: Promises = {}
    try:
        if os.stat(path).st_size > _TREE_LIMIT_BYTES:
            return {}, "it is larger than any manifest"
        with open(path, "rb") as file:
            raw = json.load(file)
        if raw.get("format_version", _TREE_VERSION) != _TREE_VERSION:
            return {}, ""
        for name, row in raw["files"].items():
            large = row.get("lfs_sha256")
            digest = digest_of(large or row["blob_id"])
            size = row.get("lfs_size") if large else row["size"]
            if digest and isinstance(size, int) and _is_plain(name):
                promises[name] = (size, digest)
    except OSError:
        return {}, ""
    except (ValueError, RecursionError):
        return {}, "it is no JSON"
    except (KeyError, TypeError, AttributeError):
        return {}, "it is no list of files"
    return promises, ""
