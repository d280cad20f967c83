"""The first screen: three tables, what is marked and what that means, and the keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.screen import Screen
from textual.widgets import ContentSwitcher, DataTable, Input, Static

from cachedoctor.browse import commands, rows
from cachedoctor.browse.commands import Asked
from cachedoctor.browse.forms import Form, Menu
from cachedoctor.browse.jobs import Job
from cachedoctor.browse.looking import look as look_at
from cachedoctor.browse.pages import Details
from cachedoctor.browse.paint import clean, keys
from cachedoctor.browse.plan_screen import PlanScreen
from cachedoctor.browse.table import Rows
from cachedoctor.errors import CacheDoctorError
from cachedoctor.plans.holdings import Holding
from cachedoctor.report import scan_text
from cachedoctor.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import ComposeResult
    from textual.timer import Timer

    from cachedoctor.browse.commands import Command
    from cachedoctor.browse.looking import Look
    from cachedoctor.browse.proposals import Make
    from cachedoctor.system.network import Network

_TYPING_S = 0.15  # between keys of a filter
_KEYS = (  # the least important third from the right
    ("⏎", "open"),
    ("space", "mark"),
    ("f", "fix"),
    ("d", "remove"),
    ("/", "filter"),
    ("u", "undo"),
    ("s", "sort"),
    ("?", "more"),
    ("q", "quit"),
)
_FILTER_KEYS = (("⏎", "keep the filter"), ("esc", "clear it"))


class Main(Screen[None]):
    """Models, findings, and past changes, in one table each."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "mark"),
        Binding("slash", "filter", "filter"),
        Binding("s", "sort", "sort"),
        *(
            Binding(command.key, f"act('{command.name}')", command.name)
            for command in commands.COMMANDS
        ),
        Binding("question_mark", "menu", "more"),
        Binding("q", "app.leave", "quit"),
        Binding("a", "mark_shown", show=False),
        Binding("r", "look", show=False),
        Binding("escape", "plain", show=False),
        Binding("tab", "next", show=False),
        *(
            Binding(str(number), f"table('{table.name}')", show=False)
            for number, table in enumerate(rows.TABLES, 1)
        ),
    ]

    class Looked(Message):
        """A look has ended."""

    def __init__(self, network: Network) -> None:
        """Store the host, and what a download may use."""
        super().__init__()
        self._network = network
        self._look: Look | None = None
        self._job: Job[Look] | None = None
        self._said = ""  # in answer to the last key
        self._later: Timer | None = None

    def compose(self) -> ComposeResult:
        """Draw a line about everything, the tables, the filter, what is marked, and the keys."""
        yield Static("", id="title", markup=False)
        with Horizontal(id="tabs"):
            for table in rows.TABLES:
                yield Static("", id=f"tab-{table.name}", classes="tab", markup=False)
        with ContentSwitcher(initial=rows.MODELS.name):
            for table in rows.TABLES:
                yield Rows(table)
        yield Input(placeholder="words, size>1G, used>90d, engine=NAME", id="filter", compact=True)
        yield Static("", id="marked", markup=False)
        yield Static("", id="keys", markup=False)

    def on_mount(self) -> None:
        """Look."""
        self.query_one("#filter").display = False
        self.table.focus()
        self.action_look()

    @property
    def table(self) -> Rows:
        """Return the table that is shown."""
        return self.query_one(f"#{self.query_one(ContentSwitcher).current}", Rows)

    @property
    def look(self) -> Look | None:
        """Return the last look."""
        return self._look

    @property
    def looking(self) -> bool:
        """Return whether a look is in progress."""
        return self._job is not None

    def on_resize(self) -> None:
        """Fit the columns to the width."""
        for table in self.query(Rows):
            table.freshen(anew=True)
        self._draw()

    def action_look(self) -> None:
        """Look again, in another thread."""
        if self._job is None:
            host = self._network.host
            self._job = Job(partial(look_at, host), lambda: self.post_message(self.Looked()))
            self._job.start()
            self._draw()

    def on_main_looked(self) -> None:
        """Show what was found."""
        job, self._job = self._job, None
        if job is None:
            return
        try:
            self._look = job.result
        except (CacheDoctorError, OSError) as error:
            self._say(f"✗ {error}")
            return
        for table in self.query(Rows):
            table.take(self._look)
        self._draw()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Show what the cursor is on now."""
        if isinstance(event.data_table, Rows) and event.data_table.has_focus:
            event.data_table.moved()

    def on_data_table_row_selected(self) -> None:
        """Show what is known about the row."""
        self.action_details()

    def action_mark(self) -> None:
        """Mark the row at the cursor, and do nothing else."""
        self.table.mark()
        self._say("")

    def action_mark_shown(self) -> None:
        """Mark everything that is shown, or unmark it."""
        self.table.mark_shown()
        self._say("")

    def action_sort(self) -> None:
        """Sort in the next order."""
        self._say(f"sorted by {self.table.sort_next()}")

    def action_next(self) -> None:
        """Show the next table."""
        names = [table.name for table in rows.TABLES]
        self.action_table(names[(names.index(self.table.table.name) + 1) % len(names)])

    def action_table(self, name: str) -> None:
        """Show this table."""
        self.query_one(ContentSwitcher).current = name
        self.table.freshen()
        box = self.query_one("#filter", Input)
        box.value, box.display = self.table.words, bool(self.table.words)
        self.table.focus()
        self._say("")

    def action_filter(self) -> None:
        """Type a filter."""
        box = self.query_one("#filter", Input)
        box.display = True
        box.focus()
        self.call_after_refresh(self._draw)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter once the user has stopped typing for a moment."""
        if self._later is not None:
            self._later.stop()
        self._later = self.set_timer(_TYPING_S, partial(self._narrow, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Filter now, and go back to the table."""
        if self._later is not None:
            self._later.stop()
        if self._narrow(event.value):
            self.query_one("#filter").display = bool(event.value)
            self.table.focus()
            self.call_after_refresh(self._draw)

    def action_plain(self) -> None:
        """End the filter."""
        box = self.query_one("#filter", Input)
        box.display = False
        box.value = ""
        self.table.focus()
        self._narrow("")

    def action_details(self) -> None:
        """Show everything known about the row at the cursor."""
        row = self.table.here
        if row is not None and self._look is not None:
            self.app.push_screen(Details(row.subject, self._look), self._back)

    def action_menu(self) -> None:
        """List all commands."""
        self.app.push_screen(Menu(), self._back)

    def action_act(self, name: str) -> None:
        """Start a command: say why it cannot be used, ask what it needs, or show its plan."""
        command = commands.find(name)
        asked = Asked(self._network, self.table.subjects)
        why = "" if self._look else "still looking"
        why = why or (command.check(asked) if command.check else "")
        if why:
            self._say(why)
        elif command.fields:
            about = self._about(asked) if command.check is not None else ""

            def make(values: Mapping[str, str]) -> Make:
                return command.make(asked._replace(values=values))

            self.app.push_screen(Form(command, about, make), partial(self._plan, command))
        else:
            try:
                self._plan(command, command.make(asked))
            except CacheDoctorError as error:
                self._say(f"{error.message}; {error.hint}")

    def _back(self, name: str | None) -> None:
        if name is not None:
            self.action_act(name)

    def _plan(self, command: Command, make: Make | None) -> None:
        if make is not None:
            self._say("")
            self.app.push_screen(PlanScreen(command.name, make), self._done)

    def _done(self, begun: bool | None) -> None:
        if begun:
            for table in self.query(Rows):
                table.marked.clear()
            self.action_look()

    def _narrow(self, words: str) -> bool:
        try:
            self.table.narrow(words)
        except CacheDoctorError as error:
            self._say(f"✗ {error.message}; {error.hint}")
            return False
        self._say("")
        return True

    def _about(self, asked: Asked) -> str:
        models = [commands.title(one) for one in asked.models]
        return ", ".join(models[:3]) + (f" and {len(models) - 3} more" if len(models) > 3 else "")

    def _say(self, words: str) -> None:
        self._said = words
        self._draw()

    def _draw(self) -> None:
        """Write the lines above and below the tables."""
        self.query_one("#title", Static).update(clean(self._heading(), "bold"))
        look = self._look
        counts = {
            rows.MODELS.name: len(look.found.models) if look else None,
            rows.FINDINGS.name: len(look.found.report.findings) if look else None,
            rows.RUNS.name: len(look.runs) if look else None,
        }
        for number, table in enumerate(rows.TABLES, 1):
            count = "" if counts[table.name] is None else f" {counts[table.name]}"
            tab = self.query_one(f"#tab-{table.name}", Static)
            tab.update(clean(f"{number} {table.name}{count}"))
            tab.set_class(table is self.table.table, "-here")
        self.query_one("#marked", Static).update(clean(self._said or self._meaning()))
        shown = _FILTER_KEYS if self.query_one("#filter").has_focus else _KEYS
        self.query_one("#keys", Static).update(keys(shown, self.app.size.width - 2))

    def _heading(self) -> str:
        host = self._network.host
        where = f"cachedoctor · {host.short(host.home)} on {host.platform}"
        if self._look is None:
            return f"{where} · looking …"
        found = self._look.found
        least = "" if found.exact else "at least "
        again = " · looking …" if self._job else ""
        what = f"{least}{size(found.total_bytes)}"
        counts = scan_text.counts(found.report.findings)
        wrong = ", ".join(plural(count, level.value) for level, count in counts.items() if count)
        return f"{where} · {what} · {wrong or 'no findings'}{again}"

    def _meaning(self) -> str:
        """Return what is marked, what that frees and what it costs to fetch again."""
        table, look = self.table, self._look
        if look is None:
            return ""
        marked = [row for row in table.every if row.key in table.marked]
        if not marked and not table.shown_rows:
            return "nothing matches the filter" if table.words else table.table.empty
        if not marked:
            total = sum(look.freed.values())
            kinds = ", ".join(look.freed)
            less = f"; {size(total)} can go without loss ({kinds}): `b`" if total else ""
            return f"nothing is marked{less}"
        hidden = len(marked) - len({row.key for row in table.shown_rows} & table.marked)
        words = f"{len(marked)} marked" + (f", {hidden} hidden by the filter" if hidden else "")
        models = [row.subject for row in marked if isinstance(row.subject, Holding)]
        if models:
            own = sum(one.own_bytes for one in models)
            costs = [one.refetch_bytes for one in models]
            known = sum(cost or 0 for cost in costs)
            lost = costs.count(None)
            words += f": {size(own)} not shared, {size(known)} to download again"
            words += f", no known source for {lost}" if lost else ""
        return words
