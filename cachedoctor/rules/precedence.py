"""One code for one fault: decide which of several findings about the same thing is kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance
from cachedoctor.rules import find

if TYPE_CHECKING:
    from cachedoctor.findings import Finding, Subject

_NO_RANK = 1 << 30


def settle(findings: list[Finding]) -> list[Finding]:
    """Keep one code for one fault, and one finding for one file under several entries."""
    shown: dict[Circumstance, set[str]] = {}
    for finding in findings:
        if finding.shows:
            shown.setdefault(finding.shows, set()).update(finding.entries)
    lost = {finding.path for finding in findings if finding.shows is Circumstance.GONE}
    groups: dict[tuple[str, str], list[Finding]] = {}
    subjects: dict[str, list[Subject]] = {}
    for finding in findings:
        subjects.setdefault(finding.path, []).extend(finding.subjects)
        if not _is_hidden(finding, shown) and not (lost and _below(finding, lost)):
            ranked = find(finding.code).rank is not None
            groups.setdefault((finding.path, "" if ranked else finding.code), []).append(finding)
    return [_joined(group, subjects[path]) for (path, _), group in groups.items()]


def _is_hidden(finding: Finding, shown: dict[Circumstance, set[str]]) -> bool:
    """Return whether another finding about the same entries makes this one redundant."""
    for circumstance in find(finding.code).silent_under:
        mine = shown.get(circumstance, set())
        if circumstance is Circumstance.SUPERSEDED:  # the branch may need the file, too
            if mine and mine.issuperset(finding.entries):
                return True
        elif mine.intersection(finding.entries):
            return True
    return False


def _joined(group: list[Finding], subjects: list[Subject]) -> Finding:
    """Return the first finding about one file, merged with the others of its code.

    Its repair mends the file for every entry it is part of, so `subjects` are those of all findings
    about the file.
    """
    first = min(group, key=_rank)
    same = [first, *(f for f in group if f.code == first.code and f is not first)]
    every = {_key(subject): subject for subject in (*first.subjects, *subjects)}
    return first._replace(
        entries=tuple(dict.fromkeys(entry for f in same for entry in f.entries)),
        engines=tuple(dict.fromkeys(engine for f in same for engine in f.engines)),
        links=tuple(dict.fromkeys(link for f in same for link in f.links)),
        subjects=tuple(every.values()),
    )


def _key(subject: Subject) -> tuple[str, str]:
    entry, artifact, *_ = subject
    return entry.id if entry else "", artifact.path if artifact else ""


def _rank(finding: Finding) -> int:
    rank = find(finding.code).rank
    return _NO_RANK if rank is None else rank


def _below(finding: Finding, lost: set[str]) -> bool:
    """Return whether a finding is about something at or below a place that is gone."""
    above = os.path.dirname(finding.path)
    while len(above) > 1:
        if above in lost:
            return True
        above = os.path.dirname(above)
    return finding.path in lost and finding.shows is not Circumstance.GONE
