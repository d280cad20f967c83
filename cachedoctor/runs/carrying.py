"""Carry out a change, delete at once if asked to, and measure what that freed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import RepairError
from cachedoctor.plans import relocation
from cachedoctor.runs import applying
from cachedoctor.system import freed

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.plans.changes import Change
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.system.network import Network


class Carried(NamedTuple):
    """The result of a change."""

    outcome: Outcome  # the runs, and a second look
    freed_bytes: int | None = None  # measured, if the change frees anything at once


def carry_out(
    change: Change, report: Report, network: Network, *, delete: bool = False, measure: bool = False
) -> Carried:
    """Apply a change like a fix; with `delete`, delete what it set aside for good.

    A place that moves to another disk is copied and proven first. Raises `RepairError`, with
    everything as it was, if a file has changed since the change was planned.
    """
    if isinstance(change.copies, relocation.Relocation):
        relocation.bring(change.copies, report, network.progress)
        return Carried(_switched(change.copies, report, network))
    places = [choice.repair.root for choice in change.choices]
    before = freed.free_bytes(places) if delete or measure else 0
    outcome = applying.apply(change.plan(), report, network, delete=delete)
    if not (delete or measure):
        return Carried(outcome)
    return Carried(outcome, max(0, freed.free_bytes(places) - before))


def _switched(found: relocation.Relocation, report: Report, network: Network) -> Outcome:
    """Switch to a copy; if its disk goes away meanwhile, bring the old place back."""
    host = report.host
    before = {one.id for one in applying.runs(host)}
    change = relocation.switch(found, report)
    try:
        outcome = applying.apply(change.plan(), report, network)
        if found.same_disk or os.path.lexists(found.target):
            return outcome
    except RepairError:  # on the same disk nothing was copied, so no copy can be gone
        if found.same_disk or os.path.lexists(found.target) or os.path.lexists(found.part):
            raise
    for mine in [one for one in applying.undoable(host) if one.id not in before]:
        applying.undo(host, mine.id, lost=True)
    raise RepairError(
        f"the disk of `{found.target}` was disconnected; `{found.place}` is as it was before",
        hint="once the disk is back, move what is left on it out of the way and try again",
    )
