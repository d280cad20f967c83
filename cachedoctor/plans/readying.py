"""Plan what makes one model ready: look at its engine, and cure or fetch what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import engines
from cachedoctor.doctor import readiness, scanning
from cachedoctor.plans import cures

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.lockfile import Lock
    from cachedoctor.plans.cures import Plan
    from cachedoctor.system.network import Network


def plan(
    engine: str, network: Network, *, size: str | None, model: str | None, lock: Lock | None
) -> tuple[Plan, Report]:
    """Return the plan for a size, a model or a lock file's model, and the look it is made from.

    What the hub must be asked is left to `cures.resolved`.
    """
    models = readiness.answers(engines.find(engine), size=size, model=model)
    names = [found.name for found in models]
    report = scanning.scan(
        network.host, [engine], models=names, lock=lock, progress=network.progress
    )
    absent = (
        cures.absent_locked(report)
        if lock
        else cures.absent_model(report, engine, size=size, model=model)
    )
    return cures.plan(report, absent=absent, network=network, ask=False), report
