"""Find which symptoms a text can contain, by words, so that few patterns have to be tried.

A pattern has words of which each match contains at least one; all of them are looked for at once.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.diagnosis import table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cachedoctor.diagnosis.table import Symptom

SHORT_BYTES = 1 << 16  # shorter texts are not worth the preparation
_SPECIAL, _MAYBE = ".^$*+?{}[]()|\\", ("?", "*")
# A pattern's tokens: an escape, a class, the start of a group, a count, or one character.
_TOKEN = re.compile(r"\\.|\[(?:\\.|[^\]])+\]|\(\?(?:P<\w+>|:|!|=)|\{[\d,]+\}|.", re.DOTALL)
_END = -1  # in place of a byte: the end of a word
_Tree = dict[int, "_Tree"]


class Met(NamedTuple):
    """A symptom that a text can contain, with the words of it that the text does contain."""

    symptom: Symptom
    words: tuple[bytes, ...]
    pattern: re.Pattern[str]


def met(together: bytes) -> list[Met]:
    """Return the symptoms that a piece of text can contain, with the words found in it."""
    here: dict[int, list[bytes]] = {}
    for word in _words_in(together):
        for number in _words()[word]:
            here.setdefault(number, []).append(word)
    known = _searched()
    return [
        Met(known[number].symptom, tuple(words), re.compile(known[number].pattern))
        for number, words in sorted(here.items())
    ]


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
        for one in (*table.elsewhere(), *table.symptoms())
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
    return finder(_words())


def _words_in(together: bytes) -> set[bytes]:
    """Return the words found in a piece of text, searching a long one once for all of them."""
    if len(together) <= SHORT_BYTES:
        return {word for word in _words() if word in together}
    longest = {match[1] for match in _finder().finditer(together)}
    return {word for word in _words() if any(one.startswith(word) for one in longest)}


def finder(words: Iterable[bytes]) -> re.Pattern[bytes]:
    """Return a pattern that finds the longest of `words` at each position where one begins."""
    tree: _Tree = {}
    for word in words:
        node = tree
        for byte in word:
            node = node.setdefault(byte, {})
        node[_END] = {}
    return re.compile(b"(?=(" + _written(tree) + b"))", re.DOTALL)


def _written(tree: _Tree) -> bytes:
    """Return a tree of words as a pattern."""
    ways = [re.escape(bytes([byte])) + _written(rest) for byte, rest in tree.items() if byte >= 0]
    if not ways:
        return b""
    many = ways[0] if len(ways) == 1 else b"(?:" + b"|".join(ways) + b")"
    return b"(?:" + many + b")?" if _END in tree else many


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
