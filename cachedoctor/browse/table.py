"""One table with a cursor, marks, an order and a filter; the cursor stays on its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from cachedoctor.browse import rows
from cachedoctor.browse.paint import clean

if TYPE_CHECKING:
    from rich.text import Text

    from cachedoctor.browse.looking import Look
    from cachedoctor.browse.rows import Row, Subject, Table

_MARKED = "*"
_SIDES = 2  # of padding, for each column
_COLORS = {"error": "red", "warning": "yellow", "✗": "red", "✓": "green"}


class Rows(DataTable["Text"]):
    """The rows of one table of a look."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "open"),
        Binding("home,g", "scroll_top", "first", show=False),
        Binding("end,G", "scroll_bottom", "last", show=False),
        Binding("j", "cursor_down", "down", show=False),
        Binding("k", "cursor_up", "up", show=False),
    ]

    def __init__(self, table: Table) -> None:
        """Begin empty."""
        super().__init__(id=table.name, cursor_type="row", zebra_stripes=False)
        self.table = table
        self.order = table.sorts[0]
        self.words = ""  # of the filter
        self.marked: set[str] = set()
        self.every: list[Row] = []
        self.shown_rows: list[Row] = []
        self._kept = ""  # the key that the cursor is on, or would be on without the filter
        self._put = ""  # where it was put instead, until the user moves it
        self._look: Look | None = None
        self._stale = False  # not visible since its content changed

    @property
    def here(self) -> Row | None:
        """Return the row at the cursor."""
        at = self.cursor_row
        return self.shown_rows[at] if 0 <= at < len(self.shown_rows) else None

    @property
    def chosen(self) -> tuple[Row, ...]:
        """Return what is marked, even if a filter hides it, or else the row at the cursor."""
        marked = tuple(row for row in self.every if row.key in self.marked)
        return marked or ((self.here,) if self.here else ())

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Return what the chosen rows stand for."""
        return tuple(row.subject for row in self.chosen)

    def take(self, look: Look) -> None:
        """Show another look; marks of rows that are gone are dropped."""
        self._look = look
        self.every = rows.of(self.table, look, self.order)
        self.marked &= {row.key for row in self.every}
        self.freshen(anew=True)

    def freshen(self, *, anew: bool = False) -> None:
        """Draw what has changed, or all of it `anew`, now or once it is visible."""
        self._stale = self._stale or anew
        if self._stale and self.display:
            self.refill()

    def sort_next(self) -> str:
        """Go on to the next order, and return it."""
        sorts = self.table.sorts
        self.order = sorts[(sorts.index(self.order) + 1) % len(sorts)]
        if self._look is not None:
            self.take(self._look)
        return self.order

    def narrow(self, words: str) -> None:
        """Show only the rows that pass a filter; on `UsageError`, everything stays as it was."""
        if self._look is not None:
            rows.chosen((), words, self._look)
        self.words = words
        self.refill()

    def mark(self) -> None:
        """Mark the row at the cursor, or unmark it, and go on to the next."""
        row = self.here
        if row is not None:
            self.marked ^= {row.key}
            self.update_cell(row.key, "mark", self._mark(row))
            self.action_cursor_down()

    def mark_shown(self) -> None:
        """Mark everything that is shown, or unmark it if all of it is marked."""
        keys = {row.key for row in self.shown_rows}
        self.marked = self.marked - keys if keys <= self.marked else self.marked | keys
        for row in self.shown_rows:
            self.update_cell(row.key, "mark", self._mark(row))

    def refill(self) -> None:
        """Draw all rows again, with the cursor on the same row."""
        if self._look is None:
            return
        self._stale = False
        at = self.cursor_row
        kept = self._kept
        self.clear(columns=True)
        self.add_column(" ", width=1, key="mark")
        columns = self._columns()
        for number, (column, width) in columns:
            head = clean(column.name, right=column.right)
            self.add_column(head, width=width, key=str(number))
        self.shown_rows = rows.chosen(self.every, self.words, self._look)
        for row in self.shown_rows:
            cells = [
                clean(row.cells[n], _COLORS.get(row.cells[n], ""), right=column.right)
                for n, (column, _) in columns
            ]
            self.add_row(self._mark(row), *cells, key=row.key)
        places = {row.key: place for place, row in enumerate(self.shown_rows)}
        here = places.get(kept, min(at, len(self.shown_rows) - 1))
        if here >= 0:
            self.move_cursor(row=here, animate=False, scroll=True)
        self._put = self.here.key if self.here else ""
        self._kept = kept or self._put

    def moved(self) -> None:
        """Remember where the cursor is now: the user moved it."""
        if self.here is not None and self.here.key != self._put:
            self._kept, self._put = self.here.key, ""

    def _mark(self, row: Row) -> Text:
        return clean(_MARKED if row.key in self.marked else " ", "bold")

    def _columns(self) -> list[tuple[int, tuple[rows.Column, int]]]:
        """Return the columns that fit, each with its place in a row and its width."""
        room = self.size.width or self.app.size.width
        chosen = [(n, c) for n, c in enumerate(self.table.columns) if c.least <= room]
        spare = room - 1 - _SIDES - sum(column.width + _SIDES for _, column in chosen) - 1
        shares = sum(column.grows for _, column in chosen) or 1
        return [
            (n, (column, column.width + max(0, spare) * column.grows // shares))
            for n, column in chosen
        ]
