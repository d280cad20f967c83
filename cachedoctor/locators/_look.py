"""Look at one path without opening it, and follow its symlinks as an engine would."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cachedoctor.locators._way import stands_in
from cachedoctor.looking import quietly
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Stamp, State

if TYPE_CHECKING:
    pass


_SF_DATALESS = 0x40000000  # macOS `sys/stat.h`: the content is not on this disk
_REGULAR_MASK = 0o170000 | stat.S_IRUSR
_READABLE = stat.S_IFREG | stat.S_IRUSR
_HAS_FLAGS = hasattr(os.stat_result, "st_flags")


class Look(NamedTuple):
    """What one path turned out to be, judged without opening it."""

    state: State
    file: str
    stamp: Stamp | None = None
    detail: str = ""
    outside: str = ""  # the real path, when a symlink points outside the root


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file from a stat result."""
    return Stamp(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def look(path: str, root: str) -> Look:
    """Look at `path` and follow its symlinks; a target beyond `root` is marked outside (law 9).

    The symlink itself then counts as the file, so a repair moves it and never its target.
    """
    try:
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode):
            return _plain_file(path, status)
        if not stat.S_ISLNK(status.st_mode):
            return Look(State.OTHER, path, None, kind(status.st_mode))
        target = os.readlink(path)
        try:
            real = os.path.realpath(path, strict=True)
        except (FileNotFoundError, NotADirectoryError):
            aim = os.path.normpath(os.path.join(os.path.dirname(path), target))
            # a repair must not write where a broken symlink points outside
            away = os.path.isabs(target) and not os.path.isdir(os.path.dirname(aim))
            if inside(aim, root) or not away:
                return Look(State.DANGLING, aim if inside(aim, root) else path, None, target)
            return Look(State.GONE, path, None, target)
        status = os.stat(real)
        if not inside(real, root) and stat.S_ISREG(status.st_mode):
            return regular(path, status)._replace(detail=target, outside=real)
    except FileNotFoundError:
        return Look(State.MISSING, path)
    except PermissionError as error:
        return Look(State.UNREADABLE, path, None, reason(error))
    except OSError as error:  # a symlink loop or an I/O error
        loop = "a symlink loop" if os.path.islink(path) else reason(error)
        return Look(State.OTHER if os.path.islink(path) else State.UNREADABLE, path, None, loop)
    if not stat.S_ISREG(status.st_mode):
        return Look(State.OTHER, path, None, kind(status.st_mode))
    return regular(real, status)


def _plain_file(path: str, status: os.stat_result) -> Look:
    """Return the look at a file that is not a symlink, unless it stands in for one."""
    found = regular(path, status)
    if found.state is not State.PRESENT:
        return found
    stand = stands_in(path, status)
    if stand is None:
        return found
    if stand.is_text:
        return Look(State.TEXT, path, found.stamp, stand.target)
    return Look(State.GONE, path, found.stamp, "a Finder alias")


def reason(error: OSError) -> str:
    """Return the system's message for an error, without the path."""
    return error.strerror or str(error)


def plain(status: os.stat_result, user: int) -> bool:
    """Return whether this is a regular file on disk, readable by its owner, who is `user`."""
    if status.st_mode & _REGULAR_MASK != _READABLE or status.st_uid != user:
        return False
    return not (_HAS_FLAGS and getattr(status, "st_flags", 0) & _SF_DATALESS)


def regular(path: str, status: os.stat_result) -> Look:
    """Return the look at a regular file, unreadable if its mode denies us access."""
    found = stamp_of(status)
    if getattr(status, "st_flags", 0) & _SF_DATALESS:
        return Look(State.EVICTED, path, found)
    bit = 0o400 if status.st_uid == os.geteuid() else 0o004
    if not status.st_mode & bit and not quietly.can_access(path, os.R_OK):
        return Look(State.UNREADABLE, path, found, f"mode {stat.S_IMODE(status.st_mode):o}")
    return Look(State.PRESENT, path, found)


def kind(mode: int) -> str:
    """Name the kind of thing found in place of a file."""
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a device or socket"


def inside(path: str, root: str) -> bool:
    """Return whether `path`, already free of symlinks, is at or below `root`."""
    return path == root or path.startswith(root.rstrip("/") + "/")
