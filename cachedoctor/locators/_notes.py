"""What the hub client records in a repository's folder: branches, manifests, absent files."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from typing import TYPE_CHECKING

from cachedoctor.locators import Leftover, digest_of, is_litter, is_ref, reason, stamp_of
from cachedoctor.locators._blobs import NO_PROMISES, Promises
from cachedoctor.looking import quietly, untrusted
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.locators._blobs import Blobs
    from cachedoctor.vocabulary import Stamp

BRANCH = "main"  # what engines ask for
NOT_THERE = (errno.ENOENT, errno.ENOTDIR)
Why = list[tuple[str, str]]  # what cannot be read or parsed, and why
_BRANCH_PROBE = re.compile(r".+\.[0-9a-f]{8}\.tmp")  # exists briefly while a branch is written
_TREE_LIMIT_BYTES = 64 << 20
_TREE_VERSION = 1


class Ref(NamedTuple):
    """One file below `refs/`, as found on disk."""

    name: str
    path: str
    text: str
    stamp: Stamp
    folder: bool = False  # a folder in place of the file


def listed(path: str, unreadable: Why) -> list[quietly.Listed]:
    """List a metadata folder; a missing one is empty, an unreadable one is recorded.

    The client never makes these folders symlinks, so symlinks are not followed: they could lead
    anywhere.
    """
    try:
        return [e for e in quietly.listed(path, os.O_NOFOLLOW) if not is_litter(e.name)]
    except OSError as error:
        unreadable += why_not(path, error)
        return []


def why_not(path: str, error: OSError) -> Iterator[tuple[str, str]]:
    """Yield the folder and why it cannot be read, unless it does not exist."""
    with contextlib.suppress(OSError):  # not a symlink, the common case
        error = OSError(errno.ELOOP, f"a link to `{os.readlink(path)}` is not followed")
    if error.errno not in NOT_THERE:
        yield path, reason(error)


def refs(folder: str, unreadable: Why, probes: list[Leftover]) -> Iterator[Ref]:
    """Yield the branches, skipping names that git would reject.

    A folder named like the branch that engines use counts as that branch, broken.
    """
    stack = [folder]
    while stack:
        for entry in listed(stack.pop(), unreadable):
            name = entry.path[len(folder) + 1 :]
            if entry.folder and name == BRANCH:
                yield Ref(name, entry.path, "", stamp_of(entry.stat()), folder=True)
            elif entry.folder:
                stack.append(entry.path)
            elif _BRANCH_PROBE.fullmatch(entry.name):
                probes.append(leftover(entry.path, entry.stat()))
            elif is_ref(name):
                try:
                    with untrusted.open_regular(entry.path) as file:
                        text = file.read(4096).decode("utf-8", "surrogateescape")
                    stamp = stamp_of(entry.stat())
                except OSError as error:
                    unreadable.append((entry.path, reason(error)))
                    continue
                yield Ref(name, entry.path, text, stamp)


def absent(folder: str, closed: Why) -> dict[str, tuple[str, ...]]:
    """Return by commit the files that the client recorded as absent from that revision."""
    found: dict[str, tuple[str, ...]] = {}
    for commit in listed(folder, closed):
        names: list[str] = []
        stack = [commit.path] if commit.folder else []
        while stack:
            for entry in listed(stack.pop(), closed):
                if entry.folder:
                    stack.append(entry.path)
                else:
                    names.append(entry.path[len(commit.path) + 1 :])
        found[commit.name] = tuple(names)
    return found


def leftover(path: str, status: os.stat_result) -> Leftover:
    """Return the leftover at `path`, given its stat result."""
    return Leftover(path, stamp_of(status), bytes=status.st_size)


def trees(folder: str, blobs: Blobs, closed: Why, bad: Why) -> dict[str, Promises]:
    """Read every manifest, by commit; record those that cannot be parsed."""
    found: dict[str, Promises] = {}
    names = dict(zip(blobs.packed, blobs.packed, strict=True))
    etags: dict[str, str] = {}
    for entry in listed(folder, closed):
        try:
            if entry.name.endswith(".json"):
                found[entry.name[:-5]], why = _tree(entry, names, etags)
                if why:
                    bad.append((entry.path, why))
            elif entry.file and not quietly.can_access(entry.path, os.R_OK):
                closed.append((entry.path, os.strerror(errno.EACCES)))
        except PermissionError as error:
            closed.append((entry.path, reason(error)))
    blobs.manifests = tuple(found.values())
    return found


def _tree(
    entry: quietly.Listed, names: Mapping[str, str], etags: dict[str, str]
) -> tuple[Promises, str]:
    """Read a tree manifest; if it cannot be parsed, return no promises and the reason.

    A non-file or a manifest of an unknown version is not an error. `names` interns strings that are
    already in memory; `etags` collects those that proved to be digests, because revisions share
    most of them. Raises `PermissionError` for an unreadable manifest.
    """
    rows: dict[str, tuple[int, str, str]] = {}
    try:
        raw = untrusted.read_json(entry.path, _TREE_LIMIT_BYTES, seen=entry.file)
        if raw.get("format_version", _TREE_VERSION) != _TREE_VERSION:
            return NO_PROMISES, ""
        for name, row in raw["files"].items():
            etag = row.get("lfs_sha256")
            size = row.get("lfs_size") if etag else row["size"]
            etag = etag or row["blob_id"]
            known = etags.get(etag)
            if known is None and digest_of(etag):
                known = etags[etag] = names.get(etag, etag)
            if known and untrusted.count(size) is not None and untrusted.below(name):
                name = sys.intern(name)  # noqa: PLW2901 - repositories share the same few names
                rows[name] = (size, known, name)
    except PermissionError:
        raise
    except OSError:
        return NO_PROMISES, ""
    except ValueError as error:
        return NO_PROMISES, str(error)
    except (KeyError, TypeError, AttributeError):
        return NO_PROMISES, "it is not a list of files"
    return Promises(rows), ""
