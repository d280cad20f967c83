"""Moving a place to another disk: proven, switched, gone on with, taken back, moved back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError, UsageError
from cachedoctor.host import Host
from cachedoctor.plans import cures, relocation
from cachedoctor.runs import applying, carrying
from cachedoctor.system import moves
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.support import builders_models, worlds
from tests.support.clients import VERSIONS, run
from tests.support.command import cachedoctor
from tests.support.killing import EVERY, killed_at
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = "someone/else"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system is here")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture
def hub(home: Path) -> Path:
    """Build a hub cache with all that a tree can hold."""
    hub = worlds.hub_of(home)
    repository = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    worlds.repository(hub, OTHER, {"w.bin": b"x" * 5000})
    (repository / "trees" / f"{worlds.COMMIT}.json").chmod(0o600)
    os.link(repository / "refs" / "main", repository / "refs" / "tag")
    (hub / ".locks" / repository.name).mkdir(parents=True)
    for path in hub.rglob("*"):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return hub


def ready(*words: str) -> bool:
    """Say whether the model is ready by its name."""
    return cachedoctor("preflight", "faster-whisper", "--model", "tiny.en", *words).code == 0


def ids() -> list[str]:
    """Return the names of what is listed."""
    rows = cachedoctor("list", "--json").data["entries"]
    return sorted(row["id"].partition("/")[2].partition("/")[2] for row in rows)


def test_a_hub_moves_to_another_disk_and_comes_back(
    home: Path, hub: Path, other_disk: Path, tmp_path: Path
) -> None:
    """Times, modes and hard links go with it; it is one place under two names; undo is exact."""
    before, listed = fingerprint(home), ids()
    tree = fingerprint(hub)
    target = other_disk / "deep" / "hub"
    ended = cachedoctor("move", str(hub), str(target), "--dry-run")
    assert (ended.code, fingerprint(home)) == (0, before)
    ended = cachedoctor("move", str(hub), str(target), "--yes")
    assert ended.code == 0, ended.errors
    assert os.readlink(hub) == str(target)
    assert fingerprint(target) == tree
    main = target / f"models--{worlds.TINY.replace('/', '--')}" / "refs" / "main"
    assert main.stat().st_nlink == 2
    assert ready()
    assert ids() == listed
    assert cachedoctor("scan").code == 0
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    assert str(target) in config.read_text()
    assert cachedoctor("undo").code == 0
    assert fingerprint(home) == before
    assert not config.exists()
    assert ready()
    shutil.rmtree(other_disk / "deep")
    cachedoctor("move", str(hub), str(target), "--yes")
    ended = cachedoctor("move", str(target), str(hub), "--yes")
    assert ended.code == 0, ended.errors
    assert (hub.is_symlink(), target.exists()) == (False, False)
    assert fingerprint(hub) == tree
    assert not config.exists()
    assert ready()


def test_on_the_same_disk_it_is_renamed(home: Path, hub: Path, tmp_path: Path) -> None:
    """Nothing is copied; what people wrote in their configuration stays, and undo is exact."""
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    config.parent.mkdir(parents=True)
    config.write_text('# mine\nkeep = ["faster-whisper:tiny.en"]')
    before, inode = fingerprint(tmp_path / "home"), hub.stat().st_ino
    target = tmp_path / "place" / "hub"
    ended = cachedoctor("move", str(hub), str(target), "--yes")
    assert ended.code == 0, ended.errors
    assert target.stat().st_ino == inode
    assert config.read_text().startswith('# mine\nkeep = ["faster-whisper:tiny.en"]\n')
    assert ready()
    cachedoctor("undo")
    assert fingerprint(home) == before
    assert config.read_text() == '# mine\nkeep = ["faster-whisper:tiny.en"]'


@pytest.mark.parametrize("another", [True, False])
def test_one_model_moves_alone_and_comes_back(
    home: Path, hub: Path, other_disk: Path, tmp_path: Path, another: bool
) -> None:
    """A file, or a repository of a hub: ready by its name through a link; the others stay."""
    models = home / ".local" / "share" / "pywhispercpp" / "models"
    models.mkdir(parents=True)
    for name in ("ggml-tiny.bin", "ggml-base.bin"):
        (models / name).write_bytes(builders_models.ggml_whisper())
    before, made_ns = fingerprint(home), hub.stat().st_mtime_ns
    away = (other_disk if another else tmp_path) / "away"
    repository = hub / f"models--{worlds.TINY.replace('/', '--')}"
    for name, place in (("whisper.cpp:tiny", models / "ggml-tiny.bin"), (worlds.TINY, repository)):
        target = away / place.name
        tree = fingerprint(place)
        ended = cachedoctor("move", name, str(target), "--yes")
        assert ended.code == 0, ended.errors
        assert os.readlink(place) == str(target)
        assert fingerprint(target) == tree
        assert str(target) in "".join(row["path"] for row in listing())
    assert ready()
    assert cachedoctor("preflight", "whisper.cpp", "--model", "tiny").code == 0
    assert cachedoctor("scan").code == 0
    assert sum(row["own_bytes"] for row in listing()) < total() == size_of(home, away)
    ended = cachedoctor("move", str(repository), str(away / "x"), "--yes")
    assert (ended.code, "is a link" in ended.errors) == (2, True)
    ended = cachedoctor("move", str(away / repository.name), str(repository), "--yes")
    assert ended.code == 0, ended.errors
    assert not repository.is_symlink()
    for _ in range(3):
        assert cachedoctor("undo").code == 0
    left = repository.with_name(f"{repository.name}.part")
    assert (left.is_dir(), "stays in" in ended.output) == (another, another)
    if another:  # a copy to go on with, as was said; it touched the times of one folder
        shutil.rmtree(left)
        os.utime(hub, ns=(made_ns, made_ns))
    assert fingerprint(home) == before
    assert not (tmp_path / "config" / "cachedoctor" / "cachedoctor.toml").exists()


def listing() -> list[dict[str, Any]]:
    """Return the models that are listed."""
    rows: list[dict[str, Any]] = cachedoctor("list", "--json").data["entries"]
    return rows


def total() -> int:
    """Return how much all that is listed takes up."""
    return int(cachedoctor("list", "--json").data["summary"]["size_bytes"])


def size_of(*places: Path) -> int:
    """Return how much the files of models below some folders hold, each once."""
    found = {
        (path.stat().st_ino, path.stat().st_dev): path.stat().st_size
        for place in places
        for path in place.rglob("*")
        if path.is_file() and ("blobs" in path.parts or path.suffix == ".bin")
    }
    return sum(found.values())


@pytest.mark.parametrize(
    ("place", "target", "code", "words"),
    [
        ("whisper.cpp:tny", "away/ggml-tiny.bin", 2, "did you mean"),
        ("whisper.cpp:tiny", "away/mine.bin", 2, "must end with `ggml-tiny.bin`"),
        ("/nowhere/hub", "away/hub", 3, "does not exist"),
        ("some/twice", "away/models--some--twice", 2, "fits 2 things"),
    ],
)
def test_a_name_that_means_no_one_thing_moves_nothing(
    home: Path, tmp_path: Path, place: str, target: str, code: int, words: str
) -> None:
    """The nearest, the ids, or the path that would do are said."""
    models = home / ".local" / "share" / "pywhispercpp" / "models"
    models.mkdir(parents=True)
    (models / "ggml-tiny.bin").write_bytes(builders_models.ggml_whisper())
    for hub in (worlds.hub_of(home), home / "second"):
        worlds.repository(hub, "some/twice", {"w.bin": b"x"})
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[[locator]]\nkind = "hub-cache"\npath = "{home / "second"}"\n')
    before = fingerprint(home)
    ended = cachedoctor("move", place, str(tmp_path / target), "--yes")
    assert (ended.code, words in ended.errors) == (code, True), ended.errors
    assert fingerprint(home) == before


def test_a_change_meanwhile_ends_it_and_the_copy_stays(
    home: Path, host: Host, hub: Path, other_disk: Path
) -> None:
    """Before the copy is done, and between that and the switch; the same command continues."""
    report = scanning.scan(host)
    found = relocation.relocate(report, str(hub), str(other_disk / "hub"))
    ref = hub / f"models--{OTHER.replace('/', '--')}" / "refs" / "main"
    ref.write_text("e" * 40)
    with pytest.raises(RepairError, match="changed while being copied"):
        relocation.bring(found, report)
    assert (other_disk / "hub.part").is_dir()
    assert not hub.is_symlink()
    found = relocation.relocate(report, str(hub), str(other_disk / "hub"))
    relocation.bring(found, report)
    change = relocation.switch(found, report)
    ref.write_text(worlds.COMMIT)
    before = fingerprint(home)
    with pytest.raises(RepairError):
        carrying.carry_out(change, report, Network(host, offline=True))
    assert fingerprint(home) == before
    assert (other_disk / "hub.part").is_dir()
    assert cachedoctor("move", str(hub), str(other_disk / "hub"), "--yes").code == 0
    assert ready()


def test_bytes_that_rot_on_the_way_are_met(host: Host, hub: Path, other_disk: Path) -> None:
    """A copy of the right length and time and with other bytes is made again."""
    report = scanning.scan(host)
    found = relocation.relocate(report, str(hub), str(other_disk / "hub"))
    relocation.bring(found, report)
    copied = next(path for path in (other_disk / "hub.part").rglob("blobs/*"))
    status = copied.stat()
    worlds.flip(copied, 1)
    os.utime(copied, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(RepairError, match="differs"):
        relocation.bring(found, report)
    relocation.bring(found, report)


def test_what_must_not_be_moved_is_refused(
    home: Path, host: Host, hub: Path, tmp_path: Path
) -> None:
    """No place of models, a target that is taken or inside, a link that leads out, a pipe."""
    report = scanning.scan(host)
    (tmp_path / "taken").mkdir()
    for place, target in (
        (tmp_path / "taken", tmp_path / "x"),
        (hub, tmp_path / "taken"),
        (hub, hub / "inside"),
    ):
        with pytest.raises(UsageError):
            relocation.relocate(report, str(place), str(target))
    (hub / "out").symlink_to("../../../../elsewhere")
    with pytest.raises(RepairError, match="points outside"):
        relocation.relocate(report, str(hub), str(tmp_path / "x"))
    (hub / "out").unlink()
    os.mkfifo(hub / "pipe")
    with pytest.raises(RepairError, match="is not a file"):
        relocation.relocate(report, str(hub), str(tmp_path / "x"))


def test_a_place_in_use_is_refused(host: Host, hub: Path, tmp_path: Path) -> None:
    """By its name, before anything is copied."""
    blob = next(path for path in hub.rglob("blobs/*") if path.stat().st_size > 100)
    with subprocess.Popen(["tail", "-f", str(blob)], stdout=subprocess.DEVNULL) as user:
        for _ in range(100):
            if str(blob) in [os.path.realpath(p) for p in Path(f"/proc/{user.pid}/fd").iterdir()]:
                break
        ended = cachedoctor("move", str(hub), str(tmp_path / "x"), "--yes")
        user.kill()
    assert ended.code == 4
    assert "tail" in ended.errors


def _move(hub: Path, target: Path) -> None:
    host = Host.look()
    report = scanning.scan(host)
    found = relocation.relocate(report, str(hub), str(target))
    relocation.bring(found, report)
    carrying.carry_out(relocation.switch(found, report), report, Network(host, offline=True))


@EVERY
@pytest.mark.parametrize("ending", ["go on", "undo"])
def test_a_move_killed_at_every_disk_change_loses_nothing(
    home: Path, hub: Path, other_disk: Path, tmp_path: Path, ending: str, every: int
) -> None:
    """Whatever was reached, the model is whole in one of the places, and both ways out work."""
    before, tree = fingerprint(home), fingerprint(hub)
    number, target = 0, other_disk / "hub"
    while True:
        number += 11 if number < 66 else every
        killed = killed_at(number, lambda: _move(hub, target))
        if not killed:
            break
        host = Host.look()
        report = scanning.scan(host)
        places = [path for path in (hub, target) if path.exists()]
        places += [Path(kept.path) for kept in applying.kept(host) if kept.origin == str(hub)]
        assert any(fingerprint(path) == tree for path in places), f"killed at {number}"
        plan = cures.plan(report)
        if ending == "go on":
            if plan.unfinished:
                applying.apply(plan, report, Network(host, offline=True))
            elif not hub.is_symlink():
                _move(hub, target)
            assert os.readlink(hub) == str(target), f"killed at {number}"
            assert fingerprint(target) == tree, f"killed at {number}"
        if applying.undoable(host):
            applying.undo(host)
        assert fingerprint(home) == before, f"killed at {number}"
        for path in other_disk.iterdir():
            if path.name != ".cachedoctor":
                shutil.rmtree(path)
        shutil.rmtree(tmp_path / "config", ignore_errors=True)
    assert number > 60, "the harness did not reach the switch"
    assert moves.stamps_of(str(target))


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_works_at_the_moved_place(home: Path, other_disk: Path, version: str) -> None:
    """It lists without complaint, loads offline and downloads more, through the link."""
    code = (
        "from huggingface_hub import scan_cache_dir, snapshot_download\n"
        "for name in asked['names']: snapshot_download(name)\n"
        "assert not scan_cache_dir().warnings\n"
        "for name in asked['names']: snapshot_download(name, local_files_only=True)\n"
    )
    with Hub() as served:
        for name in (worlds.TINY, OTHER):
            served.add(name, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        run(version, served.url, home, code, names=[worlds.TINY])
        target = other_disk / "hub"
        ended = cachedoctor("move", str(worlds.hub_of(home)), str(target), "--yes")
        assert ended.code == 0, ended.errors
        run(version, served.url, home, code, names=[worlds.TINY, OTHER])
        assert (target / f"models--{OTHER.replace('/', '--')}").is_dir()
    assert cachedoctor("scan").code == 0
    assert sys.platform


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_works_where_one_repository_moved_and_waste_went(
    home: Path, other_disk: Path, version: str
) -> None:
    """It lists, loads offline and downloads a newer revision through the link; so does undo."""
    code = (
        "from huggingface_hub import scan_cache_dir, snapshot_download\n"
        "snapshot_download(asked['name'])\n"
        "assert not scan_cache_dir().warnings\n"
        "assert [r.repo_id for r in scan_cache_dir().repos] == [asked['name']]\n"
        "snapshot_download(asked['name'], local_files_only=True)\n"
    )
    hub = worlds.hub_of(home)
    repository = hub / f"models--{worlds.TINY.replace('/', '--')}"
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        run(version, served.url, home, code, name=worlds.TINY)
        (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
        os.utime(repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete", (1, 1))
        ended = cachedoctor("prune", "--yes")
        assert (ended.code, "partial download" in ended.output) == (0, True)
        target = other_disk / repository.name
        ended = cachedoctor("move", worlds.TINY, str(target), "--yes")
        assert ended.code == 0, ended.errors
        served.add(worlds.TINY, {**worlds.whisper_files(), "new.txt": b"new"}, commit="e" * 40)
        run(version, served.url, home, code, name=worlds.TINY)
        assert (target / "snapshots" / ("e" * 40) / "new.txt").exists()
        assert ready()
