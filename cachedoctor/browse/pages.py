"""A page of text about one row, with everything known about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from cachedoctor.browse import details
from cachedoctor.browse.commands import COMMANDS
from cachedoctor.browse.jobs import Job
from cachedoctor.browse.paint import clean, keys
from cachedoctor.browse.sheet import Sheet
from cachedoctor.errors import CacheDoctorError

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from cachedoctor.browse.looking import Look
    from cachedoctor.browse.rows import Subject


_KEYS = (("f", "fix"), ("d", "remove"), ("↑ ↓", "scroll"), ("esc", "back"))


class Details(Screen["str | None"]):
    """One model, finding or past change; a command's key goes back and runs it there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q,left", "leave", "back"),
        *Sheet.KEYS,
        *(Binding(command.key, f"act('{command.name}')", command.name) for command in COMMANDS),
    ]

    class Ended(Message):
        """Everything is loaded."""

    def __init__(self, subject: Subject, look: Look) -> None:
        """Store what the page is about."""
        super().__init__(classes="page")
        self._subject, self._look = subject, look
        self._job: Job[Any] | None = None

    def compose(self) -> ComposeResult:
        """Draw a title and the page."""
        yield Static(clean(details.title(self._subject)), id="title", markup=False)
        yield Sheet()
        yield Static("looking …", id="progress", markup=False)
        yield Static(keys(_KEYS, self.app.size.width), markup=False)

    def on_mount(self) -> None:
        """Gather what is known, in another thread."""
        subject, look = self._subject, self._look
        self._job = Job(
            lambda _: tuple(details.lines(subject, look)), lambda: self.post_message(self.Ended())
        )
        self._job.start()

    def on_details_ended(self) -> None:
        """Show it."""
        if self._job is not None:
            try:
                lines = self._job.result
            except (CacheDoctorError, OSError) as error:  # the screen may be gone by now
                lines = (f"✗ {error}",)
            self.query_one(Sheet).show(lines)

    def on_sheet_moved(self) -> None:
        """Show how much is further down."""
        sheet = self.query_one(Sheet)
        words = sheet.below if sheet.lines else "looking …"
        self.query_one("#progress", Static).update(clean(words))

    def action_leave(self) -> None:
        """Go back."""
        self.dismiss(None)

    def action_act(self, name: str) -> None:
        """Go back and run this command."""
        self.dismiss(name)

    def action_read(self, how: str) -> None:
        """Scroll."""
        self.query_one(Sheet).read(how)
