"""Folders opened by descriptor, one name at a time and through no symlink.

A root is resolved once; everything below it is opened component by component, so that a folder
swapped for a symlink between a look and a step is recognised and refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

from cachedoctor.errors import RepairError
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# With O_PATH, a folder that can be entered but not listed can still be walked through.
_WALK = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
_RENAME_NOREPLACE = 1  # linux/fs.h
_RENAME_EXCL = 4  # sys/stdio.h of macOS
_NO_LINK_ANYWHERE = getattr(os, "O_NOFOLLOW_ANY", 0)  # macOS checks every component at once


class Ground(NamedTuple):
    """A folder to work in: its path as spelled, and its real path."""

    named: str
    real: str


def resolved(path: str) -> Ground:
    """Resolve a folder once; it need not exist yet."""
    return Ground(path, os.path.realpath(path))


def below(path: str, folder: str) -> bool:
    """Return whether `path` is `folder` or spelled as something inside it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


@contextlib.contextmanager
def parent(path: str, grounds: Sequence[Ground] = ()) -> Iterator[tuple[int, str]]:
    """Hold the parent folder of `path` open; yields its descriptor and the last name.

    Without `grounds` the folder is opened by path, which suits our own files. Raises `RepairError`
    if the path is on none of them or leads through a symlink, `OSError` from the system.
    """
    folder, name = os.path.split(path)
    descriptor = open_folder(folder, grounds)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)


def open_folder(path: str, grounds: Sequence[Ground] = ()) -> int:
    """Open a folder, following no symlink on or below its ground."""
    if not grounds:
        return os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    on = [ground for ground in grounds if below(path, ground.named)]
    if not on:
        raise RepairError(f"a step points outside, to `{path}`", hint="nothing was changed there")
    ground = max(on, key=lambda each: len(each.named))
    real = os.path.join(ground.real, path[len(ground.named) :].strip("/"))
    try:
        return _walked(real.rstrip("/") or "/")
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise RepairError(
                f"`{error.filename}`, on the way to `{path}`, is a link or not a folder",
                hint="nothing is changed through a link; scan again",
            ) from error
        raise


def rename_exclusively(old: tuple[int, str, str], new: tuple[int, str, str]) -> None:
    """Rename without replacing, by the kernel's own call where there is one.

    Each end is an open folder, a name in it, and the path to use in messages.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    ends = (old[0], os.fsencode(old[1]), new[0], os.fsencode(new[1]))
    code = errno.ENOSYS
    with contextlib.suppress(AttributeError):  # missing from an old C library
        if sys.platform == "darwin":
            failed = libc.renameatx_np(*ends, _RENAME_EXCL)
        else:
            failed = libc.renameat2(*ends, _RENAME_NOREPLACE)
        if not failed:
            return
        code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), old[2], None, new[2])
    try:
        os.stat(new[1], dir_fd=new[0], follow_symlinks=False)
    except FileNotFoundError:
        try:
            os.rename(old[1], new[1], src_dir_fd=old[0], dst_dir_fd=new[0])
        except OSError as error:
            raise OSError(error.errno, error.strerror, old[2], None, new[2]) from error
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), old[2], None, new[2])


def _walked(real: str) -> int:
    if _NO_LINK_ANYWHERE:
        return os.open(real, os.O_RDONLY | os.O_DIRECTORY | _NO_LINK_ANYWHERE)
    descriptor = os.open("/", _WALK)
    seen = ""
    for name in filter(None, real.split("/")):
        seen += f"/{name}"
        try:
            inner = os.open(name, _WALK, dir_fd=descriptor)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), seen) from error
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
