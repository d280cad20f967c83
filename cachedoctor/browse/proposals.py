"""What a key does: it makes the plan of the command of that name, with the ways to carry it out.

Each function takes the arguments of the command and returns a function that makes the plan, so that
looking and reading happen off the screen's thread. Nothing is changed before a way is chosen.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import verdict
from cachedoctor.doctor import scanning
from cachedoctor.manager import unpacking
from cachedoctor.plans import (
    budget,
    duplicates,
    holdings,
    kept,
    naming,
    packing,
    packs,
    pruning,
    relocation,
    removal,
)
from cachedoctor.report import change_text
from cachedoctor.runs import carrying
from cachedoctor.system.network import Network
from cachedoctor.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.plans.changes import Change
    from cachedoctor.plans.packing import Packing
    from cachedoctor.vocabulary import Progress

    Make = Callable[[Progress], "Proposal"]

_DOES = {
    "remove": "Set aside",
    "prune": "Set aside",
    "free": "Set aside",
    "dedupe": "Share blocks",
    "move": "Move",
    "unpack": "Unpack",
}
_DELETABLE = ("remove", "prune", "free")


class Way(NamedTuple):
    """One way to carry a plan out."""

    label: str  # the label of its button
    carry: Callable[[Progress], Sequence[str] | Proposal]  # returns the outcome
    sure: str = ""  # the second question, if there is no way back


class Proposal(NamedTuple):
    """What would happen, as the command says it, and the ways to do it."""

    title: str
    command: str  # the same on the command line
    lines: tuple[str, ...]
    question: str = ""
    ways: tuple[Way, ...] = ()  # none if there is nothing to do
    instead: tuple[tuple[str, Make], ...] = ()  # other plans


def remove(host: Host, names: Sequence[str], *, even_kept: bool = False) -> Make:
    """Return a function that makes the plan of `remove`."""

    def make(progress: Progress) -> Proposal:
        report = scanning.scan(host, cure_notes=False, progress=progress)
        found = holdings.models(report)
        change = removal.remove(found, naming.resolve(names, report), even_kept=even_kept)
        held = any(found.of(key).kept_by for one in change.spared for key in one.entries)
        also = [("Even kept models", remove(host, names, even_kept=True))]
        words = (*names, "--kept") if even_kept else names
        title = f"remove {plural(len(names), 'model')}"
        made = _of(change, report, title, host.command("remove", *words))
        return made._replace(instead=tuple(also) if held and not even_kept else ())

    return make


def prune(host: Host, keep_revisions: int | None, older_s: float | None, *, caches: bool) -> Make:
    """Return a function that makes the plan of `prune`."""

    def make(progress: Progress) -> Proposal:
        report = scanning.scan(host, progress=progress)
        change = pruning.prune(
            holdings.models(report),
            keep_revisions=keep_revisions,
            older_than_s=older_s,
            caches=caches,
            progress=progress,
        )
        words = ["--keep-revisions", str(keep_revisions)] if keep_revisions else []
        words += ["--older-than", f"{older_s:.0f}s"] if older_s is not None else []
        words += ["--compile-caches"] if caches else []
        return _of(change, report, "prune what nobody needs", host.command("prune", *words))

    return make


def free(host: Host, amount: int, *, leave: bool) -> Make:
    """Return a function that makes the plan of `free SIZE`, or `free --budget SIZE` (`leave`)."""

    def make(progress: Progress) -> Proposal:
        report = scanning.scan(host, progress=progress)
        choose = budget.leave if leave else budget.free
        change = choose(holdings.models(report), amount, time.time(), progress)
        title = f"shrink the caches to {size(amount)}" if leave else f"free {size(amount)}"
        words = ("free", "--budget", str(amount)) if leave else ("free", str(amount))
        return _of(change, report, title, host.command(*words))

    return make


def dedupe(host: Host) -> Make:
    """Return a function that makes the plan of `dedupe`."""

    def make(progress: Progress) -> Proposal:
        report = scanning.scan(host, cure_notes=False, progress=progress)
        change = duplicates.dedupe(holdings.models(report), progress)
        return _of(change, report, "store identical files once", host.command("dedupe"))

    return make


def move(host: Host, place: str, target: str, *, link: bool) -> Make:
    """Return a function that makes the plan of `move`."""

    def make(progress: Progress) -> Proposal:
        kept.roots(host).require()
        report = scanning.scan(host, cure_notes=False, progress=progress)
        found = relocation.relocate(report, place, target, link=link)
        words = ("move", place, target, *(() if link else ("--no-link",)))
        change = relocation.switch(found, report)
        return _of(change, report, "move to another disk", host.command(*words))

    return make


def pack(host: Host, names: Sequence[str], folder: str) -> Make:
    """Return a function that makes the plan of `pack`; it reads and proves what it packs."""

    def make(progress: Progress) -> Proposal:
        found = packing.pack(host, names, progress=progress)
        said = f"{plural(len(found.models), 'model')}, {plural(len(found.files), 'file')}"
        lines = [f"pack    {model.engine}/{model.name}" for model in found.models]
        return Proposal(
            title=f"pack {plural(len(names), 'model')}",
            command=host.command("pack", *names, "-o", folder),
            lines=(*lines, "", f"{said}, {size(found.bytes)}, read and proven"),
            question=f"Write {size(found.bytes)} to {printable(folder)}?",
            ways=(Way("Write", partial(_packed, found, os.path.abspath(folder))),),
        )

    return make


def unpack(host: Host, folder: str, for_engines: Sequence[str]) -> Make:
    """Return a function that makes the plan of `unpack`."""

    def make(progress: Progress) -> Proposal:
        pack = packs.read(folder)
        report = scanning.scan(host, cure_notes=False, progress=progress)
        report = unpacking.with_source(report, pack)
        change = unpacking.unpack(pack, host, report.survey, for_engines=for_engines)
        words = [word for name in for_engines for word in ("--for", name)]
        made = _of(change, report, "unpack", host.command("unpack", folder, *words))
        return made._replace(ways=tuple(_checked(way, change, host) for way in made.ways))

    return make


def _of(change: Change, report: Report, title: str, command: str) -> Proposal:
    """Return a change as the command shows it."""
    lines = tuple(change_text.change_lines(change, report.host, verbose=True))
    if not change.choices:
        return Proposal(title, command, lines=lines)
    does = Way(_DOES[change.verb], partial(_carried, change, report))
    ways: tuple[Way, ...] = (does,)
    if change.verb in _DELETABLE:
        sure = change_text.question(change, delete=True)
        if change.lost:
            sure = f"{sure} {change_text.last_question(change)}"
        ways = (does, Way("Delete for good", partial(_carried, change, report, delete=True), sure))
    question = change_text.question(change, delete=False)
    return Proposal(title=title, command=command, lines=lines, question=question, ways=ways)


def _carried(
    change: Change, report: Report, progress: Progress, *, delete: bool = False
) -> Sequence[str]:
    host = report.host
    network = Network(host, offline=True, progress=progress)
    measure = change.verb == "dedupe"
    carried = carrying.carry_out(change, report, network, delete=delete, measure=measure)
    return tuple(change_text.outcome_lines(change, host, carried.freed_bytes, deleted=delete))


def _packed(found: Packing, folder: str, progress: Progress) -> Sequence[str]:
    written = packing.write(found, folder, progress)
    return (f"✓ {size(written)} written to {printable(folder)}",)


def _checked(way: Way, change: Change, host: Host) -> Way:
    """Return a way that checks afterwards whether what it brought is ready."""

    def carry(progress: Progress) -> Sequence[str] | Proposal:
        lines = way.carry(progress)
        if isinstance(lines, Proposal):
            return lines
        brought = [choice.brings for choice in change.choices if choice.brings]
        ready = all(verdict.preflight(e, model=m, host=host).ready for e, m in brought)
        return lines if ready else (*lines, "✗ not everything is ready; the findings say why")

    return way._replace(carry=carry)
