"""Measure the free space on some file systems after pending changes have reached the disk.

btrfs and XFS free blocks some time after a file's last name is removed, so each measurement first
waits for the file system. Other programs write meanwhile, so it is an estimate, not proof.
Source: syncfs(2).
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from cachedoctor.system import disk

if TYPE_CHECKING:
    from collections.abc import Iterable


def free_bytes(places: Iterable[str]) -> int:
    """Return the free bytes on all file systems of `places`, each counted once."""
    found: dict[int, int] = {}
    for place in {disk.folder_above(path) for path in places}:
        device = os.stat(place).st_dev
        if device not in found:
            _sync(place)
            status = os.statvfs(place)
            found[device] = status.f_bfree * status.f_frsize
    return sum(found.values())


def _sync(place: str) -> None:
    """Wait until one file system has written everything pending, without waiting for others."""
    if sys.platform != "linux":
        os.sync()
        return
    import ctypes

    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(AttributeError):  # missing from an old C library
            ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)
