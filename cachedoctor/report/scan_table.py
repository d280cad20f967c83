"""The tables of a scan: one line per engine and place, and what would load now."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.doctor.footprint import held
from cachedoctor.findings import Severity
from cachedoctor.report.folding import Folding
from cachedoctor.system import apps
from cachedoctor.text import plural, printable, size
from cachedoctor.vocabulary import SIZES, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


INDENT = " " * 10
_MODELS_WIDTH = 40


def engines_counted(report: Report) -> str:
    """Return how many engines have a ready model, and how many only broken ones."""
    by_engine: dict[str, set[Status]] = {}
    for (users, _), entries in _rows(report).items():
        for asked in _models(entries).values():
            for engine in users:
                met = by_engine.setdefault(engine, set())
                met.update(report.statuses[entry.id] for entry in asked)
    ready = sum(Status.READY in met for met in by_engine.values())
    rest = [met for met in by_engine.values() if Status.READY not in met]
    broken = sum(not met.isdisjoint(_BROKEN) for met in rest)
    coming = sum(Status.IN_PROGRESS in met and met.isdisjoint(_BROKEN) for met in rest)
    unseen = sum(met == {Status.UNKNOWN} for met in rest)
    words = [
        f"{plural(count, 'engine')} {word}"
        for count, word in zip(
            (ready, broken, coming, unseen),
            ("ready", "broken", "downloading", "unreadable"),
            strict=True,
        )
        if count
    ]
    words[1:] = [word.replace("engines ", "").replace("engine ", "") for word in words[1:]]
    return f"{', '.join(words)}; " if words else ""


def table(report: Report, engines: Sequence[str], *, verbose: bool = False) -> Iterator[str]:
    """Yield one line per engine and place, then what several engines share, then the rest.

    With `verbose` the repositories of other programs are named.
    """
    rows = _rows(report)
    marks = {key: _marks(entries, report) for key, entries in rows.items()}
    names = {", ".join(users) for users, _ in rows}
    width = max((len(name) for name in names), default=0)
    listed = {key: "  ".join(_marked(marks[key])) for key in rows}
    short = (len(models) for models in listed.values() if len(models) <= _MODELS_WIDTH)
    column = max(short, default=0)
    for (users, root), entries in sorted(rows.items(), key=lambda row: (len(row[0][0]), row[0])):
        amount = size(held(entries).bytes)
        place = locators.of(entries[0]).title or entries[0].locator
        if not is_usual(root, report.host):
            app = apps.owner(report.host, root)
            place = f"{app}'s copy, " if app else ""
            place += report.host.short(root)
        name = f"{', '.join(users):<{width}}"
        mark, shown = _of_all(marks[users, root]), printable(place)
        lead = f"{mark} {name}  "
        line = f"{lead}{listed[users, root]:<{column}}  {amount:>10}  {shown}"
        yield Folding(line, len(lead))
    there = {user for users, _ in rows for user in users}
    absent = [engine for engine in engines if engine not in there]
    if absent and there:
        yield Folding(f"– {', '.join(absent)}: nothing found", 2)
    used = held(entry for entries in rows.values() for entry in entries)
    others = [
        entry
        for entry in report.entries
        if not entry.claims and not all(used.holds(device, node) for device, node, _ in entry.held)
    ]
    if others:
        amount = size(held(others).bytes)
        repositories = len({(entry.root, entry.name) for entry in others})
        yield f"– {plural(repositories, 'repository')} of other programs, {amount}"
        yield from _named(others, report.host) if verbose else ()


def _named(others: Sequence[Entry], host: Host) -> Iterator[str]:
    """Yield what no known engine loads: name, size, place."""
    by_name: dict[tuple[str, str], list[Entry]] = {}
    for entry in others:
        by_name.setdefault((entry.root, entry.name), []).append(entry)
    width = max(len(printable(name)) for _, name in by_name)
    for (root, name), mine in sorted(by_name.items()):
        place = printable(host.short(root))
        yield f"    {printable(name):<{width}}  {size(held(mine).bytes):>10}  {place}"


def readiness_table(answers: Sequence[Readiness]) -> Iterator[str]:
    """Yield a table of what each engine could load now, without the network, for each size."""
    by_engine: dict[str, dict[str, Readiness]] = {}
    for answer in answers:
        by_engine.setdefault(answer.engine, {})[answer.size or ""] = answer
    shown = {name: row for name, row in by_engine.items() if any(a.entry for a in row.values())}
    if not shown:
        return
    width = max(map(len, ("ready offline", *shown)))
    yield ""
    yield f"{'ready offline':<{width}}  " + "".join(f"{name:<8}" for name in SIZES).rstrip()
    for name, row in sorted(shown.items()):
        marks = [_mark(row.get(each)) for each in SIZES]
        yield f"{name:<{width}}  " + "".join(f"{mark:<8}" for mark in marks).rstrip()
    reasons = {
        (name, answer.model): f"{answer.code or ''} {printable(answer.why or '')}".strip()
        for name, row in sorted(shown.items())
        for answer in row.values()
        if answer.entry and not answer.ready
    }
    for (name, model), why in reasons.items():
        yield Folding(f"{INDENT}{name} {model}: {why}", len(INDENT))


def _mark(answer: Readiness | None) -> str:
    if answer is None or not answer.entry:
        return "–"
    return "✓" if answer.ready else "✗"


def is_usual(root: str, host: Host) -> bool:
    """Return whether an engine's own defaults name `root`, so that its kind says enough."""
    return root in _usual(host.hub_cache, host.home)


@lru_cache(maxsize=8)
def _usual(hub_cache: str, home: str) -> frozenset[str]:
    """Return the folders that need not be named, without links."""
    below = (
        ".cache/whisper",
        "Documents/huggingface/models",
        "Library/Application Support/FluidAudio/Models",
    )
    usual = (hub_cache, *(os.path.join(home, folder) for folder in below))
    return frozenset(map(os.path.realpath, usual))


def _rows(report: Report) -> dict[tuple[tuple[str, ...], str], list[Entry]]:
    """Return the entries of models by the engines that load them and by place."""
    rows: dict[tuple[tuple[str, ...], str], list[Entry]] = {}
    for entry in report.entries:
        if entry.claims and report.statuses[entry.id] is not Status.ABSENT:
            rows.setdefault((entry.engines, entry.root), []).append(entry)
    return rows


def _models(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return what each model's name resolves to: of several revisions, the one with a branch."""
    by_model: dict[str, list[Entry]] = {}
    for entry in entries:
        by_model.setdefault(entry.model or entry.name, []).append(entry)
    return {
        model: [entry for entry in mine if "main" in entry.refs] or mine
        for model, mine in by_model.items()
    }


def _marks(entries: Sequence[Entry], report: Report) -> dict[str, str]:
    """Return a mark for each model: ✓ loads, ! with a warning, … is downloading, ✗ does not."""
    found = {}
    for model, asked in _models(entries).items():
        levels = {finding.severity for entry in asked for finding in report.of(entry)}
        statuses = {report.statuses[entry.id] for entry in asked}
        if Status.READY in statuses:
            found[model] = "✓" if levels <= {Severity.NOTE} else "!"
        else:
            found[model] = "…" if Status.IN_PROGRESS in statuses else "✗"
    return found


_BROKEN = (Status.CORRUPT, Status.INCOMPLETE)


def _marked(marks: Mapping[str, str]) -> list[str]:
    """Return the models' names, each with its mark if the marks differ."""
    if len(set(marks.values())) < 2:
        return [printable(model) for model in marks]
    return [printable(model if mark == "✓" else f"{mark} {model}") for model, mark in marks.items()]


def _of_all(marks: Mapping[str, str]) -> str:
    """Return the mark of a line: its models' mark, if all have the same."""
    kinds = set(marks.values())
    return kinds.pop() if len(kinds) == 1 else "!"
