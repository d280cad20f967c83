"""What is wrong → groups by model, the worst first, and waste by its code."""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, rules
from cachedoctor.findings import Safety, Severity
from cachedoctor.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.report.page.readings import Found, Model
    from cachedoctor.report.page.wording import Ask

Key = tuple[str, str]  # a machine and an entry's id, or a code if no entry is meant


class Command(NamedTuple):
    """A command, and what it does or costs."""

    text: str
    about: str
    own: bool = True  # made here; a command from a saved answer must be read before it is copied


class Line(NamedTuple):
    """One finding of a case."""

    message: str
    facts: tuple[tuple[str, str], ...]  # what it was compared with, and where


class Case(NamedTuple):
    """What one code says about one model."""

    code: str
    slug: str
    severity: str
    title: str
    lines: tuple[Line, ...]


class Group(NamedTuple):
    """All that is wrong with one model."""

    anchor: str
    machine: str
    title: str
    engines: str
    path: str
    severity: str
    model: Model | None
    cases: tuple[Case, ...]
    commands: tuple[Command, ...]


class Waste(NamedTuple):
    """What one code says about waste, or about things that are only noted."""

    code: str
    slug: str
    title: str
    counted: str
    bytes: int
    lines: tuple[tuple[str, Line, int], ...]  # machine, what, and how much
    commands: tuple[Command, ...]


class Copies(NamedTuple):
    """The same bytes in several places."""

    machine: str
    message: str
    more_bytes: int
    paths: tuple[str, ...]


class Explained(NamedTuple):
    """The page of a code."""

    code: str
    slug: str
    severity: str
    title: str
    paragraphs: tuple[str, ...]


def groups(found: Sequence[Found], models: Mapping[Key, Model], ask: Ask) -> list[Group]:
    """Return errors and warnings by the model they are about, the worst first."""
    by_model: dict[Key, list[Found]] = {}
    for one in found:
        if one.severity is not Severity.NOTE:
            by_model.setdefault(_key(one, models), []).append(one)
    ordered = sorted(by_model.items(), key=lambda item: _gravity(item[1]))
    return [
        _group(number, mine, models.get(key), ask) for number, (key, mine) in enumerate(ordered, 1)
    ]


def _key(one: Found, models: Mapping[Key, Model]) -> Key:
    known = (entry for entry in one.entries if (one.machine, entry) in models)
    return one.machine, next(known, ", ".join(one.engines) or one.code)


def _gravity(found: Sequence[Found]) -> tuple[int, int]:
    ranks = [one.severity.rank for one in found]
    return min(ranks), -ranks.count(min(ranks))


def _group(number: int, found: Sequence[Found], model: Model | None, ask: Ask) -> Group:
    first = found[0]
    users = model.engines if model else first.engines
    by_code: dict[tuple[int, str], list[Found]] = {}
    for one in found:
        by_code.setdefault((one.severity.rank, one.code), []).append(one)
    return Group(
        anchor=f"w{number}",
        machine=first.machine,
        title=model.title if model else ", ".join(users) or "not part of a model",
        engines=", ".join(users) if model else "",
        path=model.path if model else "",
        severity=min((one.severity for one in found), key=lambda each: each.rank).value,
        model=model,
        cases=tuple(_case(mine) for _, mine in sorted(by_code.items(), key=lambda item: item[0])),
        commands=tuple(_commands(found, ask)),
    )


def _case(found: Sequence[Found]) -> Case:
    first = found[0]
    return Case(
        code=first.code,
        slug=first.slug,
        severity=first.severity.value,
        title=_title(first.code),
        lines=tuple(Line(one.message, tuple(_facts(one))) for one in found),
    )


def _facts(one: Found) -> Iterator[tuple[str, str]]:
    if one.measured is not None:
        yield "measured", _amount(one.measured, one.unit)
    if one.expected is not None:
        yield "expected", _amount(one.expected, one.unit)
    if one.evidence:
        yield "checked against", one.evidence
    if one.path:
        yield "path", one.path
    yield from (("also at", link) for link in one.links)
    if one.describe:
        yield "cure", one.describe


def _amount(value: int | str, unit: str) -> str:
    if isinstance(value, int):
        return size(value) if unit == "bytes" else f"{value} {unit}".strip()
    return value


def _commands(found: Sequence[Found], ask: Ask) -> Iterator[Command]:
    """Yield the command that cures what `fix` can, then those that you need to run yourself."""
    cured = [one for one in found if one.repairable]
    known = [each for one in cured for each in one.engines if each in engines.names()][:1]
    words = known or list(dict.fromkeys(one.code for one in cured if _known(one.code)))
    if words:
        yield Command(ask(found[0].machine, "fix", *words), cost(cured))
    by_hand = dict.fromkeys(one.describe for one in found if one.safety and not one.repairable)
    own = ask.here(found[0].machine)
    yield from (Command(text, "you need to run this", own) for text in by_hand if text)


def cost(cured: Sequence[Found]) -> str:
    """Return in words what repairs cost."""
    fetched = sum(one.fetch_bytes for one in cured)
    if fetched:
        return f"downloads {size(fetched)}"
    return "may need a download" if any(map(_fetches, cured)) else "nothing to download"


def _fetches(one: Found) -> bool:
    return one.safety == Safety.FETCHES


def waste(found: Iterable[Found], ask: Ask) -> list[Waste]:
    """Return notes by code, the largest first; copies are kept separate."""
    by_code: dict[str, list[Found]] = {}
    for one in found:
        if one.severity is Severity.NOTE and not twins(one):
            by_code.setdefault(one.code, []).append(one)
    made = [_waste(mine, ask) for mine in by_code.values()]
    return sorted(made, key=lambda each: -each.bytes)


def _waste(found: Sequence[Found], ask: Ask) -> Waste:
    first = found[0]
    machines = dict.fromkeys(one.machine for one in found if one.repairable)
    asked = machines if _known(first.code) else ()
    commands = dict.fromkeys(ask(machine, "fix", first.code) for machine in asked)
    lines = [(one.machine, Line(one.message, tuple(_facts(one))), taken(one)) for one in found]
    return Waste(
        code=first.code,
        slug=first.slug,
        title=_title(first.code),
        counted=plural(len(found), first.slug.replace("-", " ")),
        bytes=sum(map(taken, found)),
        lines=tuple(sorted(lines, key=lambda line: -line[2])),
        commands=tuple(Command(text, "asks first, can be undone") for text in commands),
    )


def taken(one: Found) -> int:
    """Return the bytes that a note is about."""
    measured = one.measured if one.unit == "bytes" else None
    return measured if isinstance(measured, int) else one.aside_bytes


def wasted(found: Iterable[Found]) -> int:
    """Return what `fix --waste` would set aside."""
    return sum(
        taken(one)
        for one in found
        if one.severity is Severity.NOTE and one.repairable and _rule(one.code, "waste")
    )


def twins(one: Found) -> bool:
    """Return whether a note is about the same bytes in several places."""
    return _rule(one.code, "of_copies")


def unseen(one: Found) -> bool:
    """Return whether a finding is about something that could not be read."""
    return _rule(one.code, "unseen")


def copies(found: Iterable[Found]) -> list[Copies]:
    """Return groups of files with the same bytes, the largest first."""
    made = [
        Copies(
            machine=one.machine,
            message=one.message,
            more_bytes=taken(one),
            paths=(one.path, *one.links),
        )
        for one in found
        if twins(one)
    ]
    return sorted(made, key=lambda each: -each.more_bytes)


def explained(codes: Iterable[str]) -> list[Explained]:
    """Return the pages of known codes, each once."""
    known = {rule.code: rule for rule in rules.every()}
    return [_explained(known[code]) for code in sorted(set(codes)) if code in known]


def _explained(rule: rules.Rule) -> Explained:
    title, _, rest = inspect.cleandoc(rule.__doc__ or "").partition("\n\n")
    return Explained(
        code=rule.code,
        slug=rule.slug,
        severity=rule.severity.value,
        title=title,
        paragraphs=tuple(part for part in rest.split("\n\n") if part.strip()),
    )


def _title(code: str) -> str:
    rule = _known(code)
    return rule.title() if rule else ""


def _rule(code: str, attribute: str) -> bool:
    """Return a yes or no of a code's rule; no for a code that only a newer version knows."""
    rule = _known(code)
    return bool(rule and getattr(rule, attribute))


def _known(code: str) -> rules.Rule | None:
    with contextlib.suppress(KeyError):  # a code that only a newer version knows
        return rules.find(code)
    return None
