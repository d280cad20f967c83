"""A look as rows of three tables: models, findings, and past changes; and what a filter means."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Finding, Safety, Severity
from cachedoctor.manager.library import PastRun
from cachedoctor.plans import sieve
from cachedoctor.plans.holdings import Holding
from cachedoctor.report import holdings_text
from cachedoctor.text import plural, size
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cachedoctor.browse.looking import Look

Subject = Holding | Finding | PastRun
MARKS = {
    Status.READY: "✓",
    Status.INCOMPLETE: "✗",
    Status.CORRUPT: "✗",
    Status.IN_PROGRESS: "…",
    Status.ABSENT: "–",
}
_TEST = re.compile(r"\S+?(?:<=|>=|!=|=|<|>)\S+")


class Column(NamedTuple):
    """One column of a table."""

    name: str
    width: int  # at least, plus a share of the rest if it grows
    right: bool = False  # numbers are right-aligned
    grows: int = 0  # how large its share is
    least: int = 0  # hidden on a terminal narrower than this


class Row(NamedTuple):
    """One row, with the thing it stands for."""

    key: str  # the same from look to look
    cells: tuple[str, ...]  # one for each column
    subject: Subject


class Table(NamedTuple):
    """One of the three tables."""

    name: str  # what it holds, in the screen's words
    columns: tuple[Column, ...]
    sorts: tuple[str, ...]  # the orders it knows, the default first
    empty: str  # what to say when there are no rows


MODELS = Table(
    "models",
    (
        Column("size", 9, right=True),
        Column("last used", 12, right=True),
        Column("", 1),
        Column("model", 22, grows=3),
        Column("needed by", 15, grows=2, least=72),
        Column("refetch", 15, right=True, least=104),
        Column("where", 16, grows=2, least=120),
    ),
    sieve.SORTS,
    "no models here",
)
FINDINGS = Table(
    "findings",
    (
        Column("severity", 8),
        Column("code", 5),
        Column("about", 16, grows=1),
        Column("what is wrong", 24, grows=4),
        Column("cure", 8),
    ),
    ("severity", "code", "size"),
    "no findings",
)
RUNS = Table(
    "changes",
    (
        Column("when", 16),
        Column("state", 8),
        Column("set aside", 9, right=True),
        Column("what was done", 24, grows=3),
        Column("run", 20, least=96),
    ),
    ("newest",),
    "no changes yet",
)
TABLES = (MODELS, FINDINGS, RUNS)


def of(table: Table, look: Look, order: str) -> list[Row]:
    """Return the rows of a table in an order."""
    makers: dict[str, Callable[[Look, str], Iterator[Row]]] = {
        MODELS.name: _models,
        FINDINGS.name: _findings,
        RUNS.name: _runs,
    }
    rows: dict[str, Row] = {}
    for row in makers[table.name](look, order):
        key = row.key if row.key not in rows else f"{row.key} {len(rows)}"
        rows[key] = row._replace(key=key)
    return list(rows.values())


def chosen(rows: Sequence[Row], words: str, look: Look) -> list[Row]:
    """Return the rows that pass a filter: tests as in `list --filter`, and words to find.

    Raises `UsageError` for an invalid test.
    """
    tests = [sieve.test(one, look.now, look.place) for one in _TEST.findall(words)]
    plain = [one.casefold() for one in _TEST.sub(" ", words).split()]

    def passes(row: Row) -> bool:
        if tests and not isinstance(row.subject, Holding):
            return False
        said = " ".join((*row.cells, row.key)).casefold()
        return all(word in said for word in plain) and all(
            test(row.subject) for test in tests if isinstance(row.subject, Holding)
        )

    return [row for row in rows if passes(row)]


def _models(look: Look, order: str) -> Iterator[Row]:
    for one in sieve.ordered(look.found.models, order):
        row = holdings_text.row(one, look.host, look.now)
        cells = (
            row.size,
            row.used,
            MARKS.get(one.status, "?"),
            row.model,
            row.needed_by,
            row.again,
            row.where,
        )
        yield Row(one.id, cells, one)
    for finding in look.found.loose:
        row = holdings_text.loose_row(finding)
        cells = (row.size, row.used, "–", row.model, row.needed_by, row.again, row.where)
        yield Row(key_of(finding), cells, finding)


def _findings(look: Look, order: str) -> Iterator[Row]:
    report = look.found.report
    titles = {entry.id: entry.title for entry in report.entries}
    orders: dict[str, Callable[[Finding], tuple[object, ...]]] = {
        "severity": lambda f: (f.severity.rank, titles.get(next(iter(f.entries), ""), "~"), f.code),
        "code": lambda f: (f.code, f.path),
        "size": lambda f: (-f.bytes, f.code),
    }
    for finding in sorted(report.findings, key=orders[order]):
        entry = next((titles[key] for key in finding.entries if key in titles), "")
        of_what = entry or ", ".join(finding.engines) or look.host.short(finding.path)
        cells = (finding.severity.value, finding.code, of_what, finding.message, _cure(finding))
        yield Row(key_of(finding), cells, finding)


def _cure(finding: Finding) -> str:
    if finding.repair is None:
        return "" if finding.severity is not Severity.NOTE or not finding.bytes else "aside"
    words = {Safety.SAFE: "local", Safety.FETCHES: "download", Safety.MANUAL: "manual"}
    return words[finding.repair.safety]


def _runs(look: Look, _order: str) -> Iterator[Row]:
    for run in look.runs:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_s))
        first = run.repairs[0] if run.repairs else ""
        more = f" and {plural(len(run.repairs) - 1, 'thing')} more" if len(run.repairs) > 1 else ""
        aside = size(run.aside_bytes) if run.aside_bytes else ""
        yield Row(run.id, (when, run.state, aside, f"{first}{more}", run.id), run)


def key_of(finding: Finding) -> str:
    """Return what identifies a finding from look to look."""
    return f"{finding.code} {finding.path}"
