"""Every verb where the disk fails, somebody else is at work, or an undo is killed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

import cachedoctor
from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import packing
from cachedoctor.runs import applying, operating
from cachedoctor.system import usage
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor as command
from tests.support.killing import EVERY, failing_at, killed_at
from tests.test_removal import OTHER, shared, two_revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cachedoctor.plans.changes import Change

BASE = "Systran/faster-whisper-base"
VERBS = ("remove", "free", "prune", "unpack", "move")
AT_EVERY_CHANGE = ("remove", *(pytest.param(verb, marks=pytest.mark.heavy) for verb in VERBS[1:]))


class Scene:
    """A home in which each verb has something to do."""

    def __init__(self, home: Path, tmp_path: Path) -> None:
        """Build it: two revisions, a half download, a shared store, a pack of what is not here."""
        self.home = home
        self.repository = two_revisions(home)
        (self.repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
        shared(home, BASE, OTHER)
        worlds.repository(
            worlds.hub_of(home), "Systran/faster-whisper-small", worlds.whisper_files()
        )
        self.host = Host.look()
        usage.remember(self.host.state, usage.ENSURE, [str(self.repository)], time.time())
        self.stick = str(tmp_path / "stick")
        packing.write(packing.pack(self.host, ["faster-whisper:small"]), self.stick)
        shutil.rmtree(worlds.hub_of(home) / "models--Systran--faster-whisper-small")
        self.target = home / "away" / self.repository.name

    def change(self, verb: str) -> Change:
        """Return what a verb would do."""
        makers: dict[str, Callable[[], Change]] = {
            "remove": lambda: cachedoctor.remove(worlds.TINY, BASE),
            "free": lambda: cachedoctor.free(1 << 40),
            "prune": lambda: cachedoctor.prune(keep_revisions=1),
            "unpack": lambda: cachedoctor.unpack(self.stick),
            "move": lambda: cachedoctor.move(worlds.TINY, str(self.target)),
        }
        return makers[verb]()

    def words(self, verb: str) -> tuple[str, ...]:
        """Return the same as a command."""
        more: dict[str, tuple[str, ...]] = {
            "remove": (worlds.TINY, BASE),
            "free": ("1T",),
            "prune": ("--keep-revisions", "1"),
            "unpack": (self.stick,),
            "move": (worlds.TINY, str(self.target)),
        }
        return (verb, *more[verb], "--yes")


@pytest.fixture
def scene(home: Path, tmp_path: Path) -> Scene:
    """Return it."""
    return Scene(home, tmp_path)


@EVERY
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["io", "full"])
@pytest.mark.parametrize("verb", AT_EVERY_CHANGE)
def test_an_error_of_the_disk_at_any_change_leaves_everything_as_it_was(
    scene: Scene, verb: str, code: int, every: int
) -> None:
    """A `RepairError`, which is exit code 4, and the exact home; the next try does it."""
    before = fingerprint(scene.home)
    number = 0
    while True:
        number += every * (4 if verb == "unpack" else 1)  # it writes a whole model each time
        change = scene.change(verb)
        with failing_at(number, code) as met, contextlib.suppress(RepairError):  # exit code 4
            cachedoctor.apply(change)
        if len(met) < number:
            break
        report = scanning.scan(scene.host)
        assert "CD417" not in {finding.code for finding in report.findings}, f"{met[-1]} {number}"
        while applying.undoable(scene.host):  # it met the failure after its last step
            applying.undo(scene.host)
        assert fingerprint(scene.home) == before, f"failed at {number}, {met[-1]}"
    assert number > 10, "the harness did not reach the steps"
    applying.undo(scene.host)
    assert fingerprint(scene.home) == before


@EVERY
@pytest.mark.parametrize("verb", AT_EVERY_CHANGE)
def test_an_undo_killed_at_every_change_is_taken_up_again(
    scene: Scene, verb: str, every: int
) -> None:
    """The next undo completes it, to the exact home."""
    before = fingerprint(scene.home)
    number = 0
    while True:
        number += every * (4 if verb == "unpack" else 1)  # it writes a whole model each time
        cachedoctor.apply(scene.change(verb))
        killed = killed_at(number, lambda: applying.undo(scene.host))
        while applying.undoable(scene.host):
            applying.undo(scene.host)
        assert fingerprint(scene.home) == before, f"killed at {number}"
        if not killed:
            break
    assert number > max(3, every), "the harness did not reach the steps"


@pytest.mark.parametrize("verb", VERBS)
def test_a_second_one_keeps_away(scene: Scene, verb: str) -> None:
    """While a fix is at work each verb ends with exit code 4 and changes nothing."""
    before = fingerprint(scene.home)
    with operating.alone(scene.host.state):
        ended = command(*scene.words(verb))
    assert (ended.code, "another fix or undo" in ended.errors) == (4, True), ended.errors
    assert fingerprint(scene.home) == before
    assert command(*scene.words(verb)).code in (0, 1)  # `free` does not reach a tebibyte
    assert command("undo").code == 0
    assert fingerprint(scene.home) == before


@pytest.mark.parametrize("verb", VERBS)
def test_what_somebody_changes_after_the_look_is_not_touched(scene: Scene, verb: str) -> None:
    """A file that is written, a folder that appears: refused, and all of it stays."""
    change = scene.change(verb)
    blob = next(path for path in (scene.repository / "blobs").iterdir() if path.stat().st_size > 99)
    with blob.open("ab") as file:
        file.write(b"more")
    os.utime(blob, (5, 5))
    for partial in (scene.repository / "blobs").glob("*.incomplete"):
        partial.write_bytes(b"goes on")
    if verb == "unpack":  # its place is taken
        ref = worlds.hub_of(scene.home) / "models--Systran--faster-whisper-small" / "refs" / "main"
        ref.parent.mkdir(parents=True)
        ref.write_text("d" * 40)
    before = fingerprint(scene.home)
    with pytest.raises(RepairError):
        cachedoctor.apply(change)
    assert fingerprint(scene.home) == before
