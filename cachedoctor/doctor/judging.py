"""Apply the rules to a survey, keep one code for one fault, and derive each entry's status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import engines, locators, rules
from cachedoctor.findings import Circumstance, Finding, Safety, Severity, is_download
from cachedoctor.locators import inside
from cachedoctor.rules import precedence
from cachedoctor.rules.ourselves import RuleCrashed
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cachedoctor.findings import Repair
    from cachedoctor.vocabulary import Entry


# Gravest first.
_GRAVEST = (Status.IN_PROGRESS, Status.CORRUPT, Status.INCOMPLETE, Status.UNKNOWN)


class Checked(NamedTuple):
    """How many files of an entry were checked, by kind of evidence."""

    digest: int = 0  # every byte was read, now or earlier, and is right
    structure: int = 0  # the header and the length agree
    none: int = 0  # no evidence to check against


def judge(
    seen: rules.Examination,
    entries: Sequence[Entry],
    layouts: set[str],
    names: Sequence[str],
    *,
    cure_notes: bool | Collection[str],
    asked: bool,
) -> list[Finding]:
    """Apply every rule, keep one code for one fault, and attach the repairs.

    A model known only by its shape is downloaded only if models were `asked` for by name.
    """
    worth = [entry for entry in entries if entry.notable or entry.claims or entry.retired]
    found = [finding for rule in rules.every() for finding in _applied(rule, seen, worth)]
    order = {entry.id: number for number, entry in enumerate(entries)}
    kept = [
        finding
        for finding in precedence.settle(found)
        if any(entry in order for entry in finding.entries)
        or (not finding.entries and _asked_for(finding, layouts, names))
        or (finding.shows in HIDING and _hides(finding, seen, names))
    ]

    def place(finding: Finding) -> tuple[int, int, str, str]:
        first = min((order.get(e, len(order)) for e in finding.entries), default=len(order))
        return first, finding.severity.rank, finding.code, finding.path

    return [
        finding._replace(repair=_cure(finding, seen, asked=asked))
        if finding.severity is not Severity.NOTE
        or (cure_notes if isinstance(cure_notes, bool) else finding.code in cure_notes)
        else finding
        for finding in sorted(kept, key=place)
    ]


def _cure(finding: Finding, seen: rules.Examination, *, asked: bool) -> Repair | None:
    """Return the repair for a finding; downloads no model known only by shape unless asked."""
    repair = rules.find(finding.code).cure(finding, seen)
    claimed = [entry for entry in finding.made_from if entry.claims]
    if repair is None or asked or not claimed or not all(e.by_shape for e in claimed):
        return repair
    if repair.safety is Safety.FETCHES:
        return None
    needs = []
    for need in repair.needs:
        local = tuple(source for source in need.sources if not is_download(source))
        needs.append(need._replace(sources=local))
    return repair._replace(needs=tuple(needs))


HIDING = (Circumstance.CLOSED, Circumstance.GONE)


def _hides(finding: Finding, seen: rules.Examination, names: Sequence[str]) -> bool:
    """Return whether a hidden folder may hold a model of the engines asked about."""
    for engine in map(engines.find, names):
        models = engine.table.models.values()
        places = {place for model in models for place in engine.places(model)}
        for root in seen.survey.roots:
            if root.locator in engine.locators and inside(finding.path, root.path):
                find = locators.find(root.locator)
                if any(inside(find.place(root.path, name), finding.path) for name in places):
                    return True
    return False


def _asked_for(finding: Finding, layouts: set[str], names: Sequence[str]) -> bool:
    """Return whether a finding without entries concerns the engines asked about."""
    if not layouts or set(names).intersection(finding.engines):
        return True
    return finding.locator in (None, *layouts)


def _applied(
    rule: rules.Rule, seen: rules.Examination, entries: Sequence[Entry]
) -> Iterator[Finding]:
    """Apply one rule to everything it checks; a crash becomes a finding of its own."""
    try:
        yield from rule.found(seen, entries)
    except Exception as error:  # noqa: BLE001 - the one broad except: a bug in a rule is a finding
        yield RuleCrashed.report(rule.code, error, seen.host.home)


def status_of(entry: Entry, mine: Sequence[Finding], *, crashed: bool) -> Status:
    """Return the status an engine would meet; the gravest finding decides."""
    left = {finding.leaves for finding in mine}
    for status in _GRAVEST:
        if status in left:
            return status
    if crashed:
        return Status.UNKNOWN
    plain = len(entry.artifacts) - len(entry.notable)
    nothing = not plain and all(a.state is State.MISSING for a in entry.notable)
    if entry.claims and (nothing or (entry.revision is None and entry.nothing_here)):
        return Status.ABSENT  # only looked up, or downloaded to another folder
    known = (
        entry.claims
        or (entry.plain is not None and entry.plain.promised)
        or any(artifact.name in entry.promises for artifact in entry.notable)
    )
    return Status.READY if known and entry.artifacts else Status.UNKNOWN


def checked(entry: Entry, seen: rules.Examination) -> Checked:
    """Count an entry's files by how they were checked: by digest, form or length, or not."""
    digest = structure = none = 0
    if entry.plain is not None:
        digest = entry.plain.proven()
        rest = len(entry.artifacts) - len(entry.notable) - digest
        structure = min(rest, entry.plain.promised)
        none = rest - structure
    for artifact in entry.notable:
        if artifact.state is not State.PRESENT:
            continue
        if seen.judged(artifact):
            digest += 1
        elif artifact.format or artifact.expected_bytes is not None:
            structure += 1
        else:
            none += 1
    return Checked(digest, structure, none)
