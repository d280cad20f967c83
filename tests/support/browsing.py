"""The screen of `cachedoctor browse` without a terminal: keys go in, the drawing comes out."""

from __future__ import annotations

import asyncio
import os
import shlex
from typing import TYPE_CHECKING

from textual.widgets import Button, Input

from cachedoctor.browse.app import Browser
from cachedoctor.browse.main_screen import Main
from cachedoctor.browse.plan_screen import PlanScreen
from cachedoctor.browse.sheet import Sheet
from cachedoctor.system.network import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from textual.pilot import Pilot

    from cachedoctor.browse.table import Rows
    from cachedoctor.host import Host

_LONGEST_S = 20.0
_WHOLE_S = 120.0
_COMMAND = "on the command line: "


class Session:
    """A user at the keyboard."""

    def __init__(self, app: Browser, pilot: Pilot[int]) -> None:
        """Sit down."""
        self.app, self.pilot = app, pilot

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until something is true; fail if it never is."""
        end = asyncio.get_running_loop().time() + _LONGEST_S
        while not holds():
            assert asyncio.get_running_loop().time() < end, self.text
            await self.pilot.pause(0.01)

    async def keys(self, *keys: str) -> None:
        """Press keys, and wait for their effect."""
        for key in keys:
            await self.pilot.press(key)
        await self.settled()

    async def type(self, words: str) -> None:
        """Type words into the focused field."""
        box = self.app.focused
        assert isinstance(box, Input)
        box.value = words
        await self.settled()

    async def go(self, words: str) -> str:
        """Put the cursor on the one row whose key contains these words, and return the key."""
        table = self.table
        found = [row.key for row in table.shown_rows if words in row.key]
        assert len(found) == 1, (words, [row.key for row in table.shown_rows])
        table.move_cursor(row=[row.key for row in table.shown_rows].index(found[0]))
        await self.settled()
        assert self.here == found[0]
        return found[0]

    async def settled(self) -> None:
        """Wait until no work is in progress."""
        await self.pilot.pause()
        await self.until(lambda: not self.busy)
        await self.pilot.pause()

    async def choose(self, label: str) -> None:
        """Go to a button, and press it."""
        await self.until(lambda: label in self.buttons)
        while self.focused != label:
            await self.pilot.press("tab")
        await self.keys("enter")

    @property
    def busy(self) -> bool:
        """Return whether work is in progress, or a question is about to appear."""
        screen = self.app.screen
        if isinstance(screen, PlanScreen):
            return screen.job is not None or not self.buttons or "Stop" in self.buttons
        return isinstance(screen, Main) and (screen.look is None or screen.looking)

    @property
    def main(self) -> Main:
        """Return the first screen."""
        return next(screen for screen in self.app.screen_stack if isinstance(screen, Main))

    @property
    def table(self) -> Rows:
        """Return the table that is shown."""
        return self.main.table

    @property
    def here(self) -> str:
        """Return the key of the row at the cursor."""
        row = self.table.here
        return row.key if row else ""

    @property
    def focused(self) -> str:
        """Return the label of the focused button."""
        button = self.app.focused
        return str(button.label) if isinstance(button, Button) else ""

    @property
    def buttons(self) -> list[str]:
        """Return the labels of the buttons, from the left."""
        return [str(button.label) for button in self.app.screen.query(Button)]

    @property
    def plan(self) -> list[str]:
        """Return the lines of the plan that is shown, without the command."""
        lines = list(self.app.screen.query_one(Sheet).lines)
        if lines and lines[-1].startswith(_COMMAND):
            del lines[-2:]
        return [line.replace("\N{NO-BREAK SPACE}", " ").rstrip() for line in lines]

    @property
    def command(self) -> list[str]:
        """Return the words of the equivalent command."""
        last = self.app.screen.query_one(Sheet).lines[-1]
        assert last.startswith(f"{_COMMAND}`cachedoctor "), last
        return shlex.split(last.removeprefix(_COMMAND).strip("`"))[1:]

    @property
    def text(self) -> str:
        """Return what the terminal would show."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips)


def browse(
    host: Host,
    steps: Callable[[Session], Awaitable[None]],
    *,
    columns: int = 80,
    rows: int = 24,
    offline: bool = False,
) -> Browser:
    """Show the screen while a user takes these steps; return what is left of it."""
    app = Browser(Network(host, offline))

    async def run() -> None:
        async with asyncio.timeout(_WHOLE_S), app.run_test(size=(columns, rows)) as pilot:
            session = Session(app, pilot)
            await session.until(lambda: any(isinstance(s, Main) for s in app.screen_stack))
            await session.settled()
            await steps(session)

    asyncio.run(run())
    return app


def state_of(host: Host) -> list[str]:
    """Return the names of the runs that were made."""
    folder = os.path.join(host.state, "runs")
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
