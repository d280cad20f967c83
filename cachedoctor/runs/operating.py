"""Apply one run: check for room, lock out others, stage and prove everything, take the steps."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from cachedoctor.errors import CancelledError, LockHeldError, RepairError
from cachedoctor.findings import Put, Repair, SetAside, Text
from cachedoctor.runs import staging
from cachedoctor.system import disk, ground, in_use, journal, own, run, undoing
from cachedoctor.system.logbook import OPEN
from cachedoctor.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Need
    from cachedoctor.host import Host
    from cachedoctor.system.network import Network
    from cachedoctor.system.run import Run
    from cachedoctor.vocabulary import Progress

_MARGIN_BYTES = 1 << 20  # for small files, which round up to whole blocks


class _Counted:
    """Progress of one of several needs: puts `2 of 5` in front of its label."""

    def __init__(self, inner: Progress, place: str) -> None:
        self._inner, self._place = inner, place
        self.advance, self.finish = inner.advance, inner.finish

    def start(self, label: str, total_bytes: int | None) -> None:
        """Start a piece of work."""
        self._inner.start(self._place + label, total_bytes)


def operate(found: Run, network: Network) -> None:
    """Stage what a run still needs, then take its steps; on failure, restore everything."""
    needed = [
        (number, repair, need)
        for number, repair in enumerate(found.repairs)
        for need in repair.needs
        if not found.placed(number, need.name) and not found.ready(number, need.name)
    ]
    try:
        if needed:
            _stage(found, needed, network)
    except (RepairError, OSError, CancelledError):
        if not found.begun:
            found.close("failed")
        raise
    try:
        with contextlib.ExitStack() as held:
            for lock in {lock for repair in found.repairs for lock in repair.locks}:
                if os.path.lexists(lock):  # none exists if no client ever downloaded here
                    held.enter_context(in_use.hold_lock(lock))
            for number in range(len(found.repairs)):
                undoing.require_disks(found, command=network.host.command)
                found.take(number)
        found.close("done")
    except (RepairError, OSError):
        undoing.undo(found, command=network.host.command)
        raise


def _stage(found: Run, needed: Sequence[tuple[int, Repair, Need]], network: Network) -> None:
    """Stage and prove each need, with one client of the hub for all of them."""
    place, many = 0, sum(not _is_text(need) for _, _, need in needed)
    with network.hub(found.staged_path(needed[0][0], ".hub")) as hub:
        for number, repair, need in needed:
            place += not _is_text(need)
            path = found.staged_path(number, need.name)
            found.make_own(number, "staged", str(number))
            counted = _Counted(network.progress, f"{place} of {many}  ")
            shown = network._replace(progress=counted) if many > 1 else network
            digests = staging.stage(need, path, shown, hub)
            _keep_mode(repair, need.name, path)
            found.note_staged(number, need.name, digests)


def _is_text(need: Need) -> bool:
    """Return whether a need is a few characters written at once, such as a branch or a note."""
    return isinstance(need.sources[0], Text)


@contextlib.contextmanager
def alone(state: str) -> Iterator[None]:
    """Lock out any other fix or undo of this user."""
    with contextlib.ExitStack() as held:
        lock = journal.lock_file(state)
        if not os.path.lexists(lock):
            own.make_folder(journal.runs_of(state))
            with contextlib.suppress(FileExistsError):
                own.with_reserve(state, lambda: own.write(lock, b""))
        try:
            held.enter_context(in_use.hold_lock(lock))
        except LockHeldError as error:
            raise LockHeldError(
                "another fix or undo is running", hint="wait until it is done, then try again"
            ) from error
        yield


def apart_from_others(repairs_: Sequence[Repair], host: Host) -> None:
    """Raise `RepairError` for a path held by an interrupted fix that could not be ended."""
    mine = {step.path for repair in repairs_ for step in repair.steps}
    for other in run.runs(host.state):
        touched = other.paths() if other.state in OPEN else ()
        for path in touched:
            if any(ground.below(path, each) or ground.below(each, path) for each in mine):
                raise RepairError(
                    f"the interrupted fix {other.id} holds `{path}`",
                    hint=f"`{host.command('undo', other.id)}` says what is in the way",
                )


def require_room(repairs_: Sequence[Repair], host: Host) -> None:
    """Raise `RepairError`, before any fetch, if it would not fit; renames need no space."""
    groups: dict[str, list[Repair]] = {}
    for repair in repairs_:
        place = os.path.dirname(run.place_of(repair.root, host.state, ""))
        groups.setdefault(place, []).append(repair)
    for folder, group in groups.items():
        above = disk.folder_above(folder)
        needed = sum(repair.fetch_bytes + repair.copy_bytes for repair in group)
        free = disk.free_bytes(above)
        if needed and needed + _MARGIN_BYTES > free:
            raise RepairError(
                f"no space: {size(needed + _MARGIN_BYTES)} is needed beside `{above}`, "
                f"and {size(free)} is free",
                hint=f"`{host.command('quarantine', 'empty')}` frees what earlier fixes set aside, "
                f"`{host.command('prune', '--delete')}` what nobody needs, "
                f"`{host.command('free', _rounded_up(needed + _MARGIN_BYTES - free), '--delete')}` "
                "what you will miss least",
            )


def _rounded_up(count: int) -> str:
    """Return a size in whole MiB, as the command line takes it."""
    return f"{(count >> 20) + 1}MiB"


def delete_unjournaled(repairs_: Sequence[Repair]) -> int:
    """Delete what these repairs would only set aside, because there is no space for a journal."""
    chosen = [
        repair
        for repair in repairs_
        if not repair.needs and all(isinstance(step, SetAside) for step in repair.steps)
    ]
    gone = 0
    for repair in chosen:
        grounds = (ground.resolved(repair.root),)
        run.guard(repair, grounds)
        for step in repair.steps:
            disk.remove_tree(step.path, grounds)
        gone += repair.aside_bytes
    return gone


def _keep_mode(repair: Repair, name: str, staged: str) -> None:
    """Give a staged file the mode of the file that it replaces, if that one was readable."""
    for step in repair.steps:
        if isinstance(step, Put) and step.name == name and SetAside(step.path) in repair.steps:
            found = disk.mode_of(step.path)
            if found is not None and found & stat.S_IRUSR:
                disk.set_mode(staged, found)
