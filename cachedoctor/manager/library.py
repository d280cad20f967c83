"""What Python can do: the manager's verbs, a fix, and undo.

Each verb returns a change, and `apply` carries it out.

A change says what is removed and why, what breaks, what it costs to fetch again, and what is
spared. It is made from a fresh look; `apply` refuses if a file has changed since.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple, overload

from cachedoctor.doctor import scanning
from cachedoctor.errors import UsageError
from cachedoctor.host import Host
from cachedoctor.manager import unpacking
from cachedoctor.plans import (
    budget,
    cures,
    duplicates,
    holdings,
    kept,
    naming,
    packing,
    packs,
    pruning,
    relocation,
    removal,
)
from cachedoctor.plans.changes import Change
from cachedoctor.runs import applying, carrying, quarantine
from cachedoctor.system.network import Network
from cachedoctor.system.watching import Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.plans.cures import Plan
    from cachedoctor.plans.holdings import Holdings
    from cachedoctor.plans.packing import Packing
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.runs.carrying import Carried
    from cachedoctor.system.run import Run
    from cachedoctor.system.watching import Cancel, Moment


def models(host: Host | None = None) -> Holdings:
    """Return every model on a host, with its own bytes, last use, users, and cost to refetch."""
    return holdings.models(scanning.scan(host or Host.look()))


def remove(*names: str, host: Host | None = None, even_kept: bool = False) -> Change:
    """Return the change that sets named models aside: by `engine:model`, repository, id or path.

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
    """Return the change that sets aside what nobody needs, and superseded revisions if asked to."""
    found = models(_own(host))
    change = pruning.prune(
        found, keep_revisions=keep_revisions, older_than_s=older_than_s, caches=caches
    )
    return change._replace(report=found.report)


def free(
    target_bytes: int | None = None, *, budget_bytes: int | None = None, host: Host | None = None
) -> Change:
    """Return the change that frees `target_bytes`, or leaves at most `budget_bytes` in use.

    Reads every model that it chooses.
    """
    if (target_bytes is None) == (budget_bytes is None):
        raise UsageError("name either `target_bytes` or `budget_bytes`")
    found = models(_own(host))
    if target_bytes is not None:
        change = budget.free(found, target_bytes, time.time())
    else:
        change = budget.leave(found, budget_bytes or 0, time.time())
    return change._replace(report=found.report)


def dedupe(*, host: Host | None = None) -> Change:
    """Return the change that lets identical files share their blocks, on disks that can."""
    found = models(_own(host))
    return duplicates.dedupe(found)._replace(report=found.report)


def move(place: str, target: str, *, host: Host | None = None, link: bool = True) -> Change:
    """Return the change that moves a place of models; applying it copies and proves first."""
    here = _own(host)
    kept.roots(here).require()
    report = scanning.scan(here, cure_notes=False)
    return relocation.switch(relocation.relocate(report, place, target, link=link), report)


def pack(
    *names: str,
    folder: str | os.PathLike[str] | None = None,
    host: Host | None = None,
    have: Collection[str] = (),
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Packing:
    """Return the contents of a pack of these models, and write it into `folder` if one is given.

    A name is `engine:size`, `engine:model`, a repository, an id or a path. Every byte is read and
    proven. `have` are digests of files that the other side has. A folder that holds part of the
    pack is completed. Raises `UsageError` for a model that no known engine loads, `CannotLookError`
    for a model that is not ready, and `RepairError` if there is no space.
    """
    watched = Watched(progress, cancel)
    found = packing.pack(host or Host.look(), names, have=have, progress=watched)
    if folder is not None:
        packing.write(found, os.path.abspath(folder), watched)
    return found


def unpack(
    folder: str | os.PathLike[str],
    *names: str,
    host: Host | None = None,
    for_engines: Sequence[str] = (),
) -> Change:
    """Return the change that puts a pack's models where their engines look for them."""
    pack = packs.read(os.fspath(folder))
    report = unpacking.with_source(scanning.scan(_own(host), cure_notes=False), pack)
    change = unpacking.unpack(
        pack, report.host, report.survey, for_engines=for_engines, names=names
    )
    return change._replace(report=report)


def plan(
    report: Report,
    *,
    codes: Collection[str] = (),
    waste: bool = False,
    offline: bool = False,
    mirrors: Mapping[str, str] | None = None,
) -> Plan:
    """Choose what of a `report` to cure: errors and warnings, or just these `codes`.

    Notes are cured only by code, or with `waste`, and never by a download. `offline` and `mirrors`
    (by `hub` and `openai`) say what `apply` may use; before that, nothing is asked or changed.
    """
    network = Network.of(report.host, offline=offline, mirrors=mirrors)
    return cures.plan(report, codes=codes, waste=waste, network=network, ask=False)


@overload
def apply(
    plan: Change,
    *,
    delete: bool = False,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Carried: ...


@overload
def apply(
    plan: Plan,
    *,
    delete: bool = False,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Outcome: ...


def apply(
    plan: Plan | Change,
    *,
    delete: bool = False,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Outcome | Carried:
    """Carry out a plan from `plan`, or a change from one of the verbs, and look again.

    Everything is staged and proven first, so that each cache ends up whole or as it was. With
    `delete`, what was set aside is deleted for good. `progress` and `cancel` are as in `ensure`.
    Raises `RepairError`, with everything as it was, if a file has changed since the plan was made.
    """
    report = plan.report
    if report is None:
        raise UsageError("a plan needs the report that it was made from")
    report.host.require_own_configuration()
    if isinstance(plan, Change):
        network = Network(report.host, offline=True, progress=Watched(progress, cancel))
        measure = plan.verb == "dedupe"
        return carrying.carry_out(plan, report, network, delete=delete, measure=measure)
    Watched(cancel=cancel).advance(0)
    plan = cures.resolved(plan)
    total = plan.fetch_bytes + plan.copy_bytes if plan.fetch_bytes_known else None
    allowed = plan.network or Network(report.host)
    network = allowed._replace(progress=Watched(progress, cancel, total))
    return applying.apply(plan, report, network, delete=delete)


class PastRun(NamedTuple):
    """One run that changed something: a fix, or a change by another verb."""

    id: str  # its name, for `undo`
    created_s: float  # when it was started
    state: str  # done, undone, failed, emptied; open or undoing if it was interrupted
    repairs: tuple[str, ...]  # what it did, one imperative line each
    engines: tuple[str, ...]  # engines that it was made for
    aside_bytes: int  # size of what it set aside and still holds
    folder: str  # folder of its journal

    @property
    def undoable(self) -> bool:
        """Return whether `undo` can take it back."""
        return self.state not in applying.NOT_UNDOABLE


def history(host: Host | None = None) -> tuple[PastRun, ...]:
    """Return every run that changed something on a host, oldest first."""
    return tuple(_past(found) for found in applying.runs(host or Host.look()))


def undo(
    run: str | None = None, *, host: Host | None = None, lost: bool = False
) -> tuple[PastRun, ...]:
    """Take back a run by its id, or the last one not taken back yet; returns what was taken back.

    Bytes, modes, times and links are as they were before. With `lost`, what is on a disk that is
    not connected stays as it is. Raises `UsageError` for an unknown run, and `RepairError`, with
    nothing changed, if a file is no longer as the run left it.
    """
    here = _own(host)
    taken = {found.id for found in applying.undo(here, run, lost=lost)}
    return tuple(one for one in history(here) if one.id in taken)


def _past(found: Run) -> PastRun:
    names = (name for made_for in found.header.engines for name in made_for)
    return PastRun(
        id=found.id,
        created_s=found.created_s,
        state=found.state,
        repairs=tuple(repair.describe for repair in found.repairs),
        engines=tuple(dict.fromkeys(names)),
        aside_bytes=sum(item.size_bytes for item in quarantine.kept(found)),
        folder=found.folder,
    )


def _own(host: Host | None) -> Host:
    """Return the host; raises if the user's own configuration cannot be trusted."""
    here = host or Host.look()
    here.require_own_configuration()
    return here
