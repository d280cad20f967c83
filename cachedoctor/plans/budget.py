"""Choose what to remove, smallest loss first, until enough space is free.

The order: waste; superseded revisions; second copies of a model for the same engine; then models
whose last use is known, longest unused first; then those whose last use is unknown, which count as
used just now. What cannot be fetched again, or has no known owner, is never chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import rules
from cachedoctor.plans import pruning, removal
from cachedoctor.plans.changes import Change, Choice, Spared
from cachedoctor.plans.sources import hindrance
from cachedoctor.text import size
from cachedoctor.vocabulary import SILENT, WEIGHTY_BYTES, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.vocabulary import Progress

_DAY_S = 86400


def free(holdings: Holdings, target_bytes: int, now: float, progress: Progress = SILENT) -> Change:
    """Return the change that frees `target_bytes`, or as much as may go without being named.

    Raises `UsageError` if it is not known what must be kept.
    """
    holdings.roots.require()
    choices: list[Choice] = []
    spared: list[Spared] = []
    for choice in pruning.waste(holdings, pruning.waste_codes()):
        if _sum(choices) >= target_bytes:
            break
        if choice.bytes:
            choices.append(choice)
    for one, reason in _in_order(holdings, now):
        if _sum(choices) >= target_bytes:
            break
        if one.id not in {entry for choice in choices for entry in choice.entries}:
            pruning.take(holdings, one, reason, choices, spared, progress)
    whole = tuple(removal.with_losses(holdings.report, choices))
    return Change(
        verb="free",
        choices=whole,
        spared=tuple(_without_repeats(spared)),
        target_bytes=target_bytes,
    )


def leave(holdings: Holdings, budget_bytes: int, now: float, progress: Progress = SILENT) -> Change:
    """Return the change after which models and waste take up at most `budget_bytes`."""
    loose = sum(finding.bytes for finding in holdings.loose)
    there = holdings.total_bytes + loose
    change = free(holdings, max(0, there - budget_bytes), now, progress)
    words = f"{size(there)} here, at most {size(budget_bytes)} to stay"
    return change._replace(by_the_way=(words,))


def without_loss(holdings: Holdings) -> dict[str, int]:
    """Return how much can go without a loss, by kind; reads no contents to find out."""
    found: dict[str, int] = {}
    for finding, _ in pruning.wasted(holdings, pruning.waste_codes()):
        kind = "partial downloads" if rules.find(finding.code).of_a_download else "leftovers"
        found[kind] = found.get(kind, 0) + finding.bytes
    old = sum(one.own_bytes for one, _ in pruning.old_revisions(holdings) if not hindrance(one))
    twice = sum(one.own_bytes for one, _ in second_copies(holdings) if not hindrance(one))
    found |= {"superseded": old} if old else {}
    return found | ({"second copies": twice} if twice else {})


def second_copies(holdings: Holdings) -> Iterator[tuple[Holding, str]]:
    """Yield models that their engine also has whole in another place, where it looks first."""
    kept: dict[tuple[str, str, frozenset[str]], Holding] = {}
    ready = [one for one in holdings.models if one.status is Status.READY and one.entry.claims]
    for one in sorted(ready, key=lambda one: (not one.needed_by, -len(one.entry.refs), one.id)):
        held = _contents(one)
        if not held or len(one.entry.claims) > 1:
            continue
        claim = one.entry.claims[0]
        first = kept.setdefault((claim.engine, claim.model, held), one)
        if first is not one and not one.needed_by and one.own_bytes:
            yield one, f"the same is in {holdings.report.host.short(first.entry.path)}"


def _in_order(holdings: Holdings, now: float) -> Iterator[tuple[Holding, str]]:
    yield from pruning.old_revisions(holdings)
    yield from second_copies(holdings)
    known = [one for one in holdings.models if one.used.when_s is not None and not one.programs]
    unknown = [one for one in holdings.models if one.used.when_s is None and not one.programs]
    for one in sorted(known, key=lambda one: (_days(one, now), one.own_bytes), reverse=True):
        yield one, f"not used for {_days(one, now)} days"
    for one in sorted(unknown, key=lambda one: one.own_bytes, reverse=True):
        yield one, "last use not known"
    for one in holdings.models:
        if one.programs:
            yield one, ""  # spared, and reported as such


def _days(one: Holding, now: float) -> int:
    return max(0, int((now - (one.used.when_s or now)) // _DAY_S))


def _contents(one: Holding) -> frozenset[str]:
    """Return the digests of a model's weights, or none unless all of them are known."""
    files = [a for a in one.entry.notable if a.size_bytes >= WEIGHTY_BYTES and not a.bundle]
    if any(a.digest is None or a.state is not State.PRESENT for a in files):
        return frozenset()
    return frozenset(a.digest.hex for a in files if a.digest)


def _sum(choices: list[Choice]) -> int:
    return sum(choice.bytes for choice in choices)


def _without_repeats(spared: list[Spared]) -> Iterator[Spared]:
    """Yield each spared thing once, with the first reason."""
    seen: set[tuple[str, ...]] = set()
    for one in spared:
        if one.entries not in seen:
            seen.add(one.entries)
            yield one
