"""Findings and verdicts in the formats that continuous integration shows; pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.findings import Severity
from cachedoctor.report.cases import Case, Problem
from cachedoctor.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding
    from cachedoctor.verdict import Verdict

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def of_report(report: Report) -> tuple[Case, ...]:
    """Return a case for each entry that an engine claims, and one for all other findings."""
    told: set[int] = set()
    cases = []
    for entry in report.entries:
        mine = report.of(entry)
        told.update(map(id, mine))
        if entry.claims or mine:
            group = ", ".join(entry.engines) or "other"
            place = report.host.short(entry.path)
            found = tuple(_problem(finding) for finding in mine)
            cases.append((Case(group, entry.title, found), place, entry.id))
    rest = tuple(_problem(finding) for finding in report.findings if id(finding) not in told)
    alone = (Case("caches", "the places themselves", rest),) if rest else ()
    return (*_told_apart(cases), *alone)


def _problem(finding: Finding) -> Problem:
    return Problem(
        severity=finding.severity,
        title=f"{finding.code} {finding.slug}",
        message=f"{finding.message} ({finding.path})",
        code=finding.code,
        path=finding.path,
    )


def _told_apart(cases: Sequence[tuple[Case, str, str]]) -> Iterator[Case]:
    """Add the place to a name that several models have, and the id if that is not enough.

    Services that show JUnit files keep one result per name.
    """
    names = [(case.group, case.name) for case, _, _ in cases]
    placed = [(case.group, case.name, place) for case, place, _ in cases]
    for case, place, known in cases:
        if names.count((case.group, case.name)) == 1:
            yield case
        elif placed.count((case.group, case.name, place)) == 1:
            yield case._replace(name=f"{case.name} ({place})")
        else:
            yield case._replace(name=f"{case.name} ({known})")


def of_verdicts(verdicts: Sequence[Verdict]) -> tuple[Case, ...]:
    """Return a case for each preflight."""
    return tuple(
        Case(
            verdict.engine,
            verdict.model or verdict.size or "",
            (
                *(() if verdict.ready else (_refusal(verdict),)),
                *(
                    Problem(Severity.NOTE, f.code, f.message, f.code, f.path)
                    for f in verdict.warnings
                ),
            ),
        )
        for verdict in verdicts
    )


def _refusal(verdict: Verdict) -> Problem:
    cure = f"; `{verdict.cure}`" if verdict.cure else ""
    return Problem(
        severity=Severity.ERROR,
        title=verdict.code or "not ready",
        message=f"{verdict.why}{cure}",
        code=verdict.code or "",
        path=os.path.abspath(verdict.lock) if verdict.lock else verdict.path or "",
    )


def render(
    format_: str, command: str, cases: Sequence[Case], *, folder: str = "", fails: bool = True
) -> str:
    """Return the cases as `github` annotations, as a `junit` file or as `sarif`.

    `folder` is the build's checkout: a file in it is named relative to it. If nothing `fails`,
    errors are reported as warnings.
    """
    if not fails:
        cases = [case._replace(problems=tuple(map(_mild, case.problems))) for case in cases]
    if format_ == "github":
        return "\n".join(_github(cases, folder))
    if format_ == "sarif":
        from cachedoctor.report import sarif

        return sarif.render(distinct(cases), lambda path: within(path, folder))
    return _junit(command, cases, fails=fails)


def _mild(problem: Problem) -> Problem:
    grave = problem.severity is Severity.ERROR
    return problem._replace(severity=Severity.WARNING) if grave else problem


def distinct(cases: Sequence[Case]) -> list[tuple[Problem, str]]:
    """Return each problem once, errors first, with the names of the models it concerns."""
    names: dict[Problem, list[str]] = {}
    for case in cases:
        for problem in case.problems:
            names.setdefault(problem, []).append(case.name)
    found = [
        (problem, mine[0] if len(mine) == 1 else f"{mine[0]} and {len(mine) - 1} more")
        for problem, mine in names.items()
    ]
    return sorted(found, key=lambda row: row[0].severity.rank)


def within(path: str, folder: str) -> str:
    """Return a path relative to `folder`, or nothing if it is outside or not a path."""
    below = os.path.relpath(path, folder) if path and folder else ".."
    return "" if below.split("/", 1)[0] in ("..", ".") else below


def _github(cases: Sequence[Case], folder: str) -> Iterator[str]:
    """Yield workflow commands.

    Source: GitHub's documentation, "Workflow commands for GitHub Actions".
    """
    for problem, name in distinct(cases):
        file = within(problem.path, folder)
        given = {"file": file} if file else {}
        given["title"] = f"{problem.title}: {name}"
        said = ",".join(f"{key}={_property(value)}" for key, value in given.items())
        yield f"::{_LEVELS[problem.severity]} {said}::{_escaped(problem.message)}"


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    shown = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(shown).replace("##[", "##%5B")


def _junit(command: str, cases: Sequence[Case], *, fails: bool) -> str:
    """Return a test suite with errors and warnings as failures and notes as output."""
    from xml.etree import ElementTree as Tree

    suite = Tree.Element("testsuite", name=f"cachedoctor {command}", tests=str(len(cases)))
    failed = 0
    for case in cases:
        element = Tree.SubElement(
            suite, "testcase", classname=printable(case.group), name=printable(case.name)
        )
        grave = [p for p in case.problems if fails and p.severity is not Severity.NOTE]
        failed += bool(grave)
        for problem in grave:
            failure = Tree.SubElement(element, "failure", type=problem.title.split(" ")[0])
            failure.set("message", printable(f"{problem.title}: {problem.message}"))
        notes = [p for p in case.problems if p not in grave]
        if notes:
            said = Tree.SubElement(element, "system-out")
            said.text = "\n".join(printable(f"{p.title}: {p.message}") for p in notes)
    suite.set("failures", str(failed))
    Tree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Tree.tostring(suite, encoding="unicode")
