"""From an engine's error text to its cause: patterns as data, in `symptoms.toml`.

Codes say what a scan would find for such a text; the scan itself says whether it does.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.findings import Severity
from cachedoctor.system import shipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.findings import Finding
    from cachedoctor.host import Host

_PIECE_BYTES = 1 << 16  # a line is searched in pieces of this length: logs may have none
_OVERLAP_BYTES = 1 << 10  # so that no text is cut in two
_BATCH_BYTES = 1 << 18
_SPECIAL, _MAYBE = ".^$*+?{}[]()|\\", ("?", "*")
# A pattern's parts: what is escaped, a class, the beginning of a group, a count, or one character.
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]])+\]|\(\?(?:P<\w+>|:|!|=)|\{[\d,]+\}|.", re.DOTALL)


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
    rows = tomllib.loads(shipped.read("cachedoctor", "symptoms.toml").decode())["symptom"]
    return tuple(
        Symptom(r["pattern"], tuple(r["engines"]), r["cause"], tuple(r["codes"]), r["source"])
        for r in rows
    )


def recognise(lines: Iterable[bytes]) -> tuple[Recognised, ...]:
    """Return what is known of a text, each symptom once; constant memory, whatever its length."""
    unseen = {
        symptom: (
            [word.encode() for word in literals(symptom.pattern)],
            re.compile(symptom.pattern),
        )
        for symptom in symptoms()
    }
    found: list[Recognised] = []
    for first, batch in _batches(lines):
        together = b"\n".join(batch)
        for symptom, (words, pattern) in list(unseen.items()):
            if not any(word in together for word in words):  # faster than to search each line
                continue
            for number, line in enumerate(batch, first):
                text = line.decode("utf-8", "replace").rstrip("\n")
                if pattern.search(text):
                    found.append(Recognised(symptom, number, text[:500]))
                    del unseen[symptom]
                    break
    return tuple(sorted(found, key=lambda one: one.line))


def literals(pattern: str) -> list[str]:
    """Return texts of which whatever matches `pattern` has one in it: the longest that is certain.

    One for each alternative outside of brackets; an empty one where nothing is certain.
    """
    found: list[str] = []
    runs, run, depth = [""], "", 0
    for token in _TOKEN.findall(pattern):
        if token == "|" and depth == 0:
            found.append(max([*runs, run], key=len))
            runs, run = [""], ""
            continue
        plain = token[1:] if re.fullmatch(r"\\[^\w\s]", token) else token
        if depth == 0 and len(plain) == 1 and (token != plain or plain not in _SPECIAL):
            run += plain
            continue
        if token in _MAYBE or token.startswith("{"):
            run = run[:-1]  # what is before it may not be there
        runs.append(run)
        run = ""
        depth += token.count("(") - token.count(")")
    return [*found, max([*runs, run], key=len)]


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Go through lines by the hundred thousand bytes, with the number of each batch's first."""
    first, batch, size = 1, list[bytes](), 0
    for number, line in enumerate(lines, 1):
        batch.append(line)
        size += len(line)
        if size > _BATCH_BYTES:
            yield first, batch
            first, batch, size = number + 1, [], 0
    yield first, batch


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
    report = scanning.scan(host, names, cure_notes=False)
    likely = {code for one in recognised for code in one.symptom.codes}
    grave = [f for f in report.findings if f.severity is not Severity.NOTE and f.entries]
    grave.sort(key=lambda finding: finding.code not in likely)
    return Diagnosis(tuple(recognised), names, tuple(grave), len(report.entries))
