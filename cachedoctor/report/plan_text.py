"""Plans, outcomes and the quarantine as text; pure."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cachedoctor.findings import CdnFetch, Finding, HubFetch, LocalCopy, Parts, Safety, Text
from cachedoctor.plans.unfinished import brings
from cachedoctor.report.folding import Folding, joined
from cachedoctor.report.scan_text import counting
from cachedoctor.rules.ourselves import UnfinishedFix
from cachedoctor.text import WIDTH, plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Repair, Source
    from cachedoctor.host import Host
    from cachedoctor.plans.cures import Plan
    from cachedoctor.plans.unfinished import Unfinished
    from cachedoctor.runs.applying import Outcome
    from cachedoctor.runs.quarantine import Kept

_INDENT = " " * 13


def plan_lines(plan: Plan, report: Report) -> Iterator[str]:
    """Yield a plan: for each entry what is done, why and from where; then the cost."""
    titles = {entry.id: entry.title for entry in report.entries}
    grouped: dict[str, list[Finding]] = {}
    for finding in plan.cures:
        first = next((titles[entry] for entry in finding.entries if entry in titles), "")
        grouped.setdefault(first or "/".join(finding.engines) or "cache", []).append(finding)
    number = 0
    for item in plan.unfinished:
        yield from _finish_lines(item, number + 1)
        number += len(item.repairs)
    for title, findings in grouped.items():
        repairs = [finding.repair for finding in findings if finding.repair]
        new = [f.repair for f in findings if f.repair and not brings(plan.unfinished, f)]
        fetch, copy = sum(r.fetch_bytes for r in new), sum(r.copy_bytes for r in new)
        download = any(r.safety is Safety.FETCHES for r in new)
        cost = (
            (f"{size(fetch)} to download" if fetch else "a download")
            if download
            else ("nothing to download" if len(new) == len(repairs) else "nothing more to download")
        )
        copies = f", {size(copy)} to copy" if copy else ""
        if (fetch or copy) and plan.free_bytes is not None:
            copies += f", {size(plan.free_bytes)} free"
        yield f"{printable(title)}: {plural(len(findings), 'repair')}, {cost}{copies}"
        for finding in findings:
            number += 1
            if finding.repair:
                again = brings(plan.unfinished, finding)
                yield from _row(number, finding, finding.repair, again=again)
        yield ""
    for finding in plan.by_hand:
        what = f"  left to you {finding.code} {finding.slug}: {printable(finding.message)}"
        yield Folding(what, 10)
        if finding.repair and finding.repair.safety is Safety.FETCHES:
            yield f"          needs the network: {printable(finding.repair.describe)}"
        elif finding.repair:
            yield f"          `{printable(finding.repair.describe)}`"
    if not plan.cures and not plan.unfinished:
        left = "nothing here can be repaired automatically"
        yield left if plan.by_hand else "nothing to repair"


def _finish_lines(item: Unfinished, number: int) -> Iterator[str]:
    """Yield what is left of an interrupted fix."""
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.created_s))
    steps = sum(len(repair.steps) for repair in item.repairs) + len(item.back)
    fetch = sum(repair.fetch_bytes for repair in item.repairs)
    copy = sum(repair.copy_bytes for repair in item.repairs)
    cost = f", {size(fetch)} to download" if fetch else ", nothing to download"
    cost += f", {size(copy)} to copy" if copy else ""
    verb = "take back" if item.back else "finish"
    words = f"first: {verb} the interrupted fix {item.id} of {since}: "
    yield words + plural(steps, "step") + ("" if item.back else cost)
    for count, repair in enumerate(item.repairs, number):
        left = plural(len(repair.steps), "step") + " left"
        yield f"  {count:>2}  {UnfinishedFix.code}  {printable(repair.describe)}, {left}"
    for line in item.back:
        yield f"      {UnfinishedFix.code}  {printable(line)}"
    yield ""


def _row(number: int, finding: Finding, repair: Repair, *, again: bool) -> Iterator[str]:
    """Yield one repair: what it does and from where, what it costs, and why.

    What an interrupted fix brings is done `again` only if that cannot be finished.
    """
    costs = (
        (repair.fetch_bytes, "to download"),
        (repair.copy_bytes, "to copy"),
        (repair.aside_bytes, "set aside"),
    )
    told = ", ".join(f"{size(count)} {what}" for count, what in costs if count)
    told = "only if that cannot be finished" if again else told
    words = f"  {number:>2}  {finding.code}  {printable(repair.describe)}"
    gap = " " * max(2, WIDTH - len(words) - len(told))
    yield Folding(f"{words}{gap}{joined(told)}".rstrip(), max(2, WIDTH - len(told)))
    yield Folding(f"{_INDENT}why: {printable(finding.message)}", len(_INDENT) + 5)
    for need in repair.needs:
        for source in need.sources[1:]:
            yield f"{_INDENT}if that fails: {source_words(source)}"


def source_words(source: Source) -> str:
    """Return where a repair would take its bytes from."""
    match source:
        case LocalCopy(why=why):
            return f"copy from {printable(why)}"
        case Parts(why=why):
            return f"unpack from {printable(why)}"
        case HubFetch(repository=repository, bytes=known):
            cost = f", {size(known)}" if known else ""
            return f"fetch it from {repository}{cost}"
        case CdnFetch(bytes=known, resume=resume):
            return f"{'resume the' if resume else 'a'} download from OpenAI, {size(known)}"
        case Text(text=text):
            return f"write `{printable(text)}`"


def fetch_question(cost: int | None, *, again: bool = False) -> str:
    """Return the question before a download; `again` if the hub lists more than was shown."""
    amount = "something of unknown size" if cost is None else size(cost)
    if again:
        return f"The hub now lists {amount}, more than the plan said. Fetch it?"
    return f"Fetch {amount}?" if cost != 0 else "Apply these repairs?"


def outcome_lines(plan: Plan, outcome: Outcome) -> Iterator[str]:
    """Yield the outcome of an applied plan, and how to take it back."""
    for finding in outcome.left:
        yield f"✗ still there: {finding.code} {finding.slug}: {printable(finding.message)}"
    host = outcome.report.host
    for name, why in outcome.taken_back:
        yield f"! the interrupted fix {name} could not be finished: {printable(why)}"
    if outcome.deleted_bytes is not None:
        how = "" if outcome.journaled else ", without a journal, because there was no space for one"
        yield f"✓ {size(outcome.deleted_bytes)} deleted for good{how}; there is no way back"
        yield counting(outcome.report.findings)
        return
    done = len(plan.cures) - len(outcome.left)
    if done:
        yield f"✓ {plural(done, 'repair')} made; everything was proven before it was put in place"
    if outcome.aside_bytes:
        command = f"`{host.command('quarantine', 'empty')}`"
        yield f"  {size(outcome.aside_bytes)} set aside, freed after {command}"
    if outcome.runs:
        yield f"  take it all back with `{host.command('undo')}`"
    yield counting(outcome.report.findings)


def kept_lines(kept: Sequence[Kept], host: Host) -> Iterator[str]:
    """Yield what is set aside: when, how much, from where and why."""
    if not kept:
        yield "nothing is set aside"
        return
    for item in kept:
        origin = printable(host.short(item.origin))
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.when_s))
        yield f"{item.run}  {since}  {size(item.size_bytes):>10}  {origin}"
        yield f"          {printable(item.why)}" + ("" if item.ended else " (unfinished)")
    total = sum(item.size_bytes for item in kept)
    yield (
        f"{plural(len(kept), 'thing')} set aside, {size(total)}; "
        f"`{host.command('undo', 'RUN')}` brings it back, "
        f"`{host.command('quarantine', 'empty')}` deletes it"
    )
