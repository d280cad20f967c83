"""Limit the rate of reading."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Progress


class Throttled:
    """A `Progress` that limits the reading threads to a number of bytes a second."""

    def __init__(self, progress: Progress, bytes_a_second: int) -> None:
        """Pass everything on to `progress`."""
        self._progress = progress
        self._rate = bytes_a_second
        self._lock = threading.Lock()
        self._free_at = 0.0  # when the bytes so far would be done at exactly this rate

    def start(self, label: str, total_bytes: int | None) -> None:
        """Start a piece of work."""
        self._free_at = time.monotonic()
        self._progress.start(label, total_bytes)

    def advance(self, done_bytes: int) -> None:
        """Add to the bytes done, and wait until the rate allows them."""
        self._progress.advance(done_bytes)
        with self._lock:
            self._free_at += done_bytes / self._rate
            wait_s = self._free_at - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)

    def finish(self) -> None:
        """End the piece of work."""
        self._progress.finish()
