"""What is wrong with each model, before it has the form of any build's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cachedoctor.findings import Severity


class Problem(NamedTuple):
    """One thing that is wrong; one that concerns several models is the same value in each."""

    severity: Severity
    title: str
    message: str
    code: str = ""  # where it has one
    path: str = ""  # the file or folder that it is about


class Case(NamedTuple):
    """One model, or what belongs to none, and what is wrong with it."""

    group: str
    name: str
    problems: tuple[Problem, ...]
