"""An interrupted fix: shown, counted, finished or taken back, and in nobody else's way."""

from __future__ import annotations

import functools
import json
import os
import shutil
import stat
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import cachedoctor
from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError, UsageError
from cachedoctor.findings import LocalCopy, Need, Put, Repair, Safety
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying as surgery
from cachedoctor.runs import operating
from cachedoctor.system.network import Network
from cachedoctor.system.run import Run, runs
from tests import test_faults
from tests.conftest import fingerprint
from tests.support import builders_models, coreml_bundles, worlds
from tests.support.command import cachedoctor as command
from tests.support.killing import killed_at

MLX = "mlx-community/whisper-tiny-mlx"


class Scene(NamedTuple):
    """A hub cache with a broken model of one engine, and a broken branch of another's."""

    host: Host
    world: test_faults.World
    other: Path  # the repository of the other engine

    def fix(self, *engines: str) -> surgery.Outcome:
        """Plan and apply what is wrong with these engines, or everything."""
        report = scanning.scan(self.host, engines)
        network = Network(self.host, offline=True)
        return surgery.apply(cures.plan(report, network=network), report, network)

    def codes(self) -> list[str]:
        """Return the codes of a scan."""
        return [finding.code for finding in scanning.scan(self.host).findings]


def scene(folder: Path, *, sibling: bool) -> Scene:
    """Build it: with `sibling` another copy of the broken file, else a finished partial."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    host = Host.look(home=str(home), platform="linux")._replace(state=str(folder / "state"))
    world = test_faults.build(home, host)
    blob = world.blob("model.bin")
    content = blob.read_bytes()
    test_faults.cut(world, "model.bin")
    if not sibling:
        shutil.rmtree(worlds.hub_of(home) / f"models--{test_faults.OTHER.replace('/', '--')}")
        partial = blob.with_name(f"{blob.name}.0a1b2c3d.incomplete")
        partial.write_bytes(content)
        old = time.time() - 3600
        os.utime(partial, (old, old))
    files = {"config.json": b'{"n_mels": 80}', "weights.npz": builders_models.npz_file()}
    other = worlds.repository(worlds.hub_of(home), MLX, files)
    ref = other / "refs" / "main"
    ref.write_text(ref.read_text() + "\n")
    return Scene(host, world, other)


@pytest.mark.parametrize("sibling", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_a_fix_killed_anywhere_is_in_nobodys_way(sibling: bool, gone: bool, tmp_path: Path) -> None:
    """At each kill: the other engine's fix works at once, then this one is finished or undone.

    Also where the source is gone after the kill: what was staged and proven is not made again.
    """
    number = 0
    finished = undone = 0
    while True:
        number += 1
        here = scene(tmp_path / str(number), sibling=sibling)
        content = here.world.blob("model.bin")
        if not killed_at(number, functools.partial(here.fix, "faster-whisper")):
            break
        if gone and sibling:
            shutil.rmtree(
                worlds.hub_of(here.world.home) / f"models--{test_faults.OTHER.replace('/', '--')}"
            )
        outcome = here.fix("mlx-whisper")
        assert outcome.left == (), number
        assert (here.other / "refs" / "main").read_text() == worlds.COMMIT, number
        open_runs = [run for run in runs(here.host.state) if run.state in ("open", "undoing")]
        assert ("CD417" in here.codes()) == bool(open_runs)
        ready = bool(open_runs) and open_runs[0].ready(0, "blob")
        placed = bool(open_runs) and open_runs[0].placed(0, "blob")
        outcome = here.fix("faster-whisper")
        assert "CD417" not in here.codes(), number
        if not gone or not sibling or ready or placed:
            assert here.codes() in ([], ["CD502"]), number
            finished += 1
        elif "CD201" in here.codes():
            assert content.exists()
            undone += 1
        shutil.rmtree(tmp_path / str(number))
    assert finished > 8
    if gone and sibling:
        assert undone > 0


def begun(here: Scene) -> Run:
    """Kill the fix of the first engine before anything is staged."""
    for number in range(1, 30):
        killed_at(number, functools.partial(here.fix, "faster-whisper"))
        for run in runs(here.host.state):
            assert not run.ready(0, "blob")
            return run
    raise AssertionError("never")


def interrupted(here: Scene) -> Run:
    """Kill the fix of the first engine when everything is staged and the bad file is set aside."""
    for number in range(1, 100):
        if not killed_at(number, lambda: here.fix("faster-whisper")):
            break
        found = [run for run in runs(here.host.state) if run.state == "open"]
        if found and found[0].done:
            return found[0]
        for run in found:
            surgery.undo(here.host, run.id)
    raise AssertionError("never")


def test_what_is_left_is_shown_and_counted(tmp_path: Path) -> None:
    """In the plan, in text and in JSON; `ensure` is asked about it."""
    here = scene(tmp_path, sibling=True)
    run = interrupted(here)
    report = scanning.scan(here.host)
    plan = cures.plan(report)
    (item,) = plan.unfinished
    assert (item.id, item.state) == (run.id, "open")
    assert [type(step).__name__ for step in item.repairs[0].steps] == ["Put"]
    assert (plan.fetch_bytes, item.repairs[0].copy_bytes) == (0, 0)  # it is staged already
    env = {"XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    words = ("--home", str(here.world.home), "--platform", "linux")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "cachedoctor").symlink_to(here.host.state)
    told = command("fix", "--dry-run", *words, env=env)
    assert told.code == 0
    assert f"finish the interrupted fix {run.id}" in told.output
    assert "1 step left" in told.output
    data = command("fix", "--dry-run", "--json", *words, env=env).data["plan"]
    assert data["unfinished"] == [item["folder"] for item in data["finishes"]]
    assert data["finishes"][0]["steps"] == 1
    assert data["steps"][0]["step"] == "Put"
    seen: list[cures.Plan] = []

    def allow(plan: cures.Plan) -> bool:
        seen.append(plan)
        return False

    cachedoctor.ensure("faster-whisper", model="tiny.en", host=here.host, allow=allow)
    assert [one.id for plan in seen for one in plan.unfinished] == [run.id]


def test_a_download_that_finishing_takes_is_counted(tmp_path: Path) -> None:
    """A need that is neither staged nor placed costs what its source costs."""
    here = scene(tmp_path, sibling=False)
    begun(here)
    plan = cures.plan(scanning.scan(here.host))
    (item,) = plan.unfinished
    assert item.repairs[0].copy_bytes > 0
    assert plan.copy_bytes >= item.repairs[0].copy_bytes


def test_what_cannot_be_finished_is_taken_back_and_said(tmp_path: Path) -> None:
    """The source is gone before it was staged: nothing is changed by it, the rest is repaired."""
    here = scene(tmp_path, sibling=True)
    run = begun(here)
    other = f"models--{test_faults.OTHER.replace('/', '--')}"
    shutil.rmtree(worlds.hub_of(here.world.home) / other)
    outcome = here.fix()
    assert [name for name, _ in outcome.taken_back] == [run.id]
    assert "no source worked for" in outcome.taken_back[0][1]
    assert (here.other / "refs" / "main").read_text() == worlds.COMMIT
    assert "CD417" not in here.codes()


def placed_bundle(tmp_path: Path) -> tuple[Host, Path]:
    """Place a bundle by a run; returns where."""
    root, origin = tmp_path / "home" / "models", tmp_path / "home" / "origin"
    root.mkdir(parents=True)
    coreml_bundles.make_bundle(origin / "A.mlmodelc", weights=[64], seed=1)
    files = tuple(
        (str(path.relative_to(origin / "A.mlmodelc")), str(path))
        for path in sorted((origin / "A.mlmodelc").rglob("*"))
        if path.is_file()
    )
    need = Need("A", (LocalCopy(files, "here"),), (), folder=True)
    target = root / "A.mlmodelc"
    plan = Repair("t", Safety.SAFE, "t", (need,), (Put("A", str(target)),), root=str(root))
    host = Host.look(home=str(tmp_path / "home"))._replace(state=str(tmp_path / "state"))
    run = Run.create(
        host.state, (plan,), now=time.time(), home=host.home, roots=(str(origin), str(root))
    )
    operating.operate(run, Network(host))
    return host, target


def _weights(bundle: Path) -> Path:
    return max((p for p in bundle.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_undo_takes_back_what_is_as_it_was_placed(tmp_path: Path) -> None:
    """What systems leave in folders, and another ctime with the same content, are no change."""
    host, bundle = placed_bundle(tmp_path)
    (bundle / ".DS_Store").write_bytes(b"finder")
    (bundle / "._x").write_bytes(b"resource fork")
    weights = _weights(bundle)
    weights.chmod(stat.S_IMODE(weights.stat().st_mode) ^ 0o040)  # as backup software would
    assert len(surgery.undo(host)) == 1
    assert not bundle.exists()


@pytest.mark.parametrize(
    "what", ["added", "added deep", "written", "quietly", "removed", "swapped"]
)
def test_undo_keeps_what_people_put_there_since(what: str, tmp_path: Path) -> None:
    """It refuses, says what it met, and changes nothing."""
    host, bundle = placed_bundle(tmp_path)
    weights = _weights(bundle)
    status = weights.stat()
    if what == "added":
        (bundle / "mine.txt").write_text("mine")
    elif what == "added deep":
        (bundle / "notes" / "deep").mkdir(parents=True)
    elif what == "written":
        weights.write_bytes(b"trained on")
    elif what == "quietly":  # the same length and the same time
        worlds.flip(weights, 5)
        os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif what == "removed":
        weights.unlink()
    else:
        other = weights.with_name("other")
        shutil.copy2(weights, other)
        other.rename(weights)
    before = fingerprint(bundle)
    with pytest.raises(RepairError, match=r"was (added|changed|removed) after the fix"):
        surgery.undo(host)
    assert fingerprint(bundle) == before
    assert [run.state for run in surgery.runs(host)] == ["done"]


def test_a_quarantine_with_folders_that_may_only_be_read(tmp_path: Path) -> None:
    """They are emptied all the same, and what is gone is what is said to be gone."""
    here = scene(tmp_path, sibling=True)
    here.fix()
    (kept, *_) = [item for item in surgery.kept(here.host) if item.size_bytes > 41]
    folder = Path(kept.path).parent
    folder.chmod(0o555)
    total = sum(item.size_bytes for item in surgery.kept(here.host))
    assert surgery.empty(here.host, time.time() + 1) == total
    assert surgery.kept(here.host) == []
    assert {run.state for run in runs(here.host.state)} == {"emptied"}
    with pytest.raises(UsageError, match="no fix"):
        surgery.undo(here.host, kept.run)


def test_a_run_that_is_emptied_is_never_half_undone(tmp_path: Path) -> None:
    """Killed at any change while it is emptied, it is emptied, not undone, afterwards."""
    number = 0
    while True:
        number += 1
        here = scene(tmp_path / str(number), sibling=True)
        here.fix()
        before = fingerprint(here.world.home)
        died = killed_at(number, functools.partial(surgery.empty, here.host, time.time() + 1))
        if [run.state for run in runs(here.host.state)] != ["done"]:
            assert surgery.undoable(here.host) == []
        surgery.empty(here.host, time.time() + 1)
        assert surgery.kept(here.host) == []
        assert fingerprint(here.world.home) == before
        if not died:
            break
    assert number > 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_what_root_makes_for_a_user_belongs_to_the_user(tmp_path: Path) -> None:
    """`sudo` with the user's home leaves a state folder that the user can go on with."""
    here = scene(tmp_path, sibling=True)
    state = tmp_path / "of the user" / "state"
    state.parent.mkdir()
    for place in (state.parent, *here.world.home.rglob("*")):
        os.chown(place, 1234, 1234, follow_symlinks=False)
    moved = here._replace(host=here.host._replace(state=str(state)))
    moved.fix()
    owners = {
        os.lstat(os.path.join(base, name)).st_uid
        for base, folders, files in os.walk(state.parent)
        for name in (*folders, *files)
        if "aside" not in base or name == "aside"
    }
    assert owners == {1234}
    assert len(surgery.undo(moved.host)) == 1
    for base, folders, files in os.walk(state):
        for name in (*folders, *files):
            assert not stat.S_IMODE(os.lstat(os.path.join(base, name)).st_mode) & 0o022


def test_a_lost_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy beside the bytes is read when it is named, shown, asked about, and taken back."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(tmp_path).st_dev:
        pytest.skip("one file system only")
    here = scene(tmp_path, sibling=True)
    state = Path("/dev/shm", f"cachedoctor-{os.getpid()}")
    moved = here._replace(host=here.host._replace(state=str(state / "one" / "cachedoctor")))
    hub = worlds.hub_of(here.world.home)
    before = fingerprint(hub)
    try:
        moved.fix()
        (name,) = [path.name for path in hub.parent.glob(".cachedoctor/*-*")]
        file = hub.parent / ".cachedoctor" / name / "journal.jsonl"
        words = ("--home", str(here.world.home), "--platform", "linux")
        env = {"XDG_STATE_HOME": str(state / "two")}
        told = command("scan", *words, env=env)
        assert "CD423" in told.output
        assert command("undo", *words, env=env).output == "no fix to take back\n"
        asked = command("undo", "--journal", str(file), *words, env=env)
        assert asked.code == 1
        assert f"move `{here.world.blob('model.bin')}`" in asked.output
        assert fingerprint(hub) != before
        done = command("undo", "--journal", str(file), "--yes", "--json", *words, env=env)
        (back,) = done.data["runs"]
        assert all(step in asked.output for step in back.pop("steps"))
        assert back == {
            "id": name,
            "state": "undone",
            "folder": str(state / "two" / "cachedoctor" / "runs" / name),
        }
        assert fingerprint(hub) == before
        assert "CD423" not in command("scan", *words, env=env).output
    finally:
        shutil.rmtree(state, ignore_errors=True)


def test_a_named_journal_is_confined(tmp_path: Path) -> None:
    """A journal that leads anywhere but to where models are looked for is refused."""
    from tests.test_forged import Project, attacks, ship

    project = Project(tmp_path)
    words = ("--home", str(tmp_path), "--project", str(project.folder), "--yes")
    for name, lines in attacks(project).items():
        folder = ship(project.folder, lines)
        before = fingerprint(tmp_path / "project"), fingerprint(project.victim)
        ended = command("undo", "--journal", str(folder / "journal.jsonl"), *words)
        assert ended.code == 4, (name, ended)
        assert ended.errors.startswith("Error: "), name
        assert (fingerprint(tmp_path / "project"), fingerprint(project.victim)) == before, name
        shutil.rmtree(folder.parent)


def test_a_run_of_the_version_before_is_taken_back(tmp_path: Path) -> None:
    """One in the state folder is ours: shown as what taking it back does, and taken back."""
    here = scene(tmp_path, sibling=True)
    before = fingerprint(worlds.hub_of(here.world.home))
    run = interrupted(here)
    file = Path(run.folder, "journal.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    old = {key: lines[0][key] for key in ("id", "created_s", "repairs")}
    rows = [{"journal": 1, "folder": run.folder, **old}]
    rows += [
        {key: line[key] for key in line if key not in ("inode", "rows")}
        for line in lines[1:]
        if "staged" not in line
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (item,) = cures.plan(scanning.scan(here.host)).unfinished
    assert item.repairs == ()
    assert len(item.back) == 1
    surgery.undo(here.host, run.id)
    assert fingerprint(worlds.hub_of(here.world.home)) == before
