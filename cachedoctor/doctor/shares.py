"""Divide a look among processes that do not communicate: each computes the same plan by itself.

A root is divided by its units, such as the repositories of a hub cache: they are listed once and
weighed by their large files. A unit larger than half a part is cut by file: several parts list it,
and each reads the files whose names hash to it. Roots that are not divided go to the first part.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning, survey
from cachedoctor.locators import Share, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cachedoctor.locators import Unit
    from cachedoctor.question import Question
    from cachedoctor.vocabulary import Entry

_FILE_BYTES = 256 << 10  # the fixed cost of a file of any size, in bytes that could be read
_OF_A_PART = 2  # a unit is cut into pieces of at most 1/2 of a part
NO_CUTS: Mapping[str, tuple[int, int]] = {}


class Part(NamedTuple):
    """The part of a look that one of several processes does."""

    number: int  # from 1
    of: int
    share: Share
    cut: Mapping[str, tuple[int, int]] = (
        NO_CUTS  # by the folder of a unit: which piece, of how many
    )
    weight: int = 0

    def reads(self, entries: Iterable[Entry]) -> Callable[[str], bool]:
        """Return a predicate: whether this part reads a physical file of these entries."""
        beyond: dict[str, tuple[int, int]] = {}  # payloads outside, shared by several folders
        for entry in entries if self.cut else ():
            piece = self._piece(entry.path)
            if piece is not None:
                for artifact in entry.notable:
                    beyond[artifact.file] = piece

        def mine(path: str) -> bool:
            piece = self._piece(path) or beyond.get(path)
            if piece is None:
                return True
            number, of = piece
            return zlib.crc32(path.rpartition("/")[2].encode("utf-8", "replace")) % of == number

        return mine

    def _piece(self, path: str) -> tuple[int, int] | None:
        for folder, piece in self.cut.items():
            if inside(path, folder):
                return piece
        return None


class Plan(NamedTuple):
    """All parts of a look, and a mark that identifies the plan."""

    parts: tuple[Part, ...]
    mark: str


class _Piece(NamedTuple):
    weight: int
    root: str
    folders: tuple[str, ...]
    number: int
    of: int


def plan(question: Question, of: int) -> Plan:
    """Divide the look that `question` asks for into `of` parts of about the same weight."""
    question = scanning.placed(question)
    units: list[tuple[str, Unit]] = []
    for locator, root in survey.divided(question.host, scanning.looked_for(question)):
        try:
            units += [(root, unit) for unit in locator.units(root)]
        except OSError:  # the first part reports it
            continue
    parts = divide(units, of)
    mark = hashlib.sha256(repr((of, units)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Plan(parts, mark)


def divide(units: Sequence[tuple[str, Unit]], of: int) -> tuple[Part, ...]:
    """Divide units, each with its root, into parts of about the same weight."""
    folders: list[dict[str, set[str]]] = [{} for _ in range(of)]
    cuts: list[dict[str, tuple[int, int]]] = [{} for _ in range(of)]
    weights = [0] * of
    for piece in _pieces(units, of):
        free = (at for at in range(of) if piece.folders[0] not in folders[at].get(piece.root, ()))
        at = min(free, key=lambda at: (weights[at], at))
        weights[at] += piece.weight
        folders[at].setdefault(piece.root, set()).update(piece.folders)
        if piece.of > 1:
            cuts[at].update(
                (f"{piece.root}/{folder}", (piece.number, piece.of)) for folder in piece.folders
            )
    return tuple(
        Part(
            number=at + 1,
            of=of,
            share=Share({root: frozenset(names) for root, names in folders[at].items()}, at == 0),
            cut=cuts[at],
            weight=weights[at],
        )
        for at in range(of)
    )


def _pieces(units: Sequence[tuple[str, Unit]], of: int) -> list[_Piece]:
    """Cut the units that are too large for one part; heaviest first."""
    weights = [unit.bytes + unit.files * _FILE_BYTES for _, unit in units]
    most = max(sum(weights) // (of * _OF_A_PART), 1)
    pieces = []
    for (root, unit), weight in zip(units, weights, strict=True):
        many = max(1, min(-(-weight // most), of, unit.files)) if weight > most else 1
        pieces += [
            _Piece(weight // many, root, unit.folders, number, many) for number in range(many)
        ]
    return sorted(pieces, key=lambda piece: (-piece.weight, *piece[1:]))
