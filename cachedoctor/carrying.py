"""Carry a manager's change out, and delete at once where that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import freed, holders, journal, surgery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.changes import Change
    from cachedoctor.doctor import Report
    from cachedoctor.host import Host
    from cachedoctor.staging import Network
    from cachedoctor.surgery import Outcome


class Carried(NamedTuple):
    """What a change came to."""

    outcome: Outcome
    freed_bytes: int | None = None  # measured, where anything was deleted


def carry_out(change: Change, report: Report, network: Network, *, delete: bool = False) -> Carried:
    """Apply a change like a fix; with `delete` what it set aside is gone for good, and measured.

    Raises `RepairError`, with everything as it was, when a file is no longer what was planned with.
    """
    places = [choice.repair.root for choice in change.choices]
    before = freed.free_bytes(places) if delete else 0
    outcome = surgery.apply(change.plan(), report, network)
    if not delete:
        return Carried(outcome)
    _empty(report.host, outcome.runs)
    return Carried(outcome, max(0, freed.free_bytes(places) - before))


def _empty(host: Host, names: Sequence[str]) -> None:
    for run in surgery.runs(host):
        if run.id in names:
            with holders.hold_lock(journal.lock_file(run.folder.rpartition("/")[0])):
                run.empty()
