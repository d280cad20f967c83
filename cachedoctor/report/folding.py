"""Lines that a terminal may break between words; in a pipe nothing is broken.

Whatever is pasted or searched for stays whole: backticked text, a number with its unit, a mark with
its model.
"""

from __future__ import annotations

import re

_JOINED = "\u00a0"  # a space that is never broken
_USUAL, _DEEPEST = 10, 3  # deeper than this, indentation is at most a third of the terminal
_TOKEN = r" *(?:[✓✗!–…] [^ ]+|\d[\d.]* (?:B|[KMGT]iB)\b[^ ]*|(?:[^ `]*`[^`]*`)+[^ `]*|[^ `]+|`)"


class Folding(str):
    """A line that may be broken; `hang` is the indentation of the following lines."""

    hang: int

    def __new__(cls, text: str, hang: int = 0) -> Folding:
        """Store one line."""
        made = super().__new__(cls, text)
        made.hang = hang
        return made


class Stacked(str):
    """A table row that a terminal too narrow for it shows as several lines."""

    lines: tuple[str, ...]

    def __new__(cls, text: str, lines: tuple[str, ...]) -> Stacked:
        """Store the row, and the lines that replace it."""
        made = super().__new__(cls, text)
        made.lines = lines
        return made


def joined(text: str) -> str:
    """Return a text that stays in one piece within a `Folding`."""
    return text.replace(" ", _JOINED)


def folded(line: str, width: int | None) -> list[str]:
    """Return a line as a terminal of this width shows it, or a pipe.

    Only a `Folding` is broken, and only a `Stacked` one is laid out differently.
    """
    if isinstance(line, Stacked) and width is not None and len(line) > width:
        return [shown for each in line.lines for shown in folded(each, width)]
    if not isinstance(line, Folding):
        return [line]
    most = len(line) if width is None else max(_USUAL, width // _DEEPEST)
    if width is not None and len(line) > width:
        line = Folding(line[max(0, len(line) - len(line.lstrip(" ")) - most) :], line.hang)
    lines: list[str] = []
    current = ""
    for token in [line] if width is None or len(line) <= width else re.findall(_TOKEN, line):
        if width is not None and current.strip() and len(current) + len(token) > width:
            lines.append(current)
            current = " " * min(line.hang, most) + token.lstrip(" ")
        else:
            current += token
    return [each.replace(_JOINED, " ") for each in (*lines, current)]
