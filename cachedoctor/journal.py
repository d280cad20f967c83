"""Run folders: the journal of one applied plan, what it staged and what it set aside.

```
<state folder>/runs/<id>/        or, on another file system, <beside the root>/.cachedoctor/<id>/
├── journal.jsonl                header with every repair; intent and done of every step; an end
├── staged/<repair>/<need>       brought and proven before anything changes
├── aside/<number>/<name>        what was in the way
└── undone/<number>/<name>       what an undo took out again
```

A step is written down and synced before it is taken, and again when it is done. A process that dies
between the two leaves one step of which the disk itself tells whether it happened, because every
step is one rename, one link or one new folder.

A project may come with a `.cachedoctor` of its own, so a journal from beside a cache is foreign
input: it is not opened when it leads anywhere but below the folder that `.cachedoctor` is in.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor import disk, holders, moves
from cachedoctor.errors import RepairError
from cachedoctor.findings import Link, MakeFolder, Put, Rename, Repair, SetAside
from cachedoctor.vocabulary import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.findings import Step
    from cachedoctor.vocabulary import Stamp

_VERSION = 1
_BESIDE = ".cachedoctor"
OPEN = ("open", "undoing")  # states of a run that was interrupted


class Kept(NamedTuple):
    """One thing that a run, or its undo, set aside."""

    run: str
    state: str
    path: str  # where it lies now
    origin: str  # where it came from
    size_bytes: int
    when_s: float
    why: str

    @property
    def ended(self) -> bool:
        """Say whether its run is at an end, so that it may be deleted."""
        return self.state not in OPEN


class Run:
    """One applied plan."""

    def __init__(self, folder: str, lines: Sequence[dict[str, Any]]) -> None:
        """Read what the journal's lines say; use `create` or `open`."""
        header = lines[0]
        self.folder = folder
        self._spelling = str(header.get("folder", folder))  # as the moves name it
        self.id: str = header["id"]
        self.created_s = float(header["created_s"])
        self.repairs: tuple[Repair, ...] = tuple(moves.from_json(row) for row in header["repairs"])
        self.state = "open"
        self._moves: dict[int, list[moves.Move]] = {}
        self._done: dict[tuple[int, int], Stamp | None] = {}
        self._undone: set[tuple[int, int]] = set()
        self._taken: set[int] = set()
        for line in lines[1:]:
            self._replay(line)

    @classmethod
    def create(cls, runs_folder: str, repairs: Sequence[Repair], *, now: float) -> Run:
        """Make a run folder for `repairs` and write its header.

        Raises `RepairError` when nothing can be renamed between it and a repair's root.
        """
        prepare(runs_folder)
        for root in {repair.root for repair in repairs if repair.root}:
            if not disk.same_file_system(disk.folder_above(root), runs_folder):
                raise RepairError(f"`{root}` is a file system of its own: nothing can be set aside")
        stem = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        while True:  # a fix of two file systems has two runs in one second: ids must differ
            name = f"{stem}-{os.urandom(2).hex()}"
            folder = os.path.join(runs_folder, name)
            if disk.make_folder(folder):
                break
        header = {
            "journal": _VERSION,
            "id": name,
            "folder": folder,
            "created_s": now,
            "repairs": [moves.to_json(repair) for repair in repairs],
        }
        disk.write(os.path.join(folder, "journal.jsonl"), moves.line(header))
        for part in ("staged", "aside", "undone"):
            disk.make_folder(os.path.join(folder, part))
        return cls(folder, [header])

    @classmethod
    def open(cls, folder: str) -> Run:
        """Read a run back; a torn line was never acted on and is passed over.

        Raises `RepairError` when there is no journal of a version we know, or one from beside a
        cache leads out of there.
        """
        lines = []
        try:
            with open(os.path.join(folder, "journal.jsonl"), "rb") as file:
                for raw in file:
                    with contextlib.suppress(ValueError):
                        lines.append(json.loads(raw))
        except OSError as error:
            raise RepairError(f"no journal can be read in `{folder}`") from error
        try:
            if lines[0]["journal"] != _VERSION:
                raise RepairError(f"the journal in `{folder}` is of a version that is not known")
            run = cls(folder, lines)
            run._confine(lock for repair in run.repairs for lock in repair.locks)
            for number, repair in enumerate(run.repairs):
                run._confine(run.staged_path(number, need.name) for need in repair.needs)
            for key in run._keys():
                run._confine(run._at(key).ends)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise RepairError(f"the journal in `{folder}` cannot be understood") from error
        return run

    def staged_path(self, number: int, name: str) -> str:
        """Return where the need `name` of a repair is staged."""
        return os.path.join(self.folder, "staged", str(number), name)

    def taken(self, number: int) -> bool:
        """Say whether all steps of a repair were taken."""
        return number in self._taken

    def placed(self, number: int, name: str) -> bool:
        """Say whether the need `name` of a repair was already put in its place."""
        logged = self._moves.get(number, [])
        for position, step in enumerate(self.repairs[number].steps[: len(logged)]):
            if isinstance(step, Put) and step.name == name:
                return (number, position) in self._done or moves.happened(logged[position])
        return False

    @property
    def begun(self) -> bool:
        """Say whether anything outside the run folder may have changed."""
        return bool(self._moves)

    def take(self, number: int) -> None:
        """Take the steps of one repair, or those that an interrupted run left.

        Raises `RepairError` when a file is no longer what the repair was built from.
        """
        if number in self._taken:
            return
        repair = self.repairs[number]
        if number not in self._moves:
            _guard(repair)
        with _explained("scan again; what was begun can be taken back"):
            for position, step in enumerate(repair.steps):
                if (number, position) not in self._done:
                    self._step(number, position, step)
            self._log({"taken": number})

    def _step(self, number: int, position: int, step: Step) -> None:
        logged = self._moves.get(number, [])
        if position < len(logged):
            move = logged[position]
            finished = moves.happened(move)
        else:
            move = self._move(number, position, step)
            self._log({"intent": [number, position], "move": move})
            finished = False
        if not finished:
            self._confine(move.ends)  # an earlier step may have made a link on the way there
            moves.perform(move)
        self._log({"done": [number, position], "stamp": disk.stamp(move.target)})

    def close(self, outcome: str) -> None:
        """Write the end, `done` or `failed`; what was staged and not used is removed."""
        self._log({"closed": outcome})
        disk.remove_tree(os.path.join(self.folder, "staged"))

    def undo(self, later: Sequence[Run] = ()) -> None:
        """Go backwards through the steps until everything is as it was before the run.

        What the run had placed is set aside, not deleted; a folder that it made stays when others
        have put something in. Raises `RepairError`, before anything is changed, when what it placed
        is no longer what it was or a run of `later` touched the same path, or one above or below.
        """
        if self.state == "undone":
            return
        if self.state == "emptied":
            raise RepairError(f"what the fix {self.id} had set aside was deleted")
        order = [key for key in self._keys() if key not in self._undone]
        mine = {path for key in order for path in self._paths(key)}
        for other in later:
            if other.state in ("undone", "emptied"):
                continue
            shared = [p for p in other.paths() if any(_below(p, q) or _below(q, p) for q in mine)]
            if shared:
                raise RepairError(
                    f"the later fix {other.id} changed `{min(shared)}` as well",
                    hint=f"take that one back first: `cachedoctor undo {other.id}`",
                )
        for key in order:
            self._unchanged(key, order)
        with _explained(f"correct that, then `cachedoctor undo {self.id}` goes on"):
            self._log({"undoing": True})
            for key in reversed(order):
                self._invert(key)
            self._log({"closed": "undone"})
            disk.remove_tree(os.path.join(self.folder, "staged"))

    def paths(self) -> set[str]:
        """Return every path outside the run folder that this run changed."""
        return {path for key in self._keys() for path in self._paths(key)}

    def kept(self) -> Iterator[Kept]:
        """Go through what the run, or its undo, set aside and still holds."""
        for key in self._keys():
            move = self._at(key)
            why = self.repairs[key[0]].describe
            for path, origin in ((move.target, move.source), (self._back(key), move.target)):
                if self._own(path) and os.path.lexists(path):
                    size = _size(path)
                    yield Kept(self.id, self.state, path, origin, size, self.created_s, why)

    def empty(self) -> None:
        """Delete for good what the run set aside; it can no longer be undone."""
        if self.state in OPEN:
            raise RepairError(f"the fix {self.id} is not finished; nothing of it was deleted")
        self._log({"closed": "emptied"})
        for part in ("aside", "undone", "staged"):
            disk.remove_tree(os.path.join(self.folder, part))

    def _move(self, number: int, position: int, step: Step) -> moves.Move:
        """Say what a step comes down to."""
        match step:
            case SetAside(path=path):
                place = os.path.join(self.folder, "aside", f"{number}.{position}")
                self._confine((place,))
                disk.make_folders(place)
                source, target = path, os.path.join(place, os.path.basename(path))
                kind = "rename"
            case Put(name=name, path=path):
                kind, source, target = "rename", self.staged_path(number, name), path
            case Rename(path=path, target=to):
                kind, source, target = "rename", path, to
            case Link(path=path, target=to):
                kind, source, target = "link", to, path
            case MakeFolder(path=path):
                there = os.path.isdir(path)
                kind, source, target = "folder", "there" if there else "", path
        parents = {os.path.dirname(target)}
        if kind == "rename":
            parents.add(os.path.dirname(source))
        folders = [moves.times(path) for path in sorted(parents) if not self._own(path)]
        return moves.Move(kind, source, target, tuple(folders))

    def _keys(self) -> Iterator[tuple[int, int]]:
        """Return the numbers of the moves that may have been made, in order."""
        return (
            (n, position) for n, logged in self._moves.items() for position in range(len(logged))
        )

    def _at(self, key: tuple[int, int]) -> moves.Move:
        return self._moves[key[0]][key[1]]

    def _own(self, path: str) -> bool:
        return _below(path, self.folder) or _below(path, self._spelling)

    def _confine(self, paths: Iterable[str]) -> None:
        """Refuse what leads out of the folder above, for a journal from beside a cache."""
        runs = os.path.dirname(self.folder)
        above = os.path.realpath(os.path.dirname(runs))
        for path in paths if os.path.basename(runs) == _BESIDE else ():
            if not _below(os.path.realpath(os.path.dirname(path)), above):
                raise RepairError(
                    f"the journal in `{self.folder}` leads out to `{path}`",
                    hint=f"nothing there was changed; delete `{self.folder}` if it is not yours",
                )

    def _paths(self, key: tuple[int, int]) -> list[str]:
        move = self._at(key)
        made = move.kind != "folder" or not move.source
        return [path for path in move.ends if made and not self._own(path)]

    def _unchanged(self, key: tuple[int, int], order: Sequence[tuple[int, int]]) -> None:
        """Refuse when what a step placed has changed since, or something is in its way back."""
        move = self._at(key)
        placed = self._done.get(key)
        if placed is None or move.kind == "folder":
            return
        here = self._moved_on(key, order)
        back = self._back(key)
        now = disk.stamp(here) or disk.stamp(back)
        same = now is not None and now.inode == placed.inode
        if same and now is not None and not os.path.isdir(here):
            same = now[2:4] == placed[2:4]
        if not same:
            raise RepairError(
                f"`{here}` was changed after the fix {self.id}",
                hint="move it out of the way if it is not wanted, then try again",
            )
        if os.path.lexists(here) and os.path.lexists(back) and not self._own(back):
            ours = [self._at(later) for later in order if later > key]
            made = [m.target for m in ours if m.kind == "folder" and not m.source]
            if back not in made and not any(
                _below(back, m.target) for m in ours if m.kind != "folder"
            ):
                raise RepairError(f"something is at `{back}` again")

    def _moved_on(self, key: tuple[int, int], order: Sequence[tuple[int, int]]) -> str:
        """Return where what a step placed lies after the renames that came later and still hold."""
        path = self._at(key).target
        for later in order:
            move = self._at(later)
            # only the last one may be half taken back, and then the disk tells
            holds = move.kind == "rename" and (later != order[-1] or os.path.lexists(move.target))
            if later > key and holds and _below(path, move.source):
                path = move.target + path[len(move.source) :]
        return path

    def _back(self, key: tuple[int, int]) -> str:
        """Return where undoing a step puts what the step had placed."""
        move = self._at(key)
        if move.kind == "rename" and not self._own(move.source):
            return move.source
        place = os.path.join(self.folder, "undone", f"{key[0]}.{key[1]}")
        return os.path.join(place, os.path.basename(move.target))

    def _invert(self, key: tuple[int, int]) -> None:
        move = self._at(key)
        if key in self._done or moves.happened(move):
            if move.kind == "folder":
                if not move.source and os.path.isdir(move.target) and not os.listdir(move.target):
                    disk.remove_folder(move.target)
            elif os.path.lexists(move.target):  # an interrupted undo may have moved it already
                back = self._back(key)
                self._confine((move.target, back))
                disk.make_folders(os.path.dirname(back))
                disk.rename(move.target, back)
        for path, mode, mtime_ns in move.folders:
            if os.path.isdir(path):
                self._confine((f"{path}/",))
                with contextlib.suppress(PermissionError):  # a shared folder that is not ours
                    disk.restore_times(path, mode, mtime_ns)
        self._log({"undone": list(key)})

    def _log(self, line: dict[str, Any]) -> None:
        disk.append(os.path.join(self.folder, "journal.jsonl"), moves.line(line))
        self._replay(json.loads(moves.line(line)))

    def _replay(self, line: dict[str, Any]) -> None:
        if "intent" in line:
            number, position = line["intent"]
            self.repairs[number].steps[position]  # a move of no step is no journal of ours
            kind, source, target, folders = line["move"]
            known = tuple((path, mode, mtime) for path, mode, mtime in folders)
            self._moves.setdefault(number, []).append(moves.Move(kind, source, target, known))
        elif "done" in line:
            number, position = line["done"]
            placed = line["stamp"]
            self._done[number, position] = Stamp(*placed) if placed else None
        elif "taken" in line:
            self._taken.add(line["taken"])
        elif "undone" in line:
            number, position = line["undone"]
            self._undone.add((number, position))
        elif "undoing" in line:
            self.state = "undoing"
        elif "closed" in line:
            self.state = line["closed"]


def runs_folder(root: str, state_folder: str) -> str:
    """Return where the runs of `root` belong, there or not yet: renames need one file system."""
    there = disk.folder_above(root)
    if disk.same_file_system(there, disk.folder_above(state_folder)):
        return os.path.join(state_folder, "runs")
    above = os.path.dirname(root)
    if there == root and not disk.same_file_system(root, above):
        return os.path.join(root, _BESIDE)  # a mount of its own has no place beside it
    return os.path.join(above, _BESIDE)


def lock_file(runs_folder: str) -> str:
    """Name the file that a fix holds while it works in a folder of runs."""
    return os.path.join(runs_folder, "lock")


def prepare(runs: str) -> None:
    """Make a folder of runs; one beside a cache is kept out of version control."""
    disk.make_folders(runs)
    ignore = os.path.join(runs, ".gitignore")
    if os.path.basename(runs) == _BESIDE and not os.path.lexists(ignore):
        words = b"# what cachedoctor set aside: `cachedoctor quarantine list` shows it\n"
        disk.write(ignore, words + b"*\n")


def runs(folder: str) -> list[Run]:
    """Return the runs in a folder, the newest last; what is no run is passed over."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            with contextlib.suppress(RepairError):
                found.append(Run.open(os.path.join(folder, name)))
    return sorted(found, key=lambda run: (run.created_s, run.id))


def unfinished(folders: Sequence[str]) -> list[Run]:
    """Return the runs without an end, but for those that are being worked on right now."""
    idle = [folder for folder in folders if not holders.lock_held(lock_file(folder))]
    return [run for folder in idle for run in runs(folder) if run.state in OPEN]


@contextlib.contextmanager
def _explained(hint: str) -> Iterator[None]:
    """Turn what the operating system refuses into an error that says how to go on."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename
        raise RepairError(
            f"{error.strerror}: `{where}`" if where else str(error), hint=hint
        ) from error


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _guard(repair: Repair) -> None:
    """Refuse when a file is no longer what it was, or when a step would leave the repair's root."""
    root = os.path.realpath(repair.root)
    for step in repair.steps:
        ends = (step.path, step.target) if isinstance(step, Rename) else (step.path,)
        for path in ends if repair.root and not isinstance(step, MakeFolder) else ():
            parent = os.path.realpath(os.path.dirname(path))
            if parent != root and not parent.startswith(root.rstrip("/") + "/"):
                raise RepairError(
                    f"a step leads out to `{path}`, which is not in `{root}`",
                    hint="nothing was changed",
                )
    for path, expected in repair.guards:
        now = disk.stamp(path)
        same = now == expected
        if now is not None and expected is not None:
            same = now.inode == expected.inode and now[2:4] == expected[2:4]
        if not same:
            was = "was not there" if expected is None else "was different"
            raise RepairError(
                f"`{path}` {was} when it was examined; somebody changed it since",
                hint="scan again; nothing was changed",
            )


def _size(path: str) -> int:
    if not os.path.isdir(path) or os.path.islink(path):
        return os.lstat(path).st_size
    return sum(
        os.lstat(os.path.join(base, name)).st_size
        for base, _, names in os.walk(path)
        for name in names
    )
