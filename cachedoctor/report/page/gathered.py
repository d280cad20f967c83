"""The content of the page, as values: every text is ready to show, every link has its anchor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.report.holdings_text import again_words, ago
from cachedoctor.report.page import (
    changed,
    charts,
    compared,
    evidence,
    headline,
    measured,
    readings,
    wrong,
)
from cachedoctor.report.page.machines import Machine, machines
from cachedoctor.report.page.wording import Ask, moment, place, short
from cachedoctor.text import plural, size
from cachedoctor.version import VERSION
from cachedoctor.vocabulary import SIZES, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cachedoctor.report.page.documents import Document
    from cachedoctor.report.page.readings import Model, Ready

_NONE = "–"
_FOLDED_IN = 60  # models with findings; beyond that, each code's page is shown once, at the end
_MARKS = {
    Status.READY.value: compared.MARKS["ready"],
    **{each.value: compared.MARKS["broken"] for each in readings.BROKEN},
}
_UNKNOWN_USE = -1.0


class ModelRow(NamedTuple):
    """One line of the table of models."""

    anchor: str
    machine: str
    title: str
    name: str  # of its repository or folder, if that differs
    engines: str
    mark: str
    status: str
    bytes: int
    size: str
    own: str  # what is freed if only it goes, where that is less
    used_s: float
    used: str
    needed: str
    where: str
    again_bytes: int
    again: str
    path: str
    wrong: str  # the anchor of what is wrong with it


class EngineRow(NamedTuple):
    """One engine, and what answers each size."""

    engine: str
    cells: tuple[tuple[str, str, str], ...]  # kind, mark, words
    why: str
    wrong: str


class Page(NamedTuple):
    """The whole page."""

    title: str
    made: str
    version: str
    about: str
    headline: headline.Headline
    machines: int
    grave: int  # errors and warnings
    many: bool
    matrix: compared.Matrix | None
    engines: tuple[EngineRow, ...]
    engines_absent: str
    steps: tuple[changed.Step, ...]
    groups: tuple[wrong.Group, ...]
    charts: tuple[charts.Chart, ...]
    drawn: str  # why areas add up to more than the disk has: files are shared
    models: tuple[ModelRow, ...]
    engine_names: tuple[str, ...]
    waste: tuple[wrong.Waste, ...]  # notes that take space
    noted: tuple[wrong.Waste, ...]  # notes that take none
    waste_command: wrong.Command | None
    copies: tuple[wrong.Copies, ...]
    copies_command: wrong.Command | None
    plots: tuple[measured.Plot, ...]
    evidence: tuple[evidence.Evidence, ...]
    explained: Mapping[str, wrong.Explained]
    folded_in: bool


def gather(
    documents: Sequence[Document], now_s: float, command: Callable[..., str] | None = None
) -> Page:
    """Return the content for documents; `command` makes commands about the home of this moment."""
    met = machines(documents)
    ask = Ask(command, frozenset(machine.name for machine in met if machine.live))
    looks = [machine.last for machine in met if machine.last]
    models = [model for look in looks for model in look.models]
    found = [one for look in looks for one in look.findings]
    known = {(model.machine, model.id): model for model in models}
    groups = wrong.groups(found, known, ask)
    notes = wrong.waste(found, ask)
    anchors = _anchors(models)
    plots = measured.plots(met)
    only = met[0] if len(met) == 1 else None
    homes = {machine.name: machine.home for machine in met}
    engines, absent = _engines(only, groups)
    told = looks or any(machine.state for machine in met)  # not only benchmarks
    twins = wrong.copies(found)
    return Page(
        title=_title(met),
        made=moment(now_s),
        version=VERSION,
        about=_about(met),
        headline=headline.headline(met, plots, ask),
        machines=len(met),
        grave=sum(one.severity is not Severity.NOTE for one in found),
        many=len(met) > 1,
        matrix=compared.matrix(met) if len(met) > 1 and told else None,
        engines=tuple(engines),
        engines_absent=absent,
        steps=tuple(changed.steps(met)),
        groups=tuple(groups),
        charts=tuple(charts.charts(_ways(met, homes), models, anchors, _loose(met, notes))),
        drawn=_drawn(met, models),
        models=tuple(_rows(models, anchors, groups, homes, now_s)),
        engine_names=tuple(sorted({engine for model in models for engine in model.engines})),
        waste=tuple(note for note in notes if note.bytes),
        noted=tuple(note for note in notes if not note.bytes),
        waste_command=_waste_command(met, ask),
        copies=tuple(twins),
        copies_command=_copies_command(twins, ask),
        plots=tuple(plots),
        evidence=tuple(evidence.evidence(machine, ask) for machine in met if machine.last),
        explained={each.code: each for each in wrong.explained(one.code for one in found)},
        folded_in=len(groups) <= _FOLDED_IN,
    )


def _waste_command(met: Sequence[Machine], ask: Ask) -> wrong.Command | None:
    names = [each.name for each in met if each.last and wrong.wasted(each.last.findings)]
    if len(names) != 1:
        return None
    about = "sets aside what nobody would miss; asks first"
    return wrong.Command(ask(names[0], "fix", "--waste"), about)


def _copies_command(twins: Sequence[wrong.Copies], ask: Ask) -> wrong.Command | None:
    if len({each.machine for each in twins}) != 1:
        return None
    about = "stores them once, where the disk can share blocks"
    return wrong.Command(ask(twins[0].machine, "dedupe"), about)


def _title(met: Sequence[Machine]) -> str:
    if len(met) == 1:
        return f"Speech models: {met[0].name}"
    return f"Speech models: {plural(len(met), 'machine')}"


def _about(met: Sequence[Machine]) -> str:
    if len(met) != 1:
        return ""
    look = met[0].last
    words = [met[0].platform]
    if look:
        words.append(f"as of {moment(look.when_s)}")
    return " · ".join(filter(None, words))


def _anchors(models: Sequence[Model]) -> dict[tuple[str, str], str]:
    ordered = sorted(models, key=lambda model: -model.bytes)
    return {(model.machine, model.id): f"m{number}" for number, model in enumerate(ordered, 1)}


def _ways(met: Sequence[Machine], homes: Mapping[str, str]) -> dict[str, Callable[[Model], str]]:
    ways: dict[str, Callable[[Model], str]] = {}
    if len(met) > 1:
        ways["machine"] = lambda model: model.machine
    return {
        **ways,
        "place": lambda model: place(model, homes),
        "engine": lambda model: ", ".join(model.engines) or "no known engine",
        "app": lambda model: model.apps[0] if model.apps else "no app",
        "repository": lambda model: model.name,
    }


def _loose(met: Sequence[Machine], notes: Sequence[wrong.Waste]) -> list[tuple[str, int, str]]:
    """Return what is beside models: as `list` says it, otherwise what notes are about."""
    known = {note.code for note in notes}
    found: dict[tuple[str, str], int] = {}
    for machine in met:
        for body in machine.last.bodies if machine.last else ():
            for row in readings.rows(body, "loose"):
                key = (readings.text(row, "what"), readings.text(row, "code"))
                found[key] = found.get(key, 0) + (readings.count(row, "bytes") or 0)
    return [
        (what, count, f"#n{code}" if code in known else "#models")
        for (what, code), count in found.items()
    ]


def _drawn(met: Sequence[Machine], models: Sequence[Model]) -> str:
    total = sum(headline.total_bytes(machine.last) for machine in met if machine.last)
    drawn = sum(model.bytes for model in models)
    if not total or drawn <= total * 1.01:
        return ""
    sums = f"the areas add up to {size(drawn)}, but take {size(total)} on disk"
    return f"Some models share files: {sums}."


def _rows(
    models: Sequence[Model],
    anchors: Mapping[tuple[str, str], str],
    groups: Sequence[wrong.Group],
    homes: Mapping[str, str],
    now_s: float,
) -> Iterator[ModelRow]:
    """Yield the table, the largest first."""
    about = {(g.machine, g.model.id): g for g in groups if g.model}
    for model in sorted(models, key=lambda each: -each.bytes):
        group = about.get((model.machine, model.id))
        again = model.refetch_bytes
        yield ModelRow(
            anchor=anchors[model.machine, model.id],
            machine=model.machine,
            title=model.title,
            name=model.name if model.name != model.title else "",
            engines=", ".join(model.engines),
            mark=_mark(model, warned=group is not None),
            status=model.status,
            bytes=model.bytes,
            size=size(model.bytes),
            own=size(model.own_bytes) if model.own_bytes < model.bytes else "",
            used_s=_UNKNOWN_USE if model.last_used_s is None else model.last_used_s,
            used=_used(model, now_s),
            needed=_needed(model),
            where=place(model, homes),
            again_bytes=-1 if again is None else again,
            again=again_words(again, model.status),
            path=short(model.path, homes.get(model.machine, "")),
            wrong=group.anchor if group else "",
        )


def _mark(model: Model, *, warned: bool) -> str:
    if warned and not model.broken:
        return compared.MARKS["warned"]
    return _MARKS.get(model.status, _NONE)


def _used(model: Model, now_s: float) -> str:
    if model.in_use_by:
        return "now"
    return _NONE if model.last_used_s is None else ago(model.last_used_s, now_s)


def _needed(model: Model) -> str:
    words = [
        f"{'every size' if len(sizes) == len(SIZES) else ', '.join(sizes)} of {engine}"
        for engine, sizes in model.needed_by
    ]
    words = words or list(model.engines) or ["no known engine"]
    words += model.apps
    return " · ".join((*words, *(["kept"] if model.kept_by else [])))


def _engines(only: Machine | None, groups: Sequence[wrong.Group]) -> tuple[list[EngineRow], str]:
    """Return engines that have something here, by size, and the names of the others."""
    answers: dict[str, list[Ready]] = {}
    for answer in only.last.ready if only and only.last else ():
        answers.setdefault(answer.engine, []).append(answer)
    here = {engine for engine, mine in answers.items() if any(each.here for each in mine)}
    if only and only.last:
        here |= {engine for model in only.last.models for engine in model.engines}
    rows = [_engine(engine, mine, groups) for engine, mine in answers.items() if engine in here]
    return rows, ", ".join(engine for engine in answers if engine not in here)


def _engine(engine: str, answers: Sequence[Ready], groups: Sequence[wrong.Group]) -> EngineRow:
    by_size = {answer.size: answer for answer in answers}
    mine = next((group for group in groups if engine in group.engines.split(", ")), None)
    return EngineRow(
        engine=engine,
        cells=tuple(_cell(by_size.get(each)) for each in SIZES),
        why=next((one.why for one in answers if one.here and not one.ready), ""),
        wrong=mine.anchor if mine else "",
    )


def _cell(answer: Ready | None) -> tuple[str, str, str]:
    if answer is None:
        return "none", _NONE, "no such size"
    if answer.ready:
        return "ready", compared.MARKS["ready"], answer.model
    if answer.here:
        return "broken", compared.MARKS["broken"], answer.model
    return "none", _NONE, "not here"
