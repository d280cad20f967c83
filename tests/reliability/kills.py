"""Kill a fix before each change of the disk: nothing good is lost, and both ways out work."""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.fetch import Mirrors
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import Status
from tests import test_faults, test_faults_folders
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.killing import killed_at
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HUB = "home/.cache/huggingface/hub"
_LARGE_BYTES = 8 << 20  # holes, of which only the length counts


class Scene(NamedTuple):
    """A damaged machine, and the fix that cures it."""

    host: Host
    folder: Path  # holds the home, the project and the state
    codes: tuple[str, ...] = ()
    deep: bool = False
    network: Network | None = None

    def fix(self) -> None:
        """Plan and apply: these codes, or everything including waste."""
        network = self.network or Network(self.host, offline=True)
        plan, report = self._plan(network)
        applying.apply(plan, report, network)

    def _plan(self, network: Network | None) -> tuple[cures.Plan, scanning.Report]:
        report = scanning.scan(self.host, deep=self.deep)
        plan = cures.plan(report, codes=self.codes, waste=True, network=network)
        if not plan.cures and not plan.unfinished:  # notes that are not waste need their codes
            codes = {finding.code for finding in report.findings}
            plan = cures.plan(report, codes=tuple(codes), network=network)
        return plan, report

    def others(self) -> None:
        """Fix an engine that is not concerned; an interrupted fix does not block it."""
        network = self.network or Network(self.host, offline=True)
        report = scanning.scan(self.host, ["parakeet-mlx"])
        outcome = applying.apply(cures.plan(report, network=network), report, network)
        assert not outcome.left, "another engine is not repaired"

    def kinds(self) -> set[str]:
        """Return the kinds of repair in the fix."""
        plan, _ = self._plan(None)
        return {repair.kind for repair in plan.repairs}

    def ready(self) -> set[str]:
        """Return the ids of the entries that an engine would load."""
        report = scanning.scan(self.host, deep=self.deep)
        return {key for key, status in report.statuses.items() if status is Status.READY}

    def good(self) -> set[str]:
        """Return the ids of the ready entries without findings."""
        findings = scanning.scan(self.host, deep=self.deep).findings
        return self.ready() - {key for finding in findings for key in finding.entries}

    def findings(self) -> set[str]:
        """Return the codes that a scan finds, except those left on purpose."""
        return {finding.code for finding in scanning.scan(self.host, deep=self.deep).findings}

    def contents(self) -> set[str]:
        """Return the digests of all files, in the caches and in the quarantine."""
        found = set()
        for base, _, names in os.walk(self.folder):
            for name in names:
                path = Path(base, name)
                if path.is_symlink() or not path.is_file() or name.startswith("ledger"):
                    continue
                size = path.stat().st_size
                small = size < _LARGE_BYTES
                found.add(hashlib.sha256(path.read_bytes()).hexdigest() if small else str(size))
        return found


class Survived(NamedTuple):
    """The outcome of one scene."""

    kinds: tuple[str, ...]
    kills: int
    finished: int
    undone: int


def hub_scene(fault: str, folder: Path) -> Scene:
    """Build a damaged hub cache."""
    damage, _, deep, _ = test_faults.FAULTS[fault]
    home = folder / "home"
    home.mkdir(parents=True)
    host = _at(folder, Host.look(home=str(home), platform="linux"))
    damage(test_faults.build(home, host))
    return Scene(host, folder, deep=deep)


def mac_scene(fault: str, folder: Path) -> Scene:
    """Build a damaged Mac."""
    damage, _, _ = test_faults_folders.FAULTS[fault]
    home = folder / "home"
    home.mkdir(parents=True)
    mac = test_faults_folders.build(home, folder / "project")
    damage(mac)
    return Scene(_at(folder, mac.host), folder)


def detached_scene(_fault: str, folder: Path) -> Scene:
    """Build a hub cache with a superseded revision, which is asked for by its code."""
    scene = hub_scene("a marker of another revision", folder)
    files = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
    worlds.repository(folder / _HUB, worlds.TINY, files, commit="c" * 40)
    return scene._replace(codes=("CD508",))


def fetching_scene(hub: Hub) -> Callable[[str, Path], Scene]:
    """Return a builder of a hub cache whose only copy of a file, or of a model, is on the hub."""

    def build(fault: str, folder: Path) -> Scene:
        scene = hub_scene(fault, folder)
        shutil.rmtree(
            folder / "home/.cache/huggingface/hub/models--guillaumekln--faster-whisper-tiny.en"
        )
        mine = f"models--{worlds.TINY.replace('/', '--')}"
        if fault == "the snapshot is emptied":  # with the blobs here it would be relinked from them
            shutil.rmtree(worlds.hub_of(folder / "home") / mine / "blobs")
        network = Network(scene.host, mirrors=Mirrors(hub=hub.url))
        return scene._replace(network=network)

    return build


def partial_scene(fault: str, folder: Path) -> Scene:
    """Build a hub cache whose only good copy of a file is a partial that was never renamed."""
    home = folder / "home"
    home.mkdir(parents=True)
    host = _at(folder, Host.look(home=str(home), platform="linux"))
    world = test_faults.build(home, host)
    shutil.rmtree(worlds.hub_of(home) / f"models--{test_faults.OTHER.replace('/', '--')}")
    blob = world.blob("model.bin")
    partial = blob.with_name(f"{blob.name}.0a1b2c3d.incomplete")
    shutil.copy(blob, partial)
    os.utime(partial, (1, 1))
    test_faults.cut(world, "model.bin")
    return Scene(host, folder)


def scenes(hub: Hub) -> Iterator[tuple[str, Callable[[str, Path], Scene]]]:
    """Yield every curable fault, with its builder."""
    for fault, (_, codes, _, curable) in test_faults.FAULTS.items():
        if codes and curable:
            yield fault, hub_scene
    for fault, (_, codes, curable) in test_faults_folders.FAULTS.items():
        if codes and curable:
            yield fault, mac_scene
    yield "a superseded revision", detached_scene
    yield "a finished partial and no other copy", partial_scene
    hub.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
    for fault in ("weights cut by a byte", "the snapshot is emptied"):
        yield fault, fetching_scene(hub)


def survive(
    fault: str, build: Callable[[str, Path], Scene], folder: Path, *, stride: int = 1
) -> Survived:
    """Kill the fix before every change of the disk, or each `stride`-th; check, and continue.

    After every other kill the next fix finishes, after the rest `undo` takes it back.
    """
    kills = finished = undone = 0
    kinds: set[str] = set()
    for number in itertools.count(1, stride):
        place = folder / str(number)
        scene = build(fault, place)
        kinds = kinds or scene.kinds()
        before, bytes_before, good = state(scene), scene.contents(), scene.good()
        if not killed_at(number, scene.fix):
            break
        kills += 1
        where = f"{fault}, killed before change {number}"
        assert bytes_before <= scene.contents(), f"{where}: bytes were lost"
        assert good <= scene.ready(), f"{where}: an entry is worse than before"
        open_runs = [run for run in applying.runs(scene.host) if run.state in ("open", "undoing")]
        assert ("CD417" in scene.findings()) == bool(open_runs), (
            f"{where}: the scan does not say so"
        )
        if kills % 2:
            scene.others()
            scene.fix()
            left = scene.findings() - {"CD508"}
            assert not left, f"{where}: {left} is left after the next fix"
            assert good <= scene.ready(), f"{where}: a good entry is gone"
            finished += 1
        else:
            while applying.undo(scene.host):
                pass
            assert state(scene) == before, f"{where}: undo does not bring it all back"
            undone += 1
        shutil.rmtree(place)
    return Survived(tuple(sorted(kinds)), kills, finished, undone)


def survive_undo(fault: str, build: Callable[[str, Path], Scene], folder: Path) -> Survived:
    """Kill the undo of a fix before every change of the disk; the next undo completes it."""
    kills = 0
    for number in itertools.count(1):
        scene = build(fault, folder / str(number))
        before = state(scene)
        scene.fix()
        killed = killed_at(number, functools.partial(applying.undo, scene.host))
        kills += killed
        undoing = any(run.state == "undoing" for run in applying.runs(scene.host))
        assert undoing == ("CD417" in scene.findings()), f"{fault}: the scan does not tell"
        applying.undo(scene.host)
        assert state(scene) == before, f"{fault}: undo killed before change {number}"
        shutil.rmtree(folder / str(number))
        if not killed:
            break
    return Survived(("undo",), kills, 0, kills)


def at_random_times(folder: Path, count: int) -> Survived:
    """Kill the real command after random times; the same checks."""
    kills = finished = undone = 0
    for number in range(count):
        place = folder / f"time-{number}"
        scene = hub_scene("weights and ref both broken", place)
        before, bytes_before = state(scene), scene.contents()
        command = [
            sys.executable,
            "-m",
            "cachedoctor",
            "fix",
            "--yes",
            "--home",
            str(place / "home"),
        ]
        environment = {**os.environ, "XDG_STATE_HOME": str(place / "state")}
        nowhere = subprocess.DEVNULL
        child = subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere)
        time.sleep(0.06 + 0.14 * number / count)
        child.kill()
        kills += child.wait() == -signal.SIGKILL
        assert bytes_before <= scene.contents()
        if number % 2:
            scene.fix()
            assert scene.findings() == set()
            finished += 1
        else:
            while applying.undo(scene.host):
                pass
            assert state(scene) == before
            undone += 1
        shutil.rmtree(place)
    return Survived(("at random times",), kills, finished, undone)


def _at(folder: Path, host: Host) -> Host:
    return host._replace(state=str(folder / "state" / "cachedoctor"))


def state(scene: Scene) -> dict[str, tuple[object, ...]]:
    """Return what identifies every file of the caches, without our own folders."""
    return {
        name: row
        for name, row in fingerprint(scene.folder).items()
        if ".cachedoctor" not in name and not name.startswith("state") and name != "."
    }
