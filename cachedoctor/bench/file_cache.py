"""Drop a model from the system's file cache, and check whether that worked."""

from __future__ import annotations

import contextlib
import mmap
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_WINDOW_BYTES = 1 << 30
_HELD_SHARE = 0.01  # reading a file at all reads a little ahead


def forget(paths: Iterable[str]) -> bool:
    """Ask the system to drop these files from its file cache; return whether it did.

    Changes no byte and no time of a file. Only works on Linux; elsewhere it takes an administrator.
    Source: posix_fadvise(2), mincore(2).
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    held = total = 0
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                size = os.fstat(descriptor).st_size
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                total += -(-size // mmap.PAGESIZE)
                held += _held_pages(descriptor, size)
            finally:
                os.close(descriptor)
    return total > 0 and held <= total * _HELD_SHARE


def _held_pages(descriptor: int, size: int) -> int:
    """Return how many pages of a file are in memory; all of them if the system cannot tell."""
    import ctypes

    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    found = 0
    for start in range(0, size, _WINDOW_BYTES):
        length = min(_WINDOW_BYTES, size - start)
        pages = -(-length // mmap.PAGESIZE)
        kind = mmap.PROT_READ | mmap.PROT_WRITE  # a private view: nothing is ever written
        with mmap.mmap(descriptor, length, mmap.MAP_PRIVATE, kind, offset=start) as view:
            marks = ctypes.create_string_buffer(pages)
            place = ctypes.c_char.from_buffer(view)
            wrong = mincore(ctypes.addressof(place), length, marks)
            del place  # otherwise the view cannot be closed
        found += pages if wrong else sum(byte & 1 for byte in marks.raw[:pages])
    return found
