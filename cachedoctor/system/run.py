"""One applied plan: what it staged, the steps it took, and where its bytes are.

```
<state folder>/runs/<id>/        or, on another file system, <beside the root>/.cachedoctor/<id>/
├── staged/<repair>/<need>       fetched or copied, and proven, before anything changes
├── aside/<number>/<name>        what was in the way
└── undone/<number>/<name>       what an undo removed again
```

A step is recorded and synced before it is taken, and again when it is done. A process that dies
between the two leaves one step in doubt, and the disk itself tells whether it happened, because
every step is one rename, one symlink or one new folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

from cachedoctor.errors import RepairError
from cachedoctor.findings import MakeFolder, Put, Rename, SetAside
from cachedoctor.looking import quietly
from cachedoctor.system import disk, ground, in_use, journal, moves, own
from cachedoctor.system.confinement import DefectError
from cachedoctor.system.ground import below
from cachedoctor.system.logbook import OPEN, Key, Logbook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.findings import Repair, Step
    from cachedoctor.system.ground import Ground
    from cachedoctor.system.journal import Line
    from cachedoctor.system.moves import Move
    from cachedoctor.vocabulary import Digest


class Run(Logbook):
    """One applied plan."""

    def __init__(self, state_folder: str, folder: str, lines: Sequence[Line]) -> None:
        """Parse the lines of a journal; use `create` or `opened` instead."""
        super().__init__(state_folder, folder, lines)
        self._grounds: dict[int, tuple[Ground, ...]] = {}

    @classmethod
    def opened(cls, state_folder: str, folder: str, lines: Sequence[Line]) -> Run:
        """Open an existing run.

        Raises `RepairError` if a field of its journal is not one of ours or points outside.
        """
        try:
            return cls(state_folder, folder, lines)
        except (
            DefectError, LookupError, TypeError, ValueError, AttributeError, RecursionError,
            OverflowError,
        ) as error:  # fmt: skip
            raise RepairError(f"the journal in `{folder}` cannot be parsed") from error

    @classmethod
    def create(
        cls,
        state_folder: str,
        repairs: Sequence[Repair],
        *,
        now: float,
        home: str = "",
        roots: Sequence[str] = (),
        engines: Sequence[Sequence[str]] = (),
    ) -> Run:
        """Create the folders for a run of `repairs` and write its header.

        Raises `RepairError` if nothing can be renamed between them and a repair's root.
        """
        own.make_folder(journal.runs_of(state_folder))
        own.keep_reserve(state_folder)
        stem = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        while True:
            name = f"{stem}-{os.urandom(2).hex()}"
            folder = os.path.join(journal.runs_of(state_folder), name)
            if not os.path.lexists(folder):
                break
        places = [place_of(repair.root, state_folder, name) for repair in repairs]
        header = {
            "journal": journal.VERSION,
            "id": name,
            "created_s": now,
            "home": os.path.realpath(home) if home else "",
            "roots": list(dict.fromkeys(roots)),
            "repairs": [journal.to_json(repair) for repair in repairs],
            "places": places,
            "engines": [list(names) for names in engines],
        }
        made = cls.opened(state_folder, folder, [header])
        own.require_room(state_folder, sum(len(repair.steps) for repair in repairs))
        journal.create(state_folder, folder, header)
        try:
            for place in made.apart:
                _prepare(place)
                with contextlib.suppress(OSError):  # needed only if the state folder is lost
                    own.write(os.path.join(place, journal.NAME), journal.line(header))
            for repair, place in zip(repairs, places, strict=True):
                _reachable(repair.root, place)
        except (OSError, RepairError):
            made.discard()
            raise
        return made

    def placed(self, number: int, name: str) -> bool:
        """Return whether the need `name` of a repair has been put in place."""
        logged = self.moves.get(number, [])
        for position, step in enumerate(self.repairs[number].steps[: len(logged)]):
            if isinstance(step, Put) and step.name == name:
                return (number, position) in self.done or moves.happened(logged[position])
        return False

    def ready(self, number: int, name: str) -> bool:
        """Return whether a need was staged and proven, and is unchanged since."""
        rows, path = self.staged.get((number, name)), self.staged_path(number, name)
        return bool(rows and os.path.lexists(path) and not moves.difference(rows, path))

    def left(self, number: int) -> tuple[Step, ...]:
        """Return the steps of a repair that have not been taken."""
        if self.taken(number):
            return ()
        steps = self.repairs[number].steps
        return tuple(s for position, s in enumerate(steps) if not self._made((number, position)))

    def note_staged(self, number: int, name: str, digests: Mapping[str, Digest]) -> None:
        """Record that a need was proven, and its content, so that it is never made again."""
        rows = moves.inventory(self.staged_path(number, name), digests)
        self.log({"staged": [number, name], "rows": journal.to_json(rows)})

    def take(self, number: int) -> None:
        """Take the steps of one repair, or those that an interrupted run left.

        Raises `RepairError` if a file has changed since the repair was built.
        """
        if number in self._taken:
            return
        repair = self.repairs[number]
        if number not in self.moves:
            guard(repair, self.grounds(number))
        with explained("scan again"):
            for position, step in enumerate(repair.steps):
                if (number, position) not in self.done:
                    self._step((number, position), step)
            self.log({"taken": number})

    def close(self, outcome: str) -> None:
        """Record the outcome, `done` or `failed`, and remove what was staged but not used."""
        self.log({"closed": outcome})
        self.drop("staged")

    def drop(self, *parts: str) -> None:
        """Remove parts of the run's folders."""
        for place in self.places:
            for part in parts:
                disk.remove_tree(os.path.join(place, part))

    def discard(self) -> None:
        """Remove a run that could not begin, leaving no trace."""
        for place in (*self.apart, self.folder):
            with contextlib.suppress(OSError, RepairError):
                disk.remove_tree(place)

    def grounds(self, number: int) -> tuple[Ground, ...]:
        """Return the folders in which a repair's steps may work, resolved once."""
        if number not in self._grounds:
            root, place = self.repairs[number].root, self.header.places[number]
            found = [ground.resolved(path) for path in (root, place) if path]
            above = {os.path.dirname(step.path) for step in self._above(number)}
            found += [ground.resolved(path) for path in above]
            self._grounds[number] = tuple(found)
        return self._grounds[number]

    def log(self, line: Line) -> None:
        """Write a line to the journal and apply it."""
        copies = [place for place in self.apart if os.path.lexists(f"{place}/{journal.NAME}")]
        journal.append(self.state_folder, self.folder, line, copies)
        try:
            self.replay(line)
        except DefectError as error:
            raise RepairError(f"the journal in `{self.folder}` cannot be continued") from error

    def make_own(self, number: int, *parts: str) -> str:
        """Return a folder in a repair's place, creating it if missing."""
        folder = os.path.join(self.header.places[number], *parts)
        own.with_reserve(self.state_folder, lambda: own.make_folder(folder))
        return folder

    def _above(self, number: int) -> list[MakeFolder]:
        """Return the steps that create the root itself, or a folder above it."""
        repair = self.repairs[number]
        return [s for s in repair.steps if isinstance(s, MakeFolder) and below(repair.root, s.path)]

    def _made(self, key: Key) -> bool:
        logged = self.moves.get(key[0], [])
        return key in self.done or (key[1] < len(logged) and moves.happened(logged[key[1]]))

    def _step(self, key: Key, step: Step) -> None:
        number, position = key
        logged = self.moves.get(number, [])
        if position < len(logged):
            move = logged[position]
            finished = moves.happened(move)
        else:
            if isinstance(step, SetAside):
                self.make_own(number, "aside", f"{number}.{position}")
            move = self._move(key, step)
            self.log({"intent": [number, position], "move": list(move[:4]), "inode": move.inode})
            finished = False
        if not finished:
            moves.perform(move, self.grounds(number))
        line: Line = {"done": [number, position], "stamp": disk.stamp(move.target)}
        if isinstance(step, Put) and os.path.isdir(move.target):
            known = {row.name: row.digest for row in self.staged.get((number, step.name), ())}
            digests = {name: digest for name, digest in known.items() if digest}
            line["rows"] = journal.to_json(moves.inventory(move.target, digests))
        self.log(line)

    def _move(self, key: Key, step: Step) -> Move:
        """Return the move that a step amounts to on this disk, now."""
        kind, source, target = self.derived(key, step)
        if kind == "folder" and os.path.isdir(target):
            source = "there"
        parents = {os.path.dirname(target)}
        inode = 0
        if kind == "rename":
            parents.add(os.path.dirname(source))
            found = disk.stamp(source)
            inode = found.inode if found else 0
        if kind == "share":
            parents = set()
        folders = [moves.times(path) for path in sorted(parents) if not self.own(path)]
        return moves.Move(kind, source, target, tuple(folders), inode)


def place_of(root: str, state_folder: str, name: str) -> str:
    """Return where the bytes of a run belong, existing or not: renames need one file system."""
    there = disk.folder_above(root) if root else ""
    if not root or disk.same_file_system(there, disk.folder_above(state_folder)):
        return os.path.join(journal.runs_of(state_folder), name)
    above = os.path.dirname(root)
    if there == root and not disk.same_file_system(root, above):
        above = root  # a root that is a mount point has no place beside it
    return os.path.join(above, journal.BESIDE, name)


def runs(state_folder: str) -> list[Run]:
    """Return the runs of the running user, newest last, skipping anything that is not a run."""
    found = []
    owner = own.owner_of(state_folder)
    for folder, lines in journal.each(state_folder):
        with contextlib.suppress(RepairError):
            run = Run.opened(state_folder, folder, lines)
            roots = [repair.root for repair in run.repairs if repair.root]
            if owner == os.geteuid() or all(own.belongs(root, owner) for root in roots):
                found.append(run)
    return sorted(found, key=lambda run: (run.created_s, run.id))


def unfinished(state_folder: str) -> list[Run]:
    """Return the runs without an outcome; none while a fix or an undo is at work."""
    if not os.path.lexists(journal.runs_of(state_folder)):
        return []
    found = [run for run in runs(state_folder) if run.state in OPEN]
    busy = found and in_use.lock_held(journal.lock_file(state_folder))
    return [] if busy else found


@contextlib.contextmanager
def explained(hint: str) -> Iterator[None]:
    """Turn errors of the operating system into one that says how to go on."""
    try:
        yield
    except OSError as error:
        ends = [path for path in (error.filename, error.filename2) if path]
        shut = (
            p for p in map(os.path.dirname, ends) if not quietly.can_access(p, os.W_OK | os.X_OK)
        )
        where = next(shut, ends[-1] if ends else "")
        raise RepairError(
            f"{error.strerror}: `{where}`" if where else str(error), hint=hint
        ) from error


def guard(repair: Repair, grounds: Sequence[Ground]) -> None:
    """Refuse if a file has changed, or if a step would leave the repair's root."""
    for step in repair.steps:
        ends = (step.path, step.target) if isinstance(step, Rename) else (step.path,)
        for path in ends if not isinstance(step, MakeFolder) else ():
            with contextlib.suppress(FileNotFoundError):  # an earlier step creates it
                os.close(ground.open_folder(os.path.dirname(path), grounds))
    for path, expected, tree in repair.guards:
        now = disk.stamp(path)
        same = now == expected
        if now is not None and expected is not None:
            same = now.inode == expected.inode and now[2:4] == expected[2:4]
        if not same:
            was = "was missing" if expected is None else "was different"
            raise RepairError(
                f"`{path}` {was} when it was examined; it has changed since",
                hint="scan again; nothing was changed",
            )
        if tree and now is not None and moves.stamps_of(path) != tree:
            raise RepairError(
                f"something in `{path}` was changed since it was examined",
                hint="try again; nothing was changed",
            )


def holds(repair: Repair) -> bool:
    """Return whether everything is still as it was when a repair was built."""
    try:
        guard(repair, (ground.resolved(repair.root),))
    except (OSError, RepairError):
        return False
    return True


def _prepare(place: str) -> None:
    """Create the folder for a run's bytes beside a cache."""
    own.prepare_beside(os.path.dirname(place))
    if not disk.make_folder(place, 0o700):
        raise RepairError(f"`{place}` already exists")
    own.hand_over(place)


def _reachable(root: str, place: str) -> None:
    if root and not disk.same_file_system(disk.folder_above(root), place):
        raise RepairError(f"`{root}` is a mount point: nothing on it can be set aside")
