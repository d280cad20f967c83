"""Several looks at one machine → how it changed, the newest step first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.report.page.machines import Look, Machine
    from cachedoctor.report.page.readings import Found, Model

_MOST = 200  # lines per step


class Step(NamedTuple):
    """The difference between two looks."""

    machine: str
    before_s: float | None
    after_s: float | None
    amount: str  # now
    grown: str  # with its sign, empty if nothing has changed
    lines: tuple[tuple[str, str], ...]  # a word, and what it describes
    left_out: int


def steps(machines: Sequence[Machine]) -> list[Step]:
    """Return what changed from look to look, for each machine that was looked at more than once."""
    return [
        _step(machine.name, before, after)
        for machine in machines
        for before, after in reversed(list(zip(machine.looks, machine.looks[1:], strict=False)))
    ]


def _step(machine: str, before: Look, after: Look) -> Step:
    lines = list(_lines(before, after))
    was, now = (sum(model.bytes for model in look.models) for look in (before, after))
    grown = f"{'+' if now > was else '−'}{size(abs(now - was))}" if now != was else ""
    return Step(
        machine=machine,
        before_s=before.when_s,
        after_s=after.when_s,
        amount=size(now),
        grown=grown,
        lines=tuple(lines[:_MOST]),
        left_out=max(0, len(lines) - _MOST),
    )


def _lines(before: Look, after: Look) -> Iterator[tuple[str, str]]:
    was = {model.id: model for model in before.models}
    now = {model.id: model for model in after.models}
    old, new = _grave(before), _grave(after)
    for key, found in new.items():
        if key not in old:
            yield found.severity.value, f"{found.code} {_named(found, now)}: {found.message}"
    for model in (was[key] for key in was.keys() & now.keys() if was[key] != now[key]):
        yield from _model(model, now[model.id])
    for key, found in old.items():
        if key not in new:
            yield "resolved", f"{found.code} {_named(found, was)}: {found.message}"
    yield from (("new", _titled(now[key])) for key in now if key not in was)
    yield from (("gone", _titled(was[key])) for key in was if key not in now)


def _model(was: Model, now: Model) -> Iterator[tuple[str, str]]:
    if was.status != now.status:
        yield now.status, f"{_name(now)}: was {was.status}"
    if was.bytes != now.bytes:
        yield "size", f"{_name(now)}: {size(was.bytes)} → {size(now.bytes)}"


def _grave(look: Look) -> dict[tuple[str, str, str], Found]:
    return {
        (one.code, one.path, one.message): one
        for one in look.findings
        if one.severity is not Severity.NOTE
    }


def _named(found: Found, models: dict[str, Model]) -> str:
    known = next((models[each] for each in found.entries if each in models), None)
    return _name(known) if known else ", ".join(found.engines)


def _name(model: Model) -> str:
    return f"{model.title} ({', '.join(model.engines)})" if model.engines else model.title


def _titled(model: Model) -> str:
    return f"{_name(model)}, {size(model.bytes)}"
