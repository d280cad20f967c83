"""Find the cause behind an engine's error text: patterns as data, in `symptoms.toml`.

Codes say what a scan could find for such a text; only the scan itself says whether it does.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines
from cachedoctor.diagnosis import searching, table, wording
from cachedoctor.diagnosis.lines import batches, plain, unwrapped
from cachedoctor.diagnosis.lines import pieces as pieces
from cachedoctor.diagnosis.table import Symptom as Symptom
from cachedoctor.diagnosis.table import elsewhere as elsewhere
from cachedoctor.diagnosis.table import symptoms as symptoms
from cachedoctor.doctor import readiness, scanning
from cachedoctor.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.diagnosis.searching import Met
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding, Readiness
    from cachedoctor.host import Host

_Found = dict[Symptom, tuple[int, str, re.Match[str]]]


class Recognised(NamedTuple):
    """One symptom in a text, with the first line that shows it."""

    symptom: Symptom  # the known message
    line: int  # its line number, from 1
    text: str  # the line
    cause: str  # completed with details from the line
    codes: tuple[str, ...]  # codes that a scan could find for it
    engines: tuple[str, ...]  # engines that could have printed it


class Diagnosis(NamedTuple):
    """What a text says, and how the caches of its engines relate to it."""

    recognised: tuple[Recognised, ...]  # what was recognised, in order
    engines: tuple[str, ...]  # engines that could have printed it
    findings: tuple[Finding, ...]  # errors and warnings of those engines, likely causes first
    models: int  # how many of these engines' models were checked
    unready: tuple[Readiness, ...] = ()  # models without a fault that still would not load
    elsewhere: tuple[Recognised, ...] = ()  # causes that have nothing to do with caches


def recognise(lines: Iterable[bytes]) -> tuple[Recognised, ...]:
    """Return the symptoms recognised in a text, each once; uses constant memory.

    A line counts for the first symptom that matches. Weak symptoms are dropped if any other was
    found, and causes without codes, unrelated to caches, if any symptom was.
    """
    found: _Found = {}
    hints: set[str] = set()
    for first, batch in batches(lines):
        together = plain(b"\n".join(batch))
        hints.update(engine for word, engine in table.hints() if word in together)
        here = searching.met(together)
        _look(enumerate(together.split(b"\n"), first) if here else (), here, found)
        if first == 1 and len(together) < searching.SHORT_BYTES and not any(map(_is_strong, found)):
            _look_at_wrapped(together.split(b"\n"), found)
    for kept in (_is_strong, _is_elsewhere, _is_weak):
        some = [(symptom, seen) for symptom, seen in found.items() if kept(symptom)]
        if some:
            read = sorted((_read(one, *seen, hints) for one, seen in some), key=_line)
            return _few_codes(read)
    return ()


def _look(lines: Iterable[tuple[int, bytes]], here: Sequence[Met], found: _Found) -> None:
    """Add to `found` the symptom of each line, with its number."""
    for number, line in lines:
        text = ""
        for symptom, words, pattern in here:
            if not any(word in line for word in words):
                continue
            text = text or line.decode("utf-8", "replace")
            match = pattern.search(text)
            if match:
                found.setdefault(symptom, (number, text[:500], match))
                break


def _look_at_wrapped(lines: list[bytes], found: _Found) -> None:
    """Add to `found` the symptoms of lines that were wrapped, joined again."""
    together = list(unwrapped(lines))
    here = searching.met(b"\n".join(line for _, line in together))
    sure = [one for one in here if _is_strong(one[0]) or _is_elsewhere(one[0])]
    _look(((number + 1, line) for number, line in together), sure, found)


def _few_codes(read: Sequence[Recognised]) -> tuple[Recognised, ...]:
    """Reduce an answer to few codes: the likeliest of each line first, then whatever still fits."""
    by_rank = itertools.zip_longest(*(one.codes for one in read))
    named = dict.fromkeys(code for codes in by_rank for code in codes if code)
    kept = list(named)[: wording.MOST_CODES]
    return tuple(
        one._replace(codes=tuple(c for c in one.codes if c in kept) or one.codes[:1])
        for one in read
    )


def _is_strong(symptom: Symptom) -> bool:
    return bool(symptom.codes) and not symptom.weak


def _is_elsewhere(symptom: Symptom) -> bool:
    return not symptom.codes and not symptom.harmless


def _is_weak(symptom: Symptom) -> bool:
    return symptom.weak


def _line(one: Recognised) -> int:
    return one.line


def _read(
    symptom: Symptom, line: int, text: str, match: re.Match[str], hints: set[str]
) -> Recognised:
    """Return what else the line says, and whose message it is."""
    cause, codes = wording.read(symptom.cause, symptom.codes, match.groupdict())
    mine = tuple(name for name in symptom.engines if name in hints)
    return Recognised(
        symptom=symptom,
        line=line,
        text=text,
        cause=cause,
        codes=codes,
        engines=mine or symptom.engines,
    )


def diagnose(host: Host, recognised: Sequence[Recognised]) -> Diagnosis:
    """Scan the caches of the engines that could have printed this."""
    names = tuple(dict.fromkeys(name for one in recognised for name in one.engines))
    if not names:
        return Diagnosis(
            recognised=(), engines=(), findings=(), models=0, elsewhere=tuple(recognised)
        )
    report = scanning.scan(host, names, cure_notes=False)
    likely = {code for one in recognised for code in one.codes}
    grave = [f for f in report.findings if f.severity is not Severity.NOTE and f.entries]
    grave.sort(key=lambda finding: finding.code not in likely)
    unready = tuple(_unready(report, names)) if not grave else ()
    return Diagnosis(
        recognised=tuple(recognised),
        engines=names,
        findings=tuple(grave),
        models=len(report.entries),
        unready=unready,
    )


def _unready(report: Report, names: Sequence[str]) -> Iterator[Readiness]:
    """Yield the models that exist without a fault and still would not load."""
    for engine in map(engines.find, names):
        here = {c.model for e in report.entries for c in e.claims if c.engine == engine.name}
        for model in engine.table.models.values():
            if model.name in here:
                answer = readiness.ready(engine, report, (model,))
                if not answer.ready:
                    yield answer
