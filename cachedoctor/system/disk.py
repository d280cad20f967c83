"""The only module that changes a cache: rename, link, copy, write, each synced to disk.

Nothing here follows a symlink out of its folder, opens a pipe or device, or replaces an existing
file. Functions given `grounds` work only inside these, by descriptor and through no symlink.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from cachedoctor.system import ground
from cachedoctor.system.digest import Hashes
from cachedoctor.system.transfer import CHUNK_BYTES, clone_to, settled, transfer, write_all
from cachedoctor.vocabulary import SILENT, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cachedoctor.system.ground import Ground
    from cachedoctor.vocabulary import Progress


def _nothing(operation: str) -> None:
    """Do nothing before an operation; the crash harness replaces this."""


boundary: Callable[[str], None] = _nothing


def stamp(path: str) -> Stamp | None:
    """Return the stamp of `path` without following symlinks, or `None` if nothing is there."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def rename(source: str, target: str, grounds: Sequence[Ground] = ()) -> None:
    """Rename `source` to `target`, which must not exist; raises `FileExistsError` otherwise."""
    boundary("rename")
    with ground.parent(source, grounds) as (here, old), ground.parent(target, grounds) as (to, new):
        ground.rename_exclusively((here, old, source), (to, new, target))
        _sync(to)
        if os.path.dirname(source) != os.path.dirname(target):
            _sync(here)


def link(path: str, target: str, grounds: Sequence[Ground] = ()) -> None:
    """Create a symlink at `path`, which must not exist, pointing to `target`."""
    boundary("link")
    with ground.parent(path, grounds) as (folder, name), _named(path):
        os.symlink(target, name, dir_fd=folder)
        _sync(folder)


def make_folder(path: str, mode: int = 0o777, grounds: Sequence[Ground] = ()) -> bool:
    """Create one folder; returns whether it was created here."""
    boundary("make-folder")
    with ground.parent(path, grounds) as (folder, name), _named(path):
        try:
            os.mkdir(name, mode, dir_fd=folder)
        except FileExistsError:
            follow = not grounds
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=follow).st_mode):
                raise
            return False
        _sync(folder)
    return True


def make_folders(path: str) -> None:
    """Create a folder and its missing parents."""
    if path and not os.path.isdir(path):
        make_folders(os.path.dirname(path))
        make_folder(path)


def remove_folder(path: str, grounds: Sequence[Ground] = ()) -> None:
    """Remove an empty folder."""
    boundary("remove-folder")
    with ground.parent(path, grounds) as (folder, name), _named(path):
        os.rmdir(name, dir_fd=folder)
        _sync(folder)


def write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and sync it; raises `FileExistsError` if the path exists.

    A file that cannot be written completely is removed again.
    """
    boundary("write")
    with _new_file(path, mode) as created:
        write_all(created, data)
    fsync_folder(os.path.dirname(path))


def append(path: str, data: bytes) -> None:
    """Append to a file of our own and sync it."""
    boundary("append")
    opened = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
    try:
        size = os.fstat(opened).st_size
        if size and os.pread(opened, 1, size - 1) != b"\n":
            data = b"\n" + data  # a crash cut off the line before
        write_all(opened, data)
        os.fsync(opened)
    finally:
        os.close(opened)


def reserve(path: str, size: int) -> None:
    """Create a file of our own that really occupies `size` bytes, to be freed on a full disk."""
    boundary("reserve")
    with _new_file(path, 0o600) as created:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(created, 0, size)
        else:
            write_all(created, bytes(size))


def copy(
    source: str,
    target: str,
    progress: Progress = SILENT,
    *,
    algorithms: frozenset[str] = frozenset(),
    sync: bool = True,
) -> dict[str, str]:
    """Copy the regular file behind `source` to `target`, which must not exist, and sync it.

    Shares blocks where the file system can; else reads, hashes and writes, or copies inside the
    kernel if no digests are wanted. Returns the digests of what was written, none for a clone.
    Keeps the modification time, not the mode. A failed copy is removed again. Without `sync`, the
    caller must call `settle`.
    """
    boundary("copy")
    opened = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", source)
        hashes = Hashes(algorithms, status.st_size) if algorithms else None
        times, hashed = (status.st_atime_ns, status.st_mtime_ns), False
        if clone_to(opened, target):
            os.chmod(target, status.st_mode & 0o644 | 0o600)  # no wider than the source
            os.utime(target, ns=times)
            progress.advance(status.st_size)
            if sync:
                settle(target)
        else:
            with _new_file(target, sync=sync) as created:
                hashed = transfer(opened, created, status.st_size, progress, hashes)
                os.utime(created, ns=times)
        return hashes.found() if hashes and hashed else {}
    finally:
        os.close(opened)


def settle(path: str, progress: Progress = SILENT) -> None:
    """Sync a copied file, reporting its bytes as they reach the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        settled(descriptor, os.fstat(descriptor).st_size, progress)
    finally:
        os.close(descriptor)


def hard_link(path: str, first: str) -> None:
    """Create `path`, which must not exist, as a hard link to `first`."""
    boundary("hard-link")
    os.link(first, path, follow_symlinks=False)


def like(source: str, path: str) -> None:
    """Give our own file, symlink or folder the mode, times and, if permitted, owner of another.

    Extended attributes are not copied.
    """
    found = os.lstat(source)
    if os.lstat(path).st_uid != found.st_uid:
        with contextlib.suppress(PermissionError):
            os.chown(path, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(path, stat.S_IMODE(found.st_mode))
    times = (found.st_atime_ns, found.st_mtime_ns)
    os.utime(path, ns=times, follow_symlinks=False)


def join(sources: Sequence[str], target: str, progress: Progress = SILENT) -> None:
    """Concatenate regular files into `target`, which must not exist, and sync it."""
    boundary("copy")
    with _new_file(target) as created:
        for source in sources:
            opened = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                while chunk := os.read(opened, CHUNK_BYTES):
                    write_all(created, chunk)
                    progress.advance(len(chunk))
            finally:
                os.close(opened)


def remove_tree(path: str, grounds: Sequence[Ground] = ()) -> None:
    """Remove a file, symlink or folder, following no symlink; a missing one is fine.

    Folders that their owner made read-only are removed too.
    """
    boundary("remove")
    with contextlib.suppress(FileNotFoundError), ground.parent(path, grounds) as (folder, name):
        _remove(folder, name, path)


def mode_of(path: str) -> int | None:
    """Return the permissions of a regular file, or `None` for anything else."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else None


def set_mode(path: str, mode: int) -> None:
    """Set the permissions of a regular file of our own; leaves anything else alone."""
    if mode_of(path) not in (None, mode):
        boundary("set-mode")
        os.chmod(path, mode)


def restore_times(path: str, mode: int, mtime_ns: int, grounds: Sequence[Ground] = ()) -> None:
    """Restore the mode and modification time of a folder."""
    boundary("restore-times")
    folder = ground.open_folder(path, grounds)
    try:
        with _named(path):
            found = os.stat(".", dir_fd=folder)
            if stat.S_IMODE(found.st_mode) != mode:
                os.chmod(".", mode, dir_fd=folder)
            os.utime(".", ns=(found.st_atime_ns, mtime_ns), dir_fd=folder)
    finally:
        os.close(folder)


def folder_above(path: str) -> str:
    """Return the nearest existing folder at or above `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def free_bytes(path: str) -> int:
    """Return how many bytes this user can still write on the file system of `path`."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def same_file_system(first: str, second: str) -> bool:
    """Return whether a rename between two existing paths is possible.

    Two bind mounts of one file system, common in containers, share a device number and refuse it.
    """
    if os.stat(first).st_dev != os.stat(second).st_dev:
        return False
    return sys.platform != "linux" or _mount(first) == _mount(second)


def fsync_folder(path: str) -> None:
    """Sync a folder's names to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _new_file(path: str, mode: int = 0o644, *, sync: bool = True) -> Iterator[int]:
    """Create a file that must not exist, and sync it; remove it again if it is not finished."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        yield descriptor
        if sync:
            os.fsync(descriptor)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Put the whole path into errors of the system, which saw only the last name."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from error


def _sync(folder: int) -> None:
    """Sync the names of an open folder, even one opened with `O_PATH` to walk through."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: int, name: str, path: str) -> None:
    with _named(path):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            os.unlink(name, dir_fd=folder)
            return
        if status.st_mode & stat.S_IRWXU != stat.S_IRWXU and os.geteuid() == status.st_uid:
            os.chmod(name, stat.S_IMODE(status.st_mode) | stat.S_IRWXU, dir_fd=folder)
        opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        for each in os.listdir(opened):
            _remove(opened, each, os.path.join(path, each))
    finally:
        os.close(opened)
    with _named(path):
        os.rmdir(name, dir_fd=folder)


def _mount(path: str) -> str:
    """Return the mount that `path` is on, empty if Linux does not say."""
    descriptor = os.open(path, os.O_PATH)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
            return next((line for line in file if line.startswith("mnt_id:")), "")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
