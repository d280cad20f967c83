"""Journals that a stranger wrote: nothing that lies beside a cache moves our hands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cachedoctor.cli import main
from cachedoctor.doctor import scanning
from cachedoctor.errors import CacheDoctorError, RepairError
from cachedoctor.findings import (
    CdnFetch,
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
from cachedoctor.host import Host
from cachedoctor.runs import operating, quarantine
from cachedoctor.system import journal, undoing
from cachedoctor.system.network import Network
from cachedoctor.system.run import Run, runs
from cachedoctor.vocabulary import Digest
from tests.conftest import fingerprint

NAME = "20260101-000000-abcd"
NOBODY = 65534


def forged(root: Path, place: Path, *steps: Any, **more: Any) -> list[dict[str, Any]]:
    """Return the lines of a journal whose one repair has these steps, as a stranger writes them."""
    names = [step.name for step in steps if isinstance(step, Put)]
    needs = more.pop("needs", tuple(Need(name, (Text("evil"),), ()) for name in names))
    plan = Repair("test", Safety.SAFE, "evil", needs, steps, root=str(root))._replace(**more)
    return [
        {
            "journal": 2,
            "id": NAME,
            "created_s": 1.0,
            "home": "",
            "roots": [str(root)],
            "repairs": [journal.to_json(plan)],
            "places": [str(place)],
            "engines": [],
        }
    ]


def ship(place: Path, lines: list[dict[str, Any]]) -> Path:
    """Write a run folder, and return it."""
    folder = place / ".cachedoctor" / NAME
    (folder / "staged" / "0").mkdir(parents=True)
    (folder / "staged" / "0" / "n").write_bytes(b"evil")
    (folder / "aside" / "0.0").mkdir(parents=True)
    (folder / "aside" / "0.0" / "post-checkout").write_bytes(b"#!/bin/sh\nevil\n")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "journal.jsonl").write_text(text)
    return folder


def command(*words: str) -> tuple[int, str]:
    """Run a command line in this process; returns its exit code and what it printed."""
    shown = io.StringIO()
    began = time.perf_counter()
    with (
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(shown),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["cachedoctor", *words])
        with pytest.raises(SystemExit) as ended:
            main()
    assert time.perf_counter() - began < 2, words
    return int(ended.value.code or 0), shown.getvalue()


COMMANDS = (
    ("fix", "--yes", "--offline"),
    ("fix", "--waste", "--yes", "--offline"),
    ("undo",),
    ("undo", NAME),
    ("quarantine", "list"),
    ("quarantine", "empty", "--yes"),
    ("preflight", "mlx-whisper", "--size", "tiny"),
)


class Project:
    """A cloned project with a model folder and `.git`, and a victim outside."""

    def __init__(self, place: Path) -> None:
        """Build it below `place`."""
        self.folder = place / "project"
        self.models = self.folder / "models"
        self.git = self.folder / ".git"
        self.victim = place / "victim"
        for folder in (self.models, self.git / "hooks", self.victim, self.folder / "src"):
            folder.mkdir(parents=True)
        (self.git / "config").write_text("[core]\n")
        (self.folder / "src" / "code.py").write_text("uncommitted\n")
        (self.victim / "id_rsa").write_text("secret\n")
        self.victim.chmod(0o700)


def attacks(project: Project) -> dict[str, list[dict[str, Any]]]:
    """Return what a stranger may write, by what it is meant to do."""
    folder, place = project.folder, project.folder / ".cachedoctor" / NAME
    hook = project.git / "hooks" / "post-checkout"
    key = str(project.victim / "id_rsa")

    def make(*steps: Any, **more: Any) -> list[dict[str, Any]]:
        return forged(more.pop("root", folder), place, *steps, **more)

    undone = [
        *make(SetAside(str(hook))),
        {
            "intent": [0, 0],
            "move": ["rename", str(hook), f"{place}/aside/0.0/post-checkout", []],
        },
    ]
    opened = [
        *make(Link(str(folder / "x"), "y")),
        {
            "intent": [0, 0],
            "move": ["link", "y", str(folder / "x"), [[str(project.victim), 0o777, 1]]],
        },
    ]
    copied = Need("n", (LocalCopy((("", key),), "hub cache"),), ())
    fetched = Need("n", (HubFetch("org/evil", "main", "../../x", 1),), ())
    downloaded = Need(
        "n",
        (CdnFetch("http://127.0.0.1:9/x", 1, key),),
        (Proof("", 1, Digest("sha256", "0" * 64)),),
    )
    old = make(SetAside(str(folder / "src")))
    old[0] = {**old[0], "journal": 1, "folder": str(place)}
    return {
        "rewrites .git/config": make(
            SetAside(str(project.git / "config")), Put("n", str(project.git / "config"))
        ),
        "plants a hook when undone": undone,
        "sets uncommitted work aside": make(SetAside(str(folder / "src"))),
        "is of the version before": old,
        "copies a secret": make(Put("n", str(folder / "n")), needs=(copied,)),
        "stages over work": make(needs=(Need("../../../../src", (Text("x"),), ()),)),
        "fetches from anywhere": make(Put("n", str(folder / "n")), needs=(downloaded,)),
        "fetches to anywhere": make(Put("n", str(folder / "n")), needs=(fetched,)),
        "opens a folder to all": opened,
        "takes a lock outside": make(locks=(key,)),
        "guards outside": make(guards=(Guard(key, None),)),
        "links outside": make(Link(str(folder / "x"), str(project.victim))),
        "renames from outside": make(Rename(key, str(folder / "x"))),
        "renames to outside": make(Rename(str(folder / "src"), str(project.victim / "x"))),
        "makes folders outside": make(MakeFolder(str(project.victim / "x"))),
        "has another root": make(SetAside(key), root=project.victim),
        "has no root": make(SetAside(key), root=""),
        "is undoing": [*undone, {"undoing": True}],
    }


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project in which the commands are run."""
    found = Project(tmp_path)
    monkeypatch.chdir(found.folder)
    return found


def everything(place: Path) -> dict[str, tuple[object, ...]]:
    """Return what identifies every file but our own state, and when the victim's were read."""
    found: dict[str, tuple[object, ...]] = {}
    for base, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = os.path.join(base, name)
            status = os.lstat(path)
            key = os.path.relpath(path, place)
            if key.startswith("state"):
                continue
            content: object = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20:
                with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOATIME", 0)), "rb") as file:
                    content = file.read()
            quiet = hasattr(os, "O_NOATIME") and key.startswith("victim/")
            read = status.st_atime_ns if quiet else 0
            found[key] = (status.st_mode, status.st_mtime_ns, status.st_size, content, read)
    return found


@pytest.mark.parametrize("inside", [False, True])
def test_a_journal_that_a_project_brought_is_only_bytes(
    inside: bool, project: Project, tmp_path: Path
) -> None:
    """Whatever it says, beside the models or among them, no command changes or reads anything."""
    without = {words: command(*words)[0] for words in COMMANDS}
    for name, lines in attacks(project).items():
        folder = ship(project.models / "x" if inside else project.folder, lines)
        before = everything(tmp_path)
        for words in COMMANDS:
            assert command(*words)[0] == without[words], (name, words)
            assert everything(tmp_path) == before, (name, words)
        found = scanning.scan(Host.look()).findings
        assert everything(tmp_path) == before, name
        foreign = [finding for finding in found if finding.code == "CD423"]
        assert len(foreign) == (0 if inside else 1)
        assert not any(finding.code == "CD417" for finding in found)
        for each in foreign:
            assert each.path == str(folder)
            assert each.repair is not None
            assert f"undo --journal {folder}/journal.jsonl" in each.repair.describe
        _gone(folder.parent)


@pytest.mark.parametrize("kind", ["link", "link of the folder", "fifo", "device", "huge", "deep"])
def test_what_is_no_plain_journal_is_only_bytes(
    kind: str, project: Project, tmp_path: Path
) -> None:
    """A link, a pipe, a device, a terabyte, ten thousand levels: nothing hangs or is read."""
    lines = attacks(project)["sets uncommitted work aside"]
    for state in (False, True):
        if state:
            _in_state(lines)
            place = Path(Host.look().state, "runs", NAME)
        else:
            place = ship(project.folder, lines)
        file = place / "journal.jsonl"
        _become(kind, file, project)
        before = everything(tmp_path)
        for words in COMMANDS:
            command(*words)
            assert everything(tmp_path) == before, words
        assert runs(Host.look().state) == []
        if not state:
            _gone(place.parent if place.parent.is_dir() else project.folder / ".cachedoctor")


def _become(kind: str, file: Path, project: Project) -> None:
    if kind == "link of the folder":
        folder = file.parent
        moved = project.folder / f"moved {folder.parent.name}"
        folder.rename(moved)
        folder.symlink_to(moved)
        return
    if kind == "link":
        file.rename(project.folder / "real")
        file.symlink_to(project.folder / "real")
        return
    if kind == "deep":
        file.write_bytes(file.read_bytes() + b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
        return
    if kind == "huge":
        with file.open("ab") as opened:
            opened.truncate(1 << 40)
        return
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    else:
        try:
            os.mknod(file, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("this user makes no devices")


def _in_state(lines: list[dict[str, Any]]) -> Path:
    """Write a journal where only the user can, as a mistake of ours or a broken disk might."""
    folder = Path(Host.look().state, "runs", NAME)
    folder.mkdir(parents=True, mode=0o700)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "journal.jsonl").write_text(text)
    return folder


def _gone(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("what", ["journal.jsonl", ".", ".."])
def test_a_journal_that_another_could_have_written_is_passed_over(
    what: str, project: Project, tmp_path: Path
) -> None:
    """Of another owner, or writable by others: the file, its folder and the folder of all."""
    lines = forged(project.models, Path(Host.look().state, "runs", NAME))
    folder = _in_state(lines)
    assert len(runs(Host.look().state)) == 1
    path = folder / what
    mode = stat.S_IMODE(path.stat().st_mode)
    for bits in (0o002, 0o020):
        path.chmod(mode | bits)
        private = bits == 0o020 and path.stat().st_gid == 0
        assert len(runs(Host.look().state)) == int(private)
        path.chmod(mode)
    os.chown(path, NOBODY, NOBODY)
    assert runs(Host.look().state) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_a_shared_folder_with_somebody_elses_run(tmp_path: Path, monkeypatch: Any) -> None:
    """Where everybody may write, another user's run is a note, and nothing of it is done."""
    shared = tmp_path / "shared"
    project = Project(shared)
    shared.chmod(0o1777)
    folder = ship(project.folder, attacks(project)["sets uncommitted work aside"])
    for base, folders, files in os.walk(folder.parent):
        for name in (*folders, *files):
            os.chown(os.path.join(base, name), NOBODY, NOBODY)
    os.chown(folder.parent, NOBODY, NOBODY)
    monkeypatch.chdir(project.folder)
    before = everything(tmp_path)
    for words in COMMANDS:
        command(*words)
    (found,) = [f for f in scanning.scan(Host.look()).findings if f.code == "CD423"]
    assert (found.severity, found.repair) == ("note", None)
    assert f"user {NOBODY}" in found.message
    assert everything(tmp_path) == before


def test_the_temporary_folder_of_a_mac(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours are nobody's journals either."""
    temporary = tmp_path / "T"
    (temporary / "huggingface").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(temporary))
    ship(temporary, forged(temporary, temporary, SetAside(str(temporary / "huggingface"))))
    ship(tmp_path, forged(tmp_path, tmp_path, SetAside(str(temporary))))
    before = everything(tmp_path)
    for words in COMMANDS:
        command(*words, "--platform", "darwin")
        assert everything(tmp_path) == before, words


def test_ensure_does_what_its_plan_says(project: Project, tmp_path: Path) -> None:
    """A journal in the project changes nothing of what `allow` is asked about."""
    import cachedoctor

    ship(project.folder, attacks(project)["sets uncommitted work aside"])
    before = everything(tmp_path)
    host = Host.look()
    with contextlib.suppress(RepairError):
        cachedoctor.ensure(
            "mlx-whisper",
            size="tiny",
            host=host,
            offline=True,
            allow=lambda plan: not plan.unfinished,
        )
    assert everything(tmp_path) == before


def test_a_journal_in_the_state_folder_is_confined_too(project: Project, tmp_path: Path) -> None:
    """What leads out of its root, or into `.git`, is none of ours wherever it lies."""
    state = Path(Host.look().state)
    place = state / "runs" / NAME
    good = forged(project.models, place, SetAside(str(project.models / "x")))
    for name, lines in attacks(project).items():
        own = [{**lines[0], "places": [str(place)], "folder": str(place)}, *lines[1:]]
        own[0]["roots"] = [str(project.models)]
        if name in ("sets uncommitted work aside", "is of the version before", "has another root"):
            continue  # such a root is one that its user may have
        folder = _in_state(own)
        before = everything(tmp_path)
        assert runs(str(state)) == [], name
        for words in COMMANDS:
            command(*words)
        assert everything(tmp_path) == before, name
        _gone(folder)
    _in_state(good)
    assert len(runs(str(state))) == 1


def test_a_folder_that_becomes_a_link_is_refused(project: Project, tmp_path: Path) -> None:
    """Between the look and the step, or before the undo: nothing goes through the link."""
    (project.models / "a" / "b").mkdir(parents=True)
    (project.models / "a" / "b" / "id_rsa").write_text("of the model")
    path = project.models / "a" / "b" / "id_rsa"
    plan = Repair("t", Safety.SAFE, "t", (), (SetAside(str(path)),), root=str(project.models))
    for when in ("before the step", "before the undo"):
        run = Run.create(Host.look().state, (plan,), now=time.time())
        if when == "before the undo":
            run.take(0)
            run.close("done")
        (project.models / "a" / "b").rename(project.models / "a" / "away")
        (project.models / "a" / "b").symlink_to(project.victim)
        before = fingerprint(project.victim)
        with pytest.raises(
            RepairError, match=r"is a link or not a folder|something is at|was changed"
        ):
            run.take(0) if when == "before the step" else undoing.undo(run)
        assert fingerprint(project.victim) == before
        (project.models / "a" / "b").unlink()
        (project.models / "a" / "away").rename(project.models / "a" / "b")
        undoing.undo(run)
        assert path.read_text() == "of the model"


def _changed(value: Any, rng: random.Random) -> Any:
    """Return a value with one thing in it changed."""
    odd: tuple[Any, ...] = (
        None, True, -1, 1 << 70, 1.5, float("nan"), "", "..", "/", "/etc/passwd", "\0", "\ud800",
        [], {}, [[]], {"type": "Nope"}, "done", "closed", {"type": "SetAside"}, 0, 1,
    )  # fmt: skip
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        roll = rng.random()
        if roll < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if roll < 0.15:
            return {**value, "more": rng.choice(odd)}
        return {**value, key: _changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        if rng.random() < 0.1:
            return value[:at] + value[at + 1 :]
        return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(odd)


def mutated(lines: list[dict[str, Any]], rng: random.Random) -> bytes:
    """Return a journal with something wrong with it."""
    changed: list[Any] = list(lines)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(changed))
        roll = rng.random()
        if roll < 0.7:
            changed[at] = _changed(changed[at], rng)
        elif roll < 0.8:
            del changed[at]
            changed = changed or [{}]
        elif roll < 0.9:
            changed.insert(at, rng.choice(changed))
        else:
            rng.shuffle(changed)
    content = bytearray("".join(json.dumps(line) + "\n" for line in changed).encode())
    if rng.random() < 0.2 and content:
        at = rng.randrange(len(content))
        content[at : at + rng.randrange(9)] = rng.randbytes(rng.randrange(9))
    return bytes(content)


def fuzz(world: Any, outside: Path, count: int, seed: int) -> int:
    """Read, show, list and take back that many mutations; returns how many were taken for ours."""
    rng = random.Random(seed)
    state = str(world.state)
    host = Host.look(home=str(world.state.parent))._replace(state=state)
    world.fix()
    made = world.run()
    file = Path(made.folder, "journal.jsonl")
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    before, taken = fingerprint(outside), 0
    for number in range(count):
        cut = rng.randrange(1, len(lines) + 1)
        file.write_bytes(mutated(lines[:cut], rng))
        for run in runs(state):
            taken += 1
            list(quarantine.kept(run))
            undoing.words(run)
            for each in range(len(run.repairs)):
                run.left(each)
            if number % 10 == 0:
                with contextlib.suppress(CacheDoctorError, OSError):  # as a fix takes them
                    operating.operate(run, Network(host, offline=True))
                assert fingerprint(outside) == before
            if number % 20 == 0:
                with contextlib.suppress(CacheDoctorError):
                    undoing.undo(run)
                assert fingerprint(outside) == before
    return taken


def test_no_mutation_of_a_journal_is_more_than_an_error(tmp_path: Path) -> None:
    """Two thousand of them: no exception but ours, and nothing outside is changed."""
    from tests.test_journal import World

    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    assert fuzz(World(tmp_path / "world"), outside, 2000, seed=15) > 20
