"""A page of text about one row, with everything that is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Footer, Static

from cachedoctor.browse import details
from cachedoctor.browse.commands import COMMANDS
from cachedoctor.browse.jobs import Job
from cachedoctor.browse.paint import clean, page
from cachedoctor.errors import CacheDoctorError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cachedoctor.browse.looking import Look
    from cachedoctor.browse.rows import Subject


class Details(Screen["str | None"]):
    """One model, finding or past change; a command's key goes back and does it there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,left", "leave", "back", key_display="esc"),
        Binding("j", "page('scroll_down')", show=False),
        Binding("k", "page('scroll_up')", show=False),
        Binding("space", "page('scroll_page_down')", show=False),
        *(
            Binding(command.key, f"act('{command.name}')", command.name, show=command.key in "fdu")
            for command in COMMANDS
        ),
    ]

    class Ended(Message):
        """Everything is known."""

    def __init__(self, subject: Subject, look: Look) -> None:
        """Take what the page is about."""
        super().__init__()
        self._subject, self._look = subject, look
        self._lines: tuple[str, ...] = ("looking …",)
        self._job: Job[Any] | None = None

    def compose(self) -> ComposeResult:
        """Draw a title and the page."""
        yield Static(clean(details.title(self._subject)), id="title", markup=False)
        with VerticalScroll(id="body"):
            yield Static("", id="lines", markup=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Bring together what is known, beside the screen."""
        subject, look = self._subject, self._look
        self._job = Job(
            lambda _: tuple(details.lines(subject, look)), lambda: self.post_message(self.Ended())
        )
        self.query_one("#body").focus()

    def on_resize(self) -> None:
        """Break the lines anew."""
        self._draw()

    def on_details_ended(self) -> None:
        """Show it."""
        if self._job is not None:
            try:
                self._lines = self._job.result
            except (CacheDoctorError, OSError) as error:  # it may be gone by now
                self._lines = (f"✗ {error}",)
        self._draw()

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_act(self, name: str) -> None:
        """Go back and do this."""
        self.dismiss(name)

    def action_page(self, how: str) -> None:
        """Scroll."""
        getattr(self.query_one("#body"), f"action_{how}")()

    def _draw(self) -> None:
        width = self.app.size.width - 4
        self.query_one("#lines", Static).update(page(self._lines, width))
