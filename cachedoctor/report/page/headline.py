"""The first sentence, the numbers beside it, and the next steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.report.holdings_text import rounded
from cachedoctor.report.page import compared, readings, wrong
from cachedoctor.report.page.wrong import Command
from cachedoctor.text import plural, size
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cachedoctor.report.page.machines import Look, Machine
    from cachedoctor.report.page.measured import Plot
    from cachedoctor.report.page.wording import Ask

_NAMED = 4  # the rest are counted


class Headline(NamedTuple):
    """What a reader sees first."""

    sentence: str
    grave: bool
    more: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]  # a number, and what it counts
    commands: tuple[Command, ...]


def headline(machines: Sequence[Machine], plots: Sequence[Plot], ask: Ask) -> Headline:
    """Return the sentence about one machine, many machines, or a benchmark alone."""
    looked = [machine for machine in machines if machine.last]
    if not looked and plots:
        return _of_bench(plots)
    sentence, grave = _of_one(machines[0]) if len(machines) == 1 else _of_many(machines)
    spare = {machine.name: without_loss(machine) for machine in looked}
    more = list(_more(looked, spare))
    return Headline(
        sentence=sentence,
        grave=grave,
        more=tuple(more),
        figures=tuple(_figures(machines, looked, spare)),
        commands=tuple(_commands(looked, spare, ask)),
    )


def without_loss(machine: Machine) -> int:
    """Return how much can go without loss, as `list` says it, or from notes alone."""
    look = machine.last
    for body in look.bodies if look else ():
        told = readings.count(readings.part(body, "summary"), "without_loss_bytes")
        if told is not None:
            return told
    return wrong.wasted(look.findings) if look else 0


def total_bytes(look: Look) -> int:
    """Return the bytes of all models, each file once."""
    told = [readings.count(readings.part(body, "summary"), "size_bytes") for body in look.bodies]
    known = [count for count in told if count is not None]
    return known[-1] if known else sum(model.bytes for model in look.models)


def _of_one(machine: Machine) -> tuple[str, bool]:
    look = machine.last
    if look is None:
        why = f": {machine.why}" if machine.why else ""
        return f"{machine.name} gave no answer{why}", True
    failing, hurt, fine = _engines(look)
    here = len(failing) + len(hurt) + len(fine)
    if failing:
        who = _named(failing)
        return f"{len(failing)} of {plural(here, 'engine')} will fail: {who}.", True
    if hurt:
        have = "has" if len(hurt) == 1 else "have"
        count = f"{len(hurt)} of {plural(here, 'engine')}"
        return f"{count} {have} a broken model: {_named(hurt)}.", True
    grave = sum(found.severity is Severity.ERROR for found in look.findings)
    if grave:
        return f"{plural(grave, 'thing')} {'is' if grave == 1 else 'are'} broken.", True
    if fine:
        all_of = {1: "The only engine", 2: "Both engines"}.get(here, f"All {here} engines")
        theirs = "a model here can load it" if here == 1 else "models here can load them"
        return f"{all_of} with {theirs}.", False
    return "No known engine has a model here.", False


def _engines(look: Look) -> tuple[list[str], list[str], list[str]]:
    """Return engines without a whole model, engines that also have a broken one, and the others."""
    stand: dict[str, set[str]] = {}
    for model in look.models:
        for engine in model.engines:
            stand.setdefault(engine, set()).add(model.status)
    for answer in () if look.models else (each for each in look.ready if each.here):
        said = Status.READY if answer.ready else Status.INCOMPLETE
        stand.setdefault(answer.engine, set()).add(said.value)
    broken = {each.value for each in readings.BROKEN}
    bad = {engine for engine, met in stand.items() if met & broken}
    failing = {engine for engine in bad if Status.READY.value not in stand[engine]}
    return sorted(failing), sorted(bad - failing), sorted(stand.keys() - bad)


def _of_many(machines: Sequence[Machine]) -> tuple[str, bool]:
    count = len(machines)
    silent = [machine.name for machine in machines if not compared.answered(machine)]
    bad = [
        machine.name
        for machine in machines
        if machine.name not in silent
        and machine.last
        and any(found.severity is Severity.ERROR for found in machine.last.findings)
    ]
    have = "has" if len(bad) == 1 else "have"
    words = [f"{len(bad)} of {count} machines {have} a broken model: {_named(bad)}"] if bad else []
    of_all = "" if bad else f" of {count} machines"
    words += [f"{len(silent)}{of_all} gave no answer: {_named(silent)}"] if silent else []
    if words:
        return f"{'; '.join(words)}.", True
    return f"All {plural(count, 'machine')} are healthy.", False


def _of_bench(plots: Sequence[Plot]) -> Headline:
    """Return the fastest engine, and with many machines on which of them."""
    measured = [plot for plot in plots if plot.bars]
    if not measured:
        return Headline("No engine was measured.", True, (), (), ())
    plot = max(measured, key=lambda each: each.bars[0].times)
    plot = plot if len({each.machine for each in measured}) > 1 else measured[0]
    first, count = plot.bars[0], len(plot.bars)
    sentence = f"{first.engine} with {first.model} takes {first.median_s:.2f} s"
    if count > 1:
        sentence = f"{first.engine} is the fastest of {plural(count, 'engine')}"
    if len({each.machine for each in plots}) > 1:
        sentence = f"{first.engine} on {plot.machine} is the fastest"
    figures = [(f"{first.times:.1f} ×", "real time"), (first.wrong, "word errors")]
    more = (f"{plural(len(plot.left_out), 'engine')} did not run.",) if plot.left_out else ()
    return Headline(f"{sentence}.", False, more, tuple(figures), ())


def _more(looked: Sequence[Machine], spare: dict[str, int]) -> Iterable[str]:
    cured = [found for found in _grave(looked) if found.repairable]
    by_hand = sum(1 for found in _grave(looked) if found.safety and not found.repairable)
    if cured:
        yield f"{plural(len(cured), 'repair')} ready: {wrong.cost(cured)}."
    if by_hand:
        yield f"{plural(by_hand, 'repair')} left to you."
    if total := sum(spare.values()):
        yield f"{size(total)} can go without loss."


def _grave(looked: Sequence[Machine]) -> list[readings.Found]:
    found = (one for machine in looked if machine.last for one in machine.last.findings)
    return [one for one in found if one.severity is not Severity.NOTE]


def _figures(
    machines: Sequence[Machine], looked: Sequence[Machine], spare: dict[str, int]
) -> Iterable[tuple[str, str]]:
    looks = [machine.last for machine in looked if machine.last]
    if len(machines) > 1:
        yield str(len(machines)), "machines"
    yield str(sum(len(look.models) for look in looks)), "models"
    yield size(sum(map(total_bytes, looks))), "on disk"
    grave = _grave(looked)
    errors = sum(found.severity is Severity.ERROR for found in grave)
    yield str(errors), "error" if errors == 1 else "errors"
    if warnings := len(grave) - errors:
        yield str(warnings), "warning" if warnings == 1 else "warnings"
    if total := sum(spare.values()):
        yield size(total), "can go without loss"


def _commands(looked: Sequence[Machine], spare: dict[str, int], ask: Ask) -> Iterable[Command]:
    """Yield what repairs and what frees; for many machines each is shown below its own findings."""
    if len(looked) != 1:
        return
    machine = looked[0]
    cured = [found for found in _grave(looked) if found.repairable]
    if cured:
        back = ask(machine.name, "undo")
        about = f"shows {plural(len(cured), 'repair')} and asks first; {wrong.cost(cured)}"
        yield Command(ask(machine.name, "fix"), f"{about}; `{back}` takes it back")
    if count := spare[machine.name]:
        about = f"shows what would go and asks first; up to {size(count)} without loss"
        yield Command(ask(machine.name, "free", rounded(count)), about)


def _named(names: Sequence[str]) -> str:
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        return f"{', '.join(shown)} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""
