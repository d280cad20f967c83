"""Values to text; pure, so that every command says the same of the same thing."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING

from cachedoctor.version import VERSION
from cachedoctor.vocabulary import (
    CdnFetch,
    Finding,
    HubFetch,
    LocalCopy,
    Severity,
    State,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.doctor import Report
    from cachedoctor.host import Host
    from cachedoctor.journal import Kept
    from cachedoctor.surgery import Outcome, Plan
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry, Source

WIDTH = 80
_INDENT = " " * 10
LAYOUTS = {
    "hub-cache": "hub cache",
    "openai-cdn": "OpenAI files",
    "application-support": "Application Support",
}

Json = dict[str, object]


def size(count: int) -> str:
    """Return a number of bytes in binary units with one decimal."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def printable(text: str) -> str:
    r"""Return `text` safe for a terminal: control characters and undecodable bytes as `\\xNN`."""
    if text.isprintable():
        return text
    shown = []
    for character in text:
        number = ord(character)
        if 0xDC80 <= number <= 0xDCFF:
            shown.append(f"\\x{number - 0xDC00:02x}")
        elif character.isprintable():
            shown.append(character)
        else:
            escape = character.encode("utf-8", "surrogatepass")
            shown.append("".join(f"\\x{byte:02x}" for byte in escape))
    return "".join(shown)


def plural(count: int, noun: str) -> str:
    """Return a count and its noun."""
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else many}"


def held_bytes(entries: Iterable[Entry]) -> dict[tuple[int, int], int]:
    """Return the length of every file by device and inode, so that none counts twice."""
    return {
        (artifact.stamp.device, artifact.stamp.inode): artifact.stamp.size_bytes
        for entry in entries
        for artifact in entry.artifacts
        if artifact.stamp and artifact.state is State.PRESENT and not artifact.bundle
    }


def counts(findings: Sequence[Finding]) -> dict[Severity, int]:
    """Count findings by severity."""
    return {level: sum(1 for f in findings if f.severity is level) for level in Severity}


def repairable(finding: Finding) -> bool:
    """Say whether `fix` could cure a finding by itself."""
    return finding.repair is not None and finding.repair.safety.value != "manual"


def scan_lines(report: Report, *, verbose: bool = False) -> Iterator[str]:
    """Go through the lines of a scan: a table by engine, the findings, what was not checked."""
    held = held_bytes(report.entries)
    places = len({entry.root for entry in report.entries})
    took = f"{report.seconds * 1000:.0f} ms" if report.seconds < 10 else f"{report.seconds:.0f} s"
    yield (
        f"cachedoctor {VERSION} · {printable(report.host.short(report.host.home))} on "
        f"{report.host.platform} · {plural(places, 'place')}, {plural(len(held), 'file')}, "
        f"{size(sum(held.values()))}, {took}"
    )
    yield ""
    yield from _table(report)
    yield from _findings(report, verbose=verbose)


def verdict_line(verdict: Verdict, host: Host) -> str:
    """Return a preflight's one line."""
    place = printable(host.short(verdict.path or ""))
    what = f"{verdict.engine} {verdict.model}"
    if verdict.ready:
        return f"ready   {what}  {place}"
    word = {None: "broken", "CD109": "busy"}.get(verdict.code, "broken")
    if verdict.why == "not there":
        return f"absent  {what}: not there; `{verdict.cure}` fetches it"
    cost = ""
    if verdict.repair is not None and verdict.repair.safety.value == "fetches":
        known = verdict.repair.fetch_bytes
        cost = f" fetches {size(known)}" if known else " fetches it"
    code = f"{verdict.code} " if verdict.code else ""
    cure = "" if word == "busy" else f"; `{verdict.cure}`{cost}"
    return f"{word:<7} {what}: {code}{printable(verdict.why or '')}{cure}"


def summary_lines(report: Report) -> Iterator[str]:
    """Go through the closing lines: what was not checked, and the count."""
    yield ""
    if not report.entries:
        yield "no cache of a known engine is here"
    if report.deep:
        unknown = sum(checked.none for checked in report.checked.values())
        rest = f"; no evidence for {plural(unknown, 'file')}" if unknown else ""
        yield f"Checked: layout, sizes, headers, contents{rest}"
    else:
        yield "Checked: layout, sizes, headers. Not checked: contents (`cachedoctor scan --deep`)"
    yield counting(report.findings)


def counting(findings: Sequence[Finding]) -> str:
    """Return the line that counts findings and says how many can be repaired, and at what cost."""
    if not findings:
        return "no findings"
    count = counts(findings)
    kinds = ", ".join(plural(number, level.value) for level, number in count.items() if number)
    line = f"{plural(len(findings), 'finding')} ({kinds})"
    cured = [finding.repair for finding in findings if repairable(finding)]
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


def _table(report: Report) -> Iterator[str]:
    """Go through one line an engine and place."""
    rows: dict[tuple[str, str], list[Entry]] = {}
    for entry in report.entries:
        for engine in entry.engines:
            rows.setdefault((engine, entry.root), []).append(entry)
    others = [entry for entry in report.entries if not entry.claims]
    width = max((len(engine) for engine, _ in rows), default=0)
    for (engine, root), entries in sorted(rows.items()):
        tick = _tick(entries, report)
        models = "  ".join(dict.fromkeys(entry.model or entry.name for entry in entries))
        held = size(sum(held_bytes(entries).values()))
        place = LAYOUTS.get(entries[0].locator, entries[0].locator)
        if report.host.project and root.startswith(os.path.realpath(report.host.project)):
            place = report.host.short(root)
        yield f"{tick} {engine:<{width}}  {models:<24}  {held:>10}  {printable(place)}"
    if others:
        held = size(sum(held_bytes(others).values()))
        repositories = len({(entry.root, entry.name) for entry in others})
        yield f"– {plural(repositories, 'repository')} of other programs, {held}"


def _tick(entries: Sequence[Entry], report: Report) -> str:
    ids = {entry.id for entry in entries}
    levels = {f.severity for f in report.findings if ids.intersection(f.entries)}
    if Severity.ERROR in levels:
        return "✗"
    return "!" if Severity.WARNING in levels else "✓"


def _findings(report: Report, *, verbose: bool) -> Iterator[str]:
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
        for finding in findings:
            yield from finding_lines(finding)
        engine = next(iter(findings[0].engines), "")
        if any(repairable(finding) for finding in findings):
            command = f"cachedoctor fix {engine}".rstrip()
            yield f"{_INDENT}hint: `{command}`{_cost(findings)}"
    notes = [f for f in report.findings if f.severity is Severity.NOTE and f.code != "CD109"]
    if notes and not verbose:
        yield ""
        yield f"waste     {' · '.join(_waste(notes))} · `cachedoctor fix --waste`"


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


def plan_lines(plan: Plan, report: Report) -> Iterator[str]:
    """Go through a plan: by entry what is done, why and from where; then what it costs."""
    titles = {entry.id: entry.title for entry in report.entries}
    grouped: dict[str, list[Finding]] = {}
    for finding in plan.cures:
        first = next((titles[entry] for entry in finding.entries if entry in titles), "")
        grouped.setdefault(first or "/".join(finding.engines) or "cache", []).append(finding)
    if plan.unfinished:
        yield f"first: finish {plural(len(plan.unfinished), 'interrupted fix')}"
    number = 0
    for title, findings in grouped.items():
        repairs = [finding.repair for finding in findings if finding.repair]
        fetch, copy = sum(r.fetch_bytes for r in repairs), sum(r.copy_bytes for r in repairs)
        download = any(r.safety.value == "fetches" for r in repairs)
        cost = (
            (f"{size(fetch)} to download" if fetch else "a download")
            if download
            else ("nothing to download")
        )
        copies = f", {size(copy)} to copy" if copy else ""
        if (fetch or copy) and plan.free_bytes is not None:
            copies += f", {size(plan.free_bytes)} free"
        yield f"{printable(title)}: {plural(len(findings), 'repair')}, {cost}{copies}"
        for finding in findings:
            number += 1
            if finding.repair:
                aside = finding.repair.aside_bytes
                kept = f"  ({size(aside)} set aside)" if aside else ""
                yield f"  {number:>2}  {finding.code}  {printable(finding.repair.describe)}{kept}"
                for need in finding.repair.needs:
                    for source in need.sources[1:]:
                        yield f"             if that fails: {source_words(source)}"
        yield ""
    for finding in plan.by_hand:
        what = f"  by hand {finding.code} {finding.slug}: {printable(finding.message)}"
        yield what
        if finding.repair:
            yield f"          `{printable(finding.repair.describe)}`"
    if not plan.cures and not plan.unfinished:
        yield "nothing to repair" if not plan.by_hand else "nothing that can be repaired by itself"


def source_words(source: Source) -> str:
    """Return where a repair would take its bytes from."""
    match source:
        case LocalCopy(why=why):
            return f"copy from {printable(why)}"
        case HubFetch(repository=repository, bytes=known):
            cost = f", {size(known)}" if known else ""
            return f"fetch it from {repository}{cost}"
        case CdnFetch(bytes=known, resume=resume):
            return f"{'go on with the' if resume else 'a'} download from OpenAI, {size(known)}"
        case Text(text=text):
            return f"write `{printable(text)}`"


def outcome_lines(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Go through what an applied plan came to, and how it is taken back."""
    for finding in outcome.left:
        yield f"✗ still there: {finding.code} {finding.slug}: {printable(finding.message)}"
    done = len(plan.cures) - len(outcome.left)
    if done:
        yield f"✓ {plural(done, 'repair')} made; everything was proven before it was put in place"
    if outcome.aside_bytes:
        yield (
            f"  {size(outcome.aside_bytes)} set aside, freed after `cachedoctor quarantine empty`"
        )
    if outcome.runs:
        names = [f"`cachedoctor undo {run}`" for run in reversed(outcome.runs)]
        alone = ["`cachedoctor undo`"] if len(names) == 1 else names
        yield f"  take it all back with {' and '.join(alone)}"
    yield counting(outcome.report.findings)


def kept_lines(kept: Sequence[Kept], host: Host) -> Iterator[str]:
    """Go through what is set aside: when, how much, from where and why."""
    if not kept:
        yield "nothing is set aside"
        return
    for item in kept:
        origin = printable(host.short(item.origin))
        yield f"{item.run}  {size(item.size_bytes):>10}  {origin}"
        yield f"          {printable(item.why)}" + (
            " (unfinished)" if item.state in ("open", "undoing") else ""
        )
    total = sum(item.size_bytes for item in kept)
    yield (
        f"{plural(len(kept), 'thing')} set aside, {size(total)}; "
        "`cachedoctor undo RUN` brings it back, `cachedoctor quarantine empty` deletes it"
    )
