"""Choose what can go without loss: partial downloads, orphans, leftovers, superseded revisions."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cachedoctor import rules
from cachedoctor.findings import Safety, SetAside
from cachedoctor.locators import inside
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.plans import removal, sources
from cachedoctor.plans.changes import Change, Choice, Spared
from cachedoctor.plans.holdings import made_s
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.vocabulary import Entry, Progress


def waste_codes() -> tuple[str, ...]:
    """Return the codes of what nobody would miss, according to the rules; least loss first."""
    last = 1 << 10  # for waste without an order
    found = [
        (last if rule.prune_order is None else rule.prune_order, rule.code)
        for rule in rules.every()
        if (rule.waste or rule.prune_order is not None) and not rule.made_again
    ]
    return tuple(code for _, code in sorted(found))


def cache_codes() -> tuple[str, ...]:
    """Return the codes of caches that are rebuilt; only the next load is slow."""
    return tuple(rule.code for rule in rules.every() if rule.made_again)


def prune(
    holdings: Holdings,
    *,
    keep_revisions: int | None = None,
    older_than_s: float | None = None,
    caches: bool = False,
    progress: Progress = SILENT,
) -> Change:
    """Return the change that sets waste aside, least loss first.

    Superseded revisions go only if it is said which: all but the newest `keep_revisions` of a
    repository, or those downloaded longer than `older_than_s` ago. Raises `UsageError` if it is not
    known what must be kept.
    """
    holdings.roots.require()
    choices = [*waste(holdings, waste_codes()), *(waste(holdings, cache_codes()) if caches else ())]
    spared: list[Spared] = []
    if keep_revisions is not None or older_than_s is not None:
        now = time.time()
        for one, reason in old_revisions(holdings):
            made = made_s(one.entry.path)
            young = older_than_s is not None and (made is None or now - made < older_than_s)
            if young or _rank(one.entry, holdings) < (keep_revisions or 0):
                continue
            take(holdings, one, reason, choices, spared, progress)
    return Change(verb="prune", choices=tuple(choices), spared=tuple(spared))


def waste(holdings: Holdings, codes: Sequence[str]) -> Iterator[Choice]:
    """Yield a choice for everything that nobody needs, by kind; each path once."""
    for finding, repair in wasted(holdings, codes):
        yield Choice(
            title=_title(finding),
            path=finding.path,
            reason=rules.find(finding.code).litter or finding.slug.replace("-", " "),
            bytes=finding.bytes,
            repair=repair,
            entries=(),
            waste=True,
        )


def wasted(holdings: Holdings, codes: Sequence[str]) -> Iterator[tuple[Finding, Repair]]:
    """Yield the findings that are cured by removing something, with their repairs."""
    found = sorted(
        (f for f in holdings.report.findings if f.code in codes and f.repair),
        key=lambda finding: (codes.index(finding.code), -finding.bytes, finding.path),
    )
    taken: list[str] = []
    for finding in found:
        repair = finding.repair
        if repair is None or repair.safety is not Safety.SAFE or repair.needs:
            continue
        if not all(isinstance(step, SetAside) for step in repair.steps):
            continue  # its cure does more than remove
        if any(inside(finding.path, path) for path in taken):
            continue
        taken.append(finding.path)
        yield finding, repair


def old_revisions(holdings: Holdings) -> Iterator[tuple[Holding, str]]:
    """Yield the revisions that a newer download superseded, largest first, with the reason."""
    for one in sorted(holdings.models, key=lambda one: -one.own_bytes):
        if one.superseded_by:
            yield one, f"superseded by {one.superseded_by[:12]}"


def take(
    holdings: Holdings,
    one: Holding,
    reason: str,
    choices: list[Choice],
    spared: list[Spared],
    progress: Progress,
) -> bool:
    """Choose a model if it can certainly be fetched again; otherwise spare it, with the reason."""
    why = sources.hindrance(one)
    why = why or removal.obstacle(holdings, (one.entry,), _chosen_ids(choices))
    why = why or sources.doubt(holdings, one, progress)
    if why:
        spared.append(removal.spare(holdings, (one.entry,), why))
        return False
    mates = [choice for choice in choices if _same_repository(choice, one.entry, holdings)]
    others = [choice for choice in choices if choice not in mates]
    entries = [holdings.of(key).entry for choice in mates for key in choice.entries]
    reasons = "; ".join(dict.fromkeys((*(choice.reason for choice in mates), reason)))
    chosen = removal.choose(holdings, (*entries, one.entry), reasons, others)
    if why := removal.shut(chosen):
        spared.append(removal.spare(holdings, (one.entry,), why))
        return False
    choices[:] = [choice for choice in others if not _covers(chosen, choice)]
    choices.append(chosen)
    return True


def _same_repository(choice: Choice, entry: Entry, holdings: Holdings) -> bool:
    """Return whether a choice takes another revision of the same repository: they go together."""
    folder = repository_folder(entry)
    return any(repository_folder(holdings.of(key).entry) == folder for key in choice.entries)


def _covers(larger: Choice, smaller: Choice) -> bool:
    """Return whether a choice moves everything that a smaller one moves."""
    return all(
        any(inside(step.path, other.path) for other in larger.repair.steps)
        for step in smaller.repair.steps
    )


def _chosen_ids(choices: Sequence[Choice]) -> set[str]:
    return {entry for choice in choices for entry in choice.entries}


def _rank(entry: Entry, holdings: Holdings) -> int:
    """Return how many revisions of the same repository were downloaded later."""
    folder, mine = repository_folder(entry), made_s(entry.path) or 0.0
    others = (one.entry for one in holdings.models)
    return sum(
        (made_s(other.path) or 0.0) > mine
        for other in others
        if other.revision and other.id != entry.id and repository_folder(other) == folder
    )


def _title(finding: Finding) -> str:
    return os.path.basename(finding.path)
