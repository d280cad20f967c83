"""A verdict as the one line that a `preflight` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import rules
from cachedoctor.doctor import readiness
from cachedoctor.findings import Circumstance, Safety
from cachedoctor.text import printable, size

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.verdict import Verdict


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
    if verdict.absent:
        fetch = f"; `{command}` fetches it" if command else ""
        only = readiness.only(verdict.others)
        return f"absent  {what}: {printable(verdict.why or '')}{only}{fetch}"
    cost = ""
    if verdict.repair and verdict.repair.safety is Safety.FETCHES and not verdict.blocked:
        known = verdict.repair.fetch_bytes
        cost = f" fetches {size(known)}" if known else " fetches it"
    code = f"{verdict.code} " if verdict.code else ""
    waits = rule is not None and rule.shows is Circumstance.DOWNLOADING
    cure = "" if waits or not command else f"; `{command}`{cost}"
    where = f" (`{place}`)" if rule and rule.unseen else ""
    return f"{word:<7} {what}: {code}{printable(verdict.why or '')}{where}{cure}"
