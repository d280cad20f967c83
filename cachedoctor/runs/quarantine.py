"""What runs have set aside: list it, and delete it for good."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import RepairError
from cachedoctor.system import disk, journal, undoing
from cachedoctor.system.logbook import OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.system.run import Run


class Kept(NamedTuple):
    """One thing that a run, or its undo, set aside."""

    run: str
    state: str
    path: str  # where it is now
    origin: str  # where it came from
    size_bytes: int
    when_s: float
    why: str

    @property
    def ended(self) -> bool:
        """Return whether its run has ended, so that it may be deleted."""
        return self.state not in OPEN


def kept(run: Run) -> Iterator[Kept]:
    """Yield what a run, or its undo, set aside and still holds."""
    for key in run.numbers():
        move = run.at(key)
        why = run.repairs[key[0]].describe
        for path, origin in ((move.target, move.source), (undoing.back(run, key), move.target)):
            if run.own(path) and os.path.lexists(path):
                size = _size(path)
                yield Kept(
                    run=run.id,
                    state=run.state,
                    path=path,
                    origin=origin,
                    size_bytes=size,
                    when_s=run.created_s,
                    why=why,
                )


def empty(run: Run) -> int:
    """Delete for good what a run set aside, and return how many bytes are really gone.

    The run can then no longer be undone, which is logged first if there is room. Raises
    `RepairError` if something cannot be deleted, after deleting the rest.
    """
    if run.state in OPEN:
        raise RepairError(f"the fix {run.id} is not finished; nothing of it was deleted")
    _log(run, {"emptying": True})
    before = list(kept(run))
    failed: list[OSError] = []
    for item in before:
        try:
            disk.remove_tree(item.path)
        except OSError as error:
            failed.append(error)
    there = sum(_size(item.path) for item in before if os.path.lexists(item.path))
    gone = sum(item.size_bytes for item in before) - there
    if failed:
        raise RepairError(
            f"{failed[0].strerror}: `{failed[0].filename}`",
            hint=f"{len(before) - len(failed)} of {len(before)} things were deleted",
        )
    run.drop("aside", "undone", "staged")
    run.log({"closed": "emptied"})
    for place in run.apart:
        disk.remove_tree(place)
    return gone


def _log(run: Run, line: journal.Line) -> None:
    """Log a line if there is room; if not, the deletion goes on, because it makes room."""
    try:
        run.log(line)
    except OSError:
        if not os.path.isdir(run.folder):
            raise


def _size(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return os.lstat(path).st_size
    return sum(
        os.lstat(os.path.join(base, name)).st_size
        for base, _, names in os.walk(path)
        for name in names
    )
