"""What a journal says about a run: its header, and each step begun, done and taken back.

This only reads: each line is checked against what the header's repairs amount to, so no journal can
move anything its repairs do not name, and the repairs themselves are confined.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import RepairError
from cachedoctor.findings import Clone, Link, LocalCopy, MakeFolder, Put, Rename, Repair, SetAside
from cachedoctor.system import confinement, journal, moves
from cachedoctor.system.confinement import DefectError, fits
from cachedoctor.system.ground import below
from cachedoctor.system.moves import Row
from cachedoctor.vocabulary import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Step
    from cachedoctor.system.journal import Line
    from cachedoctor.system.moves import Move

Key = tuple[int, int]  # the numbers of a repair and of a step in it

OPEN = ("open", "undoing")  # states of an interrupted run
ENDED = ("done", "failed", "undone", "emptying", "emptied")
_LATEST_S = 1 << 35


class Header(NamedTuple):
    """The first line of a journal."""

    journal: int
    id: str
    created_s: float
    home: str  # of the user whose caches were repaired
    roots: tuple[str, ...]  # the surveyed roots, where sources can be
    repairs: tuple[Repair, ...]
    places: tuple[str, ...]  # the folder that holds each repair's bytes
    engines: tuple[tuple[str, ...], ...] = ()  # for which each repair was made


class Logbook:
    """What the lines of a journal say."""

    def __init__(self, state_folder: str, folder: str, lines: Sequence[Line]) -> None:
        """Parse the lines of a journal; raises for anything that no run of ours writes."""
        self.state_folder = state_folder
        self.folder = folder
        self.header = _header(lines[0], folder)
        self.state = "open"
        self.source: Sequence[Line] = ()  # the lines, if the user named the journal
        self.moves: dict[int, list[Move]] = {}
        self.done: dict[Key, Stamp | None] = {}
        self.placed_rows: dict[Key, tuple[Row, ...]] = {}
        self.staged: dict[tuple[int, str], tuple[Row, ...]] = {}
        self.undone: set[Key] = set()
        self._taken: set[int] = set()
        self._last: Key | None = None  # the last move begun
        made = confinement.placed_by(self.repairs)
        for number, repair in enumerate(self.repairs):
            confinement.check(repair, self.header.places[number], self.header.roots, made)
        for line in lines[1:]:
            self.replay(line)

    @property
    def id(self) -> str:
        """Return the name of the run."""
        return self.header.id

    @property
    def created_s(self) -> float:
        """Return when the run began."""
        return self.header.created_s

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Return the repairs of the run."""
        return self.header.repairs

    @property
    def places(self) -> tuple[str, ...]:
        """Return every folder that holds bytes of the run."""
        return tuple(dict.fromkeys((self.folder, *self.header.places)))

    @property
    def apart(self) -> tuple[str, ...]:
        """Return the folders of its bytes that are not beside its journal."""
        return tuple(place for place in self.places if not self._is_own_folder(place))

    @property
    def begun(self) -> bool:
        """Return whether anything outside the run's folders could have changed."""
        return bool(self.moves)

    @property
    def finishable(self) -> bool:
        """Return whether the run can be finished; an earlier version did not record enough."""
        return self.state == "open" and self.header.journal == journal.VERSION

    def staged_path(self, number: int, name: str) -> str:
        """Return where the need `name` of a repair is staged."""
        return os.path.join(self.header.places[number], "staged", str(number), name)

    def taken(self, number: int) -> bool:
        """Return whether all steps of a repair have been taken."""
        return number in self._taken

    def paths(self) -> set[str]:
        """Return every path outside the run's folders that this run changed."""
        return {path for key in self.numbers() for path in self.paths_of(key)}

    def paths_of(self, key: Key) -> list[str]:
        """Return the paths outside the run's folders that one step changed."""
        move = self.at(key)
        made = move.kind != "share" and (move.kind != "folder" or not move.source)
        return [path for path in move.ends if made and not self.own(path)]

    def numbers(self) -> Iterator[Key]:
        """Yield, in order, the keys of the moves that could have been made."""
        return (
            (n, position) for n, logged in self.moves.items() for position in range(len(logged))
        )

    def at(self, key: Key) -> Move:
        """Return one move."""
        return self.moves[key[0]][key[1]]

    def own(self, path: str) -> bool:
        """Return whether a path is in the run's folders."""
        return any(below(path, place) for place in self.places)

    def _is_own_folder(self, place: str) -> bool:
        return os.path.realpath(place) == os.path.realpath(self.folder)

    def derived(self, key: Key, step: Step) -> tuple[str, str, str]:
        """Return the kind, source and target of the move that a step amounts to on any machine."""
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
            case Clone(source=origin, path=path):
                return "share", origin, path

    def replay(self, line: Line) -> None:
        """Apply one line; raises for anything that no run of ours writes."""
        match line:
            case {"intent": [int(number), int(position)], "move": [kind, source, target, folders]}:
                self._intend((number, position), (kind, source, target), folders, line)
            case {"done": [int(number), int(position)]}:
                _demand((number, position) == self._last, "done")
                stamp = line["stamp"]
                if stamp is not None:
                    stamp = Stamp(*stamp)
                    _demand(fits(stamp, Stamp), "stamp")
                self.done[number, position] = stamp
                if "rows" in line:
                    self.placed_rows[number, position] = _rows(line["rows"])
            case {"staged": [int(number), str(name)]}:
                _demand(name in confinement.needs_of(self.repairs[number]), "staged")
                self.staged[number, name] = _rows(line["rows"])
            case {"taken": int(number)}:
                _demand(0 <= number < len(self.repairs) and self._through(number), "taken")
                self._taken.add(number)
            case {"undone": [int(number), int(position)]}:
                _demand(0 <= position < len(self.moves.get(number, ())), "undone")
                self.undone.add((number, position))
            case {"undoing": True}:
                self.state = "undoing"
            case {"emptying": True}:
                self.state = "emptying"
            case {"closed": str(state)} if state in ENDED:
                self.state = state
            case _:
                raise DefectError("line")

    def _through(self, number: int) -> bool:
        """Return whether every step of a repair was begun, so that all but the last are done."""
        return len(self.moves.get(number, ())) == len(self.repairs[number].steps)

    def _intend(self, key: Key, ends: tuple[str, str, str], folders: Any, line: Line) -> None:
        number, position = key
        before = self._last
        _demand(number >= 0 and position == len(self.moves.get(number, ())), "intent")
        _demand(before is None or before in self.done, "intent")
        _demand(position > 0 or all(map(self._through, range(number))), "intent")
        kind, source, target = self.derived(key, self.repairs[number].steps[position])
        there = kind == "folder" and ends[1] == "there"
        _demand(ends == (kind, "there" if there else source, target), "move")
        known = tuple((path, mode, mtime) for path, mode, mtime in folders)
        _demand(fits(known, tuple[tuple[str, int, int], ...]), "folders")
        parents = {os.path.dirname(target), os.path.dirname(source)}
        for path, mode, mtime in known:
            _demand(path in parents and 0 <= mode <= 0o7777 and abs(mtime) < 1 << 62, "folders")
        inode = line.get("inode", 0)
        _demand(fits(inode, int), "inode")
        self.moves.setdefault(number, []).append(moves.Move(*ends, known, inode))
        self._last = key


def _header(line: Line, folder: str) -> Header:
    """Parse a journal's first line, of this version or the previous one."""
    repairs = journal.from_json(line["repairs"])
    if line["journal"] == 1:
        spelled = line.get("folder", folder)
        _demand(
            type(spelled) is str and os.path.realpath(spelled) == os.path.realpath(folder), "id"
        )
        near = tuple(repair.root for repair in repairs)
        sources = tuple(
            os.path.dirname(path)
            for repair in repairs
            for need in repair.needs
            for source in need.sources
            for _, path in (source.files if isinstance(source, LocalCopy) else ())
        )  # such a run can only be undone, which does not need these fields
        line = {**line, "home": "", "roots": (*near, *sources), "engines": ()}
        line["places"] = [spelled] * len(repairs)
    header = Header(
        journal=line["journal"],
        id=line["id"],
        created_s=float(line["created_s"]),
        home=line["home"],
        roots=tuple(line["roots"]),
        repairs=tuple(repairs),
        places=tuple(line["places"]),
        engines=tuple(tuple(names) for names in line["engines"]),
    )
    _demand(0 <= header.created_s < _LATEST_S and type(line["created_s"]) in (int, float), "time")
    _demand(fits(header, Header), "header")
    _demand(journal.is_id(header.id) and header.id == os.path.basename(folder), "id")
    _demand(len(header.places) == len(header.repairs), "places")
    for number, place in enumerate(header.places):
        confinement.plain(place)
        _place(place, folder, header.repairs[number].root, header.id)
    for path in filter(None, (header.home, *header.roots)):
        confinement.plain(path)
    return header


def _place(place: str, folder: str, root: str, name: str) -> None:
    """Refuse a folder for bytes that is beside neither the journal nor the root."""
    beside = os.path.join(journal.BESIDE, name)
    known = [os.path.join(above, beside) for above in (os.path.dirname(root), root) if root]
    if place not in known and os.path.realpath(place) != os.path.realpath(folder):
        raise RepairError(f"the journal in `{folder}` points outside, to `{place}`")


def _rows(value: object) -> tuple[Row, ...]:
    found = journal.from_json(value)
    _demand(fits(found, tuple[Row, ...]) and bool(found), "rows")
    rows: tuple[Row, ...] = found
    for row in rows:
        if row.name:
            confinement.relative(row.name)
        if row.digest:
            confinement.check_digest(row.digest)
    return rows


def _demand(true: bool, field: str) -> None:
    if not true:
        raise DefectError(field)
