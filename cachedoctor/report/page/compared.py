"""Many machines → hosts by models: what most have, and who differs, the oddest first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Severity
from cachedoctor.text import plural, size
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cachedoctor.report.page.machines import Look, Machine
    from cachedoctor.report.page.readings import Model

_MOST_COLUMNS = 40
_HEALTHY = ("", "healthy", "findings")  # states of machines that answered
MARKS = {"ready": "✓", "broken": "✗", "warned": "!", "none": "–", "unknown": "?"}

Key = tuple[str, str]  # engines, and a model by their name for it


class Cell(NamedTuple):
    """One model on one machine."""

    kind: str  # ready, broken, warned, none, unknown
    mark: str
    words: str  # for readers who cannot see the mark
    odd: bool  # most others have something else


class Row(NamedTuple):
    """One machine."""

    name: str
    state: str
    why: str
    size: str
    bytes: int
    errors: int
    warnings: int
    cells: tuple[Cell, ...]
    odd: int


class Matrix(NamedTuple):
    """Hosts by the models that differ between them, then what all have."""

    columns: tuple[Key, ...]
    rows: tuple[Row, ...]
    alike: tuple[str, ...]
    left_out: int


def matrix(machines: Sequence[Machine]) -> Matrix:
    """Compare machines with each other."""
    stands = {machine.name: _states(machine.last) for machine in machines}
    answered = [machine for machine in machines if machine.last]
    keys = dict.fromkeys(key for machine in answered for key in stands[machine.name])
    usual: dict[Key, tuple[str, str]] = {}
    differing: list[tuple[int, Key]] = []
    alike: list[str] = []
    for key in keys:
        seen = Counter(stands[machine.name].get(key, ("none", "")) for machine in answered)
        usual[key] = max(seen, key=lambda each: seen[each])
        if len(seen) == 1 and usual[key][0] == "ready":
            alike.append(f"{key[1]} ({key[0]})")
        else:
            differing.append((seen[usual[key]], key))
    columns = [key for _, key in sorted(differing)]
    rows = [_row(machine, stands[machine.name], columns, usual) for machine in machines]
    rows.sort(key=lambda row: (row.state in _HEALTHY, -row.odd, -row.errors, row.name))
    shown = columns[:_MOST_COLUMNS]
    rows = [row._replace(cells=row.cells[:_MOST_COLUMNS]) for row in rows]
    return Matrix(tuple(shown), tuple(rows), tuple(alike), len(columns) - len(shown))


def answered(machine: Machine) -> bool:
    """Return whether a machine answered the question."""
    return machine.state in _HEALTHY


def _states(look: Look | None) -> Mapping[Key, tuple[str, str]]:
    """Return the state and the revision of each model on a machine."""
    if look is None:
        return {}
    warned = {
        entry
        for found in look.findings
        if found.severity is not Severity.NOTE
        for entry in found.entries
    }
    stand: dict[Key, tuple[str, str]] = {}
    for model in look.models:
        if model.engines:
            key = (", ".join(model.engines), model.title)
            kind = _kind(model, warned=model.id in warned)
            if stand.get(key, ("none", ""))[0] != "ready":  # one whole copy is enough
                stand[key] = (kind, model.revision[:7])
    for answer in look.ready:
        key = (answer.engine, answer.model)
        if not look.models and answer.model:
            stand[key] = ("ready" if answer.ready else "broken", "")
    return stand


def _kind(model: Model, *, warned: bool) -> str:
    if model.broken:
        return "broken"
    if model.status != Status.READY:
        return "unknown"
    return "warned" if warned else "ready"


def _row(
    machine: Machine,
    stand: Mapping[Key, tuple[str, str]],
    columns: Sequence[Key],
    usual: Mapping[Key, tuple[str, str]],
) -> Row:
    look = machine.last
    cells = [_cell(stand.get(key, ("none", "")), usual[key]) for key in columns] if look else []
    found = look.findings if look else ()
    amount = sum(model.bytes for model in look.models) if look else 0
    return Row(
        name=machine.name,
        state=machine.state or _state(found),
        why=machine.why,
        size=f"{plural(len(look.models), 'model')}, {size(amount)}" if look else "",
        bytes=amount,
        errors=sum(one.severity is Severity.ERROR for one in found),
        warnings=sum(one.severity is Severity.WARNING for one in found),
        cells=tuple(cells),
        odd=sum(cell.odd for cell in cells),
    )


def _state(found: Sequence[object]) -> str:
    grave = any(getattr(one, "severity", None) is Severity.ERROR for one in found)
    return "findings" if grave else "healthy"


def _cell(mine: tuple[str, str], usual: tuple[str, str]) -> Cell:
    kind, revision = mine
    words = {"none": "not here", "warned": "ready, with a warning"}.get(kind, kind)
    odd = mine != usual
    if odd and kind == usual[0] and revision:
        words += f" at {revision}, most others at {usual[1] or 'none'}"
    elif odd:
        words += f"; most machines: {'not here' if usual[0] == 'none' else usual[0]}"
    return Cell(kind, MARKS[kind], words, odd)
