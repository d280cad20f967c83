"""Scrolling lines of text of any number; only the visible ones are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from cachedoctor.browse.paint import page
from cachedoctor.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import Text


class Sheet(ScrollView, can_focus=False):
    """A page of lines, wrapped again whenever its width changes."""

    KEYS: ClassVar[list[BindingType]] = [  # for the screen that shows one
        Binding("up,k", "read('scroll_up')", show=False),
        Binding("down,j", "read('scroll_down')", show=False),
        Binding("pageup", "read('scroll_page_up')", show=False),
        Binding("pagedown,space", "read('scroll_page_down')", show=False),
        Binding("home", "read('scroll_home')", show=False),
        Binding("end", "read('scroll_end')", show=False),
    ]

    class Moved(Message):
        """Another part of it is visible now."""

    def __init__(self) -> None:
        """Begin empty."""
        super().__init__()
        self._lines: tuple[str, ...] = ()
        self._pieces: list[Text] = []

    @property
    def lines(self) -> tuple[str, ...]:
        """Return its text."""
        return self._lines

    @property
    def below(self) -> str:
        """Return how much there is further down, in words."""
        left = len(self._pieces) - self.scroll_offset.y - self.size.height
        return f"↓ {plural(left, 'more line')}" if left > 0 else ""

    def show(self, lines: Iterable[str]) -> None:
        """Show another text, from its beginning."""
        self._lines = tuple(lines)
        self._break()
        self.scroll_home(animate=False)

    def read(self, how: str) -> None:
        """Scroll, by a verb of textual's such as `scroll_page_down`."""
        getattr(self, how)(animate=False)

    def on_resize(self) -> None:
        """Wrap the lines again."""
        self._break()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Report that another part is visible."""
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Moved())

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        at = y + self.scroll_offset.y
        width = self.size.width
        if at >= len(self._pieces):
            return Strip.blank(width, self.rich_style)
        strip = Strip(self._pieces[at].render(self.app.console))
        return strip.adjust_cell_length(width).apply_style(self.rich_style)

    def _break(self) -> None:
        width = self.size.width
        if width:
            self._pieces = page(self._lines, width)
            self.virtual_size = Size(width, len(self._pieces))
            self.refresh()
            self.post_message(self.Moved())
