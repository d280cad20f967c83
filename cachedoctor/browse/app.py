"""The application: colours, how it ends, and a terminal left as it was found."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.filter import Monochrome, NoColor
from textual.theme import Theme

from cachedoctor.browse.main_screen import Main
from cachedoctor.browse.plan_screen import PlanScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.filter import LineFilter

    from cachedoctor.browse.jobs import Job
    from cachedoctor.system.network import Network

_COLORLESS = (Monochrome, NoColor)
_PATIENCE_S = 5.0  # for a step in progress when somebody ends us
# The terminal's own colours; the cursor is in reverse video, so that it shows without any.
_THEME = Theme(
    name="terminal",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    warning="ansi_yellow",
    error="ansi_red",
    success="ansi_green",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={"ansi-background": "ansi_black", "ansi-foreground": "ansi_white"},
)
_STYLE = """
Screen { layout: vertical; background: ansi_default; }
#title, #marked, #progress { text-wrap: nowrap; text-overflow: ellipsis; }
#title { height: 1; padding: 0 1; text-style: bold; }
#tabs { height: 1; }
.tab { width: auto; padding: 0 1; }
.tab.-here { text-style: reverse; }
ContentSwitcher { height: 1fr; }
Rows { height: 1fr; background: ansi_default; scrollbar-size-horizontal: 0; }
Rows > .datatable--header {
    text-style: bold underline; background: ansi_default; color: ansi_default;
}
Rows > .datatable--cursor, Rows:focus > .datatable--cursor {
    text-style: reverse; background: ansi_default; color: ansi_default;
}
Rows > .datatable--even-row, Rows > .datatable--odd-row { background: ansi_default; }
Input, Input:focus { height: 1; border: none; padding: 0 1; background: ansi_default; }
#filter { text-style: underline; }
#marked, #progress { height: 1; padding: 0 1; }
#question { height: auto; padding: 0 1; text-style: bold; }
Sheet { height: 1fr; background: ansi_default; scrollbar-size: 0 0; }
.buttons { height: 1; padding: 0 1; }
.page #title, .page #progress, .page #question, .page .buttons { padding: 0; }
Button, Button:hover { min-width: 0; width: auto; margin: 0 2 0 0; background: ansi_default;
    color: ansi_default; text-style: none; }
Button:focus { text-style: reverse; background: ansi_default; color: ansi_default; }
Form, Menu { align: center middle; background: ansi_default; }
.box { width: 76; max-width: 100%; height: auto; max-height: 100%; border: round ansi_default;
    padding: 0 1; background: ansi_default; }
.fields { height: auto; max-height: 14; }
.label { margin: 1 0 0 0; }
#wrong { height: auto; margin: 1 0 0 0; }
Form Input { border-left: outer ansi_default; }
Form Input:focus { border-left: thick ansi_default; }
Tick { width: auto; height: 1; padding: 0 1; }
Tick:focus { text-style: reverse; }
.menu { width: 100%; border: none; }
OptionList, OptionList:focus { height: auto; max-height: 1fr; border: none; padding: 0;
    background: ansi_default; }
OptionList > .option-list--option-highlighted,
OptionList:focus > .option-list--option-highlighted {
    text-style: reverse; background: ansi_default; color: ansi_default;
}
OptionList > .option-list--option-disabled { color: ansi_default; }
#keys { height: 1; padding: 0 1; }
"""


class Browser(App[int]):
    """`cachedoctor browse`."""

    TITLE = "cachedoctor"
    CSS = _STYLE
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c,ctrl+q", "leave", "quit", show=False, priority=True),
    ]

    def __init__(self, network: Network, parent: int | None = None) -> None:
        """Store whose home it is, and the pipe that ends when the waiting parent does."""
        super().__init__()
        self._network, self._parent_pipe = network, parent
        self.last_job: Job[Any] | None = None

    def on_mount(self) -> None:
        """Make everything that ends a program restore the terminal first."""
        self.register_theme(_THEME)
        self.theme = _THEME.name
        loop = asyncio.get_running_loop()
        if not self.is_headless:
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self._end, 128 + number)
        if self._parent_pipe is not None:
            loop.add_reader(self._parent_pipe, self._orphaned)
        self.push_screen(Main(self._network))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return the filter that removes colours, if the user wants none.

        textual would make them grey, and the terminal's own ones black on black: it asks before it
        knows the theme.
        """
        found = [each for each in super().get_line_filters() if not isinstance(each, _COLORLESS)]
        return [*found, NoColor()] if self.no_color else found

    def action_leave(self) -> None:
        """Leave; work in progress is stopped first, and says so."""
        screen = self.screen
        if isinstance(screen, PlanScreen) and screen.job is not None:
            screen.action_leave()
        else:
            self._end(0)

    def _orphaned(self) -> None:
        if self._parent_pipe is not None:
            asyncio.get_running_loop().remove_reader(self._parent_pipe)
            self._end(128 + signal.SIGTERM)

    def _end(self, code: int) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, PlanScreen) and screen.job is not None:
                self.last_job = screen.job
        self.exit(code, return_code=code)


def run(network: Network, parent: int | None = None) -> int:
    """Show the screen until the user leaves it; return the exit code."""
    app = Browser(network, parent)
    app.run(mouse=False)
    if app.last_job is not None:
        app.last_job.leave(_PATIENCE_S)
    return app.return_code or 0
