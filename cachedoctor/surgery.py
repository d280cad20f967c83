"""Carry out a plan: stage and prove everything, then take the steps, then look again; and undo."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import disk, doctor, holders, journal, planning, staging
from cachedoctor.errors import LockHeldError, RepairError, UsageError
from cachedoctor.findings import Finding, Put, Repair, SetAside
from cachedoctor.planning import Plan
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor import Report
    from cachedoctor.host import Host
    from cachedoctor.staging import Network

_MARGIN_BYTES = 1 << 20  # for the journal, and what small files round up to


class Outcome(NamedTuple):
    """What an applied plan came to."""

    runs: tuple[str, ...]  # for `undo`
    report: Report  # a second look at the same engines
    left: tuple[Finding, ...]  # what was to be cured and is still there
    aside_bytes: int


def apply(plan: Plan, report: Report, network: Network) -> Outcome:
    """Cure what `plan` holds and look again; afterwards every cache is whole or as it was.

    First everything is staged and proven, on the file system where it will lie; a failure there
    raises `RepairError` and has changed nothing. Interrupted at any moment, the next `fix` finishes
    or `undo` takes back what was begun.
    """
    try:
        began = [_finish(folder, network) for folder in plan.unfinished]
        if began:  # what was to be cured may be cured by now, or lie elsewhere
            plan = _again(plan, report)
        began += _carry_out(plan.repairs, network)
    except OSError as error:
        where = error.filename2 or error.filename or report.host.home
        raise RepairError(
            f"`{where}` cannot be changed: {error.strerror or error}", hint="nothing was changed"
        ) from error
    again = doctor.answer(report.question.again(), progress=network.progress)
    cured = {(finding.code, finding.path) for finding in plan.cures}
    left = tuple(f for f in again.findings if (f.code, f.path) in cured)
    left += tuple(f for f in planning.absent_locked(again) if (f.code, f.path) in cured)
    aside = sum(repair.aside_bytes for repair in plan.repairs)
    return Outcome(tuple(began), again, left, aside)


def runs(host: Host) -> list[journal.Run]:
    """Return every run that changed something of `host`, the oldest first."""
    survey = doctor.scan(host).survey
    found = [
        run
        for folder in doctor.run_folders(host, survey)
        for run in journal.runs(folder)
        if doctor.concerns(run, host, survey)
    ]
    return sorted(found, key=lambda run: run.created_s)


def undoable(host: Host) -> list[journal.Run]:
    """Return every run that `undo` could take back, the oldest first."""
    return [run for run in runs(host) if run.state not in ("undone", "failed", "emptied")]


def undo(host: Host, name: str | None = None) -> tuple[journal.Run, ...]:
    """Take a run back, or where none is named all runs of the last fix that is not taken back yet.

    A fix has one run for each file system. Returns what was taken back. Raises `UsageError` for an
    unknown run, and `RepairError`, with nothing of that run changed, when a file is no longer what
    it had left.
    """
    known = undoable(host)
    names = [run.id for run in known]
    if name is not None and name not in names:
        raise UsageError(
            f"no fix `{name}` to take back{nearest(name, names)}",
            hint=f"there are {', '.join(names) or 'none'}",
        )
    last = known[-1].created_s if known else 0
    chosen = [r for r in known if r.id == name or (name is None and r.created_s == last)]
    for run in chosen:
        with _alone_in(os.path.dirname(run.folder)):
            run.undo([later for later in known if later.created_s > run.created_s])
    return tuple(chosen)


def kept(host: Host) -> list[journal.Kept]:
    """Return what fixes of `host` have set aside, the oldest first."""
    return [item for run in runs(host) for item in run.kept()]


def empty(host: Host, before_s: float) -> None:
    """Delete for good what ended fixes have set aside before a time, in seconds of the clock."""
    for run in runs(host):
        if run.state not in journal.OPEN and run.created_s <= before_s:
            with _alone_in(os.path.dirname(run.folder)):
                run.empty()


def _again(plan: Plan, report: Report) -> Plan:
    """Return what of an accepted plan is left after interrupted fixes were finished."""
    now = doctor.answer(report.question)
    there = {(finding.code, finding.path): finding for finding in now.findings}
    known = {(finding.code, finding.path) for finding in report.findings}
    keys = [(finding.code, finding.path) for finding in plan.cures]
    absent = [f for f in plan.cures if (f.code, f.path) not in known]
    return Plan((*(there[key] for key in keys if key in there), *absent))


def _finish(folder: str, network: Network) -> str:
    """Take an interrupted fix, or an interrupted undo, to its end."""
    with _alone_in(os.path.dirname(folder)):
        run = journal.Run.open(folder)
        if run.state == "undoing":
            run.undo()
        elif run.state == "open":
            _operate(run, network)
    return run.id


def _carry_out(repairs_: Sequence[Repair], network: Network) -> list[str]:
    """Apply repairs, one run for each file system; if one fails, those before it are undone."""
    groups: dict[str, list[Repair]] = {}
    for repair in repairs_:
        folder = journal.runs_folder(repair.root, network.host.state)
        groups.setdefault(folder, []).append(repair)
    done: list[journal.Run] = []
    now = time.time()  # one for all, by which `undo` knows what belongs together
    for folder, group in groups.items():
        try:
            _room(folder, group)
            journal.prepare(folder)
            with _alone_in(folder):
                run = journal.Run.create(folder, group, now=now)
                _operate(run, network)
                done.append(run)
        except (RepairError, OSError):
            for earlier in reversed(done):
                earlier.undo()
            raise
    return [run.id for run in done]


@contextlib.contextmanager
def _alone_in(runs_folder: str) -> Iterator[None]:
    """Keep a second fix or undo out of a folder of runs."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(holders.hold_lock(journal.lock_file(runs_folder)))
        except LockHeldError as error:
            raise RepairError(
                "another fix or undo is running", hint="wait until it is done, then try again"
            ) from error
        yield


def _operate(run: journal.Run, network: Network) -> None:
    """Stage what a run still needs, then take its steps; on failure leave everything as it was."""
    try:
        for number, repair in enumerate(run.repairs):
            for need in repair.needs:
                if not run.placed(number, need.name):
                    path = run.staged_path(number, need.name)
                    staging.stage(need, path, network)
                    _like_before(repair, need.name, path)
    except (RepairError, OSError):
        if not run.begun:
            run.close("failed")
        raise
    try:
        with contextlib.ExitStack() as held:
            for lock in {lock for repair in run.repairs for lock in repair.locks}:
                if os.path.lexists(lock):  # a client that never came here has made none
                    held.enter_context(holders.hold_lock(lock))
            for number in range(len(run.repairs)):
                run.take(number)
        run.close("done")
    except (RepairError, OSError):
        run.undo()
        raise


def _like_before(repair: Repair, name: str, staged: str) -> None:
    """Give a staged file the mode of the file that it takes the place of, if that was readable."""
    for step in repair.steps:
        if isinstance(step, Put) and step.name == name and SetAside(step.path) in repair.steps:
            found = disk.mode_of(step.path)
            if found is not None and found & stat.S_IRUSR:
                disk.set_mode(staged, found)


def _room(folder: str, group: Sequence[Repair]) -> None:
    """Refuse before anything is fetched when it would not fit."""
    above = disk.folder_above(folder)
    needed = sum(repair.fetch_bytes + repair.copy_bytes for repair in group) + _MARGIN_BYTES
    free = disk.free_bytes(above)
    if needed > free:
        raise RepairError(
            f"no room: {needed} bytes are needed beside `{above}` and {free} are free",
            hint="`cachedoctor quarantine empty` frees what earlier fixes set aside",
        )
