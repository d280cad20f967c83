"""How much memory a process and what it started take."""

from __future__ import annotations

import contextlib
import os
import sys

_KIB = 1024


class Peak:
    """The most that a process tree took at once, as far as was looked."""

    def __init__(self, pid: int) -> None:
        """Watch the process with this number, and what it starts."""
        self._pid = pid
        self.bytes: int | None = None

    def look(self) -> None:
        """Look once; between looks the kernel keeps the peak of each process by itself.

        Only Linux lets us; on a Mac the process says its own peak with every answer.
        """
        if sys.platform == "linux":
            tree = _tree(self._pid)
            resident = sum(_status(pid, "VmRSS:") for pid in tree)
            alone = max(_status(pid, "VmHWM:") for pid in tree)
            self.keep(max(resident, alone))

    def keep(self, found: object) -> None:
        """Take a number into account; anything else is none."""
        if isinstance(found, int) and found:
            self.bytes = max(self.bytes or 0, found)


def total_bytes() -> int:
    """Return how much memory this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """Return how much memory can be had without driving others out; half of all if unknown."""
    with contextlib.suppress(OSError, StopIteration), open("/proc/meminfo", "rb") as file:
        line = next(line for line in file if line.startswith(b"MemAvailable:"))
        return int(line.split()[1]) * _KIB
    return total_bytes() // 2


def _tree(pid: int) -> list[int]:
    """Return a process and all below it, which each thread may have started."""
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
