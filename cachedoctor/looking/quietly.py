"""Read files and list folders without moving their access times (law 1).

Programs decide by access times what was used last (`hf cache ls`, peft's clean-up). Linux: open(2)
`O_NOATIME`, which the kernel grants to a file's owner only. macOS: `setiopolicy_np` once for the
whole process. Where the system refuses, the file is read all the same, and `times_moved` says so.
"""

from __future__ import annotations

import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOATIME = getattr(os, "O_NOATIME", 0)
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
_IOPOL_TYPE_VFS_ATIME_UPDATES, _IOPOL_SCOPE_PROCESS, _IOPOL_ATIME_UPDATES_OFF = 2, 0, 1
_refused: set[str] = set()


class Listed(NamedTuple):
    """One name in a folder, with what it is itself: links are not followed."""

    name: str
    path: str
    folder: bool
    file: bool
    link: bool

    def stat(self) -> os.stat_result:
        """Look at it, links not followed; raises `OSError`."""
        return os.lstat(self.path)


def opener(path: str, flags: int, dir_fd: int | None = None) -> int:
    """Open as `open(…, opener=…)` wants it, leaving the access time as it is."""
    if sys.platform == "darwin":
        _keep_times()
    if not _NOATIME:
        return os.open(path, flags, dir_fd=dir_fd)
    try:
        return os.open(path, flags | _NOATIME, dir_fd=dir_fd)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # the mode forbids it, which the second try would meet too
            raise
        descriptor = os.open(path, flags, dir_fd=dir_fd)
        _refused.add(os.path.dirname(path))
        return descriptor


def open_folder(path: str, flags: int = 0) -> int:
    """Open a folder for names relative to it; raises `OSError`."""
    return opener(path, _FOLDER | flags)


def listed(path: str, flags: int = 0) -> list[Listed]:
    """List a folder, sorted by name; raises `OSError`, with `O_NOFOLLOW` for a link, too."""
    start = path.rstrip("/") + "/"
    descriptor = open_folder(path, flags)
    try:
        with os.scandir(descriptor) as entries:
            found = [
                Listed(name, start + name, False, False, True)
                if entry.is_symlink()
                else Listed(name, start + name, entry.is_dir(), entry.is_file(), False)
                for entry in entries
                for name in (entry.name,)
            ]
    finally:
        os.close(descriptor)
    found.sort()
    return found


def names(path: str) -> list[str]:
    """Return the names in a folder, sorted; raises `OSError`."""
    descriptor = open_folder(path)
    try:
        return sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)


def files(path: str) -> Iterator[str]:
    """Yield the files below a folder; what cannot be listed has none."""
    stack = [path]
    while stack:
        try:
            entries = listed(stack.pop())
        except OSError:
            continue
        stack += [entry.path for entry in entries if entry.folder]
        yield from (entry.path for entry in entries if not entry.folder)


def may(path: str, what: int) -> bool:
    """Say whether this user may do `what` with a path, as `os.access` asks it."""
    if os.access in os.supports_effective_ids:
        return os.access(path, what, effective_ids=True)
    return os.access(path, what)


def times_moved() -> frozenset[str]:
    """Return the folders of files whose access time the system would not keep."""
    return frozenset(_refused)


@cache
def _keep_times() -> None:
    """Ask macOS not to move access times for this process; a system that cannot is let be."""
    import contextlib
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).setiopolicy_np(
            _IOPOL_TYPE_VFS_ATIME_UPDATES, _IOPOL_SCOPE_PROCESS, _IOPOL_ATIME_UPDATES_OFF
        )
