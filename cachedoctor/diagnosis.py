"""From an engine's error text to its cause: patterns as data, in `symptoms.toml`.

Codes say what a scan would find for such a text; the scan itself says whether it does.
"""

from __future__ import annotations

import itertools
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor import engines
from cachedoctor.doctor import readiness, scanning, wording
from cachedoctor.findings import Severity
from cachedoctor.system import shipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding, Readiness
    from cachedoctor.host import Host

_PIECE_BYTES = 1 << 16  # a line is searched in pieces of this length: logs may have none
_SHORT_BYTES = 1 << 16  # of a text that is not worth the preparation
_PIECE = 4  # bytes of a word that are looked for first
_OVERLAP_BYTES = 1 << 10  # so that no text is cut in two
_BATCH_BYTES = 1 << 18
_SPECIAL, _MAYBE = ".^$*+?{}[]()|\\", ("?", "*")
# A pattern's parts: what is escaped, a class, the beginning of a group, a count, or one character.
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]])+\]|\(\?(?:P<\w+>|:|!|=)|\{[\d,]+\}|.", re.DOTALL)


class Symptom(NamedTuple):
    """One thing that engines say."""

    pattern: str  # a regular expression, searched in each line
    engines: tuple[str, ...]  # that say so
    cause: str  # what it means
    codes: tuple[str, ...]  # that a scan would find for it
    source: str  # where it is known from
    said: str  # words of the source
    weak: bool = False  # says little: passed over where anything else is known
    harmless: bool = False  # says nothing at all: healthy programs say it too


_Found = dict[Symptom, tuple[int, str, re.Match[str]]]
_Met = tuple[Symptom, tuple[bytes, ...], re.Pattern[str]]


class Recognised(NamedTuple):
    """One symptom in a text, with the line that it was first seen in, and what that line says."""

    symptom: Symptom  # the row of the table
    line: int  # its number in the text, from 1
    text: str  # the line
    cause: str  # with what the line says besides
    codes: tuple[str, ...]  # that a scan would find for it
    engines: tuple[str, ...]  # that may have said it


class Diagnosis(NamedTuple):
    """What a text says, and what the caches of its engines have to do with it."""

    recognised: tuple[Recognised, ...]  # what is known of the text, in its order
    engines: tuple[str, ...]  # that may have said it
    findings: tuple[Finding, ...]  # errors and warnings of those engines, likely causes first
    models: int  # how many of these engines' models were looked at
    unready: tuple[Readiness, ...] = ()  # models that are there and would not load all the same
    elsewhere: tuple[Recognised, ...] = ()  # what the text is about, where it is about no cache


@cache
def _file() -> dict[str, Any]:
    return shipped.rows("cachedoctor", "symptoms")


@cache
def _hints() -> tuple[tuple[bytes, str], ...]:
    """Return what a text has in it when it is of an engine, and the engine."""
    words = _file()["hints"].items()
    return tuple((word.encode(), engine) for engine, many in words for word in many)


def _pattern(written: str | list[str]) -> str:
    """Return a pattern, or any of several, with the table's words in place of their names."""
    written = written if isinstance(written, str) else "|".join(written)
    for name, words in _file()["words"].items():
        written = written.replace(f"@{name}@", words)
    return wording.plain_pattern(written)


@cache
def elsewhere() -> tuple[Symptom, ...]:
    """Return what is no matter of caches, which no symptom may take for its own: without codes."""
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
    """Return every symptom that is known, the particular before the general."""
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
    """A symptom, words of which whatever it fits has one, and its pattern."""

    symptom: Symptom
    words: tuple[bytes, ...]
    pattern: str


@cache
def _searched() -> tuple[_Searched, ...]:
    """Return every symptom with what is looked for before its pattern is tried."""
    return tuple(
        _Searched(one, tuple(word.encode() for word in literals(one.pattern)), one.pattern)
        for one in (*elsewhere(), *symptoms())
    )


@cache
def _gates() -> tuple[tuple[bytes, frozenset[int]], ...]:
    """Return few short pieces of which every word has one, each with the symptoms it may be of.

    A log is gone through once for each of them in place of once for each word.
    """
    by_piece: dict[bytes, set[tuple[int, bytes]]] = {}
    for number, searched in enumerate(_searched()):
        for word in searched.words:
            for at in range(max(1, len(word) - _PIECE + 1)):
                by_piece.setdefault(word[at : at + _PIECE], set()).add((number, word))
    left = {pair for pairs in by_piece.values() for pair in pairs}
    found = []
    while left:
        piece = max(by_piece, key=lambda each: (len(by_piece[each] & left), each))
        found.append((piece, frozenset(number for number, _ in by_piece[piece])))
        left -= by_piece.pop(piece)
    return tuple(found)


def recognise(lines: Iterable[bytes]) -> tuple[Recognised, ...]:
    """Return what is known of a text, each symptom once; constant memory, whatever its length.

    A line is taken for the first symptom that fits it. What says little is left out where anything
    else was said, and what is no matter of caches, which has no codes, where a symptom was.
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
    """Add to `found` what is known of each line, with its number."""
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
    """Add to `found` what is known of lines that were one before something wrapped them."""
    together = list(wording.unwrapped(lines))
    here = _met(b"\n".join(line for _, line in together))
    sure = [one for one in here if _is_strong(one[0]) or _is_elsewhere(one[0])]
    _look(((number + 1, line) for number, line in together), sure, found)


def _few_codes(read: Sequence[Recognised]) -> tuple[Recognised, ...]:
    """Leave few codes to a whole answer: of each line the likeliest first, then what is left."""
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
    """Return the symptoms that may be in a piece of text: faster than to search each line."""
    known = _searched()
    maybe = set(range(len(known)))
    if len(together) > _SHORT_BYTES:
        maybe = set()
        for piece, numbers in _gates():
            if not numbers <= maybe and piece in together:
                maybe |= numbers
    return [
        (known[number].symptom, known[number].words, re.compile(known[number].pattern))
        for number in sorted(maybe)
        if any(word in together for word in known[number].words)
    ]


def _line(one: Recognised) -> int:
    return one.line


def _read(
    symptom: Symptom, line: int, text: str, match: re.Match[str], hints: set[str]
) -> Recognised:
    """Read what a line says besides, and whose words they are."""
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
        depth += token.startswith("(") - (token == ")")
    return [*found, max([*runs, run], key=len)]


def _batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines by the hundred thousand bytes, with the number of each batch's first."""
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
    """Look at the caches of the engines that may have said this."""
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
    """Yield the models that are there without a fault and would not load all the same."""
    for engine in map(engines.find, names):
        here = {c.model for e in report.entries for c in e.claims if c.engine == engine.name}
        for model in engine.table.models.values():
            if model.name in here:
                answer = readiness.ready(engine, report, (model,))
                if not answer.ready:
                    yield answer
