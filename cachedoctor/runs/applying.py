"""Carry out a plan: stage and prove everything, take the steps, look again. And undo it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning, traces
from cachedoctor.errors import RepairError, UsageError
from cachedoctor.findings import Finding, Repair, Safety
from cachedoctor.plans import cures
from cachedoctor.plans.cures import Plan
from cachedoctor.plans.unfinished import lacks
from cachedoctor.runs import adoption, operating, quarantine
from cachedoctor.system import journal, own, run, undoing
from cachedoctor.system.logbook import OPEN
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.plans.unfinished import Unfinished
    from cachedoctor.system.network import Network
    from cachedoctor.system.run import Run


NOT_UNDOABLE = ("undone", "failed", "emptying", "emptied")


class Outcome(NamedTuple):
    """The result of applying a plan."""

    runs: tuple[str, ...]  # names of the runs, for `undo`
    report: Report  # a second look at the same engines
    left: tuple[Finding, ...]  # findings that should have been cured and remain
    aside_bytes: int  # what `quarantine empty` would free
    taken_back: tuple[tuple[str, str], ...] = ()  # interrupted fixes that could not be finished
    deleted_bytes: int | None = None  # deleted for good, if that was asked for
    journaled: bool = True  # false if there was no space for a journal: no way back


def apply(plan: Plan, report: Report, network: Network, *, delete: bool = False) -> Outcome:
    """Cure what `plan` holds and look again; afterwards every cache is whole or as it was.

    First everything is staged and proven, on the file system it will end up on; a failure there
    raises `RepairError` and has changed nothing. If this is interrupted at any moment, the next
    `fix` finishes it, or takes it back if it cannot be finished; `undo` takes it back. With
    `delete`, what was set aside is deleted for good at the end; on a disk too full to make even a
    folder, what the plan only sets aside is deleted without a journal.
    """
    state = report.host.state
    aside = sum(repair.aside_bytes for repair in plan.repairs)
    deleted: int | None = None
    try:
        try:
            began, back = _finish_and_carry_out(plan, report, network)
        except (OSError, RepairError) as error:
            if not (delete and _is_full(error)):
                raise
            deleted, began, back = operating.delete_unjournaled(plan.repairs), [], ()
    except OSError as error:
        where = str(error.filename2 or error.filename or report.host.home)
        where = where.partition("/.cachedoctor")[0]  # the cache's own folder, not ours beside it
        full = "; with `--delete` the same command frees room in one step"
        raise RepairError(
            f"`{where}` cannot be changed: {error.strerror or error}",
            hint="nothing was changed" + (full if own.is_full(error) else ""),
        ) from error
    journaled = deleted is None
    if delete and journaled:
        with operating.alone(state):
            mine = [found for found in run.runs(state) if found.id in began[-1:]]
            deleted = sum(quarantine.empty(found) for found in mine)
    again = scanning.answer(report.question.again(), progress=network.progress)
    cured = {(finding.code, finding.path) for finding in plan.cures}
    left = tuple(f for f in again.findings if (f.code, f.path) in cured)
    left += tuple(f for f in cures.absent_locked(again) if (f.code, f.path) in cured)
    if delete:
        aside = 0
    return Outcome(
        runs=tuple(began),
        report=again,
        left=left,
        aside_bytes=aside,
        taken_back=back,
        deleted_bytes=deleted,
        journaled=journaled,
    )


def runs(host: Host) -> list[Run]:
    """Return every run that changed something on `host`, oldest first."""
    return [found for found in run.runs(host.state) if traces.concerns(found, host)]


def undoable(host: Host) -> list[Run]:
    """Return every run that `undo` can take back, oldest first."""
    return [found for found in runs(host) if found.state not in NOT_UNDOABLE]


def undo(host: Host, name: str | None = None, *, lost: bool = False) -> tuple[Run, ...]:
    """Take back the named run, or all runs of the last fix that was not taken back yet.

    In older versions, a fix had one run for each file system. Returns the runs taken back. With
    `lost`, what is on a disk that is not connected stays as it is.
    Raises `UsageError` for an unknown run, and `RepairError`, with nothing of that run changed,
    if a file is no longer as the run left it.
    """
    chosen = _chosen(host, name)
    for each, later in chosen:
        with operating.alone(host.state):
            undoing.undo(each, later, command=host.command, lost=lost)
    return tuple(each for each, _ in chosen)


def would_undo(host: Host, name: str | None = None, *, lost: bool = False) -> tuple[Run, ...]:
    """Return the runs that `undo` would take back; changes nothing, and refuses what it would."""
    chosen = _chosen(host, name)
    for each, later in chosen:
        undoing.check(each, later, command=host.command, lost=lost)
    return tuple(each for each, _ in chosen)


def _chosen(host: Host, name: str | None) -> list[tuple[Run, list[Run]]]:
    """Return each run of the named fix, or of the last one, with those that came later."""
    known = undoable(host)
    names = [found.id for found in known]
    if name is not None and name not in names:
        raise UsageError(
            f"no fix `{name}` to take back{nearest(name, names)}",
            hint=f"there are {', '.join(names) or 'none'}",
        )
    last = known[-1].created_s if known else 0
    chosen = [r for r in known if r.id == name or (name is None and r.created_s == last)]
    return [(one, [later for later in known if later.created_s > one.created_s]) for one in chosen]


def named(host: Host, path: str) -> Run:
    """Read the journal at `path` for `adopt`; see `adoption.read`."""
    roots = [root.path for root in scanning.look_around(host).roots]
    return adoption.read(path, host.state, roots)


def adopt(host: Host, found: Run) -> Run:
    """Take back a run from a named journal: first it becomes one of our own runs."""
    with operating.alone(host.state):
        adopted = adoption.adopt(found, host.home)
        undoing.undo(adopted, command=host.command)
    return adopted


def kept(host: Host) -> list[quarantine.Kept]:
    """Return what fixes on `host` have set aside, oldest first."""
    return [item for found in runs(host) for item in quarantine.kept(found)]


def empty(host: Host, before_s: float) -> int:
    """Delete for good what finished fixes set aside before `before_s`, in seconds since the epoch.

    Returns how many bytes are really gone.
    """
    chosen = [f for f in runs(host) if f.state not in OPEN and f.created_s <= before_s]
    chosen = [found for found in chosen if any(True for _ in quarantine.kept(found))]
    gone = 0
    for found in chosen:
        with operating.alone(host.state):
            gone += quarantine.empty(found)
    return gone


def _finish_and_carry_out(
    plan: Plan, report: Report, network: Network
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Finish interrupted fixes, then apply the plan; returns the runs, and what was taken back."""
    began: list[str] = []
    back: list[tuple[str, str]] = []
    for item in plan.unfinished:
        why = _finish(item, network)
        if why:
            back.append((item.id, why))
        elif item.state == "open":
            began.append(item.id)
    if plan.unfinished:  # finishing these may have cured or moved what the plan is about
        plan = _still_agreed(plan, report)
    if plan.repairs:
        began.append(_carry_out(plan, report, network))
    return began, tuple(back)


def _still_agreed(plan: Plan, report: Report) -> Plan:
    """Return what is left of an accepted plan after interrupted fixes were finished."""
    now = scanning.answer(report.question)
    there = {(finding.code, finding.path): finding for finding in now.findings}
    known = {(finding.code, finding.path) for finding in report.findings}
    absent = [f for f in plan.cures if (f.code, f.path) not in known and lacks(now, f)]
    kept = []
    for finding in plan.cures:
        found = there.get((finding.code, finding.path))
        agreed = found and finding.repair and _is_agreed(finding.repair, found.repair)
        if found and agreed:
            kept.append(found)
        elif found and finding.repair and run.holds(finding.repair):
            kept.append(finding)  # otherwise it is not cured, and reported as left
    return Plan((*kept, *absent))


def _is_agreed(accepted: Repair, found: Repair | None) -> bool:
    """Return whether a newly planned repair needs no download that nobody agreed to."""
    if found is None or not found.steps:
        return False
    return found.safety is not Safety.FETCHES or accepted.safety is Safety.FETCHES


def _finish(item: Unfinished, network: Network) -> str:
    """Finish an interrupted fix or undo.

    Returns an empty string, or why it could not be finished and was taken back or left as it is.
    """
    state = network.host.state
    with operating.alone(state):
        found = next((each for each in run.runs(state) if each.id == item.id), None)
        if found is None or found.state not in OPEN:
            return ""
        why = "it was started by an older version"
        try:
            if found.state == "undoing":
                undoing.undo(found, command=network.host.command)
                return ""
            if found.finishable:
                operating.operate(found, network)
                return ""
            undoing.undo(found, command=network.host.command)
        except (RepairError, OSError) as error:
            why = getattr(error, "message", str(error))
        if found.state in OPEN:
            try:
                undoing.undo(found, command=network.host.command)
            except (RepairError, OSError) as error:
                hint = getattr(error, "hint", "")
                told = getattr(error, "message", str(error)) + (f": {hint}" if hint else "")
                return told if told.startswith(why) else f"{why}; nor can it be taken back: {told}"
        return why


def _carry_out(plan: Plan, report: Report, network: Network) -> str:
    """Apply repairs as one run, on any number of file systems."""
    state = network.host.state
    operating.require_room(plan.repairs, network.host)
    own.make_folder(journal.runs_of(state))
    with operating.alone(state):
        operating.apart_from_others(plan.repairs, network.host)
        made = run.Run.create(
            state,
            plan.repairs,
            now=time.time(),
            home=network.host.home,
            roots=[root.path for root in report.survey.roots],
            engines=[finding.engines for finding in plan.cures if finding.repair],
        )
        try:
            operating.operate(made, network)
        except OSError:
            if not made.begun and made.state == "open":  # no space even to mark it failed
                made.discard()
            raise
        own.keep_reserve(state)
    return made.id


def _is_full(error: Exception) -> bool:
    causes = (error, error.__cause__)
    return any(isinstance(cause, OSError) and own.is_full(cause) for cause in causes)
