"""The files of one snapshot: symlinks to blobs, and anything else found there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import Look, evicted, is_litter, look, reason
from cachedoctor.locators._files import Links
from cachedoctor.locators._repository import opened
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from cachedoctor.locators._blobs import Blobs
    from cachedoctor.locators._repository import Repository


def links(root: str, repository: Repository, commit: str) -> Links:
    """List a snapshot; an unreadable subfolder becomes an artifact of its own."""
    blobs = repository.blobs
    snapshot = f"{repository.path}/snapshots/{commit}"
    found = Links(snapshot, blobs, repository.promises(commit))
    here = commit not in repository.elsewhere  # below a symlink, relative targets differ
    stack = [("", "../../blobs/")]
    while stack:
        prefix, to_blobs = stack.pop()
        folder = f"{snapshot}/{prefix}".rstrip("/")
        unreadable: list[tuple[str, str]] = []
        descriptor = opened(folder, unreadable)
        if descriptor is not None:
            near: list[tuple[str, str]] = []  # names, and the blobs they point to
            away: list[tuple[str, str]] = []  # names, and other targets
            try:
                for name in os.listdir(descriptor):
                    try:
                        target = os.readlink(name, dir_fd=descriptor)
                    except OSError:  # not a symlink, which is rare
                        _add_other(found, root, snapshot, prefix + name, to_blobs, stack)
                        continue
                    if here and target.startswith(to_blobs):
                        near.append((prefix + name, target[len(to_blobs) :]))
                    else:
                        away.append((prefix + name, target))
            except OSError as error:
                unreadable.append((folder, reason(error)))
            finally:
                os.close(descriptor)
            notable = [(name, to_blobs + etag, etag) for name, etag in found.add_plain(near)]
            for name, target, etag in (*notable, *((name, target, "") for name, target in away)):
                path = f"{snapshot}/{name}"
                look_of, blob = _follow(path, root, target, etag, blobs)
                found.add_notable(name, path, look_of, blob)
        for path, why in unreadable:
            unread = Look(State.UNREADABLE, path, None, why)
            found.add_notable(prefix.rstrip("/"), path, unread, "")
    return found


def _add_other(
    found: Links, root: str, snapshot: str, name: str, to_blobs: str, stack: list[tuple[str, str]]
) -> None:
    """Add an entry that is not a symlink: queue a folder for listing, record anything else."""
    path = f"{snapshot}/{name}"
    last = name.rpartition("/")[2]
    if is_litter(last) and not found.promises(name):
        return
    if os.path.isdir(path) and not os.path.islink(path):
        stack.append((name + "/", "../" + to_blobs))
    elif evicted(last):
        whole = name.removesuffix(last) + evicted(last)
        path = f"{snapshot}/{whole}"
        found.add_notable(whole, path, Look(State.EVICTED, path), "")
    elif os.path.lexists(path):
        look_of = look(path, root)
        found.add_notable(name, path, look_of, _blob_in(look_of.detail, found.blobs))


def _follow(path: str, root: str, target: str, etag: str, blobs: Blobs) -> tuple[Look, str]:
    """Follow a symlink, by name alone if it points to a listed blob; return its look and blob."""
    if etag in blobs:
        return blobs[etag], etag
    found = look(path, root)
    blob = _blob_in(target, blobs)
    if found.state in (State.GONE, State.DANGLING) and blob:
        return Look(State.DANGLING, path, None, target), blob  # the blob it names is here
    folder, name = os.path.split(found.file if found.state is State.PRESENT else target)
    if target.startswith("/") and found.state is State.PRESENT:
        found = found._replace(detail=target)
    return found, name if os.path.basename(folder) == "blobs" else ""


def _blob_in(target: str, blobs: Blobs) -> str:
    """Return the blob of this repository named at the end of `target`, wherever that points."""
    name = target.replace("\\", "/").rpartition("/")[2]
    return name if name in blobs else ""
