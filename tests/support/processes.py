"""See whether processes of a test still run."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def alive(pid: int) -> bool:
    """Return whether a process still runs; a zombie does not."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return shown.stdout.strip()[:1] not in (b"", b"Z")


def soon(happened: Callable[[], bool]) -> bool:
    """Return whether something comes true within five seconds."""
    for _ in range(50):
        if happened():
            return True
        time.sleep(0.1)
    return False
