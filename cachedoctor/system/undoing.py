"""Undo a run: walk back through its steps, keeping what people have added since."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor.errors import RepairError
from cachedoctor.findings import Put
from cachedoctor.system import disk, moves
from cachedoctor.system.ground import below
from cachedoctor.system.run import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.system.logbook import Key
    from cachedoctor.system.run import Run


def plain(*words: str) -> str:
    """Return a command for this user's own home, without options."""
    return " ".join(("cachedoctor", *words))


def undo(
    run: Run,
    later: Sequence[Run] = (),
    *,
    command: Callable[..., str] = plain,
    lost: bool = False,
) -> None:
    """Walk back through the steps of a run until everything is as it was before.

    What the run had placed is set aside, not deleted; a folder that it created stays if others
    have put something in. Raises `RepairError`, before changing anything, as `check` does.
    """
    if run.state == "undone":
        return
    away = check(run, later, command=command, lost=lost)
    with explained(f"correct that, then `{command('undo', run.id)}` goes on"):
        run.log({"undoing": True})
        for key in reversed(left(run)):
            if key[0] in away:
                run.log({"undone": list(key)})
            else:
                _invert(run, key)
        run.log({"closed": "undone"})
        run.drop("staged")


def check(
    run: Run, later: Sequence[Run], *, command: Callable[..., str] = plain, lost: bool = False
) -> frozenset[int]:
    """Return which repairs of a run cannot be undone because their disk is `lost`.

    Raises `RepairError` if the run cannot be undone: a placed item has changed, or a run of `later`
    touched the same path, or one above or below, or a disk is missing that is not given up as
    `lost`. The error suggests what to do next, using `command` to spell commands.
    """
    if run.state in ("emptying", "emptied"):
        raise RepairError(f"what the fix {run.id} had set aside was deleted")
    away = frozenset(number for number, _ in gone(run))
    if not lost:
        require_disks(run, command=command)
    order = [key for key in left(run) if key[0] not in away]
    mine = {path for key in order for path in run.paths_of(key)}
    for other in later:
        if other.state in ("undone", "emptied"):
            continue
        shared = [p for p in other.paths() if any(below(p, q) or below(q, p) for q in mine)]
        if shared:
            raise RepairError(
                f"the later fix {other.id} changed `{min(shared)}` as well",
                hint=f"undo that one first: `{command('undo', other.id)}`",
            )
    with explained("nothing was changed"):
        for key in order:
            _unchanged(run, key, order)
    return away


def require_disks(run: Run, *, command: Callable[..., str] = plain) -> None:
    """Raise `RepairError` if a disk that a run has changed is missing."""
    for _, root in gone(run):
        whole = command("undo", run.id, "--lost")
        raise RepairError(
            f"the disk of `{root}` is missing, and the fix {run.id} has changed it",
            hint=f"reconnect it and try again; if it is lost, `{whole}` undoes the rest",
        )


def gone(run: Run) -> list[tuple[int, str]]:
    """Return the repairs whose disk is missing, each with its root.

    A disk is missing if neither the run's folder on it nor anything that was moved exists.
    """
    made: dict[int, list[Key]] = {}
    for key in left(run):
        if run.at(key).kind == "rename" and key in run.done:
            made.setdefault(key[0], []).append(key)
    return [
        (number, run.repairs[number].root)
        for number, keys in made.items()
        if run.header.places[number] in run.apart
        and not os.path.lexists(run.header.places[number])
        and not any(os.path.lexists(p) for key in keys for p in (*run.at(key).ends, back(run, key)))
    ]


def left(run: Run) -> list[Key]:
    """Return the moves that were made and not undone yet, in order."""
    return [key for key in run.numbers() if key not in run.undone]


def words(run: Run) -> list[str]:
    """Describe, one line per step, what undoing the run would do."""
    found = []
    for key in reversed(left(run)):
        move = run.at(key)
        if move.kind == "share":
            continue
        if move.kind == "folder":
            if not move.source:
                found.append(f"remove the folder `{move.target}` if it is empty")
        else:
            found.append(f"move `{move.target}` to `{back(run, key)}`")
    return found


def back(run: Run, key: Key) -> str:
    """Return where undoing a step puts what the step had placed."""
    move = run.at(key)
    if move.kind == "rename" and not run.own(move.source):
        return move.source
    place = os.path.join(run.header.places[key[0]], "undone", f"{key[0]}.{key[1]}")
    return os.path.join(place, os.path.basename(move.target))


def _unchanged(run: Run, key: Key, order: Sequence[Key]) -> None:
    """Refuse if what a step placed has changed since, or if something blocks its way back."""
    move = run.at(key)
    if move.kind in ("folder", "share") or (key not in run.done and not moves.happened(move)):
        return  # the last step, begun but never made
    here, away = _current_path(run, key, order), back(run, key)
    now = disk.stamp(here) or disk.stamp(away)
    placed = run.done.get(key)
    inode = placed.inode if placed else move.inode
    if now is None:
        raise RepairError(
            f"`{here}` is gone since the fix {run.id}",
            hint="put it back and try again, or leave the fix as it is",
        )
    if (inode and now.inode != inode) or _difference(run, key, here, order):
        how = _difference(run, key, here, order) or f"`{here}` was changed"
        raise RepairError(
            f"{how} after the fix {run.id}",
            hint="move it out of the way if it is not wanted, then try again",
        )
    if os.path.lexists(here) and os.path.lexists(away) and not run.own(away):
        ours = [run.at(later) for later in order if later > key]
        made = [m.target for m in ours if m.kind == "folder" and not m.source]
        if away not in made and not any(below(away, m.target) for m in ours if m.kind != "folder"):
            raise RepairError(
                f"something is at `{away}` again",
                hint="move it out of the way if it is not wanted, then try again",
            )


def _difference(run: Run, key: Key, here: str, order: Sequence[Key]) -> str:
    """Return how a placed file or folder differs from what the run left."""
    if not os.path.lexists(here):
        return ""  # an interrupted undo has already moved it
    step = run.repairs[key[0]].steps[key[1]]
    placed = run.done.get(key)
    if isinstance(step, Put):
        rows = run.placed_rows.get(key) or run.staged.get((key[0], step.name))
        if rows:
            touched = [p for later in order if later > key for p in run.at(later).ends]
            mine = [os.path.relpath(p, here) for p in touched if below(p, here) and p != here]
            return moves.difference(rows, here, mine)
    if placed is not None and not os.path.isdir(here):
        now = disk.stamp(here)
        if now is None or now[2:4] != placed[2:4]:
            return f"`{here}` was changed"
    return ""


def _current_path(run: Run, key: Key, order: Sequence[Key]) -> str:
    """Return where a step's placed item is now, after later renames that still hold."""
    path = run.at(key).target
    for later in order:
        move = run.at(later)
        # only the last one can be half undone, and then the disk decides
        holds = move.kind == "rename" and (later != order[-1] or os.path.lexists(move.target))
        if later > key and holds and below(path, move.source):
            path = move.target + path[len(move.source) :]
    return path


def _invert(run: Run, key: Key) -> None:
    move, grounds = run.at(key), run.grounds(key[0])
    if key in run.done or moves.happened(move):
        if move.kind == "share":
            pass  # the bytes are the same, shared or not
        elif move.kind == "folder":
            if not move.source and os.path.isdir(move.target) and not os.listdir(move.target):
                disk.remove_folder(move.target, grounds)
        elif os.path.lexists(move.target):  # an interrupted undo could have moved it already
            away = back(run, key)
            if run.own(away):
                run.make_own(key[0], "undone", f"{key[0]}.{key[1]}")
            disk.rename(move.target, away, grounds)
    for path, mode, mtime_ns in move.folders:
        if os.path.isdir(path):
            with contextlib.suppress(PermissionError):  # a shared folder that is not ours
                disk.restore_times(path, mode, mtime_ns, grounds)
    run.log({"undone": list(key)})
