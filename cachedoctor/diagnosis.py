"""From an engine's error text to its cause: patterns as data, in `symptoms.toml`.

Codes say what a scan would find for such a text; the scan itself says whether it does.
"""

from __future__ import annotations

import os
import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import doctor
from cachedoctor.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cachedoctor.findings import Finding
    from cachedoctor.host import Host

_PIECE_BYTES = 1 << 16  # a line is searched in pieces of this length: logs may have none
_OVERLAP_BYTES = 1 << 10  # so that no text is cut in two


class Symptom(NamedTuple):
    """One thing that engines say."""

    pattern: str
    engines: tuple[str, ...]
    cause: str
    codes: tuple[str, ...]
    source: str


class Recognised(NamedTuple):
    """One symptom in a text, with the line that it was first seen in."""

    symptom: Symptom
    line: int
    text: str


class Diagnosis(NamedTuple):
    """What a text says, and what the caches of its engines have to do with it."""

    recognised: tuple[Recognised, ...]
    engines: tuple[str, ...]
    findings: tuple[Finding, ...]  # errors and warnings of those engines, likely causes first
    models: int  # how many of these engines' models were looked at


@cache
def symptoms() -> tuple[Symptom, ...]:
    """Return every symptom that is known."""
    with open(os.path.join(os.path.dirname(__file__), "symptoms.toml"), "rb") as file:
        rows = tomllib.load(file)["symptom"]
    return tuple(
        Symptom(r["pattern"], tuple(r["engines"]), r["cause"], tuple(r["codes"]), r["source"])
        for r in rows
    )


def recognise(lines: Iterable[bytes]) -> tuple[Recognised, ...]:
    """Return what is known of a text, each symptom once; constant memory, whatever its length."""
    known = [(symptom, re.compile(symptom.pattern)) for symptom in symptoms()]
    found: dict[Symptom, Recognised] = {}
    for number, line in enumerate(lines, 1):
        text = line.decode("utf-8", "replace").rstrip("\n")
        for symptom, pattern in known:
            if symptom not in found and pattern.search(text):
                found[symptom] = Recognised(symptom, number, text[:500])
    return tuple(found.values())


def pieces(data: Iterable[bytes]) -> Iterable[bytes]:
    """Go through the lines of `data`, long ones in overlapping pieces."""
    rest = b""
    for block in data:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        while len(rest) > _PIECE_BYTES:
            yield rest[:_PIECE_BYTES]
            rest = rest[_PIECE_BYTES - _OVERLAP_BYTES :]
    if rest:
        yield rest


def diagnose(host: Host, recognised: Sequence[Recognised]) -> Diagnosis:
    """Look at the caches of the engines that may have said this."""
    names = tuple(dict.fromkeys(name for one in recognised for name in one.symptom.engines))
    if not names:
        return Diagnosis((), (), (), 0)
    report = doctor.scan(host, names, cure_notes=False)
    likely = {code for one in recognised for code in one.symptom.codes}
    grave = [f for f in report.findings if f.severity is not Severity.NOTE and f.entries]
    grave.sort(key=lambda finding: finding.code not in likely)
    return Diagnosis(tuple(recognised), names, tuple(grave), len(report.entries))
