"""Machines with random damage: looking changes nothing, a fix is honest, undo is exact."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from tests import test_faults_folders
from tests.conftest import fingerprint
from tests.support import builders, worlds

if TYPE_CHECKING:
    from collections.abc import Callable

    from cachedoctor.host import Host

_LINKS = ("/etc/passwd", "nowhere", "..", "../../x")
_ENDINGS = (b".incomplete", b".partial", b"x", b".tmp", b"\xff\n")


class Came(NamedTuple):
    """The outcome of a number of damaged machines."""

    machines: int
    damages: int
    fixed: int
    refused: int  # with exit code 4 and nothing changed


def endure(folder: Path, count: int, seed: int) -> Came:
    """Damage a machine with ten models `count` times, and look, fix and undo."""
    chance = random.Random(f"damage {seed}")
    template = folder / "template"
    (template / "home").mkdir(parents=True)
    test_faults_folders.build(template / "home", template / "project")
    hub = worlds.hub_of(template / "home")
    files = worlds.whisper_files()
    worlds.repository(hub, worlds.TINY, files)
    worlds.repository(hub, "guillaumekln/faster-whisper-tiny.en", files)
    newer = {**files, "config.json": b'{"alignment_heads": []}\n'}
    worlds.repository(hub, worlds.TINY, newer, commit="c" * 40, ref="v2")
    damages = fixed = 0
    for number in range(count):
        place = folder / str(number)
        shutil.copytree(template, place, symlinks=True)
        acts = [_damage(place, chance) for _ in range(chance.randrange(1, 5))]
        damages += sum(map(bool, acts))
        mac = test_faults_folders.Mac(place / "home", place / "project")
        host = mac.host._replace(state=str(folder / f"state-{number}"))
        fixed += _one(host, place, f"machine {number}: {acts}", deep=chance.random() < 0.5)
        shutil.rmtree(place)
    return Came(count, damages, fixed, count - fixed)


def _one(host: Host, place: Path, what: str, *, deep: bool) -> bool:
    before = fingerprint(place)
    report = scanning.scan(host, deep=deep)
    assert fingerprint(place) == before, f"{what}: looking changed something"
    crashed = [finding.message for finding in report.findings if finding.code == "CD000"]
    assert not crashed, f"{what}: {crashed}"
    network = Network(host, offline=True)
    plan = cures.plan(report, waste=True, network=network)
    try:
        outcome = applying.apply(plan, report, network)
    except RepairError:
        assert _foreign(place) == _without_ours(before), f"{what}: a refused fix changed something"
        return False
    assert not outcome.left, f"{what}: {outcome.left} is left"
    while applying.undo(host):
        pass
    assert _foreign(place) == _without_ours(before), f"{what}: undo is not exact"
    return True


def _foreign(place: Path) -> dict[str, tuple[object, ...]]:
    return _without_ours(fingerprint(place))


def _without_ours(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Leave out our own folders, and the times of those that contain them."""
    holders = {os.path.dirname(name) or "." for name in found if name.endswith(".cachedoctor")}
    tops = {".", "home", "project", *holders}
    return {n: row for n, row in found.items() if ".cachedoctor" not in n and n not in tops}


def _damage(place: Path, chance: random.Random) -> str:
    """Do one thing to one file, link or folder; return what it was, or nothing."""
    paths = [
        os.path.join(base, name)
        for top in (place / "home", place / "project")
        for base, folders, files in os.walk(os.fsencode(top))
        for name in sorted((*folders, *files))
    ]
    path = chance.choice(paths)
    shown = os.fsdecode(path[len(os.fsencode(place)) :])
    folder = os.path.isdir(path) and not os.path.islink(path)
    kind = chance.choice(sorted(_TO_FOLDERS if folder else _TO_FILES))
    try:
        (_TO_FOLDERS if folder else _TO_FILES)[kind](path, chance)
    except (OSError, ValueError):
        return ""
    return f"{kind} {shown!r}"


def _rename(path: bytes, chance: random.Random) -> None:
    os.rename(path, path + chance.choice(_ENDINGS))


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _add(path: bytes, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(content)


def _move_and_link(path: bytes, _chance: random.Random) -> None:
    os.rename(path, path + b".moved")
    os.symlink(path + b".moved", path)


def _flip(path: bytes, chance: random.Random) -> None:
    worlds.flip(Path(os.fsdecode(path)), chance.randrange(os.path.getsize(path)))


_TO_FOLDERS: dict[str, Callable[[bytes, random.Random], object]] = {
    "remove": lambda path, _: shutil.rmtree(path),
    "rename": _rename,
    "move and link": _move_and_link,
    "page": lambda path, _: (shutil.rmtree(path), _write(path, builders.HTML_PAGE)),
}
_TO_FILES: dict[str, Callable[[bytes, random.Random], object]] = {
    "remove": lambda path, _: os.unlink(path),
    "rename": _rename,
    "page": lambda path, _: _write(path, builders.HTML_PAGE),
    "empty": lambda path, _: _write(path, b""),
    "cut": lambda path, chance: os.truncate(path, chance.randrange(os.path.getsize(path) + 1)),
    "flip": _flip,
    "newline": lambda path, _: _add(path, b"\n"),
    "old": lambda path, _: os.utime(path, (1, 1), follow_symlinks=False),
    "link": lambda path, chance: (os.unlink(path), os.symlink(chance.choice(_LINKS), path)),
    "loop": lambda path, _: (os.unlink(path), os.symlink(os.path.basename(path), path)),
    "pipe": lambda path, _: (os.unlink(path), os.mkfifo(path)),
    "folder": lambda path, _: (os.unlink(path), os.mkdir(path)),
}
