"""Values as text; pure, so that every command says the same about the same thing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachedoctor import locators, rules
from cachedoctor.doctor import readiness
from cachedoctor.doctor.footprint import held, held_everywhere, reclaimable
from cachedoctor.findings import Finding, Safety, Severity
from cachedoctor.report.folding import Folding, joined
from cachedoctor.report.scan_table import (
    INDENT,
    engines_counted,
    readiness_table,
    table,
)
from cachedoctor.text import plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


_COMMIT = re.compile(r"(?<=/snapshots/)([0-9a-f]{7})[0-9a-f]{33}")


def counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Count findings by severity."""
    return {level: sum(1 for f in findings if f.severity is level) for level in Severity}


def brief(path: str, host: Host) -> str:
    """Return a path for people: `~` for the home, seven digits of a commit."""
    return _COMMIT.sub(r"\1", host.short(path))


def repairable(finding: Finding) -> bool:
    """Return whether `fix` could cure a finding by itself."""
    return finding.repair is not None and finding.repair.safety is not Safety.MANUAL


def scan_lines(
    report: Report,
    engines: Sequence[str] = (),
    readiness: Sequence[Readiness] = (),
    *,
    verbose: bool = False,
) -> Iterator[str]:
    """Yield the lines of a scan: a table by engine, what is ready, the findings.

    `engines` are those that were looked for; with `verbose` every note is listed.
    """
    narrow = report.engines or report.question.paths
    found = held(report.entries) if narrow else held_everywhere(report.survey)
    places = len({entry.root for entry in report.entries})
    took = f"{report.seconds * 1000:.0f} ms" if report.seconds < 10 else f"{report.seconds:.0f} s"
    yield (
        f"cachedoctor {VERSION} · {printable(report.host.short(report.host.home))} on "
        f"{report.host.platform} · {plural(places, 'place')}, {plural(found.files, 'file')}, "
        f"{size(found.bytes)}, {took}"
    )
    tables = [*table(report, engines, verbose=verbose), *readiness_table(readiness)]
    if tables:
        yield from ("", *tables)
    yield from findings_lines(report, verbose=verbose)


def summary_lines(report: Report) -> Iterator[str]:
    """Yield the closing lines: what was not checked, and the count."""
    if not report.entries and not any(map(readiness.hidden, report.findings)):
        yield from ("", "no known engine has a cache here")
        if report.host.platform != "windows" and not report.engines:
            fetch = report.host.command("pull", "faster-whisper:small")
            yield Folding(f"next: `{fetch}` fetches a model; `cachedoctor demo` is a tour")
    yield ""
    if report.question.deep:
        unknown = sum(checked.none for checked in report.checked.values())
        rest = f"; nothing to check {plural(unknown, 'file')} against" if unknown else ""
        yield f"Checked: layout, sizes, headers, contents{rest}"
    else:
        asked = report.question
        deeper = f"`{report.host.command('verify', *asked.engines, *asked.paths)}`"
        yield f"Checked: layout, sizes, headers. Not checked: contents ({deeper})"
    for line in report.core_ml.lines(report.host) if report.core_ml else ():
        yield Folding(printable(line), 2)
    yield Folding(engines_counted(report) + counting(report.findings))


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
            some = "" if len(fetched) == len(cured) else f", {len(fetched)} of them"
            line += f"{some} by fetching{cost}"
        else:
            line += " without a download"
    return line


def findings_lines(report: Report, *, verbose: bool) -> Iterator[str]:
    """Yield the findings by entry, each with its hint, then waste in one line."""
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
            place = brief(entry.path, report.host)
            yield Folding(f"{printable(entry.title)}  {joined(printable(place))}")
        else:
            yield "not part of a model"
        width = max(len(finding.slug) for finding in findings)
        for finding in findings:
            yield from finding_lines(finding, width)
        if entry is not None and _by_path(entry, report.host):
            yield f"{INDENT}hint: to repair it, name its place in `cachedoctor.toml`"
        else:
            yield from _hints(findings, report.host)
    notes = [f for f in report.findings if f.severity is Severity.NOTE and not _at_once(f)]
    waste = [note for note in notes if rules.find(note.code).waste and _curable(note, report)]
    asked = report.question
    if waste and not verbose:
        total = size(reclaimable(waste, report.survey.entries))
        command = f": `{report.host.command('fix', *asked.engines, '--waste')}`"
        yield ""
        yield from _by_code("waste", waste)
        yield f"{INDENT}{total} in all{'' if asked.paths else command}"
    others = [note for note in notes if note not in waste]
    if others and not verbose:
        yield ""
        yield from _by_code("notes", others)
        command = report.host.command("scan", *asked.engines, *asked.paths, "-v")
        yield f"{INDENT}`{command}` lists them"


def _hints(findings: Sequence[Finding], host: Host) -> Iterator[str]:
    """Yield the commands that cure these: faults by their engine, notes by their codes."""
    cured = [finding for finding in findings if repairable(finding)]
    faults = [finding for finding in cured if finding.severity is not Severity.NOTE]
    if faults and (first := _needed_first(faults[0], host)):
        yield f"{INDENT}hint: first `{printable(first)}`; `fix` cannot write there yet"
    elif faults:
        engine = next(iter(faults[0].engines), "")
        words = [engine] if engine else dict.fromkeys(finding.code for finding in faults)
        yield f"{INDENT}hint: `{host.command('fix', *words)}`{_cost(faults)}"
    notes = dict.fromkeys(f.code for f in cured if f.severity is Severity.NOTE)
    if notes:
        yield f"{INDENT}hint: `{host.command('fix', *notes)}` handles the notes"


def _needed_first(finding: Finding, host: Host) -> str:
    """Return the command that a repair needs first to write where it has to, if any."""
    from cachedoctor.plans import permission

    barred = permission.needed_first(finding.repair, host) if finding.repair else None
    return barred.describe if barred else ""


def _curable(note: Finding, report: Report) -> bool:
    """Return whether a fix could set a note's subject aside; a look does not ask for its repair."""
    if note.repair is None:
        seen = rules.Examination(report.survey, report.host)
        note = note._replace(repair=rules.find(note.code).cure(note, seen))
    return repairable(note)


def _by_path(entry: Entry, host: Host) -> bool:
    """Return whether an entry was found only because its path was named."""
    mine = [p for p in host.places if (p.kind, p.path) == (entry.locator, entry.root)]
    named = bool(mine) and all(place.by_path for place in mine)
    return named and not locators.is_usual(entry, host)


def _at_once(finding: Finding) -> bool:
    return bool(finding.leaves) or rules.find(finding.code).said


def _tells_size(finding: Finding) -> bool:
    return rules.find(finding.code).tells_size


def finding_lines(finding: Finding, width: int = 0) -> Iterator[str]:
    """Yield the lines of one finding: what it is, then measured against expected.

    `width` is that of the longest name among those listed with it.
    """
    lead = f"  {finding.severity.value:<7} {finding.code} {finding.slug:<{max(width, 15)}}  "
    message = printable(finding.message)
    yield Folding(lead + message, len(INDENT))
    measured, expected = finding.measured, finding.expected
    if finding.unit == "bytes" and isinstance(expected, int):
        found = f"{size(measured)}, " if isinstance(measured, int) else ""
        wanted = size(expected)
        if found == f"{wanted}, ":  # a few bytes of many
            found, wanted = f"{measured} B, ", f"{expected} B"
        yield f"{INDENT}{found}expected {wanted}"
    elif finding.unit == "bytes" and isinstance(measured, int) and not _tells_size(finding):
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
    """Yield one line per code: how many findings, and how much space they take."""
    by_code: dict[str, list[Finding]] = {}
    for note in notes:
        by_code.setdefault(note.code, []).append(note)
    for code, found in by_code.items():
        words = plural(len(found), found[0].slug.replace("-", " "))
        amount = sum(note.bytes for note in found)
        yield f"{title:<10}{code}  {words}" + (f", {size(amount)}" if amount else "")
        title = ""
