"""Copy a whole tree to another disk, resumably, and prove the copy.

Symlinks stay symlinks, hard links stay one file, modes and times are kept. A relative symlink that
leads out of the tree would point elsewhere from the new place, so such a tree is refused.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import RepairError
from cachedoctor.looking import quietly
from cachedoctor.system import digest, disk, moves
from cachedoctor.vocabulary import SILENT, Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.vocabulary import Progress


_NOTHING: Mapping[str, Digest] = {}


class Tree(NamedTuple):
    """The content of a folder: names below it, in an order in which they can be created."""

    folders: tuple[str, ...]
    links: tuple[tuple[str, str], ...]  # each with the target it has in the copy
    files: tuple[tuple[str, os.stat_result], ...]
    stamps: str  # of everything, from `moves.stamps_of`: differs after any change

    @property
    def bytes(self) -> int:
        """Return the total size of the files, counting hard links once."""
        return sum({(s.st_dev, s.st_ino): s.st_size for _, s in self.files}.values())


def listed(root: str) -> Tree:
    """List a tree; raises `RepairError` for what cannot be copied, `OSError` from the system."""
    folders: list[str] = []
    links: list[tuple[str, str]] = []
    files: list[tuple[str, os.stat_result]] = []
    for name, status in _walk(root):
        path = os.path.join(root, name) if name else root
        if stat.S_ISDIR(status.st_mode):
            folders.append(name)
        elif stat.S_ISLNK(status.st_mode):
            links.append((name, _carried(root, name, os.readlink(path))))
        elif stat.S_ISREG(status.st_mode):
            files.append((name, status))
        else:
            raise RepairError(f"`{path}` is not a file, folder or link", hint="nothing was changed")
    return Tree(tuple(folders), tuple(links), tuple(files), moves.stamps_of(root))


def copy(
    root: str,
    target: str,
    tree: Tree,
    known: Mapping[str, Digest] = _NOTHING,
    progress: Progress = SILENT,
) -> dict[str, Digest]:
    """Copy a tree or a file to `target`, which must be absent or an unfinished copy.

    A complete copy of a file has the length and time of its source and is not made again. Returns
    the digests, of the kind `known` for the source, of what was written now; the bytes are synced
    when they are proven.
    """
    written: dict[str, Digest] = {}
    disk.make_folders(os.path.dirname(target))
    for name in tree.folders:
        disk.make_folders(_at(target, name))
    first: dict[tuple[int, int], str] = {}
    for name, status in tree.files:
        made, key = _at(target, name), (status.st_dev, status.st_ino)
        if not _is_copied(made, status):
            disk.remove_tree(made)
            if key in first:
                disk.hard_link(made, os.path.join(target, first[key]))
            else:
                kind = _kind(known.get(_at(root, name)))
                held = disk.copy(
                    _at(root, name), made, progress, algorithms=frozenset((kind,)), sync=False
                )
                if kind in held:
                    written[name] = Digest(kind, held[kind])
        first.setdefault(key, name)
        disk.like(_at(root, name), made)
    for name, aim in tree.links:
        made = os.path.join(target, name)
        if not (os.path.islink(made) and os.readlink(made) == aim):
            disk.remove_tree(made)
            disk.link(made, aim)
        disk.like(os.path.join(root, name), made)
    for name in reversed(tree.folders):
        disk.like(_at(root, name), _at(target, name))
    return written


def prove(
    root: str,
    target: str,
    tree: Tree,
    known: Mapping[str, Digest],
    progress: Progress = SILENT,
    written: Mapping[str, Digest] = _NOTHING,
) -> None:
    """Compare every copied file with its known digest, or else with its source.

    `known` holds digests by source path, `written` holds by name what `copy` hashed on its way:
    where both agree, nothing is read again. Raises `RepairError` for the first difference.
    """
    for name, _ in tree.files:
        source, made = _at(root, name), _at(target, name)
        wanted, held = known.get(source), written.get(name)
        if held is not None and held == wanted:
            disk.settle(made, progress)
            continue
        kind = _kind(wanted)
        found = digest.of_file(made, frozenset((kind,)), progress)[kind]
        if wanted is None or found != wanted.hex:  # the source can differ already
            again = held.hex if held else digest.of_file(source, frozenset((kind,)), SILENT)[kind]
            if again != found:
                disk.remove_tree(made)
                raise RepairError(f"the copy `{made}` differs from `{source}`", hint="try again")
        disk.settle(made)


def _kind(wanted: Digest | None) -> str:
    return wanted.algorithm if wanted else digest.SHA256


def _walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a tree by name, each folder before its content."""
    top = os.lstat(root)
    yield "", top
    stack = [""] if stat.S_ISDIR(top.st_mode) else []
    while stack:
        folder = stack.pop()
        for name in quietly.names(os.path.join(root, folder)):
            below = f"{folder}/{name}" if folder else name
            status = os.lstat(os.path.join(root, below))
            yield below, status
            if stat.S_ISDIR(status.st_mode):
                stack.append(below)


def _at(root: str, name: str) -> str:
    """Return the path of an item in a tree; the empty name is the tree itself."""
    return os.path.join(root, name) if name else root


def _carried(root: str, name: str, aim: str) -> str:
    """Return the target that a symlink has in the copy."""
    here = os.path.dirname(os.path.join(root, name))
    leads = os.path.normpath(os.path.join(here, aim))
    within = leads == root or leads.startswith(root.rstrip("/") + "/")
    if os.path.isabs(aim):
        return os.path.relpath(leads, here) if within else aim
    if not within:
        raise RepairError(
            f"the link `{os.path.join(root, name)}` points outside, to `{leads}`",
            hint="move the folder above, or make the link absolute; nothing was changed",
        )
    return aim


def _is_copied(path: str, source: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        same = found.st_size == source.st_size and found.st_mtime_ns == source.st_mtime_ns
        return stat.S_ISREG(found.st_mode) and same
    return False
