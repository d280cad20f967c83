"""The manager's verbs as functions: each returns a change, and `apply` carries it out.

A change says what goes and why, what breaks, what it costs to have again, and what is spared. It is
made from a look of this moment; `apply` refuses when a file is no longer what it was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, overload

from cachedoctor.doctor import scanning
from cachedoctor.errors import UsageError
from cachedoctor.host import Host
from cachedoctor.manager import unpacking
from cachedoctor.plans import (
    budget,
    duplicates,
    holdings,
    kept,
    naming,
    packs,
    pruning,
    relocation,
    removal,
)
from cachedoctor.plans.changes import Change
from cachedoctor.runs import applying, carrying
from cachedoctor.system.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.plans.cures import Plan
    from cachedoctor.plans.holdings import Holdings
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.runs.carrying import Carried


def models(host: Host | None = None) -> Holdings:
    """Return every model on a host, with its own bytes, last use, who needs it, and its cost."""
    return holdings.models(scanning.scan(host or Host.look()))


def remove(names: Sequence[str], *, host: Host | None = None, even_kept: bool = False) -> Change:
    """Return the change that sets named models aside.

    Raises `UsageError` for a name that fits several things or none.
    """
    found = models(_own(host))
    change = removal.remove(found, naming.resolve(names, found.report), even_kept=even_kept)
    return change._replace(report=found.report)


def prune(
    *,
    host: Host | None = None,
    keep_revisions: int | None = None,
    older_than_s: float | None = None,
    caches: bool = False,
) -> Change:
    """Return the change that sets aside what nobody needs, superseded revisions where asked."""
    found = models(_own(host))
    change = pruning.prune(
        found, keep_revisions=keep_revisions, older_than_s=older_than_s, caches=caches
    )
    return change._replace(report=found.report)


def free(
    target_bytes: int | None = None, *, budget_bytes: int | None = None, host: Host | None = None
) -> Change:
    """Return the change that frees so much, or leaves at most so much; reads what it chooses."""
    if (target_bytes is None) == (budget_bytes is None):
        raise UsageError("name either `target_bytes` or `budget_bytes`")
    found = models(_own(host))
    if target_bytes is not None:
        change = budget.free(found, target_bytes, time.time())
    else:
        change = budget.leave(found, budget_bytes or 0, time.time())
    return change._replace(report=found.report)


def dedupe(*, host: Host | None = None) -> Change:
    """Return the change that lets files of the same bytes share their blocks, where disks can."""
    found = models(_own(host))
    return duplicates.dedupe(found)._replace(report=found.report)


def move(place: str, target: str, *, host: Host | None = None, link: bool = True) -> Change:
    """Return the change that moves a place of models; applying it copies and proves first."""
    here = _own(host)
    kept.roots(here).require()
    report = scanning.scan(here, cure_notes=False)
    return relocation.switch(relocation.relocate(report, place, target, link=link), report)


def unpack(
    folder: str,
    names: Sequence[str] = (),
    *,
    host: Host | None = None,
    for_engines: Sequence[str] = (),
) -> Change:
    """Return the change that puts a pack's models where their engines look for them."""
    pack = packs.read(folder)
    report = unpacking.with_source(scanning.scan(_own(host), cure_notes=False), pack)
    change = unpacking.unpack(
        pack, report.host, report.survey, for_engines=for_engines, names=names
    )
    return change._replace(report=report)


@overload
def apply(plan: Change, *, delete: bool = False) -> Carried: ...


@overload
def apply(plan: Plan, report: Report, network: Network, *, delete: bool = False) -> Outcome: ...


def apply(
    plan: Plan | Change,
    report: Report | None = None,
    network: Network | None = None,
    *,
    delete: bool = False,
) -> Outcome | Carried:
    """Carry out a plan of `plan`, or a change of one of the verbs; see `surgery.apply`.

    With `delete` what was set aside is gone for good. Raises `RepairError`, with everything as it
    was, when a file is no longer what it was planned with.
    """
    if isinstance(plan, Change):
        look = report or plan.report
        if look is None:
            raise UsageError("a change needs the report that it was made from")
        return carrying.carry_out(
            plan,
            look,
            network or Network(look.host, offline=True),
            delete=delete,
            measure=plan.verb == "dedupe",
        )
    if report is None or network is None:
        raise UsageError("a plan needs its report and a network")
    return applying.apply(plan, report, network, delete=delete)


def _own(host: Host | None) -> Host:
    """Return the host; refuses a configuration of the user's own that cannot be trusted."""
    here = host or Host.look()
    here.require_own_configuration()
    return here
