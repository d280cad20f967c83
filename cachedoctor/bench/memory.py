"""Measure the memory of a process and its children."""

from __future__ import annotations

import contextlib
import os
import sys

_KIB = 1024


class Peak:
    """The highest memory use of a process tree, as far as it was sampled."""

    def __init__(self, pid: int) -> None:
        """Watch the process with this id, and its children."""
        self._pid = pid
        self.bytes: int | None = None

    def look(self) -> None:
        """Take a sample; between samples the kernel keeps the peak of each process.

        Only Linux allows this; on a Mac the process reports its own peak with every answer.
        """
        if sys.platform == "linux":
            tree = _tree(self._pid)
            resident = sum(_status(pid, "VmRSS:") for pid in tree)
            alone = max(_status(pid, "VmHWM:") for pid in tree)
            self.keep(max(resident, alone))

    def keep(self, found: object) -> None:
        """Take a number of bytes into account; anything else is ignored."""
        if isinstance(found, int) and found:
            self.bytes = max(self.bytes or 0, found)


def total_bytes() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """Return how many bytes are available without swapping others out; half of all if unknown."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", "rb") as file:
        line = next(line for line in file if line.startswith(b"MemAvailable:"))
        return int(line.split()[1]) * _KIB
    return total_bytes() // 2


def _tree(pid: int) -> list[int]:
    """Return a process and all its descendants; any of its threads may have started them."""
    found = [pid]
    for parent in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children", "rb") as file:
                    found.extend(map(int, file.read().split()))
    return found


def _status(pid: int, key: str) -> int:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(key):
                return int(line.split()[1]) * _KIB
    return 0
