"""Engine × size: which model would answer, from which entry, and whether it can load now."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING

from cachedoctor import engines, locators, rules
from cachedoctor.doctor.judging import HIDING
from cachedoctor.errors import UsageError
from cachedoctor.findings import Readiness
from cachedoctor.rules.consistent import RenamedFolder
from cachedoctor.rules.present import MissingFile
from cachedoctor.rules.refs import RefDangling
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.engines import Engine
    from cachedoctor.engines.catalog import Model
    from cachedoctor.findings import Finding
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


def answers(
    engine: Engine, *, size: str | None, model: str | None, version: str = ""
) -> tuple[Model, ...]:
    """Return the models that answer a size, in order, or the one model named.

    Raises `UsageError` for a name or size that the engine does not have.
    """
    if model is not None:
        return (engine.table.row(model, version),)
    if size is not None:
        return engine.table.answers(size)
    return tuple(engine.table.models.values())


def engines_with(model: str) -> list[Engine]:
    """Return the engines that have a model of this name; raises `UsageError` if none has."""
    found = []
    for name in engines.names():
        engine = engines.find(name)
        with contextlib.suppress(UsageError):
            engine.table.row(model)
            found.append(engine)
    if not found:
        raise UsageError(
            f"no engine has a model `{model}`", hint="`cachedoctor engines ENGINE` lists them"
        )
    return found


def ready(
    engine: Engine,
    report: Report,
    models: Sequence[Model],
    size: str | None = None,
    revision: str | None = None,
) -> Readiness:
    """Return which of `models` the engine would load, according to `report`.

    The first that is ready answers; if none is, the first that is present says why not. With a
    `revision`, only that commit or branch counts.
    """
    excuse: Readiness | None = None
    for model in models:
        for entry, claim, usual in _entries(engine, report, model):
            if revision and revision not in (entry.revision, *entry.refs):
                continue
            named = usual and engine.named_offline and not model.by_path
            code, why = _obstacle(entry, claim, report, revision)
            answer = Readiness(
                engine=engine.name,
                size=size,
                model=model.name,
                ready=not why,
                entry=entry.id,
                path=entry.path,
                code=code,
                why=why,
                by="name" if named else "path",
            )
            if answer.ready:
                return answer
            excuse = excuse or answer
            if usual and not revision:
                break  # the engine looks here first and no further
    if excuse is not None:
        return excuse
    barred = next((found for m in models if (found := _hidden_by(engine, m, report))), None)
    if barred is not None:
        hidden_one, finding = barred
        return _not_there(engine, size, hidden_one, finding.path, finding.code, finding.message)
    first = models[0].name if models else None
    place = engine.home(models[0], report.host) if models else None
    why = "missing" if revision is None else f"missing at the revision {revision[:40]}"
    return _not_there(engine, size, first, place, MissingFile.code, why)


def others(engine: Engine, report: Report, size: str | None) -> tuple[str, ...]:
    """Return models that are ready here and named after `size`, but do not answer for it.

    `tiny.en` is a tiny model, but knows only English.
    """
    if size is None:
        return ()
    named = re.compile(rf"(?<![a-z]){size}(?![a-z])").search
    models = [
        model
        for name, model in engine.table.models.items()
        if named(name) and name not in engine.table.sizes[size]
    ]
    return tuple(m.name for m in models if ready(engine, report, (m,)).ready)


def only(names: Sequence[str]) -> str:
    """Return the words for models that are there in place of the one asked for, if any."""
    listed = ", ".join(f"`{name}`" for name in names)
    return f", only {listed} (`--model {names[0]}`)" if names else ""


def _not_there(
    engine: Engine, size: str | None, model: str | None, path: str | None, code: str, why: str
) -> Readiness:
    """Return the answer when no entry gives one."""
    return Readiness(
        engine=engine.name, size=size, model=model, ready=False, path=path, code=code, why=why
    )


def is_absent(answer: Readiness) -> bool:
    """Return whether nothing of the model was found, and nothing hides a place where it may be."""
    return answer.entry is None and rules.policy(answer.code).absent


def is_unled(answer: Readiness) -> bool:
    """Return whether the model is whole, but no branch leads to it: by its commit, it loads."""
    return answer.entry is not None and rules.policy(answer.code).by_commit


def at_path(engine: Engine, report: Report, path: str) -> Readiness:
    """Return whether the engine would load the model at `path`, given by the user."""
    for entry in report.entries:
        for claim in entry.claims:
            if claim.engine == engine.name and locators.of(entry).named_only:
                code, why = _obstacle(entry, claim, report, None)
                return Readiness(
                    engine=engine.name,
                    size=None,
                    model=claim.model,
                    ready=not why,
                    entry=entry.id,
                    path=path,
                    code=code,
                    why=why,
                    by="path",
                )
    why = f"no model of {engine.name} is at `{path}`"
    return _not_there(engine, None, path, path, MissingFile.code, why)._replace(by="path")


def _homes(engine: Engine, model: Model, host: Host) -> tuple[str, ...]:
    """Return where the engine looks first: in every sandbox, with and without links resolved."""
    home = engine.home(model, host)
    inside = home.startswith(host.home.rstrip("/") + "/")
    others = (other + home[len(host.home) :] for other in host.homes if inside)
    found = dict.fromkeys((home, *others))
    real = (os.path.join(os.path.realpath(p), n) for p, n in map(os.path.split, found))
    return tuple(dict.fromkeys((*found, *real)))


def hidden(finding: Finding) -> bool:
    """Return whether a finding is about a place that cannot be read."""
    return finding.shows in HIDING


def _hidden_by(engine: Engine, model: Model, report: Report) -> tuple[str, Finding] | None:
    """Return the finding that hides a place where `model` may be, if any.

    Apps' own containers, which macOS closes, hide nothing that other programs would load.
    """
    if not report.hiding:
        return None
    places = [engine.home(model, report.host)]
    for root in report.survey.roots:
        if root.locator in engine.locators:
            find = locators.find(root.locator)
            places += [find.place(root.path, name) for name in engine.places(model)]
    for finding in report.hiding:
        ours = engine.name in finding.engines and not finding.entries
        if ours or any(locators.inside(place, finding.path) for place in places):
            return model.name, finding
    return None


def _entries(engine: Engine, report: Report, model: Model) -> list[tuple[Entry, Claim, bool]]:
    """Return one model's entries and whether each is in the usual place; best candidates first."""
    found = [
        (entry, claim)
        for entry in report.survey.answering((engine.name, model.name))
        if report.statuses.get(entry.id, Status.ABSENT) is not Status.ABSENT
        for claim in entry.claims
        if claim.engine == engine.name and claim.model == model.name
    ]
    if not found:
        return []
    places = engine.places(model)
    homes = _homes(engine, model, report.host)

    def rank(row: tuple[Entry, Claim, bool]) -> tuple[bool, bool, int]:
        entry, _, usual = row
        place = places.index(entry.name) if entry.name in places else len(places)
        return "main" not in entry.refs, not usual, place

    rows = ((entry, claim, entry.path.startswith(homes)) for entry, claim in found)
    return sorted(rows, key=rank)


def _obstacle(
    entry: Entry, claim: Claim, report: Report, revision: str | None
) -> tuple[str | None, str | None]:
    """Return why the engine would not load `entry` now, as a code and a reason, or two `None`s."""
    findings = report.of(entry)
    status = report.statuses[entry.id]
    told = [finding for finding in findings if finding.leaves]
    if revision and told and all(rules.find(finding.code).by_commit for finding in told):
        status = Status.READY
    if status is not Status.READY:
        worst = _worst(findings)
        return (worst.code, worst.message) if worst else (None, status.value)
    refused = _untolerated(claim, entry, findings)
    if refused is not None:
        return refused.code, refused.message
    layout = locators.of(entry)
    if not layout.named_only and claim.needs.folder not in ("", entry.name):
        return RenamedFolder.code, f"{claim.engine} looks in `{claim.needs.folder}`"
    if layout.has_revisions and not revision and "main" not in entry.refs:
        return RefDangling.code, "no branch `main` points to this revision"
    return None, None


def _untolerated(claim: Claim, entry: Entry, findings: Sequence[Finding]) -> Finding | None:
    """Return the finding about trailing bytes that this engine does not tolerate, if any."""
    bears = {
        name: need.most_trailing
        for need in claim.needs.requirements
        for name in need.names
        if name not in need.bears
    }
    files = {artifact.file: bears.get(artifact.name) for artifact in entry.notable}
    for finding in findings:
        most = files.get(finding.path)
        if most is not None and rules.find(finding.code).tolerable:
            ends, length = finding.expected, finding.measured
            if not (isinstance(ends, int) and isinstance(length, int)) or length - ends > most:
                return finding
    return None


def _worst(findings: Sequence[Finding]) -> Finding | None:
    return min(findings, key=lambda finding: finding.severity.rank, default=None)
