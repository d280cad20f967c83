"""Make the models in `ENGINE:SIZE` or `ENGINE:MODEL` questions ready: look, plan, apply."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, verdict
from cachedoctor.errors import UsageError
from cachedoctor.plans import cures, readying
from cachedoctor.runs import applying
from cachedoctor.system import usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock
    from cachedoctor.plans.cures import Plan
    from cachedoctor.system.network import Network
    from cachedoctor.verdict import Verdict


class Wanted(NamedTuple):
    """One model that is asked for: by size, by name, or exactly as in a lock file."""

    engine: str
    size: str | None = None
    model: str | None = None
    lock: Lock | None = None

    def verdict(self, host: Host) -> Verdict:
        """Return whether it is ready now."""
        return verdict.preflight(
            self.engine, size=self.size, model=self.model, lock=self.lock, host=host
        )


class Proposal(NamedTuple):
    """What it takes to make one model ready; without a plan if none helps or none is needed."""

    wanted: Wanted
    verdict: Verdict
    report: Report | None = None
    plan: Plan | None = None
    barred: Plan | None = None  # in place of a plan: what only a person can do first


_PATH = ("/", "~", "./", "../")  # prefixes of a model that is named by its path


def wanted(questions: Sequence[tuple[str, str]], lock: Lock | None = None) -> tuple[Wanted, ...]:
    """Return the models meant by pairs of an engine and a size or model, and by a lock file.

    Raises `UsageError` for an unknown name, with the nearest.
    """
    found = []
    for name, what in questions:
        engine = engines.find(name)
        if what in engine.table.sizes:
            found.append(Wanted(name, size=what))
        elif what.startswith(_PATH):
            found.append(Wanted(name, model=what))
        else:
            found.append(Wanted(name, model=engine.table.row(what).name))
    for locked in lock.models if lock else ():
        alone = lock._replace(models=(locked,)) if lock else None
        found.append(Wanted(locked.engine, model=locked.name, lock=alone))
    if not found:
        raise UsageError(
            "name a model", hint="`cachedoctor ensure faster-whisper:small`, or `--lock FILE`"
        )
    return tuple({(one.engine, one.size, one.model): one for one in found}.values())


def propose(wanted: Iterable[Wanted], network: Network) -> tuple[Proposal, ...]:
    """Look at each model and plan what makes it ready; changes nothing.

    Asks the hub for a model's files only if no table gives their size; raises `FetchError` if it
    cannot be asked.
    """
    found = (_proposal(one, network) for one in wanted)
    return tuple(
        one if one.plan is None or one.plan.fetch_bytes_known else _settled(one) for one in found
    )


def settle(proposals: Iterable[Proposal]) -> tuple[Proposal, ...]:
    """Ask the hub for the commits and files of the accepted proposals.

    Raises `FetchError` if it cannot be asked.
    """
    return tuple(_settled(one) for one in proposals)


def cost(proposals: Iterable[Proposal]) -> int | None:
    """Return how many bytes all proposals download together, or `None` if that is not known."""
    plans = [one.plan for one in proposals if one.plan]
    known = all(plan.fetch_bytes_known for plan in plans)
    return sum(plan.fetch_bytes for plan in plans) if known else None


def dearer(before: Sequence[Proposal], after: Sequence[Proposal]) -> bool:
    """Return whether one costs so much more than announced that it must be confirmed again."""
    pairs = zip(before, after, strict=True)
    return any(b.plan and a.plan and cures.dearer(a.plan, b.plan.fetch_bytes) for b, a in pairs)


def _settled(one: Proposal) -> Proposal:
    return one._replace(plan=cures.resolved(one.plan)) if one.plan else one


def carry_out(proposals: Sequence[Proposal], network: Network) -> tuple[Verdict, ...]:
    """Apply the accepted proposals, one model after the other, and return their verdicts.

    A model that became ready along with another is left alone. Raises `RepairError`, with that
    model's cache as it was, if a plan cannot be carried out.
    """
    verdicts = []
    for proposal in proposals:
        now = proposal.wanted.verdict(network.host)
        if not now.ready and proposal.plan is not None and proposal.report is not None:
            applying.apply(proposal.plan, proposal.report, network)
            now = proposal.wanted.verdict(network.host)
        verdicts.append(now)
    return tuple(verdicts)


def remember(verdicts: Iterable[Verdict], host: Host) -> None:
    """Record that these models are used now."""
    paths = [one.path for one in verdicts if one.path]
    usage.remember(host.state, usage.ENSURE, paths, time.time())


def _proposal(one: Wanted, network: Network) -> Proposal:
    host = network.host
    now = one.verdict(host)
    path = (one.model or "").startswith(_PATH)  # it has no known source
    if now.ready or path or now.blocked:
        return Proposal(one, now)
    plan, report = readying.plan(one.engine, network, size=one.size, model=one.model, lock=one.lock)
    if plan.cures or plan.unfinished:
        return Proposal(one, now, report, plan)
    return Proposal(one, now, report, barred=plan if plan.by_hand else None)
