"""One applied plan: what it staged, the steps it took, and where its bytes lie.

```
<state folder>/runs/<id>/        or, on another file system, <beside the root>/.cachedoctor/<id>/
├── staged/<repair>/<need>       brought and proven before anything changes
├── aside/<number>/<name>        what was in the way
└── undone/<number>/<name>       what an undo took out again
```

A step is written down and synced before it is taken, and again when it is done. A process that dies
between the two leaves one step of which the disk itself tells whether it happened, because every
step is one rename, one link or one new folder.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor import confinement, disk, ground, holders, journal, moves, own
from cachedoctor.confinement import DefectError, fits
from cachedoctor.errors import RepairError
from cachedoctor.findings import Link, LocalCopy, MakeFolder, Put, Rename, Repair, SetAside
from cachedoctor.ground import below
from cachedoctor.moves import Row
from cachedoctor.vocabulary import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.findings import Step
    from cachedoctor.ground import Ground
    from cachedoctor.journal import Line
    from cachedoctor.moves import Move
    from cachedoctor.vocabulary import Digest

Key = tuple[int, int]  # the number of a repair and of a step in it

OPEN = ("open", "undoing")  # states of a run that was interrupted
ENDED = ("done", "failed", "undone", "emptying", "emptied")
_LATEST_S = 1 << 35


class Header(NamedTuple):
    """What a journal begins with."""

    journal: int
    id: str
    created_s: float
    home: str  # whose caches were repaired
    roots: tuple[str, ...]  # that were surveyed: sources lie in them
    repairs: tuple[Repair, ...]
    places: tuple[str, ...]  # where the bytes of each repair lie
    engines: tuple[tuple[str, ...], ...] = ()  # for which each repair was made


class Run:
    """One applied plan."""

    def __init__(self, state_folder: str, folder: str, lines: Sequence[Line]) -> None:
        """Take in what the journal's lines say; use `create` or `opened`."""
        self.state_folder = state_folder
        self.folder = folder
        self.header = _header(lines[0], folder)
        self.state = "open"
        self.source: Sequence[Line] = ()  # the lines of a journal that was named
        self.moves: dict[int, list[Move]] = {}
        self.done: dict[Key, Stamp | None] = {}
        self.placed_rows: dict[Key, tuple[Row, ...]] = {}
        self.staged: dict[tuple[int, str], tuple[Row, ...]] = {}
        self.undone: set[Key] = set()
        self._taken: set[int] = set()
        self._last: Key | None = None  # the move that was begun last
        self._grounds: dict[int, tuple[Ground, ...]] = {}
        made = confinement.placed_by(self.repairs)
        for number, repair in enumerate(self.repairs):
            confinement.check(repair, self.header.places[number], self.header.roots, made)
        for line in lines[1:]:
            self._replay(line)

    @classmethod
    def opened(cls, state_folder: str, folder: str, lines: Sequence[Line]) -> Run:
        """Read a run back.

        Raises `RepairError` when a field of its journal is none of ours or leads out.
        """
        try:
            return cls(state_folder, folder, lines)
        except (
            DefectError, LookupError, TypeError, ValueError, AttributeError, RecursionError,
            OverflowError,
        ) as error:  # fmt: skip
            raise RepairError(f"the journal in `{folder}` cannot be understood") from error

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
        """Make the folders of a run of `repairs` and write its header.

        Raises `RepairError` when nothing can be renamed between them and a repair's root.
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
                with contextlib.suppress(OSError):  # only for a lost state folder
                    own.write(os.path.join(place, journal.NAME), journal.line(header))
            for repair, place in zip(repairs, places, strict=True):
                _reachable(repair.root, place)
        except (OSError, RepairError):
            made.discard()
            raise
        return made

    @property
    def id(self) -> str:
        """Return its name."""
        return self.header.id

    @property
    def created_s(self) -> float:
        """Return when it was begun."""
        return self.header.created_s

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Return what it was to do."""
        return self.header.repairs

    @property
    def places(self) -> tuple[str, ...]:
        """Name every folder that holds bytes of it."""
        return tuple(dict.fromkeys((self.folder, *self.header.places)))

    @property
    def apart(self) -> tuple[str, ...]:
        """Name the folders of its bytes that are not beside its journal."""
        return tuple(place for place in self.places if not self._beside(place))

    @property
    def begun(self) -> bool:
        """Say whether anything outside its folders may have changed."""
        return bool(self.moves)

    @property
    def finishable(self) -> bool:
        """Say whether it can be taken to its end; a version before did not write enough down."""
        return self.state == "open" and self.header.journal == journal.VERSION

    def staged_path(self, number: int, name: str) -> str:
        """Return where the need `name` of a repair is staged."""
        return os.path.join(self.header.places[number], "staged", str(number), name)

    def taken(self, number: int) -> bool:
        """Say whether all steps of a repair were taken."""
        return number in self._taken

    def placed(self, number: int, name: str) -> bool:
        """Say whether the need `name` of a repair was already put in its place."""
        logged = self.moves.get(number, [])
        for position, step in enumerate(self.repairs[number].steps[: len(logged)]):
            if isinstance(step, Put) and step.name == name:
                return (number, position) in self.done or moves.happened(logged[position])
        return False

    def ready(self, number: int, name: str) -> bool:
        """Say whether a need was staged and proven, and is still what it was then."""
        rows, path = self.staged.get((number, name)), self.staged_path(number, name)
        return bool(rows and os.path.lexists(path) and not moves.difference(rows, path))

    def left(self, number: int) -> tuple[Step, ...]:
        """Return the steps of a repair that were not taken yet."""
        if self.taken(number):
            return ()
        steps = self.repairs[number].steps
        return tuple(s for position, s in enumerate(steps) if not self._made((number, position)))

    def note_staged(self, number: int, name: str, digests: Mapping[str, Digest]) -> None:
        """Write down that a need was proven, and what it is: it is never made again."""
        rows = moves.inventory(self.staged_path(number, name), digests)
        self.log({"staged": [number, name], "rows": journal.to_json(rows)})

    def take(self, number: int) -> None:
        """Take the steps of one repair, or those that an interrupted run left.

        Raises `RepairError` when a file is no longer what the repair was built from.
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
        """Write the end, `done` or `failed`; what was staged and not used is removed."""
        self.log({"closed": outcome})
        self.drop("staged")

    def drop(self, *parts: str) -> None:
        """Remove parts of the run's folders."""
        for place in self.places:
            for part in parts:
                disk.remove_tree(os.path.join(place, part))

    def discard(self) -> None:
        """Remove a run that could not be begun, as if it never was."""
        for place in (*self.apart, self.folder):
            with contextlib.suppress(OSError, RepairError):
                disk.remove_tree(place)

    def paths(self) -> set[str]:
        """Return every path outside the run's folders that this run changed."""
        return {path for key in self.numbers() for path in self.paths_of(key)}

    def paths_of(self, key: Key) -> list[str]:
        """Return the paths outside the run's folders that one step changed."""
        move = self.at(key)
        made = move.kind != "folder" or not move.source
        return [path for path in move.ends if made and not self.own(path)]

    def numbers(self) -> Iterator[Key]:
        """Return the numbers of the moves that may have been made, in order."""
        return (
            (n, position) for n, logged in self.moves.items() for position in range(len(logged))
        )

    def at(self, key: Key) -> Move:
        """Return one move."""
        return self.moves[key[0]][key[1]]

    def own(self, path: str) -> bool:
        """Say whether a path lies in the run's folders."""
        return any(below(path, place) for place in self.places)

    def grounds(self, number: int) -> tuple[Ground, ...]:
        """Return where a repair's steps may work, resolved once."""
        if number not in self._grounds:
            root, place = self.repairs[number].root, self.header.places[number]
            found = [ground.resolved(path) for path in (root, place) if path]
            above = {os.path.dirname(step.path) for step in self._above(number)}
            found += [ground.resolved(path) for path in above]
            self._grounds[number] = tuple(found)
        return self._grounds[number]

    def log(self, line: Line) -> None:
        """Write a line down, and take it in."""
        copies = [place for place in self.apart if os.path.lexists(f"{place}/{journal.NAME}")]
        journal.append(self.state_folder, self.folder, line, copies)
        self._replay(line)

    def make_own(self, number: int, *parts: str) -> str:
        """Return a folder in a repair's place, made where it is missing."""
        folder = os.path.join(self.header.places[number], *parts)
        own.with_reserve(self.state_folder, lambda: own.make_folder(folder))
        return folder

    def _above(self, number: int) -> list[MakeFolder]:
        """Return the steps that make the root itself, or a folder on the way to it."""
        repair = self.repairs[number]
        return [s for s in repair.steps if isinstance(s, MakeFolder) and below(repair.root, s.path)]

    def _beside(self, place: str) -> bool:
        return os.path.realpath(place) == os.path.realpath(self.folder)

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
        """Say what a step comes down to on this disk, now."""
        kind, source, target = self._derived(key, step)
        if kind == "folder" and os.path.isdir(target):
            source = "there"
        parents = {os.path.dirname(target)}
        inode = 0
        if kind == "rename":
            parents.add(os.path.dirname(source))
            found = disk.stamp(source)
            inode = found.inode if found else 0
        folders = [moves.times(path) for path in sorted(parents) if not self.own(path)]
        return moves.Move(kind, source, target, tuple(folders), inode)

    def _derived(self, key: Key, step: Step) -> tuple[str, str, str]:
        """Say what a step comes down to, wherever it is read."""
        number, position = key
        match step:
            case SetAside(path=path):
                place = os.path.join(self.header.places[number], "aside", f"{number}.{position}")
                return "rename", path, os.path.join(place, os.path.basename(path))
            case Put(name=name, path=path):
                return "rename", self.staged_path(number, name), path
            case Rename(path=path, target=to):
                return "rename", path, to
            case Link(path=path, target=to):
                return "link", to, path
            case MakeFolder(path=path):
                return "folder", "", path

    def _replay(self, line: Line) -> None:
        """Take one line in; raises for what no run of ours writes."""
        match line:
            case {"intent": [int(number), int(position)], "move": [kind, source, target, folders]}:
                self._intend((number, position), (kind, source, target), folders, line)
            case {"done": [int(number), int(position)]}:
                _want((number, position) == self._last, "done")
                stamp = line["stamp"]
                if stamp is not None:
                    stamp = Stamp(*stamp)
                    _want(fits(stamp, Stamp), "stamp")
                self.done[number, position] = stamp
                if "rows" in line:
                    self.placed_rows[number, position] = _rows(line["rows"])
            case {"staged": [int(number), str(name)]}:
                _want(name in confinement.needs_of(self.repairs[number]), "staged")
                self.staged[number, name] = _rows(line["rows"])
            case {"taken": int(number)}:
                _want(0 <= number < len(self.repairs), "taken")
                self._taken.add(number)
            case {"undone": [int(number), int(position)]}:
                _want(0 <= position < len(self.moves.get(number, ())), "undone")
                self.undone.add((number, position))
            case {"undoing": True}:
                self.state = "undoing"
            case {"emptying": True}:
                self.state = "emptying"
            case {"closed": str(state)} if state in ENDED:
                self.state = state
            case _:
                raise DefectError("line")

    def _intend(self, key: Key, ends: tuple[str, str, str], folders: Any, line: Line) -> None:
        number, position = key
        before = self._last
        _want(number >= 0 and position == len(self.moves.get(number, ())), "intent")
        _want(before is None or before in self.done, "intent")
        kind, source, target = self._derived(key, self.repairs[number].steps[position])
        there = kind == "folder" and ends[1] == "there"
        _want(ends == (kind, "there" if there else source, target), "move")
        known = tuple((path, mode, mtime) for path, mode, mtime in folders)
        _want(fits(known, tuple[tuple[str, int, int], ...]), "folders")
        parents = {os.path.dirname(target), os.path.dirname(source)}
        for path, mode, mtime in known:
            _want(path in parents and 0 <= mode <= 0o7777 and abs(mtime) < 1 << 62, "folders")
        inode = line.get("inode", 0)
        _want(fits(inode, int), "inode")
        self.moves.setdefault(number, []).append(moves.Move(*ends, known, inode))
        self._last = key


def place_of(root: str, state_folder: str, name: str) -> str:
    """Return where the bytes of a run belong, there or not yet: renames need one file system."""
    there = disk.folder_above(root) if root else ""
    if not root or disk.same_file_system(there, disk.folder_above(state_folder)):
        return os.path.join(journal.runs_of(state_folder), name)
    above = os.path.dirname(root)
    if there == root and not disk.same_file_system(root, above):
        above = root  # a mount of its own has no place beside it
    return os.path.join(above, journal.BESIDE, name)


def runs(state_folder: str) -> list[Run]:
    """Return the runs of the running user, the newest last; what is no run is passed over."""
    found = []
    for folder, lines in journal.each(state_folder):
        with contextlib.suppress(RepairError):
            found.append(Run.opened(state_folder, folder, lines))
    return sorted(found, key=lambda run: (run.created_s, run.id))


def unfinished(state_folder: str) -> list[Run]:
    """Return the runs without an end; none while a fix or an undo is at work."""
    if not os.path.lexists(journal.runs_of(state_folder)):
        return []
    found = [run for run in runs(state_folder) if run.state in OPEN]
    busy = found and holders.lock_held(journal.lock_file(state_folder))
    return [] if busy else found


@contextlib.contextmanager
def explained(hint: str) -> Iterator[None]:
    """Turn what the operating system refuses into an error that says how to go on."""
    try:
        yield
    except OSError as error:
        where = error.filename2 or error.filename
        raise RepairError(
            f"{error.strerror}: `{where}`" if where else str(error), hint=hint
        ) from error


def guard(repair: Repair, grounds: Sequence[Ground]) -> None:
    """Refuse when a file is no longer what it was, or when a step would leave the repair's root."""
    for step in repair.steps:
        ends = (step.path, step.target) if isinstance(step, Rename) else (step.path,)
        for path in ends if not isinstance(step, MakeFolder) else ():
            with contextlib.suppress(FileNotFoundError):  # an earlier step makes it
                os.close(ground.open_folder(os.path.dirname(path), grounds))
    for path, expected, tree in repair.guards:
        now = disk.stamp(path)
        if tree and now is not None and moves.stamps_of(path) != tree:
            raise RepairError(
                f"something in `{path}` was changed since it was examined",
                hint="try again; nothing was changed",
            )
        same = now == expected
        if now is not None and expected is not None:
            same = now.inode == expected.inode and now[2:4] == expected[2:4]
        if not same:
            was = "was not there" if expected is None else "was different"
            raise RepairError(
                f"`{path}` {was} when it was examined; somebody changed it since",
                hint="scan again; nothing was changed",
            )


def _prepare(place: str) -> None:
    """Make the folder for a run's bytes beside a cache."""
    own.prepare_beside(os.path.dirname(place))
    if not disk.make_folder(place, 0o700):
        raise RepairError(f"`{place}` is there already")
    own.hand_over(place)


def _reachable(root: str, place: str) -> None:
    if root and not disk.same_file_system(disk.folder_above(root), place):
        raise RepairError(f"`{root}` is a file system of its own: nothing can be set aside")


def _header(line: Line, folder: str) -> Header:
    """Read a journal's first line, of this version or the one before."""
    repairs = journal.from_json(line["repairs"])
    if line["journal"] == 1:
        spelled = line.get("folder", folder)
        _want(type(spelled) is str and os.path.realpath(spelled) == os.path.realpath(folder), "id")
        near = tuple(repair.root for repair in repairs)
        sources = tuple(
            os.path.dirname(path)
            for repair in repairs
            for need in repair.needs
            for source in need.sources
            for _, path in (source.files if isinstance(source, LocalCopy) else ())
        )  # such a run is only taken back, which reads none of them
        line = {**line, "home": "", "roots": (*near, *sources), "engines": ()}
        line["places"] = [spelled] * len(repairs)
    header = Header(
        line["journal"],
        line["id"],
        float(line["created_s"]),
        line["home"],
        tuple(line["roots"]),
        tuple(repairs),
        tuple(line["places"]),
        tuple(tuple(names) for names in line["engines"]),
    )
    _want(0 <= header.created_s < _LATEST_S and type(line["created_s"]) in (int, float), "time")
    _want(fits(header, Header), "header")
    _want(journal.is_id(header.id) and header.id == os.path.basename(folder), "id")
    _want(len(header.places) == len(header.repairs), "places")
    for number, place in enumerate(header.places):
        confinement.plain(place)
        _place(place, folder, header.repairs[number].root, header.id)
    for path in filter(None, (header.home, *header.roots)):
        confinement.plain(path)
    return header


def _place(place: str, folder: str, root: str, name: str) -> None:
    """Refuse a folder for bytes that is neither beside the journal nor beside the root."""
    beside = os.path.join(journal.BESIDE, name)
    known = [os.path.join(above, beside) for above in (os.path.dirname(root), root) if root]
    if place not in known and os.path.realpath(place) != os.path.realpath(folder):
        raise RepairError(f"the journal in `{folder}` leads out to `{place}`")


def _rows(value: object) -> tuple[Row, ...]:
    found = journal.from_json(value)
    _want(fits(found, tuple[Row, ...]) and bool(found), "rows")
    rows: tuple[Row, ...] = found
    for row in rows:
        if row.name:
            confinement.relative(row.name)
        if row.digest:
            confinement.check_digest(row.digest)
    return rows


def _want(true: bool, field: str) -> None:
    if not true:
        raise DefectError(field)
