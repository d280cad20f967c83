"""Carry a change out, delete at once where that was asked for, and measure what it freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.plans import relocation
from cachedoctor.runs import applying
from cachedoctor.system import freed

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.plans.changes import Change
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.system.network import Network


class Carried(NamedTuple):
    """What a change came to."""

    outcome: Outcome  # the runs, and a second look
    freed_bytes: int | None = None  # measured, where anything was to be freed at once


def carry_out(
    change: Change, report: Report, network: Network, *, delete: bool = False, measure: bool = False
) -> Carried:
    """Apply a change like a fix; with `delete` what it set aside is gone for good.

    A place that moves to another disk is copied and proven first. Raises `RepairError`, with
    everything as it was, when a file is no longer what was planned with.
    """
    if isinstance(change.copies, relocation.Relocation):
        relocation.bring(change.copies, report, network.progress)
        change = relocation.switch(change.copies, report)
    places = [choice.repair.root for choice in change.choices]
    before = freed.free_bytes(places) if delete or measure else 0
    outcome = applying.apply(change.plan(), report, network, delete=delete)
    if not (delete or measure):
        return Carried(outcome)
    return Carried(outcome, max(0, freed.free_bytes(places) - before))
