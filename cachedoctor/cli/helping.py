"""Help pages in which nothing is broken across lines that is pasted: commands, options, paths."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

_BLANK, _HYPHEN = "\u00a0", "\u2011"  # at these no line is broken; both are taken out again
_QUOTED = re.compile(r"`[^`]+`")
_INSIDE = re.compile(r"(?<=[\w-])-(?=\w)")


def whole(text: str) -> str:
    """Return a text in which hyphens of words and blanks between backticks are no place to break.

    A line that is kept as it is, by a `\\b`, has nothing to fear.
    """
    quoted = _QUOTED.sub(lambda match: " ".join(match[0].split()).replace(" ", _BLANK), text)
    return _INSIDE.sub(_HYPHEN, quoted)


class Formatter(click.HelpFormatter):
    """What click writes a help page with."""

    def write(self, string: str) -> None:
        """Write, with blanks and hyphens as they are meant."""
        super().write(string.replace(_BLANK, " ").replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(whole(text))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a table of options or commands."""
        super().write_dl([(name, whole(does)) for name, does in rows], col_max, col_spacing)
