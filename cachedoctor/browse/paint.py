"""Words for the screen: cleaned, never parsed as markup, coloured where a word says the same."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING

from rich.cells import chop_cells
from rich.text import Text

from cachedoctor import text
from cachedoctor.report import folding

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORD = re.compile(r"^( *)(error|warning|✗|!|✓|ready|broken|absent|then|stays)(?= )")
_HANG = 4  # the indentation of a broken line that does not set its own
_COLORS = {
    "error": "red",
    "✗": "red",
    "broken": "red",
    "warning": "yellow",
    "!": "yellow",
    "absent": "yellow",
    "then": "yellow",
    "✓": "green",
    "ready": "green",
    "stays": "bold",
}


def clean(words: str, style: str = "", *, right: bool = False) -> Text:
    """Return words as one line of a cell: control characters removed, and cut to the width."""
    shown = text.line(words)
    return Text(
        shown, style, justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
    )


def keys(pairs: Iterable[tuple[str, str]], width: int) -> Text:
    """Return keys with what they do, as many as fit; the last two always do."""
    found = [Text.assemble((key, "bold"), f" {does}") for key, does in pairs]
    while len(found) > 3 and sum(each.cell_len + 2 for each in found) > width + 2:
        del found[-3]
    return Text("  ", no_wrap=True, overflow="ellipsis").join(found)


def page(lines: Iterable[str], width: int) -> list[Text]:
    """Return lines as a page of this width: broken between words, or inside a word if necessary."""
    pieces: list[Text] = []
    for line in lines:
        whole = line if isinstance(line, folding.Folding) else folding.Folding(line, _HANG)
        for shown in folding.folded(whole, width):
            words = text.line(shown)
            match = _WORD.match(words)
            piece = Text(words)
            if match:
                piece.stylize(_COLORS[match[2]], match.start(2), match.end(2))
            pieces += _cut(piece, width)
    return pieces


def _cut(piece: Text, width: int) -> list[Text]:
    if piece.cell_len <= width:
        return [piece]
    ends = list(accumulate(len(part) for part in chop_cells(piece.plain, width)))
    return list(piece.divide(ends[:-1]))
