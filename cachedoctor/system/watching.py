"""Report progress to a waiting program and let it cancel: a callback and an event."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cachedoctor.errors import CancelledError

if TYPE_CHECKING:
    from collections.abc import Callable


class Moment(NamedTuple):
    """The progress of an operation."""

    doing: str  # for people: "fetching model.bin of whisper-small", "reading"
    done_bytes: int  # out of everything this call has to do
    total_bytes: int | None  # `None` if not known in advance

    @property
    def fraction(self) -> float | None:
        """Return the progress from 0 to 1, or `None` if the total is unknown."""
        if self.total_bytes is None:
            return None
        return self.done_bytes / self.total_bytes if self.total_bytes else 1.0


class Cancel(Protocol):
    """A cancellation flag: a `threading.Event`, or anything else with `is_set`."""

    def is_set(self) -> bool:
        """Return whether to stop."""
        ...


class Watched:
    """A `Progress` that calls back, one call at a time, and raises once the caller cancels."""

    def __init__(
        self,
        callback: Callable[[Moment], None] | None = None,
        cancel: Cancel | None = None,
        total_bytes: int | None = None,
    ) -> None:
        """Count towards `total_bytes`, or else towards each piece's own total."""
        self._callback, self._cancel = callback, cancel
        self._whole = total_bytes
        self._piece: int | None = None
        self._doing, self._done = "", 0
        self._lock = threading.Lock()

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin a piece of work."""
        with self._lock:
            self._doing = label
            if self._whole is None:
                self._done, self._piece = 0, total_bytes
        self.advance(0)

    def advance(self, done_bytes: int) -> None:
        """Add to the bytes done; raises `CancelledError` once the caller has cancelled."""
        if self._cancel is not None and self._cancel.is_set():
            raise CancelledError("given up, as was asked for", hint="nothing of it was changed")
        with self._lock:
            total = self._piece if self._whole is None else self._whole
            self._done += done_bytes
            if total is not None:  # bytes fetched twice count once
                self._done = min(self._done, total)
            if self._callback is not None:
                self._callback(Moment(self._doing, self._done, total))

    def finish(self) -> None:
        """End a piece of work."""
