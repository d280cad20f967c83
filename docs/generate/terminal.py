"""A terminal as a picture: what commands print on the demo home, drawn as SVG.

Anything that differs from run to run (times, free space) has fixed values, so that the picture
changes only when the program's words do.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from html import escape
from typing import TYPE_CHECKING

from cachedoctor import demo
from cachedoctor.system import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLUMNS = 104
_SESSION = (
    "scan faster-whisper --home demo --platform darwin",
    "fix faster-whisper --yes --offline --home demo --platform darwin",
    "preflight faster-whisper --model tiny.en --home demo --platform darwin",
)
_VARIES = (
    (re.compile(r"\d+(\.\d+)? ms\b"), "17 ms"),
    (re.compile(r"\d+(\.\d+)? s\b"), "0.1 s"),
    (re.compile(r"\d+(\.\d+)? [KMGT]iB free"), "64.5 GiB free"),
)
_STYLE = re.compile(r"\x1b\[([\d;]*)m|\x1b\]8;[^\x1b\x07]*(?:\x1b\\|\x07)")
_COLORS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341", "34": "#79c0ff", "36": "#76e3ea"}
_LINE, _CHARACTER, _MARGIN, _BAR = 18, 7.8, 16, 30  # pixels
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    'viewBox="0 0 {width} {height}" role="img" '
    'aria-label="{label}">'
)
_GROUND = "#0d1117"
_FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def picture() -> str:
    """Return the session as SVG."""
    says = "cachedoctor finds a broken model, repairs it and says that it is ready"
    return drawn(list(_lines()), COLUMNS, says)


def drawn(lines: Sequence[Sequence[tuple[str, str]]], columns: int, label: str) -> str:
    """Return a terminal with these lines as SVG; each line is words with their colours.

    A colour that begins with `!` is a background: the text is in reverse video. One that ends with
    `*` is bold.
    """
    width = round(columns * _CHARACTER + 2 * _MARGIN)
    height = _BAR + len(lines) * _LINE + _MARGIN
    shown = [_HEAD.format(width=width, height=height, label=label)]
    shown.append(f'<rect width="{width}" height="{height}" rx="8" fill="{_GROUND}"/>')
    for number, color in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")):
        shown.append(f'<circle cx="{_MARGIN + 6 + 20 * number}" cy="16" r="6" fill="{color}"/>')
    shown.append(f'<g font-family="{_FONT}" font-size="13" fill="#e6edf3" xml:space="preserve">')
    for number, spans in enumerate(lines):
        row, at = [], _BAR + number * _LINE + 14
        column = 0
        for words, color in spans:
            left = _MARGIN + column * _CHARACTER
            if color.startswith("!"):
                wide, top = len(words) * _CHARACTER + 0.5, at - 14  # leaves no gap to the next one
                shown.append(
                    f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{_LINE}" '
                    f'fill="{color.strip("!*")}"/>'
                )
            row.append(_span(words, color, left))
            column += len(words)
        if column:
            shown.append(f'<text y="{at}">{"".join(row)}</text>')
    return "\n".join((*shown, "</g>", "</svg>", ""))


def _lines() -> Iterator[list[tuple[str, str]]]:
    """Yield each line of the session as words with their colours."""
    with tempfile.TemporaryDirectory(prefix="terminal-") as folder:
        demo.build(os.path.join(folder, "demo"))
        for number, words in enumerate(_SESSION):
            if number:
                yield []
            yield from _broken([("$ ", "#8b949e"), (f"cachedoctor {words}", "#ffffff")])
            for line in _printed(words, folder):
                yield from _broken(list(_colored(line)))


def _printed(words: str, folder: str) -> list[str]:
    variables = ("PATH", "LANG", "TMPDIR", "PYTHONPATH")
    ended = subprocess.run(
        [*shipped.command("cachedoctor"), *words.split(), "--color", "always"],
        cwd=folder,
        env={
            **{name: os.environ[name] for name in variables if name in os.environ},
            "HOME": os.path.join(folder, "own"),
            "LC_ALL": "C.UTF-8",
            "COLUMNS": str(COLUMNS),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = os.path.realpath(folder).join(("", "/"))
    text = ended.stdout.replace(said, "~/").replace(f"{folder}/", "~/")
    for pattern, always in _VARIES:
        text = pattern.sub(always, text)
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _colored(line: str) -> Iterator[tuple[str, str]]:
    color, at = "", 0
    for match in _STYLE.finditer(line):
        if match.start() > at:
            yield line[at : match.start()], color
        at = match.end()
        for code in (match[1] or "0").split(";") if match[1] is not None else ():
            color = _COLORS.get(code, "" if code in ("0", "39", "") else color)
    if at < len(line):
        yield line[at:], color


def _broken(spans: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Yield a line as a terminal wraps it when it is too long."""
    row: list[tuple[str, str]] = []
    room = COLUMNS
    for words, color in spans:
        rest = words
        while len(rest) > room:
            row.append((rest[:room], color))
            yield row
            row, rest, room = [], rest[room:], COLUMNS
        row.append((rest, color))
        room -= len(rest)
    yield row


def _span(words: str, color: str, at: float) -> str:
    text = escape(words, quote=False).replace(" ", "\N{NO-BREAK SPACE}")
    ink = _GROUND if color.startswith("!") else color.strip("*")
    paint = f' fill="{ink}"' if ink else ""
    paint += ' font-weight="bold"' if color.endswith("*") else ""
    return f'<tspan x="{at:.1f}"{paint}>{text}</tspan>'
