"""Move bytes from one open file to another, the cheapest way the file system offers.

If digests are wanted, the bytes are hashed as they are written, so the copy need not be read again.
Only a clone, which moves no bytes, must be read to prove it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.system.digest import Hashes
    from cachedoctor.vocabulary import Progress


CHUNK_BYTES = 8 << 20
_HASHED_BYTES = 1 << 20  # hashed as they are written
_FICLONE = 0x40049409  # linux/fs.h
_SYNC_BYTES = 64 << 20  # between two updates of a progress bar
_WAIT_BEFORE, _WRITE, _WAIT_AFTER = 1, 2, 4  # linux/fs.h, SYNC_FILE_RANGE_*
_AT_FDCWD, _NO_OWNER = -2, 2  # macOS sys/fcntl.h; sys/clonefile.h, CLONE_NOOWNERCOPY


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write every byte: on a full disk the kernel writes a part, and fails on the next call."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def clone_to(source: int, target: str) -> bool:
    """Clone an open file to `target`, which must not exist; only macOS can.

    Source: clonefile(2), `fclonefileat`; APFS only.
    """
    if sys.platform != "darwin":
        return False
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.fclonefileat(source, _AT_FDCWD, os.fsencode(target), _NO_OWNER)
    except (AttributeError, OSError):
        return False
    if failed and ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
    return not failed


def transfer(
    source: int, target: int, size: int, progress: Progress, hashes: Hashes | None = None
) -> bool:
    """Copy the rest of `source`: by sharing blocks, else in the kernel, else through this process.

    Skips the kernel copy if `hashes` are given. Returns whether they cover what was written.
    """
    if _shared(source, target):
        progress.advance(size)
        return False
    if hashes is not None:
        _hashed(source, target, size, progress, hashes)
        return True
    done = 0
    while done < size:
        count = _kernel_copy(source, target)
        if count is None:
            break
        if count == 0:
            return False
        done += count
        progress.advance(count)
    while chunk := os.read(source, CHUNK_BYTES):
        write_all(target, chunk)
        progress.advance(len(chunk))
    return False


def settled(descriptor: int, size: int, progress: Progress) -> None:
    """Sync a written file piece by piece, so that its progress can be shown."""
    done = 0
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
        how = _WAIT_BEFORE | _WRITE | _WAIT_AFTER
        while done + _SYNC_BYTES < size:
            at, length = ctypes.c_int64(done), ctypes.c_int64(_SYNC_BYTES)
            libc.sync_file_range(descriptor, at, length, how)  # the sync below reports failures
            done += _SYNC_BYTES
            progress.advance(_SYNC_BYTES)
    os.fsync(descriptor)
    progress.advance(size - done)


def _shared(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _hashed(source: int, target: int, size: int, progress: Progress, hashes: Hashes) -> None:
    """Write and hash each piece; for a large file, hash in a thread while writing."""
    if size <= _HASHED_BYTES:
        while chunk := os.read(source, _HASHED_BYTES):
            hashes.update(chunk)
            write_all(target, chunk)
            progress.advance(len(chunk))
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pieces = [memoryview(bytearray(_HASHED_BYTES)) for _ in range(2)]
    before: Future[None] | None = None
    with ThreadPoolExecutor(1) as beside:
        while count := os.readv(source, pieces[:1]):
            piece = pieces[0][:count]
            if before is not None:
                before.result()  # only then can the next piece reuse its buffer
            before = beside.submit(hashes.update, piece)
            write_all(target, piece)
            progress.advance(count)
            pieces.reverse()
        if before is not None:
            before.result()


def _kernel_copy(source: int, target: int) -> int | None:
    """Copy some bytes inside the kernel; `None` if it cannot."""
    if sys.platform != "linux":
        return None
    try:
        return os.copy_file_range(source, target, CHUNK_BYTES)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            return None
        raise
