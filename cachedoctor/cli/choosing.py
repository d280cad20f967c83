"""Ask which repairs of a plan to make: all, those without a download, some by number, or none."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from cachedoctor.findings import Safety

if TYPE_CHECKING:
    from cachedoctor.findings import Finding
    from cachedoctor.plans.cures import Plan

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def chosen(plan: Plan, *, text: bool) -> Plan | None:
    """Ask if somebody can answer; return the wanted part of the plan, or nothing.

    The work that finishes an interrupted fix goes first and is not optional.
    """
    if not text or not sys.stdin.isatty():
        return None
    finishing = sum(len(item.repairs) or 1 for item in plan.unfinished)
    count = len(plan.cures) + finishing
    which = "this repair" if count == 1 else f"these {count} repairs"
    local = [finding for finding in plan.cures if not _fetches(finding)]
    answers = ["y"]
    if local and len(local) < len(plan.cures):
        answers.append(f"l = the {len(local)} without a download")
    if len(plan.cures) > 1:
        answers.append("numbers such as 1,3-5")
    while True:
        said = click.prompt(
            f"Apply {which}? [{', '.join((*answers, 'N'))}]",
            default="n",
            show_default=False,
            prompt_suffix=" ",
        )
        wanted = _chosen_by(said.strip().lower(), plan, local)
        if wanted is not None:
            return plan._replace(cures=tuple(wanted)) if wanted or _means_all(said) else None
        click.echo(f"answer {', '.join((*answers, 'n'))}", err=True)


def _chosen_by(said: str, plan: Plan, local: list[Finding]) -> list[Finding] | None:
    """Return the repairs that an answer means, none for no, `None` if it means nothing."""
    if said in ("n", "no", ""):
        return []
    if _means_all(said):
        return list(plan.cures)
    if said in ("l", "local"):
        return local
    parts = [_RANGE.fullmatch(part) for part in re.split(r"[,\s]+", said)]
    before = sum(len(item.repairs) for item in plan.unfinished)
    numbers: set[int] = set()
    for part in parts:
        if part is None:
            return None
        first, last = int(part[1]), int(part[2] or part[1])
        if not before < first <= last <= before + len(plan.cures):
            return None
        numbers.update(range(first - before - 1, last - before))
    return [finding for number, finding in enumerate(plan.cures) if number in numbers]


def _means_all(said: str) -> bool:
    return said.strip().lower() in ("y", "yes", "a", "all")


def _fetches(finding: Finding) -> bool:
    return finding.repair is not None and finding.repair.safety is Safety.FETCHES
