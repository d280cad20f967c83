"""The plans about what is wrong or missing: fix, pull, verify, undo, the quarantine."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from cachedoctor import engines, locking, rules
from cachedoctor.browse.proposals import Proposal, Way
from cachedoctor.doctor import contents, scanning
from cachedoctor.errors import UsageError
from cachedoctor.findings import Safety
from cachedoctor.manager import bringing
from cachedoctor.plans import cures
from cachedoctor.question import Question
from cachedoctor.report import plan_text, verdict_text, verify_text
from cachedoctor.runs import applying
from cachedoctor.system import undoing
from cachedoctor.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.browse.proposals import Make
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding
    from cachedoctor.host import Host
    from cachedoctor.plans.cures import Plan
    from cachedoctor.system.network import Network
    from cachedoctor.system.run import Run
    from cachedoctor.vocabulary import Progress

    Passes = Callable[[Finding], bool]


def fix(
    network: Network,
    *,
    codes: Sequence[str] = (),
    only: Passes | None = None,
    waste: bool = False,
    words: Sequence[str] = (),
) -> Make:
    """Return a function that makes the plan of `fix`: for everything, `codes`, waste, or a choice.

    `only` chooses among the findings, as numbers do on the command line; `words` name the choice on
    the command line.
    """

    def make(progress: Progress) -> Proposal:
        host = network.host
        deep = any(rules.find(code).deep for code in codes)
        found = scanning.answer(Question(host, codes=tuple(codes), deep=deep), progress=progress)
        of_them = tuple(f for f in found.findings if only is None or only(f))
        report = found._replace(findings=of_them)
        plan = cures.plan(
            report,
            codes=codes,
            waste=waste,
            faults=not waste,
            network=network._replace(progress=progress),
        )
        lines = tuple(plan_text.plan_lines(plan, report))
        command = host.command("fix", *words, *codes, *(("--waste",) if waste else ()))
        if only is not None and not (words or codes):
            command = ""  # a model without an engine has no word there
        title = "set aside what wastes space" if waste else "repair"
        if not (plan.cures or plan.unfinished):
            return Proposal(title, command, lines=lines)
        count = plural(len(plan.cures) + len(plan.unfinished), "repair")
        ways = tuple(_ways(plan, report, network, deletable=waste or bool(codes)))
        return Proposal(title, command, lines=lines, question=f"Apply {count}?", ways=ways)

    return make


def _ways(plan: Plan, report: Report, network: Network, *, deletable: bool) -> tuple[Way, ...]:
    """Return the ways to apply a fix: whole, without its downloads, or keeping nothing."""
    ways = [Way("Repair", partial(_fixed, plan, report, network))]
    local = tuple(f for f in plan.cures if f.repair and f.repair.safety is not Safety.FETCHES)
    if local and len(local) < len(plan.cures):
        fewer = plan._replace(cures=local)
        label = f"Only the {len(local)} without a download"
        ways.append(Way(label, partial(_fixed, fewer, report, network)))
    aside = sum(repair.aside_bytes for repair in plan.repairs)
    if deletable and aside:
        sure = f"Delete {size(aside)} for good instead of setting it aside? There is no way back."
        delete = partial(_fixed, plan, report, network, delete=True)
        ways.append(Way("Delete for good", delete, sure))
    return tuple(ways)


def _fixed(
    plan: Plan, report: Report, network: Network, progress: Progress, *, delete: bool = False
) -> Sequence[str]:
    network.host.require_own_configuration()
    outcome = applying.apply(plan, report, network._replace(progress=progress), delete=delete)
    return tuple(plan_text.outcome_lines(plan, outcome))


def pull(network: Network, questions: Sequence[str], lock: str | None) -> Make:
    """Return a function that makes the plan of `pull`; a question is ENGINE:SIZE or :MODEL."""
    pairs = [_pair(question) for question in questions]

    def make(progress: Progress) -> Proposal:
        host = network.host
        mine = network._replace(progress=progress)
        wanted = bringing.wanted(pairs, locking.read(lock) if lock else None)
        proposals = bringing.propose(wanted, mine)
        words = (*questions, *(("--lock", lock) if lock else ()))
        return _fetching(proposals, network, host.command("pull", *words))

    return make


def _fetching(
    proposals: Sequence[bringing.Proposal], network: Network, command: str, *, again: bool = False
) -> Proposal:
    """Return what would be fetched; `again` if the hub lists more than was shown."""
    plans = [(one.plan, one.report) for one in proposals if one.plan and one.report]
    lines = [line for plan, found in plans for line in plan_text.plan_lines(plan, found)]
    lines += [verdict_text.verdict_line(one.verdict, network.host) for one in proposals]
    if not plans:
        return Proposal("fetch models", command, lines=tuple(lines))
    cost = bringing.cost(proposals)
    question = plan_text.fetch_question(cost, again=again)
    ways = (Way("Fetch", partial(_brought, proposals, network, command)),)
    return Proposal("fetch models", command, lines=tuple(lines), question=question, ways=ways)


def _pair(question: str) -> tuple[str, str]:
    engine, colon, what = question.partition(":")
    if not (colon and what):
        raise UsageError(
            f"`{question}` is not ENGINE:SIZE or ENGINE:MODEL", hint="`faster-whisper:small`"
        )
    return engines.find(engine).name, what


def _brought(
    proposals: Sequence[bringing.Proposal], network: Network, command: str, progress: Progress
) -> Sequence[str] | Proposal:
    """Fetch what was agreed to; if the hub lists more than that, ask again."""
    network.host.require_own_configuration()
    settled = bringing.settle(proposals)
    if bringing.dearer(proposals, settled):
        return _fetching(settled, network, command, again=True)
    verdicts = bringing.carry_out(settled, network._replace(progress=progress))
    return tuple(verdict_text.verdict_line(verdict, network.host) for verdict in verdicts)


def verify(host: Host, paths: Sequence[str]) -> Make:
    """Return a function that reads these models, or all, and says what proved every byte."""

    def make(progress: Progress) -> Proposal:
        question = Question(host, paths=tuple(paths), deep=True)
        report = scanning.answer(question, cure_notes=False, progress=progress)
        tally = verify_text.Tally(*contents.counted(report.entries, report.contents))
        lines = tuple(verify_text.verify_lines(report, tally, verbose=True))
        return Proposal("verify", host.command("verify", *paths), lines=lines)

    return make


def undo(host: Host, name: str | None) -> Make:
    """Return a function that shows a run, or the last undoable one, and how to take it back."""

    def make(progress: Progress) -> Proposal:
        progress.advance(0)
        there = applying.undoable(host)
        if name is not None:
            there = [run for run in there if run.id == name]
        command = host.command("undo", *((name,) if name else ()))
        if not there:
            which = f"`{name}` has ended: " if name else ""
            return Proposal("undo", command, lines=(f"{which}no fix to take back",))
        run = there[-1]
        back = Way("Take it back", partial(_undone, host, run.id))
        lines = tuple(_undo_lines(run))
        return Proposal("undo", command, lines=lines, question=f"Take {run.id} back?", ways=(back,))

    return make


def _undo_lines(run: Run) -> Sequence[str]:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_s))
    lines = [f"take back {run.id} of {since}: {plural(len(run.repairs), 'thing')}"]
    lines += [f"  {printable(repair.describe)}" for repair in run.repairs]
    count = plural(len(undoing.words(run)), "step")
    return (*lines, "", f"{count}, undone in reverse order; what the fix put in place is set aside")


def _undone(host: Host, name: str, progress: Progress) -> Sequence[str]:
    progress.advance(0)
    host.require_own_configuration()
    taken = applying.undo(host, name)
    names = " and ".join(run.id for run in taken)
    return (f"✓ {names} is taken back; everything is as it was before",)


def empty(host: Host, older_s: float | None) -> Make:
    """Return a function that shows the quarantine, and deletes it."""

    def make(progress: Progress) -> Proposal:
        progress.advance(0)
        before = time.time() - (older_s or 0)
        kept = [item for item in applying.kept(host) if item.ended and item.when_s <= before]
        words = () if older_s is None else ("--older-than", f"{older_s:.0f}s")
        command = host.command("quarantine", "empty", *words)
        lines = tuple(plan_text.kept_lines(kept, host))
        if not kept:
            return Proposal("empty the quarantine", command, lines=lines)
        total = sum(item.size_bytes for item in kept)
        question = f"Delete {plural(len(kept), 'thing')} set aside, {size(total)}?"
        sure = f"{question} There is no way back after that."
        way = Way("Delete for good", partial(_emptied, host, before), sure)
        return Proposal(
            "empty the quarantine", command, lines=lines, question=question, ways=(way,)
        )

    return make


def _emptied(host: Host, before_s: float, progress: Progress) -> Sequence[str]:
    progress.advance(0)
    host.require_own_configuration()
    return (f"✓ freed {size(applying.empty(host, before_s))}",)
