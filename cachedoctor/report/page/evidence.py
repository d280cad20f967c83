"""What was looked at, how closely, and what was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.report.page import readings, wrong
from cachedoctor.report.page.machines import Look
from cachedoctor.report.page.wording import moment, place, short
from cachedoctor.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.report.page.machines import Machine
    from cachedoctor.report.page.readings import Found, Model
    from cachedoctor.report.page.wording import Ask

_NOTHING = Look(None, (), (), (), ())


class Evidence(NamedTuple):
    """What was looked at on one machine, how closely, and what was not."""

    machine: str
    when: str
    about: str
    counts: tuple[tuple[str, str], ...]
    places: tuple[tuple[str, str, str], ...]  # what, where, how much
    not_checked: tuple[str, ...]
    command: wrong.Command


def evidence(machine: Machine, ask: Ask) -> Evidence:
    """Return what was checked on one machine."""
    look = machine.last or _NOTHING
    tools = {readings.text(readings.part(body, "tool"), "version") for body in look.bodies}
    roots: dict[tuple[str, str], list[Model]] = {}
    for model in look.models:
        roots.setdefault((place(model, {machine.name: machine.home}), model.root), []).append(model)
    problems = [each for body in look.bodies for each in readings.texts(body, "kept_unknown")]
    return Evidence(
        machine=machine.name,
        when=moment(look.when_s),
        about=f"{machine.home} on {machine.platform}, cachedoctor {', '.join(sorted(tools))}",
        counts=tuple(_counts(machine)),
        places=tuple(
            (what, short(root, machine.home), f"{plural(len(mine), 'model')}, {_sum(mine)}")
            for (what, root), mine in sorted(roots.items())
        ),
        not_checked=(*problems, *_not_checked(look.findings)),
        command=wrong.Command(ask(machine.name, "verify"), "reads every byte"),
    )


def _counts(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield how closely files were examined, then what a verify says about each file."""
    look = machine.last or _NOTHING
    yield "every byte read and correct", str(sum(model.proven for model in look.models))
    yield "header, layout and length checked", str(sum(model.formed for model in look.models))
    yield "nothing to check them against", str(sum(model.unproven for model in look.models))
    verdicts: dict[str, int] = {}
    for body in look.bodies:
        for row in readings.rows(body, "files"):
            verdict = readings.text(row, "verdict")
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
    for verdict, count in verdicts.items():
        yield f"verify: {verdict}", str(count)


def _not_checked(found: Sequence[Found]) -> Iterator[str]:
    """Yield what could not be read."""
    for one in found:
        if one.severity is not Severity.NOTE and wrong.unseen(one):
            yield f"{one.path}: {one.message}"


def _sum(models: Sequence[Model]) -> str:
    return size(sum(model.bytes for model in models))
