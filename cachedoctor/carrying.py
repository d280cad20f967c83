"""Carry a change out, delete at once where that was asked for, and measure what it freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import freed, relocation, surgery

if TYPE_CHECKING:
    from cachedoctor.changes import Change
    from cachedoctor.doctor import Report
    from cachedoctor.staging import Network
    from cachedoctor.surgery import Outcome


class Carried(NamedTuple):
    """What a change came to."""

    outcome: Outcome
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
    outcome = surgery.apply(change.plan(), report, network, delete=delete)
    if not (delete or measure):
        return Carried(outcome)
    return Carried(outcome, max(0, freed.free_bytes(places) - before))
