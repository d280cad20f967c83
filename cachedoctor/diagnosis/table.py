"""What engines print, from `symptoms.toml`: each kind of message with its cause and its codes."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from cachedoctor import engines
from cachedoctor.diagnosis import lines
from cachedoctor.system import shipped


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


@cache
def _file() -> dict[str, Any]:
    return shipped.rows(__package__, "symptoms")


@cache
def hints() -> tuple[tuple[bytes, str], ...]:
    """Return words that only an engine's texts contain, each with the engine."""
    words = _file()["hints"].items()
    return tuple((word.encode(), engine) for engine, many in words for word in many)


def _pattern(written: str | list[str]) -> str:
    """Return one pattern for one or several, with the table's named words filled in."""
    written = written if isinstance(written, str) else "|".join(written)
    for name, words in _file()["words"].items():
        written = written.replace(f"@{name}@", words)
    return lines.plain_pattern(written)


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
