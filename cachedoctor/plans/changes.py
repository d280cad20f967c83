"""What a manager's command would change, and why: choices with their repairs, and what is spared.

A change is carried out like a fix: staged, journaled, undoable; see `surgery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Finding, Severity
from cachedoctor.plans.cures import Plan
from cachedoctor.system import disk

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Repair


class Choice(NamedTuple):
    """One thing that goes or changes, and why it was chosen."""

    title: str
    path: str
    reason: str
    bytes: int  # that are free when what is set aside is deleted
    repair: Repair
    entries: tuple[str, ...] = ()
    then: tuple[str, ...] = ()  # what will not work any more
    needed_by: tuple[str, ...] = ()  # who keeps it; only ever of what was named
    refetch_bytes: int | None = None  # `None` where it cannot be had again
    waste: bool = False  # nobody could want it again


class Spared(NamedTuple):
    """One thing that stays, and why."""

    title: str
    path: str
    why: str
    bytes: int
    entries: tuple[str, ...] = ()
    named: bool = False  # somebody asked for it by its name


class Change(NamedTuple):
    """What a command would do."""

    verb: str
    choices: tuple[Choice, ...] = ()
    spared: tuple[Spared, ...] = ()
    target_bytes: int | None = None  # how much is to go, where that was said
    by_the_way: tuple[str, ...] = ()  # what else is to be known
    copied_bytes: int = 0  # that are copied first
    report: Report | None = None  # the look that it was made from
    copies: object = None  # a `Relocation` that is copied first

    @property
    def bytes(self) -> int:
        """Return how much is free once all of it is deleted."""
        return sum(choice.bytes for choice in self.choices)

    @property
    def refetch_bytes(self) -> int:
        """Return what it costs to have everything again that can be had again."""
        return sum(choice.refetch_bytes or 0 for choice in self.choices if not choice.waste)

    @property
    def lost(self) -> tuple[Choice, ...]:
        """Return what cannot be had again once it is deleted."""
        return tuple(c for c in self.choices if c.refetch_bytes is None and not c.waste)

    @property
    def reached(self) -> bool:
        """Say whether as much goes as was asked for."""
        return self.target_bytes is None or self.bytes >= self.target_bytes

    def plan(self) -> Plan:
        """Return the plan that `apply` carries out."""
        cures = tuple(_finding(choice) for choice in self.choices)
        free = [disk.free_bytes(disk.folder_above(choice.repair.root)) for choice in self.choices]
        return Plan(cures, free_bytes=min(free, default=None))


def _finding(choice: Choice) -> Finding:
    """Return a choice in the form that a plan holds."""
    return Finding(
        code="",
        slug="chosen",
        severity=Severity.NOTE,
        path=choice.path,
        message=choice.reason,
        entries=choice.entries,
        repair=choice.repair,
        bytes=choice.bytes,
    )
