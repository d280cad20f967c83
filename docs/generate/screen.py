"""The screen of `browse` as pictures: actually drawn, on the demo home.

Its colours are the terminal's own; anything that differs from run to run has fixed values.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from typing import TYPE_CHECKING

from cachedoctor import demo
from cachedoctor.browse.app import Browser
from cachedoctor.browse.main_screen import Main
from cachedoctor.browse.plan_screen import PlanScreen
from cachedoctor.host import Host
from cachedoctor.system.network import Network
from docs.generate import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.segment import Segment
    from rich.style import Style

_COLUMNS, _ROWS = 100, 24
_INK = "#e6edf3"
_COLORS = {"red": "#ff7b72", "green": "#7ee787", "yellow": "#e3b341", "cyan": "#76e3ea"}
_FREE = re.compile(r"\d+\.\d [KMGT]iB free")


def models() -> str:
    """Return the table of models, two of them marked."""
    return _picture(("space", "down", "space", "up"), "two models are marked in a table of models")


def plan() -> str:
    """Return the plan of a fix, with its question and its buttons."""
    return _picture(("F",), "a plan with seven repairs, a question, and the button that leaves it")


def _picture(keys: Sequence[str], label: str) -> str:
    with tempfile.TemporaryDirectory(prefix="screen-") as folder:
        home = os.path.join(folder, "demo")
        demo.build(home)
        own = Host.look(home=home, platform="darwin")
        host = own._replace(cwd=folder, state=os.path.join(folder, "state"))
        return terminal.drawn(asyncio.run(_drawn(host, keys)), _COLUMNS, label)


async def _drawn(host: Host, keys: Sequence[str]) -> list[list[tuple[str, str]]]:
    app = Browser(Network(host, offline=True))
    app.no_color = False
    async with app.run_test(size=(_COLUMNS, _ROWS)) as pilot:

        async def until(holds: Callable[[], bool]) -> None:
            while not holds():
                await pilot.pause(0.02)

        def still() -> bool:
            screen = app.screen
            if isinstance(screen, PlanScreen):
                return screen.job is None and screen.focused is not None
            return isinstance(screen, Main) and not screen.looking and screen.look is not None

        await until(still)
        for key in keys:
            await pilot.press(key)
            await until(still)
        await pilot.pause()
        strips = app.screen._compositor.render_strips()
        return [_spans(strip) for strip in strips]


def _spans(strip: Iterable[Segment]) -> list[tuple[str, str]]:
    found = [(part.text, _color(part.style)) for part in strip]
    line = "".join(words for words, _ in found)
    if _FREE.search(line):  # one piece, without colours
        found = [(_FREE.sub("64.5 GiB free", line).rstrip(), "")]
    while found and not found[-1][0].strip() and not found[-1][1].startswith("!"):
        found.pop()
    return found


def _color(style: Style | None) -> str:
    if style is None:
        return ""
    name = style.color.name if style.color else ""
    ink = _COLORS.get(name.removeprefix("ansi_"), "")
    turned = f"!{ink or _INK}" if style.reverse else ink
    return f"{turned}*" if style.bold else turned
