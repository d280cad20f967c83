"""Read files and list folders without changing their access times (law 1).

Programs use access times to decide what was used last (`hf cache ls`, peft's clean-up). On Linux:
open(2) `O_NOATIME`, which the kernel grants only to a file's owner. On macOS: `setiopolicy_np`,
once for the whole process. If the system refuses, the file is read anyway and `times_moved`
reports it.
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
    """One name in a folder and its own kind; symlinks are not followed."""

    name: str
    path: str
    folder: bool
    file: bool
    link: bool

    def stat(self) -> os.stat_result:
        """Return its stat result, not following a symlink; raises `OSError`."""
        return os.lstat(self.path)


def opener(path: str, flags: int, dir_fd: int | None = None) -> int:
    """Open a file for `open(…, opener=…)` without changing its access time."""
    if sys.platform == "darwin":
        _keep_times()
    if not _NOATIME:
        return os.open(path, flags, dir_fd=dir_fd)
    try:
        return os.open(path, flags | _NOATIME, dir_fd=dir_fd)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # the mode forbids it, so a second try would fail too
            raise
        descriptor = os.open(path, flags, dir_fd=dir_fd)
        _refused.add(os.path.dirname(path))
        return descriptor


def open_folder(path: str, flags: int = 0) -> int:
    """Open a folder for use with `dir_fd`; raises `OSError`."""
    return opener(path, _FOLDER | flags)


def listed(path: str, flags: int = 0) -> list[Listed]:
    """List a folder, sorted by name; raises `OSError`, also for a symlink with `O_NOFOLLOW`."""
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
    """Yield the files below a folder, skipping folders that cannot be listed."""
    stack = [path]
    while stack:
        try:
            entries = listed(stack.pop())
        except OSError:
            continue
        stack += [entry.path for entry in entries if entry.folder]
        yield from (entry.path for entry in entries if not entry.folder)


def can_access(path: str, what: int) -> bool:
    """Return whether this user can access a path in mode `what`, as in `os.access`."""
    if os.access in os.supports_effective_ids:
        return os.access(path, what, effective_ids=True)
    return os.access(path, what)


def times_moved() -> frozenset[str]:
    """Return the folders of files whose access time the system refused to preserve."""
    return frozenset(_refused)


@cache
def _keep_times() -> None:
    """Ask macOS not to update access times for this process, ignoring systems that cannot."""
    import contextlib
    import ctypes

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).setiopolicy_np(
            _IOPOL_TYPE_VFS_ATIME_UPDATES, _IOPOL_SCOPE_PROCESS, _IOPOL_ATIME_UPDATES_OFF
        )
