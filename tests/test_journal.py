"""A run killed at any change of the disk loses nothing, and can be finished or taken back."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cachedoctor.errors import RepairError
from cachedoctor.findings import (
    Guard,
    HubFetch,
    Link,
    LocalCopy,
    MakeFolder,
    Need,
    Proof,
    Put,
    Rename,
    Repair,
    Safety,
    SetAside,
    Text,
)
from cachedoctor.runs import quarantine
from cachedoctor.system import disk, in_use, journal, undoing
from cachedoctor.system.run import Run, place_of, runs, unfinished
from cachedoctor.vocabulary import Digest
from tests.conftest import fingerprint
from tests.support.killing import EVERY, killed_at
from tests.test_disk import ODD, in_child, shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.findings import Step

__all__ = ["shared"]  # a fixture
OLD_NS = 1_500_000_000_000_000_007


def repair(root: Path, *steps: Step, guards: Sequence[Guard] = ()) -> Repair:
    """Return a repair of these steps, whose needs are small texts."""
    names = [step.name for step in steps if isinstance(step, Put)]
    needs = tuple(Need(name, (Text(f"new {name}"),), ()) for name in names)
    return Repair("test", Safety.SAFE, "test it", needs, steps, tuple(guards), root=str(root))


def finish(run: Run) -> Run:
    """Stage what is missing and take every step, as a fix does."""
    if run.state == "undoing":
        undoing.undo(run)
        return run
    for number, item in enumerate(run.repairs):
        for need in item.needs:
            path = run.staged_path(number, need.name)
            if not run.placed(number, need.name) and not os.path.lexists(path):
                disk.make_folders(os.path.dirname(path))
                (source,) = need.sources
                assert isinstance(source, Text)
                disk.write(path, os.fsencode(source.text))
    for number in range(len(run.repairs)):
        run.take(number)
    run.close("done")
    return run


def applied(state: Path, *repairs: Repair) -> Run:
    """Apply repairs in a run of their own."""
    return finish(Run.create(str(state), repairs, now=time.time()))


class World:
    """A cache with something for every kind of step, old times everywhere, and a state folder."""

    def __init__(self, folder: Path) -> None:
        """Build it below `folder`."""
        self.root = root = folder / "cache"
        self.state = folder / "state"
        for name in ("blobs", "snap", "old/deep", "bundle", "refs", ODD):
            (root / name).mkdir(parents=True)
        files = ("blobs/bad", "blobs/part", "old/deep/kept", "bundle/weights", "refs/main")
        for name in (*files, f"{ODD}/{ODD}"):
            (root / name).write_bytes(os.fsencode(f"original {name}"))
        (root / "blobs/bad").chmod(0o600)
        (root / "bundle").chmod(0o750)
        (root / "snap/dangling").symlink_to("../blobs/gone")
        for base, _, names in os.walk(os.fsencode(root), topdown=False):
            for inside in (*names, b"."):
                path = os.path.join(base, inside)
                os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)

    def repairs(self) -> tuple[Repair, ...]:
        """Return repairs of every kind of step, some of which build on others."""
        at = self._at
        guards = (
            Guard(at("blobs/bad"), disk.stamp(at("blobs/bad"))),
            Guard(at("snap/model"), None),
        )
        blob = (
            SetAside(at("blobs/bad")),
            Put("blob", at("blobs/bad")),
            SetAside(at("blobs/part")),
            Link(at("snap/model"), "../blobs/bad"),
            SetAside(at("snap/dangling")),
            Link(at("snap/dangling"), f"../blobs/{ODD}"),
        )
        folders = (
            MakeFolder(at("snap")),
            MakeFolder(at("new")),
            MakeFolder(at("new/deeper")),
            Rename(at("old"), at("new/deeper/name")),
            Put("inside", at("new/deeper/name/deep/put")),
            Rename(at("new/deeper/name/deep"), at("moved")),
        )
        bundle = (SetAside(at("bundle")), MakeFolder(at("bundle")), Put("w", at("bundle/weights")))
        odd = (
            SetAside(at(f"{ODD}/{ODD}")),
            Put(ODD, at(f"{ODD}/{ODD}")),
            Rename(at(ODD), at(f"{ODD}2")),
        )
        lists = (blob, folders, bundle, odd, (SetAside(at("refs/main")), Put("r", at("refs/main"))))
        first, *rest = (repair(self.root, *steps) for steps in lists)
        return (first._replace(guards=guards), *rest)

    def fix(self) -> None:
        """Apply everything."""
        applied(self.state, *self.repairs())

    def run(self) -> Run | None:
        """Return the one run, as another process finds it."""
        found = runs(str(self.state))
        return found[0] if found else None

    def undo(self) -> None:
        """Take the run back, if there is one."""
        run = self.run()
        if run is not None:
            undoing.undo(run)

    def contents(self) -> Counter[bytes]:
        """Count the original contents that are anywhere, in the cache or set aside."""
        paths = (
            os.path.join(base, name)
            for base, _, names in os.walk(os.fsencode(self.root.parent))
            for name in names
        )
        files = (path for path in paths if os.path.isfile(path) and not os.path.islink(path))
        found = Counter(Path(os.fsdecode(path)).read_bytes() for path in files)
        return Counter({key: n for key, n in found.items() if key.startswith(b"original")})

    def _at(self, name: str) -> str:
        return os.path.join(self.root, name)


def without_times(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return a fingerprint without modification times."""
    return {name: (row[0], row[2]) for name, row in fingerprint(folder).items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world."""
    return World(tmp_path / "world")


def test_a_run_is_taken_back_exactly(world: World) -> None:
    """Bytes, modes, links and the times of folders come back; what was placed is set aside."""
    before = fingerprint(world.root)
    world.fix()
    assert (world.root / "blobs/bad").read_bytes() == b"new blob"
    assert (world.root / "snap/model").read_bytes() == b"new blob"
    assert (world.root / "moved/put").read_bytes() == b"new inside"
    assert fingerprint(world.root) != before
    world.undo()
    assert fingerprint(world.root) == before
    run = world.run()
    assert run is not None
    assert run.state == "undone"
    placed = {
        Path(item.path).read_bytes() for item in quarantine.kept(run) if os.path.isfile(item.path)
    }
    assert b"new blob" in placed


@EVERY
@pytest.mark.parametrize("ending", ["finish", "undo"])
def test_a_kill_at_every_change_loses_nothing(ending: str, every: int, tmp_path: Path) -> None:
    """After each kill every original byte is there, and both ways out lead where they should."""
    undisturbed = World(tmp_path / "undisturbed")
    undisturbed.fix()
    whole = without_times(undisturbed.root)
    number = 0
    while True:
        number += every
        world = World(tmp_path / str(number))
        before, contents = fingerprint(world.root), world.contents()
        if not killed_at(number, world.fix):
            break
        assert world.contents() == contents, f"killed at change {number}"
        run = world.run()
        if run is None:
            assert fingerprint(world.root) == before
        elif ending == "finish":
            assert finish(run).state == "done"
            assert without_times(world.root) == whole, f"killed at change {number}"
            world.undo()
            assert fingerprint(world.root) == before, f"killed at {number}, finished, undone"
        else:
            world.undo()
            assert fingerprint(world.root) == before, f"killed at change {number}"
    assert number > 80, "the harness did not reach the steps"


@EVERY
def test_an_undo_killed_at_every_change_is_taken_up_again(every: int, tmp_path: Path) -> None:
    """A killed undo loses nothing, counts as unfinished, and the next one completes it."""
    number = 0
    while True:
        number += every
        world = World(tmp_path / str(number))
        before, contents = fingerprint(world.root), world.contents()
        world.fix()
        died = killed_at(number, world.undo)
        assert world.contents() == contents, f"killed at change {number}"
        world.undo()
        assert fingerprint(world.root) == before, f"killed at change {number}"
        assert unfinished(str(world.state)) == []
        if not died:
            break
    assert number > 40, "the harness did not reach the steps"


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(first=st.integers(1, 110), second=st.integers(1, 60), ending=st.booleans())
def test_two_kills_in_a_row_lose_nothing(
    first: int, second: int, ending: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A fix that is killed, and whose finish or undo is killed too, can still be taken back."""
    world = World(tmp_path_factory.mktemp("world"))
    before, contents = fingerprint(world.root), world.contents()
    killed_at(first, world.fix)
    run = world.run()
    if run is not None and run.state == "open":
        opened = run
        killed_at(second, (lambda: finish(opened)) if ending else world.undo)
    assert world.contents() == contents
    world.undo()
    assert fingerprint(world.root) == before


NAMES = ("a", "b", "f", f"f/{ODD}", "g", "g/c")


@st.composite
def plans(draw: st.DrawFn) -> list[Step]:
    """Draw steps that are possible one after the other, with paths relative to the root."""
    there = {"a": "file", "f": "folder", f"f/{ODD}": "file"}
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        free = [n for n in NAMES if n not in there and _parent_is_there(n, there)]
        path = draw(st.sampled_from(sorted(there))) if there else ""
        target = draw(st.sampled_from(free)) if free else ""
        kind = draw(st.sampled_from(("aside", "rename", "put", "link", "folder")))
        if kind == "aside" and path:
            steps.append(SetAside(path))
            _drop(path, there)
        elif kind == "rename" and path and target and not target.startswith(f"{path}/"):
            steps.append(Rename(path, target))
            moved = {n: k for n, k in there.items() if n == path or n.startswith(f"{path}/")}
            _drop(path, there)
            there |= {target + name[len(path) :]: k for name, k in moved.items()}
        elif kind == "put" and target:
            steps.append(Put(f"need{number}", target))
            there[target] = "file"
        elif kind == "link" and target:
            steps.append(Link(target, "a"))
            there[target] = "file"
        elif kind == "folder" and target:
            steps.append(MakeFolder(target))
            there[target] = "folder"
    return steps


def _parent_is_there(name: str, there: dict[str, str]) -> bool:
    parent = os.path.dirname(name)
    return not parent or there.get(parent) == "folder"


def _drop(path: str, there: dict[str, str]) -> None:
    for name in [n for n in there if n == path or n.startswith(f"{path}/")]:
        del there[name]


def _absolute(step: Step, root: str) -> Step:
    moved = step._replace(path=f"{root}/{step.path}")
    return moved._replace(target=f"{root}/{moved.target}") if isinstance(moved, Rename) else moved


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(steps=plans(), number=st.integers(1, 60))
@example(
    steps=[Rename("a", "b"), Put("n", "a"), SetAside("a"), Rename("b", "a")],
    number=1000,  # not killed: one name holds three things in turn
)
def test_any_steps_killed_anywhere_are_taken_back(
    steps: list[Step], number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever possible steps a repair has, and wherever it dies, undo brings back what was."""
    place = tmp_path_factory.mktemp("any")
    root, state = place / "root", place / "state"
    (root / "f").mkdir(parents=True)
    (root / "a").write_bytes(b"a")
    (root / "f" / ODD).write_bytes(b"odd")
    for path in (root / "f", root):
        os.utime(path, ns=(OLD_NS, OLD_NS))
    before = fingerprint(root)
    plan = repair(root, *(_absolute(step, str(root)) for step in steps))
    killed_at(number, lambda: applied(state, plan))
    for run in runs(str(state)):
        undoing.undo(run)
    assert fingerprint(root) == before


def test_a_repair_refuses_what_changed_since(world: World) -> None:
    """Neither a changed file nor one that has come since is touched; nothing is changed."""
    plan = world.repairs()[:1]
    for spoil, path in (("blobs/bad", "bad"), ("snap/model", "model")):
        (world.root / spoil).write_bytes(b"somebody else's")
        before = fingerprint(world.root)
        with pytest.raises(RepairError, match=f"{path}` was"):
            applied(world.state, *plan)
        assert fingerprint(world.root) == before
        plan = world.repairs()[:1]
        plan = (
            plan[0]._replace(guards=(*plan[0].guards[:1], Guard(f"{world.root}/snap/model", None))),
        )


def test_what_the_system_refuses_is_said_and_can_be_taken_back(shared: Path) -> None:
    """A folder that cannot be written ends a fix in words, and what was begun is undone."""
    root = shared / "root"
    (root / "locked").mkdir(parents=True)
    (root / "first").write_bytes(b"first")
    (root / "locked" / "second").write_bytes(b"second")
    for path in (root, shared):
        path.chmod(0o777)
    (root / "locked").chmod(0o555)
    plan = repair(root, SetAside(f"{root}/first"), SetAside(f"{root}/locked/second"))
    state = str(shared / "state")

    def fix() -> None:
        run = Run.create(state, (plan,), now=1.0)
        with contextlib.ExitStack() as after:
            after.callback(undoing.undo, run)
            run.take(0)

    assert in_child(fix, nobody=True) == "RepairError"
    assert (root / "first").read_bytes() == b"first"
    assert (root / "locked" / "second").read_bytes() == b"second"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.stat(state).st_uid)
        (run,) = runs(state)
    assert run.state == "undone"


def test_undo_refuses_what_was_changed_since(world: World) -> None:
    """What somebody wrote after the fix is not taken away; nothing at all is changed."""
    world.fix()
    (world.root / "blobs/bad").write_bytes(b"trained on")
    before = fingerprint(world.root)
    with pytest.raises(RepairError, match="was changed after the fix"):
        world.undo()
    assert fingerprint(world.root) == before


def test_undo_refuses_to_go_over_what_came_back(world: World) -> None:
    """Something new where a file was set aside is in the way, and stays."""
    path = world.root / "blobs/part"
    applied(world.state, repair(world.root, SetAside(str(path))))
    path.write_bytes(b"a new download")
    before = fingerprint(world.root)
    with pytest.raises(RepairError, match=r"something is at .* again"):
        world.undo()
    assert fingerprint(world.root) == before
    assert path.read_bytes() == b"a new download"


@pytest.mark.parametrize("inside", [False, True])
def test_undo_refuses_below_a_later_fix(inside: bool, world: World) -> None:
    """The later fix goes first, also when it changed something inside what the first moved."""
    before = fingerprint(world.root)
    kept = str(world.root / "kept")
    first = applied(world.state, repair(world.root, Rename(f"{world.root}/old/deep", kept)))
    path = f"{kept}/kept" if inside else kept
    second = applied(world.state, repair(world.root, SetAside(path)))
    with pytest.raises(RepairError, match=f"the later fix {second.id} changed"):
        undoing.undo(first, [second])
    undoing.undo(second)
    undoing.undo(first, [second])
    assert fingerprint(world.root) == before


def test_a_folder_that_others_use_stays(world: World) -> None:
    """Undo does not stop at a folder it made when something foreign has come in."""
    run = applied(world.state, repair(world.root, MakeFolder(f"{world.root}/made")))
    (world.root / "made" / ".DS_Store").write_bytes(b"finder")
    undoing.undo(run)
    assert run.state == "undone"
    assert (world.root / "made" / ".DS_Store").exists()


def test_a_state_folder_under_another_name_is_the_same(world: World) -> None:
    """Reached through a link, a run still sets aside what it placed instead of deleting it."""
    world.state.mkdir()
    link = world.root.parent / "link"
    link.symlink_to(world.state)
    before = fingerprint(world.root)
    made = applied(link, repair(world.root, Put("n", f"{world.root}/n")))
    run = world.run()
    assert run is not None
    undoing.undo(run)
    assert fingerprint(world.root) == before
    assert (world.state / "runs" / made.id / "undone/0.0/n").read_bytes() == b"new n"


def test_quarantine_lists_and_empties(world: World) -> None:
    """What is set aside is listed with its origin, and gone for good once emptied."""
    world.fix()
    run = world.run()
    assert run is not None
    kept = {item.origin: item for item in quarantine.kept(run)}
    bundle = kept[f"{world.root}/bundle"]
    assert bundle.size_bytes == len(b"original bundle/weights")
    assert bundle.why == "test it"
    quarantine.empty(run)
    assert list(quarantine.kept(run)) == []
    again = world.run()
    assert again is not None
    assert again.state == "emptied"
    with pytest.raises(RepairError, match="had set aside was deleted"):
        undoing.undo(again)


def test_an_unfinished_run_is_not_emptied(world: World) -> None:
    """What an interrupted fix set aside may be the only copy."""
    plan = repair(world.root, SetAside(f"{world.root}/bundle"))
    run = Run.create(str(world.state), (plan,), now=1.0)
    run.take(0)
    with pytest.raises(RepairError, match="is not finished"):
        quarantine.empty(run)
    assert len(list(quarantine.kept(run))) == 1


def test_a_plan_survives_its_journal(world: World) -> None:
    """Every kind of value comes back equal, odd names too, for another process to finish."""
    files = (("", f"{world.root}/{ODD}/{ODD}"),)
    sources = (LocalCopy(files, "hub cache"), HubFetch("org/name", "main", ODD, 7), Text("é"))
    proof = Proof("", 7, Digest("sha256", "00" * 32), "ggml")
    plan = world.repairs()[0]._replace(
        needs=(Need("blob", sources, (proof,), folder=True),), locks=(f"{world.root}/lock",)
    )
    made = Run.create(str(world.state), (plan,), now=12.5)
    opened = world.run()
    assert opened is not None
    assert opened.repairs == (plan,)
    assert opened.repairs[0].safety is Safety.SAFE
    assert (opened.id, opened.created_s, opened.state) == (made.id, 12.5, "open")


def test_two_runs_of_one_second_have_two_ids(tmp_path: Path) -> None:
    """Runs in different folders can be told apart by `undo`."""
    made = [Run.create(str(tmp_path / n), (), now=0.0).id for n in ("one", "two", "six")]
    assert len(set(made)) == 3
    assert all(name.startswith("19700101-000000-") for name in made)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]\n",
        "{}\n",
        '{"journal": 2}\n',
        '{"journal": 1}\n',
        '{"journal": 1, "id": "x", "created_s": 0, "repairs": [{"type": "Nope"}]}\n',
        '{"journal": 1, "id": "x", "created_s": 0, "repairs": []}\n{"intent": [5, 0], "move": 1}\n',
        '{"journal": 1, "id": "x", "created_s": 0, "repairs": []}\n7\n',
        '{"journal": 1, "id": "x", "created_s": "torn',
    ],
)
def test_foreign_and_torn_journals_are_passed_over(text: str, tmp_path: Path) -> None:
    """What is no journal of ours hides no run, and stops no scan."""
    run = Run.create(str(tmp_path), (), now=0.0)
    place = tmp_path / "runs"
    foreign = place / "20260101-000000-abcd"
    foreign.mkdir()
    (foreign / "journal.jsonl").write_text(text.replace('"x"', f'"{foreign.name}"'))
    (place / "20260101-000000-0000").touch()
    (place / "20260101-000000-0001").mkdir()
    assert [found.id for found in runs(str(tmp_path))] == [run.id]


def test_a_torn_last_line_was_never_acted_on(world: World) -> None:
    """A journal cut at any byte of its last line reads as it was before that line."""
    made = applied(world.state, *world.repairs())
    path = Path(made.folder, "journal.jsonl")
    content = path.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    for length in range(start, len(content) - 1):
        path.write_bytes(content[:length])
        (found,) = runs(str(world.state))
        assert found.state == "open"


def test_runs_are_the_newest_last(tmp_path: Path) -> None:
    """The order is that of their making, not of their names."""
    made = [Run.create(str(tmp_path), (), now=float(now)).id for now in (50, 7, 90)]
    assert [run.id for run in runs(str(tmp_path))] == [made[1], made[0], made[2]]
    assert runs(str(tmp_path / "missing")) == []


def test_a_run_at_work_is_not_unfinished(tmp_path: Path) -> None:
    """Only a run that nobody works on is reported as interrupted."""
    Run.create(str(tmp_path), (), now=0.0)
    with in_use.hold_lock(journal.lock_file(str(tmp_path))):
        assert unfinished(str(tmp_path)) == []
    assert len(unfinished(str(tmp_path))) == 1
    assert unfinished(str(tmp_path / "missing")) == []


def test_runs_lie_where_a_rename_can_reach(tmp_path: Path) -> None:
    """The state folder is used on the same file system, made or not, else the root's parent."""
    root = tmp_path / "cache"
    root.mkdir()
    state = tmp_path / "not" / "made" / "yet"
    assert place_of(str(root), str(state), "x") == f"{state}/runs/x"
    if os.path.isdir("/dev/shm") and not disk.same_file_system("/dev/shm", str(root)):
        state = Path(tempfile.mkdtemp(dir="/dev/shm"))
        beside = tmp_path / ".cachedoctor"
        assert place_of(str(root), str(state), "x") == str(beside / "x")
        run = Run.create(str(state), (repair(root),), now=0.0)
        assert (beside / ".gitignore").read_text().endswith("\n*\n")
        assert (beside / run.id / "journal.jsonl").exists()
        assert [found.id for found in runs(str(state))] == [run.id]
        shutil.rmtree(state)
