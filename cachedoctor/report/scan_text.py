"""Values to text; pure, so that every command says the same of the same thing."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from cachedoctor import locators, rules
from cachedoctor.doctor import readiness
from cachedoctor.doctor.footprint import held, held_everywhere, reclaimable
from cachedoctor.findings import Finding, Safety, Severity
from cachedoctor.system import apps
from cachedoctor.text import WIDTH, plural, printable, size
from cachedoctor.version import VERSION
from cachedoctor.vocabulary import SIZES, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry

_INDENT = " " * 10
_MODELS_WIDTH = 40


def counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Count findings by severity."""
    return {level: sum(1 for f in findings if f.severity is level) for level in Severity}


def repairable(finding: Finding) -> bool:
    """Say whether `fix` could cure a finding by itself."""
    return finding.repair is not None and finding.repair.safety is not Safety.MANUAL


def scan_lines(
    report: Report,
    engines: Sequence[str] = (),
    readiness: Sequence[Readiness] = (),
    *,
    verbose: bool = False,
) -> Iterator[str]:
    """Go through the lines of a scan: a table by engine, what is ready, the findings.

    `engines` are those that were looked for; with `verbose` every note is listed.
    """
    found = held(report.entries) if report.engines else held_everywhere(report.survey)
    places = len({entry.root for entry in report.entries})
    took = f"{report.seconds * 1000:.0f} ms" if report.seconds < 10 else f"{report.seconds:.0f} s"
    yield (
        f"cachedoctor {VERSION} · {printable(report.host.short(report.host.home))} on "
        f"{report.host.platform} · {plural(places, 'place')}, {plural(found.files, 'file')}, "
        f"{size(found.bytes)}, {took}"
    )
    table = [*_table(report, engines), *_readiness(readiness)]
    if table:
        yield from ("", *table)
    yield from findings_lines(report, verbose=verbose)


def verdict_line(verdict: Verdict, host: Host) -> str:
    """Return a preflight's one line."""
    place = printable(host.short(verdict.path or ""))
    what = f"{verdict.engine} {verdict.model}"
    if verdict.ready:
        only = "" if verdict.by == "name" else ", by path only"
        return f"ready{only or '  '} {what}  {place}"
    rule = rules.find(verdict.code) if verdict.code else None
    word = rule.word if rule else "broken"
    command = verdict.cure
    if command.startswith("cachedoctor ") and not command.endswith(host.options):
        command += host.options
    if verdict.absent:
        fetch = f"; `{command}` fetches it" if command else ""
        return f"absent  {what}: {printable(verdict.why or '')}{fetch}"
    cost = ""
    if verdict.repair is not None and verdict.repair.safety is Safety.FETCHES:
        known = verdict.repair.fetch_bytes
        cost = f" fetches {size(known)}" if known else " fetches it"
    code = f"{verdict.code} " if verdict.code else ""
    cure = "" if word == "busy" or not command else f"; `{command}`{cost}"
    where = f" (`{place}`)" if rule and rule.unseen else ""
    return f"{word:<7} {what}: {code}{printable(verdict.why or '')}{where}{cure}"


def summary_lines(report: Report) -> Iterator[str]:
    """Go through the closing lines: what was not checked, and the count."""
    if not report.entries and not any(map(readiness.hidden, report.findings)):
        yield from ("", "no cache of a known engine is here")
    yield ""
    if report.question.deep:
        unknown = sum(checked.none for checked in report.checked.values())
        rest = f"; no evidence for {plural(unknown, 'file')}" if unknown else ""
        yield f"Checked: layout, sizes, headers, contents{rest}"
    else:
        deeper = f"`{report.host.command('verify')}`"
        yield f"Checked: layout, sizes, headers. Not checked: contents ({deeper})"
    for line in report.core_ml.lines(report.host) if report.core_ml else ():
        yield from textwrap.wrap(printable(line), WIDTH, subsequent_indent="  ")
    yield from textwrap.wrap(_engines_counted(report) + counting(report.findings), WIDTH)


def _engines_counted(report: Report) -> str:
    """Return how many engines have a model that is ready, and how many only broken ones."""
    by_engine: dict[str, set[Status]] = {}
    for (users, _), entries in _rows(report).items():
        for asked in _models(entries).values():
            for engine in users:
                met = by_engine.setdefault(engine, set())
                met.update(report.statuses[entry.id] for entry in asked)
    ready = sum(Status.READY in met for met in by_engine.values())
    rest = [met for met in by_engine.values() if Status.READY not in met]
    broken = sum(not met.isdisjoint(_BROKEN) for met in rest)
    unseen = sum(met == {Status.UNKNOWN} for met in rest)
    words = [
        f"{plural(count, 'engine')} {word}"
        for count, word in ((ready, "ready"), (broken, "broken"), (unseen, "not to be seen"))
        if count
    ]
    words[1:] = [word.replace("engines ", "").replace("engine ", "") for word in words[1:]]
    return f"{', '.join(words)}; " if words else ""


def counting(findings: Sequence[Finding]) -> str:
    """Return the line that counts findings and says how many can be repaired, and at what cost."""
    if not findings:
        return "no findings"
    count = counts(findings)
    kinds = ", ".join(plural(number, level.value) for level, number in count.items() if number)
    line = f"{plural(len(findings), 'finding')} ({kinds})"
    cured = [f.repair for f in findings if repairable(f) and f.severity is not Severity.NOTE]
    if cured:
        fetched = [repair for repair in cured if repair and repair.safety is Safety.FETCHES]
        line += f"; {len(cured)} can be repaired"
        if fetched:
            total = sum(repair.fetch_bytes for repair in fetched)
            cost = f" {size(total)}" if total else ""
            line += f", {len(fetched)} of them by fetching{cost}"
        else:
            line += " without a download"
    return line


def _table(report: Report, engines: Sequence[str]) -> Iterator[str]:
    """Go through one line an engine and place, then what several engines share, then the rest."""
    rows = _rows(report)
    marks = {key: _marks(entries, report) for key, entries in rows.items()}
    names = {", ".join(users) for users, _ in rows}
    width = max((len(name) for name in names), default=0)
    listed = {
        key: textwrap.wrap(
            "  ".join(_marked(marks[key])),
            _MODELS_WIDTH,
            break_on_hyphens=False,
        )
        for key, entries in rows.items()
    }
    column = max((len(line) for lines in listed.values() for line in lines), default=0)
    for (users, root), entries in sorted(rows.items(), key=lambda row: (len(row[0][0]), row[0])):
        amount = size(held(entries).bytes)
        place = locators.of(entries[0]).title or entries[0].locator
        if not is_usual(root, report.host):
            app = apps.owner(report.host, root)
            place = f"{app}'s copy, " if app else ""
            place += report.host.short(root)
        first, *more = listed[users, root]
        name = f"{', '.join(users):<{width}}"
        mark, shown = _of_all(marks[users, root]), printable(place)
        yield f"{mark} {name}  {first:<{column}}  {amount:>10}  {shown}"
        yield from (f"  {'':<{width}}  {line}" for line in more)
    there = {user for users, _ in rows for user in users}
    absent = [engine for engine in engines if engine not in there]
    if absent and there:
        yield from textwrap.wrap(
            f"– {', '.join(absent)}: nothing found",
            WIDTH,
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
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


def _readiness(answers: Sequence[Readiness]) -> Iterator[str]:
    """Go through a table of what each engine could load now, without the network, for each size."""
    by_engine: dict[str, dict[str, Readiness]] = {}
    for answer in answers:
        by_engine.setdefault(answer.engine, {})[answer.size or ""] = answer
    shown = {name: row for name, row in by_engine.items() if any(a.entry for a in row.values())}
    if not shown:
        return
    width = max(map(len, shown))
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
        yield from _wrapped(f"{name} {model}: {why}")


def _mark(answer: Readiness | None) -> str:
    if answer is None or not answer.entry:
        return "–"
    return "✓" if answer.ready else "✗"


def is_usual(root: str, host: Host) -> bool:
    """Say whether an engine's own defaults lead to `root`, so that its kind says enough."""
    usual = (
        host.hub_cache,
        f"{host.home}/.cache/whisper",
        f"{host.home}/Documents/huggingface/models",
        f"{host.home}/Library/Application Support/FluidAudio/Models",
    )
    return any(os.path.realpath(path) == root for path in usual)


def _rows(report: Report) -> dict[tuple[tuple[str, ...], str], list[Entry]]:
    """Return the entries of models by who loads them and where they lie."""
    rows: dict[tuple[tuple[str, ...], str], list[Entry]] = {}
    for entry in report.entries:
        if entry.claims and report.statuses[entry.id] is not Status.ABSENT:
            rows.setdefault((entry.engines, entry.root), []).append(entry)
    return rows


def _models(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return what is asked for by the name of each model: of revisions the one with a branch."""
    by_model: dict[str, list[Entry]] = {}
    for entry in entries:
        by_model.setdefault(entry.model or entry.name, []).append(entry)
    return {
        model: [entry for entry in mine if "main" in entry.refs] or mine
        for model, mine in by_model.items()
    }


def _marks(entries: Sequence[Entry], report: Report) -> dict[str, str]:
    """Return a mark for each model: ✓ it loads, ! with a warning, ✗ it does not."""
    found = {}
    for model, asked in _models(entries).items():
        levels = {finding.severity for entry in asked for finding in report.of(entry)}
        loads = any(report.statuses[entry.id] in _LOADS for entry in asked)
        found[model] = "✗" if not loads else "✓" if levels <= {Severity.NOTE} else "!"
    return found


_LOADS = (Status.READY, Status.IN_PROGRESS)
_BROKEN = (Status.CORRUPT, Status.INCOMPLETE)


def _marked(marks: Mapping[str, str]) -> list[str]:
    """Return the models' names, with the mark of each where they differ."""
    if len(set(marks.values())) < 2:
        return [printable(model) for model in marks]
    return [printable(model if mark == "✓" else f"{mark} {model}") for model, mark in marks.items()]


def _of_all(marks: Mapping[str, str]) -> str:
    """Return the mark of a line: its models', where they are the same."""
    kinds = set(marks.values())
    return kinds.pop() if len(kinds) == 1 else "!"


def findings_lines(report: Report, *, verbose: bool) -> Iterator[str]:
    """Go through the findings by entry, each with its hint, then waste in one line."""
    by_entry: dict[str, list[Finding]] = {}
    titles = {entry.id: entry for entry in report.entries}
    for finding in report.findings:
        if finding.severity is not Severity.NOTE or verbose or _at_once(finding):
            first = next((entry for entry in finding.entries if entry in titles), "")
            by_entry.setdefault(first, []).append(finding)
    for key, findings in by_entry.items():
        entry = titles.get(key)
        yield ""
        if entry is not None:
            place = report.host.short(entry.path)
            if entry.revision:
                place = place.replace(entry.revision, entry.revision[:7])
            whole = f"{printable(entry.title)}  {printable(place)}"
            yield from [whole] if len(whole) <= WIDTH else whole.split("  ", 1)
        else:
            yield "besides the models"
        for finding in findings:
            yield from finding_lines(finding)
        engine = next(iter(findings[0].engines), "")
        if entry is not None and _by_path(entry, report.host):
            yield f"{_INDENT}hint: `fix` works on places that `cachedoctor.toml` names"
        elif any(repairable(finding) for finding in findings):
            command = report.host.command("fix", *([engine] if engine else []))
            yield f"{_INDENT}hint: `{command}`{_cost(findings)}"
    notes = [f for f in report.findings if f.severity is Severity.NOTE and not _at_once(f)]
    waste = [note for note in notes if rules.find(note.code).waste]
    if waste and not verbose:
        total = size(reclaimable(waste, report.survey.entries))
        yield ""
        yield from _by_code("waste", waste)
        yield f"{_INDENT}{total} in all: `{report.host.command('fix', '--waste')}`"
    others = [note for note in notes if not rules.find(note.code).waste]
    if others and not verbose:
        yield ""
        yield from _by_code("notes", others)
        yield f"{_INDENT}`{report.host.command('scan', '-v')}` lists them"


def _by_path(entry: Entry, host: Host) -> bool:
    """Say whether an entry was only found because the path to it was named."""
    mine = [p for p in host.places if (p.kind, p.path) == (entry.locator, entry.root)]
    named = bool(mine) and all(place.by_path for place in mine)
    return named and not locators.is_usual(entry, host)


def _at_once(finding: Finding) -> bool:
    return bool(finding.leaves) or rules.find(finding.code).said


def finding_lines(finding: Finding) -> Iterator[str]:
    """Go through the lines of one finding: what, then how much against how much."""
    lead = f"  {finding.severity.value:<7} {finding.code} {finding.slug:<16} "
    message = printable(finding.message)
    if len(lead) + len(message) <= WIDTH:
        yield lead + message
    else:
        yield lead.rstrip()
        yield from _wrapped(message)
    measured, expected = finding.measured, finding.expected
    if finding.unit == "bytes" and isinstance(expected, int):
        found = f"{size(measured)}, " if isinstance(measured, int) else ""
        yield f"{_INDENT}{found}expected {size(expected)}"
    elif finding.unit == "bytes" and isinstance(measured, int) and size(measured) not in message:
        yield f"{_INDENT}{size(measured)}"
    if not finding.entries:
        yield f"{_INDENT}`{printable(finding.path)}`"


def _wrapped(text: str) -> list[str]:
    """Break a message between words, never inside a path."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cost(findings: Sequence[Finding]) -> str:
    repairs = [finding.repair for finding in findings if finding.repair]
    fetched = sum(repair.fetch_bytes for repair in repairs)
    if any(repair.safety is Safety.FETCHES for repair in repairs):
        return f" fetches {size(fetched)}" if fetched else " needs a download"
    return " (nothing to download)"


def _by_code(title: str, notes: Sequence[Finding]) -> Iterator[str]:
    """Go through one line for each code: how many findings, and how much they take up."""
    by_code: dict[str, list[Finding]] = {}
    for note in notes:
        by_code.setdefault(note.code, []).append(note)
    for code, found in by_code.items():
        words = plural(len(found), found[0].slug.replace("-", " "))
        amount = sum(note.bytes for note in found)
        yield f"{title:<10}{code}  {words}" + (f", {size(amount)}" if amount else "")
        title = ""
