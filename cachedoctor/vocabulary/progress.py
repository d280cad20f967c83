"""Who is told how far a long operation is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of long operations; a silent caller passes `SILENT`."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin an operation; `None` if its size is unknown."""
        ...

    def advance(self, done_bytes: int) -> None:
        """Add to the bytes done."""
        ...

    def finish(self) -> None:
        """End the operation begun last."""
        ...


class Silent:
    """A `Progress` that shows nothing."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Show nothing."""

    def advance(self, done_bytes: int) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


SILENT = Silent()
