"""Engine × size: which model would answer, from which entry, and whether it can load now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.findings import Circumstance, Readiness, Severity
from cachedoctor.rules.consistent import RenamedFolder
from cachedoctor.rules.present import MissingFile
from cachedoctor.rules.refs import RefDangling
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.catalog import Model
    from cachedoctor.doctor import Report
    from cachedoctor.engines import Engine
    from cachedoctor.findings import Finding
    from cachedoctor.vocabulary import Claim, Entry


def answers(engine: Engine, *, size: str | None, model: str | None) -> tuple[Model, ...]:
    """Return the models that answer a size, in order, or the one model that is named.

    Raises `UsageError` for a name or size that the engine does not have.
    """
    if model is not None:
        return (engine.table.model(model),)
    if size is not None:
        return engine.table.answers(size)
    return tuple(engine.table.models.values())


def ready(
    engine: Engine, report: Report, models: Sequence[Model], size: str | None = None
) -> Readiness:
    """Say which of `models` the engine would load from what `report` found.

    The first that is ready answers; where none is, the first that is there says why not.
    """
    excuse: Readiness | None = None
    for model in models:
        for entry, claim in _entries(engine, report, model):
            code, why = _obstacle(entry, claim, report)
            answer = Readiness(
                engine.name, size, model.name, not why, entry.id, entry.path, code, why
            )
            if answer.ready:
                return answer
            excuse = excuse or answer
            if entry.path.startswith(engine.home(model, report.host)):
                break  # the engine looks here first, and no further
    if excuse is not None:
        return excuse
    barred = next((found for m in models if (found := _barred(engine, m, report))), None)
    if barred is not None:
        named, finding = barred
        return Readiness(
            engine.name, size, named, False, None, finding.path, finding.code, finding.message
        )
    first = models[0].name if models else None
    place = engine.home(models[0], report.host) if models else None
    return Readiness(engine.name, size, first, False, None, place, MissingFile.code, "not there")


def hidden(finding: Finding) -> bool:
    """Say whether a finding is about a place in which something may be that cannot be seen."""
    return finding.shows in (Circumstance.CLOSED, Circumstance.GONE)


def _barred(engine: Engine, model: Model, report: Report) -> tuple[str, Finding] | None:
    """Return what hides the places where `model` may be, if anything does.

    Apps' own containers, which macOS closes, hide nothing that other programs would load.
    """
    places = [engine.home(model, report.host)]
    for root in report.survey.roots:
        if root.locator in engine.locators:
            find = locators.find(root.locator)
            places += [find.place(root.path, name) for name in engine.places(model)]
    for finding in report.findings:
        if not hidden(finding) or finding.severity is Severity.NOTE:
            continue
        ours = engine.name in finding.engines and not finding.entries
        if ours or any(locators.inside(place, finding.path) for place in places):
            return model.name, finding
    return None


def _entries(engine: Engine, report: Report, model: Model) -> list[tuple[Entry, Claim]]:
    """Return the entries of one model, the ones that the engine looks at first."""
    found = [
        (entry, claim)
        for entry in report.entries
        if report.statuses[entry.id] is not Status.ABSENT
        for claim in entry.claims
        if claim.engine == engine.name and claim.model == model.name
    ]
    places = engine.places(model)

    def rank(pair: tuple[Entry, Claim]) -> tuple[bool, bool, int]:
        entry = pair[0]
        usual = entry.path.startswith(engine.home(model, report.host))
        place = places.index(entry.name) if entry.name in places else len(places)
        return "main" not in entry.refs, not usual, place

    return sorted(found, key=rank)


def _obstacle(entry: Entry, claim: Claim, report: Report) -> tuple[str | None, str | None]:
    """Return the code and the reason for which the engine would not load `entry` now."""
    findings = report.of(entry)
    status = report.statuses[entry.id]
    if status is not Status.READY:
        worst = _worst(findings)
        return (worst.code, worst.message) if worst else (None, status.value)
    if claim.needs.folder not in ("", entry.name):
        return RenamedFolder.code, f"{claim.engine} looks in `{claim.needs.folder}`"
    if locators.of(entry).has_revisions and "main" not in entry.refs:
        return RefDangling.code, "no branch `main` leads to this revision"
    return None, None


def _worst(findings: Sequence[Finding]) -> Finding | None:
    return min(findings, key=lambda finding: finding.severity.rank, default=None)
