"""The only module that changes a cache: rename, link, copy, write, each synced to the disk.

Nothing here follows a link out of the folder it was given, opens a pipe or device, or replaces what
is already there.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from typing import TYPE_CHECKING

from cachedoctor.errors import RepairError
from cachedoctor.vocabulary import SILENT, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cachedoctor.vocabulary import Progress

_CHUNK_BYTES = 8 << 20
_FICLONE = 0x40049409  # linux/fs.h
_AT_FDCWD_LINUX, _RENAME_NOREPLACE = -100, 1  # linux/fs.h
_AT_FDCWD_DARWIN, _RENAME_EXCL = -2, 4  # sys/stdio.h


def _nothing(operation: str) -> None:
    """Do nothing before an operation; the crash harness puts something else here."""


boundary: Callable[[str], None] = _nothing


def stamp(path: str) -> Stamp | None:
    """Return the stamp of what is at `path`, links not followed, or `None` when nothing is."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def rename(source: str, target: str) -> None:
    """Rename `source` to `target`, where nothing may be; raises `FileExistsError` otherwise."""
    boundary("rename")
    _rename_exclusively(source, target)
    fsync_folder(os.path.dirname(target))
    if os.path.dirname(source) != os.path.dirname(target):
        fsync_folder(os.path.dirname(source))


def link(path: str, target: str) -> None:
    """Make `path`, where nothing may be, a symbolic link to `target`."""
    boundary("link")
    os.symlink(target, path)
    fsync_folder(os.path.dirname(path))


def make_folder(path: str) -> bool:
    """Make one folder; returns whether it was made here."""
    boundary("make-folder")
    try:
        os.mkdir(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return False
    fsync_folder(os.path.dirname(path))
    return True


def make_folders(path: str) -> None:
    """Make a folder and what is missing above it."""
    if not os.path.isdir(path):
        make_folders(os.path.dirname(path))
        make_folder(path)


def remove_folder(path: str) -> None:
    """Remove an empty folder."""
    boundary("remove-folder")
    os.rmdir(path)
    fsync_folder(os.path.dirname(path))


def write(path: str, data: bytes) -> None:
    """Write a new file and sync it; raises `FileExistsError` where something is."""
    boundary("write")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fsync_folder(os.path.dirname(path))


def append(path: str, data: bytes) -> None:
    """Add to a file of our own and sync it."""
    boundary("append")
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    with open(descriptor, "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            data = b"\n" + data  # the line before was torn by a crash
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def copy(source: str, target: str, progress: Progress = SILENT) -> None:
    """Copy the regular file behind `source` to `target`, where nothing may be, and sync it.

    Shares the blocks where the file system can, else copies inside the kernel, else reads and
    writes. A copy that fails is taken away again.
    """
    boundary("copy")
    opened = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
    try:
        status = os.fstat(opened)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", source)
        created = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            _transfer(opened, created, status.st_size, progress)
            os.fsync(created)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(created)
    finally:
        os.close(opened)


def remove_tree(path: str) -> None:
    """Remove a file, link or folder of our own, never following a link; nothing there is fine."""
    boundary("remove")
    with contextlib.suppress(FileNotFoundError):
        if os.path.isdir(path) and not os.path.islink(path):
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)


def restore_times(path: str, mode: int, mtime_ns: int) -> None:
    """Give a folder the mode and modification time that it had."""
    boundary("restore-times")
    if stat.S_IMODE(os.lstat(path).st_mode) != mode:
        os.chmod(path, mode)
    os.utime(path, ns=(os.lstat(path).st_atime_ns, mtime_ns))


def free_bytes(path: str) -> int:
    """Return how much this user may still write on the file system of `path`."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def same_file_system(first: str, second: str) -> bool:
    """Say whether a rename between two existing paths is possible."""
    return os.stat(first).st_dev == os.stat(second).st_dev


def fsync_folder(path: str) -> None:
    """Sync a folder's names to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold_lock(path: str) -> Iterator[None]:
    """Hold a lock file for as long as the body runs, making the file where it is missing.

    The same kind of lock as the hub client's. Raises `RepairError` when somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o664)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RepairError(
                f"somebody else holds `{path}`", hint="wait until it is done, then try again"
            ) from error
        yield
    finally:
        os.close(descriptor)


def lock_held(path: str) -> bool | None:
    """Say whether somebody holds a lock file; `None` when it is not there or cannot be read.

    Asks with a shared lock on a read-only descriptor and lets go at once.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def open_elsewhere(paths: Collection[str]) -> set[str] | None:
    """Return which of these files another process has open, or `None` where that is not shown.

    Linux: one pass over `/proc/*/fd`, which shows our own processes, and everybody's to root.
    macOS: `lsof`.
    """
    if sys.platform == "darwin":
        return _lsof(paths)
    wanted = {}
    for path in paths:
        found = stamp(path)
        if found is not None:
            wanted[found.device, found.inode] = path
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    own = str(os.getpid())
    seen = set()
    for process in processes:
        if process == own:
            continue
        folder = f"/proc/{process}/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{folder}/{name}")
                    key = (status.st_dev, status.st_ino)
                    if key in wanted:
                        seen.add(wanted[key])
    return seen


def _lsof(paths: Collection[str]) -> set[str] | None:
    import subprocess

    command = ["/usr/sbin/lsof", "-F", "pn", "--", *paths]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    own = os.getpid()
    process = own
    seen = set()
    for line in os.fsdecode(shown.stdout).splitlines():
        if line.startswith("p"):
            process = int(line[1:])
        elif line.startswith("n") and process != own and line[1:] in paths:
            seen.add(line[1:])
    return seen


def _transfer(source: int, target: int, size: int, progress: Progress) -> None:
    if sys.platform == "linux":
        try:
            fcntl.ioctl(target, _FICLONE, source)
        except OSError:
            pass
        else:
            progress.advance(size)
            return
    done = 0
    while done < size:
        count = _kernel_copy(source, target)
        if count is None:
            break
        if count == 0:
            return
        done += count
        progress.advance(count)
    while chunk := os.read(source, _CHUNK_BYTES):
        view = memoryview(chunk)
        while view:
            view = view[os.write(target, view) :]
        progress.advance(len(chunk))


def _kernel_copy(source: int, target: int) -> int | None:
    """Copy some bytes inside the kernel; `None` where it cannot."""
    if sys.platform != "linux":
        return None
    try:
        return os.copy_file_range(source, target, _CHUNK_BYTES)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            return None
        raise


def _rename_exclusively(source: str, target: str) -> None:
    """Rename without replacing: the kernel's own way where it has one."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    old, new = os.fsencode(source), os.fsencode(target)
    if sys.platform == "darwin":
        failed = libc.renameatx_np(_AT_FDCWD_DARWIN, old, _AT_FDCWD_DARWIN, new, _RENAME_EXCL)
    else:
        failed = libc.renameat2(_AT_FDCWD_LINUX, old, _AT_FDCWD_LINUX, new, _RENAME_NOREPLACE)
    if not failed:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(code, os.strerror(code), source, None, target)
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), source, None, target)
    os.rename(source, target)
