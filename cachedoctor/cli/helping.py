"""Help pages that never break a line inside what is pasted: commands, options, paths."""

from __future__ import annotations

import re
from collections.abc import Iterable

import click

_BLANK, _HYPHEN = "\u00a0", "\u2011"  # click breaks no line at these; `write` turns them back
_QUOTED = re.compile(r"`[^`]+`")
_INSIDE = re.compile(r"(?<=[\w-])-(?=\w)")


def whole(text: str) -> str:
    """Return a text whose hyphenated words and backticked phrases cannot be broken.

    A line that `\\b` keeps as it is needs no protection.
    """
    quoted = _QUOTED.sub(lambda match: " ".join(match[0].split()).replace(" ", _BLANK), text)
    return _INSIDE.sub(_HYPHEN, quoted)


class Formatter(click.HelpFormatter):
    """The formatter of a help page."""

    def write(self, string: str) -> None:
        """Write with ordinary blanks and hyphens."""
        super().write(string.replace(_BLANK, " ").replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        """Write a paragraph."""
        super().write_text(whole(text))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        """Write a table of options or commands."""
        super().write_dl([(name, whole(does)) for name, does in rows], col_max, col_spacing)
