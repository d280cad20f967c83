"""How much is free on the disks of some places, after what was begun has reached them.

btrfs and XFS free blocks some time after the last name of a file is gone, so both measurements wait
for the file system first. Other programs write meanwhile: a measurement, no proof.
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
    """Return the bytes that are free on all file systems of `places`, each counted once."""
    found: dict[int, int] = {}
    for place in {disk.folder_above(path) for path in places}:
        device = os.stat(place).st_dev
        if device not in found:
            _sync(place)
            status = os.statvfs(place)
            found[device] = status.f_bfree * status.f_frsize
    return sum(found.values())


def _sync(place: str) -> None:
    """Wait until one file system has written what it was told; other disks are not waited for."""
    if sys.platform != "linux":
        os.sync()
        return
    import ctypes

    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(AttributeError):  # an old C library lacks it
            ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)
