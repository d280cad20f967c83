"""Findings and verdicts in the two forms that continuous integration shows; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor import Report
    from cachedoctor.verdict import Verdict

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


class Problem(NamedTuple):
    """One thing that is wrong."""

    severity: Severity
    title: str
    message: str


class Case(NamedTuple):
    """One model, or what belongs to none, and what is wrong with it."""

    group: str
    name: str
    problems: tuple[Problem, ...]


def of_report(report: Report) -> tuple[Case, ...]:
    """Return a case for each entry that an engine claims, and one for all other findings."""
    told: set[int] = set()
    cases = []
    for entry in report.entries:
        mine = report.of(entry)
        told.update(map(id, mine))
        if entry.claims or mine:
            found = tuple(
                Problem(f.severity, f"{f.code} {f.slug}", f"{f.message} ({f.path})") for f in mine
            )
            cases.append(Case(", ".join(entry.engines) or "other", entry.title, found))
    rest = tuple(
        Problem(f.severity, f"{f.code} {f.slug}", f"{f.message} ({f.path})")
        for f in report.findings
        if id(f) not in told
    )
    return (*cases, *((Case("caches", "the places themselves", rest),) if rest else ()))


def of_verdicts(verdicts: Sequence[Verdict]) -> tuple[Case, ...]:
    """Return a case for each preflight."""
    return tuple(
        Case(
            verdict.engine,
            verdict.model or verdict.size or "",
            (
                *(() if verdict.ready else (_refusal(verdict),)),
                *(Problem(Severity.NOTE, f.code, f.message) for f in verdict.warnings),
            ),
        )
        for verdict in verdicts
    )


def _refusal(verdict: Verdict) -> Problem:
    cure = f"; `{verdict.cure}`" if verdict.cure else ""
    return Problem(Severity.ERROR, verdict.code or "not ready", f"{verdict.why}{cure}")


def render(format_: str, command: str, cases: Sequence[Case]) -> str:
    """Return the cases as `github` annotations or as a `junit` file."""
    return "\n".join(_github(cases)) if format_ == "github" else _junit(command, cases)


def _github(cases: Sequence[Case]) -> Iterator[str]:
    """Go through workflow commands.

    Source: GitHub's documentation, "Workflow commands for GitHub Actions".
    """
    for case in cases:
        for problem in case.problems:
            title = _escaped(f"{problem.title}: {case.name}").replace(":", "%3A")
            title = title.replace(",", "%2C")
            yield f"::{_LEVELS[problem.severity]} title={title}::{_escaped(problem.message)}"


def _escaped(text: str) -> str:
    shown = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(shown).replace("##[", "##%5B")


def _junit(command: str, cases: Sequence[Case]) -> str:
    """Return a test suite in which errors and warnings are failures and notes are output."""
    from xml.etree import ElementTree as Tree

    suite = Tree.Element("testsuite", name=f"cachedoctor {command}", tests=str(len(cases)))
    failed = 0
    for case in cases:
        element = Tree.SubElement(
            suite, "testcase", classname=printable(case.group), name=printable(case.name)
        )
        grave = [p for p in case.problems if p.severity is not Severity.NOTE]
        failed += bool(grave)
        for problem in grave:
            failure = Tree.SubElement(element, "failure", type=problem.title.split(" ")[0])
            failure.set("message", printable(f"{problem.title}: {problem.message}"))
        notes = [p for p in case.problems if p.severity is Severity.NOTE]
        if notes:
            said = Tree.SubElement(element, "system-out")
            said.text = "\n".join(printable(f"{p.title}: {p.message}") for p in notes)
    suite.set("failures", str(failed))
    Tree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Tree.tostring(suite, encoding="unicode")
