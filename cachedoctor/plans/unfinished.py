"""What is left to do of an interrupted fix, counted like any other repair."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, rules
from cachedoctor.doctor import readiness
from cachedoctor.findings import (
    CdnFetch,
    Finding,
    HubFetch,
    LocalCopy,
    Put,
    Repair,
    Safety,
    is_download,
)
from cachedoctor.system import disk, run, undoing
from cachedoctor.system.ground import below

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Need
    from cachedoctor.system.run import Run


class Unfinished(NamedTuple):
    """An interrupted fix, and what is left to do to finish it or its undo."""

    id: str  # name of the run
    folder: str  # folder of its journal
    state: str  # `open` or `undoing`
    created_s: float  # when it was started
    repairs: tuple[Repair, ...]  # each with the steps, needs and bytes that are left
    back: tuple[str, ...] = ()  # what taking it back does, if it cannot be finished


def interrupted(report: Report, cures: Sequence[Finding]) -> tuple[Unfinished, ...]:
    """Return the interrupted fixes that concern the question, or are in the way of `cures`."""
    folders = {found.path for found in report.findings if rules.find(found.code).a_run}
    if not folders:
        return ()
    mine = {step.path for f in cures if f.repair for step in f.repair.steps}
    return tuple(
        _left_of(found)
        for found in run.unfinished(report.host.state)
        if found.folder in folders and _related(found, report.engines, mine)
    )


def brings(unfinished: Sequence[Unfinished], finding: Finding) -> bool:
    """Return whether finishing interrupted fixes brings what cures a finding."""
    first = (step for item in unfinished for repair in item.repairs for step in repair.steps)
    brought = {step.path for step in first if isinstance(step, Put)}
    repair = finding.repair
    if repair is None or not brought:
        return False
    if repair.deferred and not repair.steps:
        return any(below(path, finding.path) for path in brought)
    mine = {step.path for step in repair.steps if isinstance(step, Put)}
    return bool(mine) and mine <= brought


def lacks(report: Report, absence: Finding) -> bool:
    """Return whether a later look still lacks a model that was asked for and was not there."""
    claims = [claim for entry in absence.made_from for claim in entry.claims]
    for claim in claims:
        engine = engines.find(claim.engine)
        answer = readiness.ready(engine, report, (engine.table.row(claim.model),))
        if answer.code == absence.code and (answer.entry is None) == (not absence.entries):
            return True
    return not claims


def _related(found: Run, names: Sequence[str], paths: Collection[str]) -> bool:
    """Return whether a run was for one of these engines, or touches one of these paths."""
    engines_ = {name for made_for in found.header.engines for name in made_for}
    if not names or not engines_ or engines_.intersection(names):
        return True
    return any(below(one, two) or below(two, one) for one in found.paths() for two in paths)


def _left_of(found: Run) -> Unfinished:
    """Return what an interrupted run still has to do."""
    if not found.finishable:
        back = tuple(undoing.words(found))
        return Unfinished(
            id=found.id,
            folder=found.folder,
            state=found.state,
            created_s=found.created_s,
            repairs=(),
            back=back,
        )
    repairs = []
    for number, repair in enumerate(found.repairs):
        steps = found.left(number)
        if found.taken(number):
            continue
        needs = tuple(
            need
            for need in repair.needs
            if not found.placed(number, need.name) and not found.ready(number, need.name)
        )
        fetch, copy = (
            (sum(cost) for cost in zip(*map(_cost, needs), strict=True)) if needs else (0, 0)
        )
        fetches = any(is_download(need.sources[0]) for need in needs)
        repairs.append(
            repair._replace(
                safety=Safety.FETCHES if fetches else Safety.SAFE,
                needs=needs,
                steps=steps,
                fetch_bytes=fetch,
                copy_bytes=copy,
            )
        )
    return Unfinished(
        id=found.id,
        folder=found.folder,
        state=found.state,
        created_s=found.created_s,
        repairs=tuple(repairs),
    )


def _cost(need: Need) -> tuple[int, int]:
    """Return how many bytes a need's first source downloads and copies."""
    match need.sources[0]:
        case HubFetch(bytes=known) | CdnFetch(bytes=known):
            return known, 0
        case LocalCopy(files=files):
            stamps = (disk.stamp(path) for _, path in files)
            return 0, sum(found.size_bytes for found in stamps if found)
        case _:
            return 0, 0
