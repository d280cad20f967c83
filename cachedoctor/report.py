"""Values to text; pure, so that every command says the same of the same thing."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from cachedoctor import apps
from cachedoctor.findings import Finding, Severity
from cachedoctor.held import held, held_everywhere
from cachedoctor.text import WIDTH, plural, printable, size
from cachedoctor.version import VERSION
from cachedoctor.vocabulary import SIZES, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor import Report
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry

_INDENT = " " * 10
_MODELS_WIDTH = 40
LAYOUTS = {
    "hub-cache": "hub cache",
    "openai-cdn": "OpenAI files",
    "application-support": "Application Support",
    "documents": "Documents",
    "local-dir": "downloaded to a folder",
    "ggml-folder": "GGML files",
    "named-path": "named",
}


def counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Count findings by severity."""
    return {level: sum(1 for f in findings if f.severity is level) for level in Severity}


def repairable(finding: Finding) -> bool:
    """Say whether `fix` could cure a finding by itself."""
    return finding.repair is not None and finding.repair.safety.value != "manual"


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
    word = {"CD109": "busy"}.get(verdict.code or "", "broken")
    if (verdict.code or "").startswith("CD6"):
        word = "blocked"
    command = verdict.cure
    if command.startswith("cachedoctor "):
        command += host.options
    if verdict.why == "not there":
        return f"absent  {what}: not there; `{command}` fetches it"
    cost = ""
    if verdict.repair is not None and verdict.repair.safety.value == "fetches":
        known = verdict.repair.fetch_bytes
        cost = f" fetches {size(known)}" if known else " fetches it"
    code = f"{verdict.code} " if verdict.code else ""
    cure = "" if word == "busy" or not command else f"; `{command}`{cost}"
    return f"{word:<7} {what}: {code}{printable(verdict.why or '')}{cure}"


def summary_lines(report: Report) -> Iterator[str]:
    """Go through the closing lines: what was not checked, and the count."""
    if not report.entries:
        yield from ("", "no cache of a known engine is here")
    yield ""
    if report.deep:
        unknown = sum(checked.none for checked in report.checked.values())
        rest = f"; no evidence for {plural(unknown, 'file')}" if unknown else ""
        yield f"Checked: layout, sizes, headers, contents{rest}"
    else:
        deeper = f"`cachedoctor verify{report.host.options}`"
        yield f"Checked: layout, sizes, headers. Not checked: contents ({deeper})"
    yield from textwrap.wrap(_engines_counted(report) + counting(report.findings), WIDTH)


def _engines_counted(report: Report) -> str:
    """Return how many engines have a model that is ready, and how many only broken ones."""
    by_engine: dict[str, set[Status]] = {}
    for entry in report.entries:
        for engine in entry.engines:
            by_engine.setdefault(engine, set()).add(report.statuses[entry.id])
    ready = sum(Status.READY in found for found in by_engine.values())
    broken = sum(
        bool(found & {Status.CORRUPT, Status.INCOMPLETE}) and Status.READY not in found
        for found in by_engine.values()
    )
    words = [f"{plural(ready, 'engine')} ready"] if ready else []
    words += (
        [f"{broken} broken" if ready else f"{plural(broken, 'engine')} broken"] if broken else []
    )
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
        fetched = [repair for repair in cured if repair and repair.safety.value == "fetches"]
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
    rows: dict[tuple[tuple[str, ...], str], list[Entry]] = {}
    for entry in report.entries:
        if entry.claims and report.statuses[entry.id] is not Status.ABSENT:
            rows.setdefault((entry.engines, entry.root), []).append(entry)
    names = {", ".join(users) for users, _ in rows}
    width = max((len(name) for name in names), default=0)
    listed = {
        key: textwrap.wrap(
            "  ".join(dict.fromkeys(e.model or e.name for e in entries)),
            _MODELS_WIDTH,
            break_on_hyphens=False,
        )
        for key, entries in rows.items()
    }
    column = max((len(line) for lines in listed.values() for line in lines), default=0)
    for (users, root), entries in sorted(rows.items(), key=lambda row: (len(row[0][0]), row[0])):
        amount = size(held(entries).bytes)
        place = LAYOUTS.get(entries[0].locator, entries[0].locator)
        if not _is_usual(root, report.host):
            app = apps.owner(report.host, root)
            place = f"{app}'s copy, " if app else ""
            place += report.host.short(root)
        first, *more = listed[users, root]
        name = f"{', '.join(users):<{width}}"
        mark, shown = _tick(entries, report), printable(place)
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


def _is_usual(root: str, host: Host) -> bool:
    """Say whether an engine's own defaults lead to `root`, so that its kind says enough."""
    usual = (
        host.hub_cache,
        f"{host.home}/.cache/whisper",
        f"{host.home}/Documents/huggingface/models",
        f"{host.home}/Library/Application Support/FluidAudio/Models",
    )
    return any(os.path.realpath(path) == root for path in usual)


def _tick(entries: Sequence[Entry], report: Report) -> str:
    ids = {entry.id for entry in entries}
    levels = {f.severity for f in report.findings if ids.intersection(f.entries)}
    if Severity.ERROR in levels:
        return "✗"
    return "!" if Severity.WARNING in levels else "✓"


def findings_lines(report: Report, *, verbose: bool) -> Iterator[str]:
    """Go through the findings by entry, each with its hint, then waste in one line."""
    by_entry: dict[str, list[Finding]] = {}
    titles = {entry.id: entry for entry in report.entries}
    for finding in report.findings:
        if finding.severity is not Severity.NOTE or verbose or finding.code == "CD109":
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
        if any(repairable(finding) for finding in findings):
            command = f"cachedoctor fix {engine}".rstrip() + report.host.options
            yield f"{_INDENT}hint: `{command}`{_cost(findings)}"
    notes = [f for f in report.findings if f.severity is Severity.NOTE and f.code != "CD109"]
    if notes and not verbose:
        yield ""
        command = f"`cachedoctor fix --waste{report.host.options}`"
        yield f"waste     {' · '.join(_waste(notes))} · {command}"


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
    if any(repair.safety.value == "fetches" for repair in repairs):
        return f" fetches {size(fetched)}" if fetched else " needs a download"
    return " (nothing to download)"


def _waste(notes: Sequence[Finding]) -> Iterator[str]:
    by_code: dict[str, list[Finding]] = {}
    for note in notes:
        by_code.setdefault(note.code, []).append(note)
    for code, found in by_code.items():
        words = found[0].slug.replace("-", " ")
        yield f"{code} {plural(len(found), words)} {size(sum(note.bytes for note in found))}"
