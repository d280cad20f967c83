"""Our own files: private to the running user, correctly owned, with a reserve for a full disk.

A journal can move files, so it is trusted only where nobody else could have written it. `sudo` on
macOS keeps the user's home; files made there belong to the owner of their folder, so that the user
can go on using them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from cachedoctor.errors import RepairError
from cachedoctor.system import disk
from cachedoctor.system.ground import below

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Made = TypeVar("Made")

_RESERVE_BYTES = 512 << 10
_ROOM_BYTES = 4 << 20  # no reserve is made on a disk that is almost full
_JOURNAL_BYTES = 24 << 10  # for a header and the folders of a run
_STEP_BYTES = 6 << 10  # for a folder and the lines of a step and its undo
_FULL = (errno.ENOSPC, errno.EDQUOT)


def make_folder(path: str) -> None:
    """Create a folder private to one user, and its missing parents."""
    if os.path.isdir(path):
        return
    make_folder(os.path.dirname(path))
    disk.make_folder(path, 0o700)
    hand_over(path)


def write(path: str, data: bytes) -> None:
    """Write a new file private to one user."""
    disk.write(path, data, 0o600)
    hand_over(path)


def hand_over(path: str) -> None:
    """Give what root created in a user's folder to the owner of that folder."""
    if os.geteuid() == 0:
        above = os.stat(os.path.dirname(path))
        if os.lstat(path).st_uid != above.st_uid:
            os.chown(path, above.st_uid, above.st_gid, follow_symlinks=False)


def owner_of(state: str) -> int:
    """Return whose files are trusted: the running user's; for root, the state folder owner's."""
    user = os.geteuid()
    if user == 0:
        with contextlib.suppress(OSError):
            return os.stat(state).st_uid
    return user


def belongs(path: str, owner: int) -> bool:
    """Return whether a folder is a user's own or in their home; as root, act on nothing else."""
    import pwd

    with contextlib.suppress(KeyError):
        if below(os.path.realpath(path), os.path.realpath(pwd.getpwuid(owner).pw_dir)):
            return True
    return os.stat(disk.folder_above(path)).st_uid == owner


def refused(status: os.stat_result, owner: int) -> str:
    """Return why a file or folder with this status cannot be trusted, or an empty string."""
    if status.st_uid != owner:
        return f"belongs to user {status.st_uid}"
    if status.st_mode & stat.S_IWOTH:
        return "is writable by everybody"
    if status.st_mode & stat.S_IWGRP and not _private(status.st_gid, owner):
        return "is writable by its group"
    return ""


def prepare_beside(folder: str) -> None:
    """Create the folder beside a cache that holds the bytes of runs, ignored by version control.

    Raises `RepairError` if the existing one is a symlink or somebody else's.
    """
    if not os.path.lexists(folder):
        disk.make_folder(folder, 0o755)
        hand_over(folder)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise RepairError(f"`{folder}` is a link or not a folder; nothing was put there")
    owner = os.stat(os.path.dirname(folder)).st_uid if os.geteuid() == 0 else os.geteuid()
    why = refused(found, owner) if found.st_uid != os.geteuid() else refused(found, os.geteuid())
    if why:
        raise RepairError(f"`{folder}` {why}; nothing was put there")
    ignore = os.path.join(folder, ".gitignore")
    if not os.path.lexists(ignore):
        words = b"# what cachedoctor set aside: `cachedoctor quarantine list` shows it\n"
        with contextlib.suppress(OSError):  # the disk is full; nothing depends on this file
            disk.write(ignore, words + b"*\n")
            hand_over(ignore)


def keep_reserve(state: str) -> None:
    """Reserve a few hundred KiB, once, if there is room, to be freed on a full disk."""
    path = _reserve(state)
    if os.path.lexists(path):
        return
    with contextlib.suppress(OSError):
        if disk.free_bytes(state) >= _ROOM_BYTES:
            disk.reserve(path, _RESERVE_BYTES)
            hand_over(path)


def with_reserve(state: str, action: Callable[[], Made]) -> Made:
    """Run an action that writes to the state folder, freeing the reserve if the disk is full."""
    try:
        return action()
    except OSError as error:
        if not is_full(error) or not os.path.lexists(_reserve(state)):
            raise
    disk.remove_tree(_reserve(state))
    return action()


def require_room(state: str, steps: int) -> None:
    """Raise `OSError` if a journal of this many steps, including their undo, would not fit."""
    put_by = os.path.getsize(_reserve(state)) if os.path.lexists(_reserve(state)) else 0
    if disk.free_bytes(state) + put_by < _JOURNAL_BYTES + steps * _STEP_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), state)


def is_full(error: OSError) -> bool:
    """Return whether an operation failed because the disk is full."""
    return error.errno in _FULL


def _reserve(state: str) -> str:
    return os.path.join(state, "reserve")


def _private(group: int, owner: int) -> bool:
    """Return whether a group is the private group that some systems give each user."""
    import grp
    import pwd

    try:
        user, found = pwd.getpwuid(owner), grp.getgrgid(group)
    except KeyError:
        return False
    return found.gr_name == user.pw_name and not set(found.gr_mem) - {user.pw_name}
