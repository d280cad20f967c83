"""Take back a run from a named journal: on another Mac, or after a state folder was lost.

A named journal is not trusted: only its moves count, each must lead from the journal's own folder
to a place where models are looked for today, and a person has seen them. Then it becomes one of our
own journals, so that taking it back can be interrupted like any other run.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from cachedoctor.errors import RepairError
from cachedoctor.system import journal, own
from cachedoctor.system.ground import below
from cachedoctor.system.run import Run, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.findings import Repair
    from cachedoctor.system.journal import Line

_NOTHING = {"type": "Text", "text": ""}
_NUMBERED = ("intent", "done", "staged", "undone")


def read(path: str, state_folder: str, roots: Sequence[str]) -> Run:
    """Read the journal at `path`, which must be beside its bytes, without changing anything.

    Raises `RepairError` if a move leads anywhere but below the `roots` of today's survey, or if
    there is nothing to take back.
    """
    folder = os.path.dirname(os.path.realpath(path))
    lines = journal.read_named(os.path.abspath(path))
    try:
        name = os.path.basename(folder)
        mine = _mine(lines[0], folder)
        kept = [_bare(lines[0], mine)]
        kept += [line for line in map(_without_modes, lines[1:]) if _of(line, mine)]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RepairError(f"the journal `{path}` cannot be parsed") from error
    if any(run.id == name for run in runs(state_folder)):
        raise RepairError(f"the fix {name} is known here", hint=f"`cachedoctor undo {name}`")
    found = Run.opened(state_folder, os.path.join(journal.runs_of(state_folder), name), kept)
    for number in found.moves:
        _known(found.repairs[number], roots)
    if found.state in ("undone", "emptying", "emptied") or not found.moves:
        raise RepairError(f"the fix {name} has nothing to take back")
    found.source = kept
    return found


def adopt(found: Run, home: str) -> Run:
    """Write a journal that was read into the state folder, and return it as one of our own runs."""
    header = {**found.source[0], "home": os.path.realpath(home)}
    lines = [header, *found.source[1:], {"undoing": True}]  # it can only be taken back
    journal.create(found.state_folder, found.folder, *lines)
    own.keep_reserve(found.state_folder)
    return Run.opened(found.state_folder, found.folder, lines)


def _mine(header: Line, folder: str) -> dict[int, str]:
    """Return the place of each repair whose bytes are beside the journal, by number."""
    found = {}
    for number, repair in enumerate(header["repairs"]):
        root = repair["root"]
        beside = os.path.join(journal.BESIDE, os.path.basename(folder))
        for above in (os.path.dirname(root), root):
            place = os.path.join(above, beside)
            if os.path.realpath(place) == folder:
                found[number] = place
    if not found:
        raise RepairError(
            f"`{folder}` is not the run folder that the journal names, beside its cache",
            hint="the disk must be mounted where it was when the fix was made",
        )
    return found


def _bare(header: Line, mine: dict[int, str]) -> Line:
    """Return a header in this version's form, without anything that only finishing would need."""
    rows: list[Any] = []
    for number, repair in enumerate(header["repairs"]):
        needs = [{**need, "sources": [_NOTHING], "proofs": []} for need in repair["needs"]]
        steps = repair["steps"] if number in mine else []
        more = {"needs": needs if steps else [], "steps": steps, "guards": [], "locks": []}
        rows.append({**repair, **more, "root": repair["root"] if steps else ""})
    anywhere = next(iter(mine.values()))
    return {
        "journal": journal.VERSION,
        "id": header["id"],
        "created_s": header["created_s"],
        "home": "",
        "roots": [],
        "repairs": rows,
        "places": [mine.get(number, anywhere) for number in range(len(rows))],
        "engines": [],
    }


def _of(line: Line, mine: dict[int, str]) -> bool:
    """Return whether a line is about a repair whose bytes are here, or about the whole run."""
    for word in _NUMBERED:
        if word in line:
            return line[word][0] in mine
    return line.get("taken", next(iter(mine))) in mine


def _without_modes(line: Line) -> Line:
    """Return a line with the folders' current permissions, so that it changes none."""
    if "move" not in line:
        return line
    kind, source, target, folders = line["move"]
    now = [[path, _mode(path), mtime] for path, _, mtime in folders]
    return {**line, "move": [kind, source, target, now]}


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return 0o700


def _known(repair: Repair, roots: Sequence[str]) -> None:
    """Raise `RepairError` for a repair of a place where no models are looked for."""
    real = os.path.realpath(repair.root)
    if any(below(real, root) for root in roots):
        return
    ends = [path for step in repair.steps for path in step[:1]]
    if ends and all(any(below(path, root) for root in roots) for path in ends):
        return  # a root that was set aside as a whole
    raise RepairError(
        f"the journal points outside, to `{repair.root}`, where no models are looked for",
        hint="name the place in `cachedoctor.toml` or by its variable if it is yours",
    )
