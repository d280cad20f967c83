"""Find the cause behind an engine's error text: patterns as data, in `symptoms.toml`.

Codes say what a scan could find for such a text; only the scan itself says whether it does.
"""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor import engines
from cachedoctor.diagnosis import wording
from cachedoctor.doctor import readiness, scanning
from cachedoctor.findings import Severity
from cachedoctor.system import shipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding, Readiness
    from cachedoctor.host import Host

_PIECE_BYTES = 1 << 16  # a line is searched in pieces of this length: some logs have no line breaks
_SHORT_BYTES = 1 << 16  # shorter texts are not worth the preparation
_OVERLAP_BYTES = 1 << 10  # so that no match is cut in two
_BATCH_BYTES = 1 << 18
_SPECIAL, _MAYBE = ".^$*+?{}[]()|\\", ("?", "*")
# A pattern's tokens: an escape, a class, the start of a group, a count, or one character.
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]])+\]|\(\?(?:P<\w+>|:|!|=)|\{[\d,]+\}|.", re.DOTALL)


class Symptom(NamedTuple):
    """One kind of message from an engine."""

    pattern: str  # a regular expression, searched in each line
    engines: tuple[str, ...]  # engines that print it
    cause: str  # what it means
    codes: tuple[str, ...]  # codes that a scan could find for it
    source: str  # where it is documented
    said: str  # an example from the source
    weak: bool = False  # vague: ignored if anything else is recognised
    harmless: bool = False  # means nothing: healthy programs print it too


_Found = dict[Symptom, tuple[int, str, re.Match[str]]]
_Met = tuple[Symptom, tuple[bytes, ...], re.Pattern[str]]


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


@cache
def _file() -> dict[str, Any]:
    return shipped.rows(__name__, "symptoms")


@cache
def _hints() -> tuple[tuple[bytes, str], ...]:
    """Return words that only an engine's texts contain, each with the engine."""
    words = _file()["hints"].items()
    return tuple((word.encode(), engine) for engine, many in words for word in many)


def _pattern(written: str | list[str]) -> str:
    """Return one pattern for one or several, with the table's named words filled in."""
    written = written if isinstance(written, str) else "|".join(written)
    for name, words in _file()["words"].items():
        written = written.replace(f"@{name}@", words)
    return wording.plain_pattern(written)


@cache
def elsewhere() -> tuple[Symptom, ...]:
    """Return the causes unrelated to caches, matched before any symptom; they have no codes."""
    return tuple(
        Symptom(
            pattern=_pattern(row["pattern"]),
            engines=(),
            cause=row["cause"],
            codes=(),
            source=row["source"],
            said=row["said"],
            harmless=row.get("harmless", False),
        )
        for row in _file()["elsewhere"]
    )


@cache
def symptoms() -> tuple[Symptom, ...]:
    """Return every known symptom, specific ones before general ones."""
    table = _file()
    groups = {**table["engines"], "any": engines.names()}
    return tuple(
        Symptom(
            pattern=_pattern(row["pattern"]),
            engines=tuple(name for word in row["engines"] for name in groups.get(word, (word,))),
            cause=row["cause"],
            codes=tuple(row["codes"]),
            source=row["source"],
            said=row["said"],
            weak=row.get("weak", False),
        )
        for row in table["symptom"]
    )


class _Searched(NamedTuple):
    """A symptom with its pattern, and words, at least one of which is in every match."""

    symptom: Symptom
    words: tuple[bytes, ...]
    pattern: str


@cache
def _searched() -> tuple[_Searched, ...]:
    """Return every symptom with the words to look for before its pattern is tried."""
    return tuple(
        _Searched(one, tuple(word.encode() for word in literals(one.pattern)), one.pattern)
        for one in (*elsewhere(), *symptoms())
    )


@cache
def _words() -> dict[bytes, frozenset[int]]:
    """Return every word to look for, with the symptoms it can belong to."""
    found: dict[bytes, set[int]] = {}
    for number, searched in enumerate(_searched()):
        for word in searched.words:
            found.setdefault(word, set()).add(number)
    return {word: frozenset(numbers) for word, numbers in found.items()}


@cache
def _finder() -> re.Pattern[bytes]:
    return wording.finder(_words())


def _words_in(together: bytes) -> set[bytes]:
    """Return the words found in a piece of text, searching a long one once for all of them."""
    if len(together) <= _SHORT_BYTES:
        return {word for word in _words() if word in together}
    longest = {match[1] for match in _finder().finditer(together)}
    return {word for word in _words() if any(one.startswith(word) for one in longest)}


def recognise(lines: Iterable[bytes]) -> tuple[Recognised, ...]:
    """Return the symptoms recognised in a text, each once; uses constant memory.

    A line counts for the first symptom that matches. Weak symptoms are dropped if any other was
    found, and causes without codes, unrelated to caches, if any symptom was.
    """
    found: _Found = {}
    hints: set[str] = set()
    for first, batch in _batches(lines):
        together = wording.plain(b"\n".join(batch))
        hints.update(engine for word, engine in _hints() if word in together)
        here = _met(together)
        _look(enumerate(together.split(b"\n"), first) if here else (), here, found)
        if first == 1 and len(together) < _SHORT_BYTES and not any(map(_is_strong, found)):
            _look_at_wrapped(together.split(b"\n"), found)
    for kept in (_is_strong, _is_elsewhere, _is_weak):
        some = [(symptom, seen) for symptom, seen in found.items() if kept(symptom)]
        if some:
            read = sorted((_read(one, *seen, hints) for one, seen in some), key=_line)
            return _few_codes(read)
    return ()


def _look(lines: Iterable[tuple[int, bytes]], here: Sequence[_Met], found: _Found) -> None:
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
    together = list(wording.unwrapped(lines))
    here = _met(b"\n".join(line for _, line in together))
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


def _met(together: bytes) -> list[_Met]:
    """Return the symptoms that a piece of text can contain, with the words found in it."""
    here: dict[int, list[bytes]] = {}
    for word in _words_in(together):
        for number in _words()[word]:
            here.setdefault(number, []).append(word)
    known = _searched()
    return [
        (known[number].symptom, tuple(words), re.compile(known[number].pattern))
        for number, words in sorted(here.items())
    ]


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


def literals(pattern: str) -> list[str]:
    """Return the longest texts, at least one of which is in every match of `pattern`.

    There is one per top-level alternative, empty if nothing is certain.
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
            run = run[:-1]  # the token before it is optional
        runs.append(run)
        run = ""
        depth += token.startswith("(") - (token == ")")
    return [*found, max([*runs, run], key=len)]


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield batches of about a hundred thousand bytes, with the number of the first line."""
    first, batch, size = 1, list[bytes](), 0
    for number, line in enumerate(lines, 1):
        batch.append(line.rstrip(b"\n"))
        size += len(line)
        if size > _BATCH_BYTES:
            yield first, batch
            first, batch, size = number + 1, [], 0
    yield first, batch


def pieces(data: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the lines of `data`, long ones in overlapping pieces."""
    rest = b""
    for block in wording.decoded(data):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        while len(rest) > _PIECE_BYTES:
            yield rest[:_PIECE_BYTES]
            rest = rest[_PIECE_BYTES - _OVERLAP_BYTES :]
    if rest:
        yield rest


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
