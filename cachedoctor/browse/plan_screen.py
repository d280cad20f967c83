"""One command from its plan to its outcome: looked at, shown, asked, carried out, reported.

The button that changes nothing comes first and has the focus; escape does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Button, Static

from cachedoctor.browse.jobs import Job
from cachedoctor.browse.paint import clean
from cachedoctor.browse.proposals import Proposal
from cachedoctor.browse.sheet import Sheet
from cachedoctor.errors import CacheDoctorError
from cachedoctor.text import line, of_size, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from textual.app import ComposeResult

    from cachedoctor.browse.proposals import Make, Way
    from cachedoctor.system.watching import Moment, Watched

_BAR = 24  # characters
_LOOKED_AT_S = 0.1


class Choice(Button):
    """A button that knows what it does, and which question it belongs to."""

    def __init__(self, label: str, does: Callable[[], None], asked: int) -> None:
        """Draw a label."""
        super().__init__(clean(label), compact=True)
        self.does, self.asked = does, asked


class PlanScreen(Screen[bool]):
    """Make a plan, show it, and do what is chosen; say at the end whether anything was started."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "cancel"),
        *Sheet.KEYS,
        Binding("left", "app.focus_previous", "button", show=False),
        Binding("right", "app.focus_next", "button", show=False),
    ]

    class Ended(Message):
        """A piece of work has ended."""

        def __init__(self, job: Job[Any]) -> None:
            """Store its name."""
            super().__init__()
            self.job = job

    def __init__(self, title: str, make: Make) -> None:
        """Start with the work that makes the plan."""
        super().__init__(classes="page")
        self._title = title
        self._make: Make = make
        self._job: Job[Any] | None = None
        self._then: Callable[[Any], None] = self._show
        self._asked = 0  # numbers the questions, so that a key pressed twice answers only one
        self._begun = False  # something may have been changed
        self._changing = False  # now

    def compose(self) -> ComposeResult:
        """Draw a title, the plan, the progress, a question, and buttons."""
        yield Static(clean(self._title), id="title", markup=False)
        yield Sheet()
        yield Static("", id="progress", markup=False)
        yield Static("", id="question", markup=False)
        yield Horizontal(classes="buttons")

    def on_mount(self) -> None:
        """Make the plan."""
        self.set_interval(_LOOKED_AT_S, self._show_progress)
        self._work(self._make, self._show, "looking")

    def on_unmount(self) -> None:
        """Cancel work that is no longer needed."""
        if self._job is not None:
            self._job.stopped.set()

    @property
    def job(self) -> Job[Any] | None:
        """Return the work in progress."""
        return self._job

    def action_leave(self) -> None:
        """Go back; work that changes something is stopped first, and reports its outcome."""
        if self._job is not None and self._changing:
            self._stop()
        else:
            self.dismiss(self._begun)

    def action_read(self, how: str) -> None:
        """Scroll the plan."""
        self.query_one(Sheet).read(how)

    def on_sheet_moved(self) -> None:
        """Show how much of the plan is further down."""
        if self._job is None:
            self._progress(self.query_one(Sheet).below)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Do what the button says, once."""
        button = event.button
        if isinstance(button, Choice) and button.asked == self._asked:
            self._asked += 1
            button.does()

    def on_plan_screen_ended(self, event: Ended) -> None:
        """Continue with the result of a piece of work, or say what went wrong."""
        if event.job is not self._job:
            return
        self._job, self._changing = None, False
        self._progress("")
        try:
            result = event.job.result
        except CacheDoctorError as error:
            self._failed(error.message, error.hint)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            self._failed(f"{error.strerror or error}{where}", "")
        else:
            self._then(result)

    def _work(
        self, work: Callable[[Watched], Any], then: Callable[[Any], None], doing: str
    ) -> None:
        self._then = then
        self._ask("", [("Stop", self.action_leave)])
        self._progress(f"{doing} …")
        job: Job[Any] = Job(work, lambda: self.post_message(self.Ended(job)))
        self._job = job
        job.start()

    def _stop(self) -> None:
        if self._job is not None:
            self._job.stopped.set()
            self._progress("stopping …")

    def _show_progress(self) -> None:
        job = self._job
        if job is not None and job.moment is not None and not job.stopped.is_set():
            self._progress(_words(job.moment))

    def _progress(self, words: str) -> None:
        self.query_one("#progress", Static).update(clean(words))

    def _show(self, proposal: Proposal) -> None:
        """Show a plan, and ask."""
        self._title = proposal.title
        self.query_one("#title", Static).update(clean(f"{proposal.title}: the plan"))
        lines = list(proposal.lines)
        while lines and not lines[-1]:
            lines.pop()
        self._fill((*lines, *_command(proposal)))
        if not proposal.ways and not proposal.instead:
            self._ask("", [("Back", self.action_leave)])
            return
        buttons = [("Cancel", self.action_leave)]
        buttons += [(way.label, self._chosen(way)) for way in proposal.ways]
        buttons += [(label, self._remake(make)) for label, make in proposal.instead]
        self._ask(proposal.question, buttons)

    def _chosen(self, way: Way) -> Callable[[], None]:
        def confirm() -> None:
            if way.sure:
                self._ask(way.sure, [("Cancel", self.action_leave), (way.label, go)])
            else:
                go()

        def go() -> None:
            self._begun = self._changing = True
            self.query_one("#title", Static).update(clean(self._title))
            self._work(way.carry, self._finished, "working")

        return confirm

    def _remake(self, make: Make) -> Callable[[], None]:
        return lambda: self._work(make, self._show, "looking")

    def _finished(self, lines: Sequence[str] | Proposal) -> None:
        if isinstance(lines, Proposal):  # the plan has changed, and needs a new yes
            self._show(lines)
            return
        self.query_one("#title", Static).update(clean(f"{self._title}: done"))
        self._fill(lines)
        self._ask("", [("Back", self.action_leave)])

    def _failed(self, message: str, hint: str) -> None:
        self.query_one("#title", Static).update(clean(f"{self._title}: not done"))
        self._fill((f"✗ {message}", *((f"  hint: {hint}",) if hint else ())))
        self._ask("", [("Back", self.action_leave)])

    def _fill(self, lines: Sequence[str]) -> None:
        self.query_one(Sheet).show(lines)

    def _ask(self, question: str, buttons: Sequence[tuple[str, Callable[[], None]]]) -> None:
        """Show a question with its buttons, the first of which has the focus."""
        self.query_one("#question", Static).update(Text(line(question)))
        self._asked += 1
        self.call_later(self._place_buttons, [Choice(*button, self._asked) for button in buttons])

    async def _place_buttons(self, buttons: Sequence[Choice]) -> None:
        row = self.query_one(".buttons", Horizontal)
        async with self.batch():
            await row.remove_children()
            await row.mount(*buttons)
        buttons[0].focus()


def _command(proposal: Proposal) -> Sequence[str]:
    return ("", f"on the command line: `{proposal.command}`") if proposal.command else ()


def _words(moment: Moment) -> str:
    """Return the progress of the work."""
    if moment.total_bytes:
        full = round(_BAR * (moment.fraction or 0))
        bar = "█" * full + "░" * (_BAR - full)
        return f"{moment.doing}  {bar}  {of_size(moment.done_bytes, moment.total_bytes)}"
    amount = f"  {size(moment.done_bytes)}" if moment.done_bytes else ""
    return f"{moment.doing or 'working'} …{amount}"
