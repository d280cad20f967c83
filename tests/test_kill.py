"""A fix that is killed at any change of the disk loses nothing, and can be finished or undone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cachedoctor import demo
from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.support.killing import EVERY, killed_at


class World:
    """The demo's broken home, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Build it below `folder`."""
        self.home = folder / "home"
        demo.build(str(self.home))
        self.host = Host.look(home=str(self.home), platform="darwin")._replace(
            state=str(folder / "state")
        )
        self.network = Network(self.host, offline=True)

    def fix(self) -> None:
        """Plan and apply everything, waste too."""
        report = scanning.scan(self.host)
        plan = cures.plan(report, waste=True, network=self.network)
        applying.apply(plan, report, self.network)

    def findings(self) -> set[str]:
        """Return the codes that a scan finds."""
        return {finding.code for finding in scanning.scan(self.host).findings}

    def contents(self) -> set[str]:
        """Return the digests of all file contents in the home and the run folders."""
        found = set()
        for place in (self.home, Path(self.host.state)):
            for base, _, names in os.walk(place):
                for name in names:
                    path = Path(base, name)
                    if path.is_file() and not path.is_symlink():
                        found.add(hashlib.sha256(path.read_bytes()).hexdigest())
        return found


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, tuple[object, ...]]:
    """Return the names, modes and bytes of the home after an undisturbed fix."""
    world = World(tmp_path / "undisturbed")
    world.fix()
    assert world.findings() == set()
    return without_times(world)


def without_times(world: World) -> dict[str, tuple[object, ...]]:
    """Return a fingerprint without modification times."""
    return {name: (row[0], row[2]) for name, row in fingerprint(world.home).items()}


@EVERY
@pytest.mark.parametrize("ending", ["finish", "undo"])
def test_a_fix_killed_at_every_disk_change_loses_nothing(
    ending: str, every: int, tmp_path: Path, whole: dict[str, tuple[object, ...]]
) -> None:
    """After each kill every byte is still somewhere, and both ways out lead where they should."""
    number = 0
    while True:
        number += every
        world = World(tmp_path / str(number))
        before = fingerprint(world.home)
        bytes_before = world.contents()
        if not killed_at(number, world.fix):
            break
        assert bytes_before <= world.contents(), f"bytes were lost at change {number}"
        unfinished = "CD417" in world.findings()
        if ending == "finish":
            world.fix()
            assert world.findings() == set(), f"killed at change {number}"
            assert without_times(world) == whole, f"killed at change {number}"
        elif unfinished:
            assert applying.undo(world.host)
            assert fingerprint(world.home) == before, f"killed at change {number}"
            assert "CD417" not in world.findings()
    assert number > 50, "the harness did not reach the steps"


@EVERY
def test_an_undo_killed_at_every_disk_change_can_be_taken_up_again(
    every: int, tmp_path: Path
) -> None:
    """A killed undo is completed by the next one, to exactly what was there before the fix."""
    number = 0
    while True:
        number += every
        world = World(tmp_path / str(number))
        before = fingerprint(world.home)
        world.fix()
        killed = killed_at(number, lambda: applying.undo(world.host))  # noqa: B023
        if any(run.state == "undoing" for run in applying.runs(world.host)):
            assert "CD417" in world.findings()
        applying.undo(world.host)
        assert fingerprint(world.home) == before, f"killed at change {number}"
        if not killed:
            break
    assert number > 20, "the harness did not reach the steps"
