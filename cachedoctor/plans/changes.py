"""What a manager's command would change, and why: choices with their repairs, and what is spared.

A change is carried out like a fix: staged, journaled, undoable; see `runs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Finding, Severity
from cachedoctor.system import disk

if TYPE_CHECKING:
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Repair
    from cachedoctor.plans.cures import Plan


class Choice(NamedTuple):
    """One thing that is removed or changed, and why it was chosen."""

    title: str  # `engine/model`, or its name in the layout
    path: str  # where it is
    reason: str  # why it was chosen, for people
    bytes: int  # freed once what is set aside is deleted
    repair: Repair  # the steps that `apply` takes
    entries: tuple[str, ...] = ()  # ids of the models that it is or belongs to
    then: tuple[str, ...] = ()  # what will no longer work
    needed_by: tuple[str, ...] = ()  # what keeps it; set only if it was named
    refetch_bytes: int | None = None  # `None` if it cannot be fetched again
    waste: bool = False  # whether nobody could want it back
    brings: tuple[str, str] | None = None  # an engine and its model that will be ready


class Spared(NamedTuple):
    """One thing that stays, and why."""

    title: str  # `engine/model`, or its name in the layout
    path: str  # where it is
    why: str  # why it stays, for people
    bytes: int  # what removing it would free
    entries: tuple[str, ...] = ()  # ids of the models that it is or belongs to
    named: bool = False  # whether it was asked for by name


class Change(NamedTuple):
    """What a command would do."""

    verb: str  # the command that chose it: `remove`, `prune`, `free`, …
    choices: tuple[Choice, ...] = ()  # what is removed or changed, in this order
    spared: tuple[Spared, ...] = ()  # what stays, and why
    target_bytes: int | None = None  # how much was asked for, if that was given
    by_the_way: tuple[str, ...] = ()  # further notes for people
    copied_bytes: int = 0  # size of what is copied first
    report: Report | None = None  # the look that it was made from
    copies: object = None  # a `Relocation` that is copied first

    @property
    def bytes(self) -> int:
        """Return how many bytes are free once everything is deleted."""
        return sum(choice.bytes for choice in self.choices)

    @property
    def refetch_bytes(self) -> int:
        """Return the download size of everything that can be fetched again."""
        return sum(choice.refetch_bytes or 0 for choice in self.choices if not choice.waste)

    @property
    def lost(self) -> tuple[Choice, ...]:
        """Return the choices that cannot be fetched again once they are deleted."""
        return tuple(c for c in self.choices if c.refetch_bytes is None and not c.waste)

    @property
    def reached(self) -> bool:
        """Return whether as much goes as was asked for."""
        return self.target_bytes is None or self.bytes >= self.target_bytes

    def plan(self) -> Plan:
        """Return the plan that `apply` carries out."""
        from cachedoctor.plans.cures import Plan

        cures = tuple(_finding(choice) for choice in self.choices)
        free = [disk.free_bytes(disk.folder_above(choice.repair.root)) for choice in self.choices]
        return Plan(cures, free_bytes=min(free, default=None))


def _finding(choice: Choice) -> Finding:
    """Return a choice as a finding, which is what a plan holds."""
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
