"""What is wrong with each model, before it is formatted for a build's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cachedoctor.findings import Severity


class Problem(NamedTuple):
    """One thing that is wrong; if it concerns several models, each holds the same value."""

    severity: Severity
    title: str
    message: str
    code: str = ""  # if it has one
    path: str = ""  # the file or folder it is about


class Case(NamedTuple):
    """One model, or everything that belongs to none, and what is wrong with it."""

    group: str
    name: str
    problems: tuple[Problem, ...]
