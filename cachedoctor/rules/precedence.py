"""One code for one fault: which of several findings about the same thing is kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.findings import Finding, Subject

# Of the findings about one file, only the first of these is kept.
FILE_ORDER = (
    "CD109",
    "CD110",
    "CD108",
    "CD422",
    "CD107",
    "CD408",
    "CD103",
    "CD421",
    "CD101",
    "CD102",
    "CD104",
    "CD105",
    "CD106",
    "CD202",
    "CD205",
    "CD201",
    "CD204",
    "CD203",
    "CD302",
    "CD206",
    "CD303",
    "CD301",
    "CD207",
    "CD418",
    "CD402",
    "CD401",
    "CD403",
    "CD406",
    "CD413",
    "CD502",
    "CD416",
    "CD410",
    "CD507",
    "CD509",
    "CD505",
)
# While somebody downloads into an entry, it is neither incomplete nor littered.
HIDDEN_WHILE_LIVE = frozenset(
    (
        "CD101",
        "CD102",
        "CD103",
        "CD104",
        "CD105",
        "CD106",
        "CD402",
        "CD403",
        "CD408",
        "CD413",
        "CD421",
        "CD501",
        "CD502",
    )
)
# A repository with a broken ref has no empty snapshot and nothing detached besides.
HIDDEN_BY_BROKEN_REF = frozenset(("CD105", "CD508"))
BROKEN_REF = frozenset(("CD418", "CD402", "CD401", "CD403"))
# Of a revision that another one superseded only that is said: half of it may be gone for good.
HIDDEN_BY_SUPERSEDED = frozenset(("CD101", "CD102", "CD103", "CD104", "CD105", "CD106", "CD421"))
SUPERSEDED = "another revision has a branch"
NO_BRANCH = "no branch leads to it"
# What lies in a folder that cannot be listed is not known to be missing.
HIDDEN_BY_UNREADABLE = frozenset(("CD101", "CD104", "CD105", "CD106", "CD403"))


# What replaces whatever would be said below it.
GONE = frozenset(("CD110", "CD422"))


# The notes that `--waste` acts on: nobody would miss it. Others only by their codes: a link that
# works, what an older app may read, copies that engines each have, a model that may be pinned.
WASTE = frozenset(
    (
        "CD404",
        "CD410",
        "CD415",
        "CD416",
        "CD501",
        "CD502",
        "CD503",
        "CD506",
        "CD507",
        "CD509",
        "CD510",
    )
)


def settle(findings: list[Finding]) -> list[Finding]:
    """Keep one code for one fault, and one finding for one file under several entries."""
    live = {entry for f in findings if f.code == "CD109" for entry in f.entries}
    broken = {entry for f in findings if f.code in BROKEN_REF for entry in f.entries}
    closed = {
        entry for f in findings if f.code == "CD108" and f.unit == "folder" for entry in f.entries
    }
    old = {
        entry
        for f in findings
        if f.code == "CD508" and f.evidence == SUPERSEDED
        for entry in f.entries
    }
    lost = {f.path for f in findings if f.code in GONE and f.unit == "folder"}
    groups: dict[tuple[str, str], list[Finding]] = {}
    subjects: dict[str, list[Subject]] = {}
    for finding in findings:
        subjects.setdefault(finding.path, []).extend(finding.subjects)
        if lost and _below(finding, lost):
            continue
        if finding.code in HIDDEN_WHILE_LIVE and live.intersection(finding.entries):
            continue
        if finding.code in HIDDEN_BY_UNREADABLE and closed.intersection(finding.entries):
            continue
        if finding.code in HIDDEN_BY_BROKEN_REF and broken.intersection(finding.entries):
            continue
        if finding.code in HIDDEN_BY_SUPERSEDED and old.issuperset(finding.entries):
            continue
        key = (finding.path, "" if finding.code in FILE_ORDER else finding.code)
        groups.setdefault(key, []).append(finding)
    return [_joined(group, subjects[path]) for (path, _), group in groups.items()]


def _joined(group: list[Finding], subjects: list[Subject]) -> Finding:
    """Return the first of the findings about one file, with what the others of its code are about.

    Its repair mends the file wherever it is part of: `subjects` are those of every finding there.
    """
    first = min(group, key=_order)
    same = [first, *(f for f in group if f.code == first.code and f is not first)]
    every = {_key(subject): subject for subject in (*first.subjects, *subjects)}
    return first._replace(
        entries=tuple(dict.fromkeys(entry for f in same for entry in f.entries)),
        engines=tuple(dict.fromkeys(engine for f in same for engine in f.engines)),
        links=tuple(dict.fromkeys(link for f in same for link in f.links)),
        subjects=tuple(every.values()),
    )


def _key(subject: Subject) -> tuple[str, str]:
    entry, artifact, _ = subject
    return entry.id if entry else "", artifact.path if artifact else ""


def _below(finding: Finding, lost: set[str]) -> bool:
    """Say whether a finding is about what lies, or would lie, below a place that is gone."""
    above = os.path.dirname(finding.path)
    while len(above) > 1:
        if above in lost:
            return True
        above = os.path.dirname(above)
    return finding.path in lost and finding.code not in GONE


def _order(finding: Finding) -> int:
    return FILE_ORDER.index(finding.code) if finding.code in FILE_ORDER else len(FILE_ORDER)
