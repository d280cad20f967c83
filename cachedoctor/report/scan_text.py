"""Values to text; pure, so that every command says the same of the same thing."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from cachedoctor import locators, rules
from cachedoctor.doctor import readiness
from cachedoctor.doctor.footprint import held, held_everywhere, reclaimable
from cachedoctor.findings import Finding, Safety, Severity
from cachedoctor.report.scan_table import (
    INDENT,
    engines_counted,
    readiness_table,
    table,
    wrapped,
)
from cachedoctor.text import WIDTH, plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry


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
    tables = [*table(report, engines), *readiness_table(readiness)]
    if tables:
        yield from ("", *tables)
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
        return f"absent  {what}: {printable(verdict.why or '')}; `{command}` fetches it"
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
    yield from textwrap.wrap(engines_counted(report) + counting(report.findings), WIDTH)


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
            yield f"{INDENT}hint: `fix` works on places that `cachedoctor.toml` names"
        elif any(repairable(finding) for finding in findings):
            command = report.host.command("fix", *([engine] if engine else []))
            yield f"{INDENT}hint: `{command}`{_cost(findings)}"
    notes = [f for f in report.findings if f.severity is Severity.NOTE and not _at_once(f)]
    waste = [note for note in notes if rules.find(note.code).waste]
    if waste and not verbose:
        total = size(reclaimable(waste, report.survey.entries))
        yield ""
        yield from _by_code("waste", waste)
        yield f"{INDENT}{total} in all: `{report.host.command('fix', '--waste')}`"
    others = [note for note in notes if not rules.find(note.code).waste]
    if others and not verbose:
        yield ""
        yield from _by_code("notes", others)
        yield f"{INDENT}`{report.host.command('scan', '-v')}` lists them"


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
        yield from wrapped(message)
    measured, expected = finding.measured, finding.expected
    if finding.unit == "bytes" and isinstance(expected, int):
        found = f"{size(measured)}, " if isinstance(measured, int) else ""
        yield f"{INDENT}{found}expected {size(expected)}"
    elif finding.unit == "bytes" and isinstance(measured, int) and size(measured) not in message:
        yield f"{INDENT}{size(measured)}"
    if not finding.entries:
        yield f"{INDENT}`{printable(finding.path)}`"


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
