"""The same bytes stored once: on true disks of btrfs and XFS, and in words where a disk cannot."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor import apply, dedupe
from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import cures, duplicates, holdings
from cachedoctor.runs import applying, carrying
from cachedoctor.system import disk as system_disk
from cachedoctor.system import freed
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.support import disks, worlds
from tests.support.clients import LAST_FIRST, run
from tests.support.command import cachedoctor
from tests.support.killing import killed_at
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZE = 24 << 20
NOBODY = 65534


@pytest.fixture(params=["btrfs", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of its own, made for this test."""
    yield from disks.of_its_own(request.param, tmp_path)


def build(home: Path, content: bytes, *, ggml: bool = True) -> tuple[Host, list[Path]]:
    """Put the same weights into two repositories and a folder of GGML files."""
    home.mkdir(exist_ok=True)
    hub = worlds.hub_of(home)
    found = []
    for name in ("some/one", "other/two"):
        repository = worlds.repository(hub, name, {"model.bin": content})
        found.append(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin"))
    if ggml:
        place = home / "whisper.cpp" / "models" / "ggml-mine.bin"
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        found.append(place)
    subprocess.run(["sync", "-f", str(home)], check=True)
    return Host.look(home=str(home), platform="linux"), found


def stamps(files: Sequence[Path]) -> Sequence[tuple[object, ...]]:
    """Return everything that is to stay of files, access times too."""
    found = []
    for path in files:
        s = path.lstat()
        found.append((s.st_ino, s.st_mode, s.st_uid, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns))
    return found


def test_the_same_bytes_are_stored_once(disk: Path) -> None:
    """Freed as much as was said, measured; nothing else changes; a second time there is nothing."""
    content = os.urandom(SIZE)
    host, files = build(disk / "home", content)
    found = holdings.models(scanning.scan(host))
    assert found.total_bytes == 3 * SIZE
    before, free = stamps(files), freed.free_bytes([str(disk)])
    change = duplicates.dedupe(found)
    assert stamps(files) == before
    assert change.bytes == 2 * SIZE
    report = scanning.scan(host)
    before = stamps(files)
    carried = carrying.carry_out(change, report, Network(host, offline=True), measure=True)
    assert stamps(files) == before
    assert all(path.read_bytes() == content for path in files)
    assert carried.freed_bytes is not None
    assert carried.freed_bytes >= 1.9 * SIZE
    assert freed.free_bytes([str(disk)]) >= free + 1.9 * SIZE
    again = holdings.models(scanning.scan(host))
    assert not duplicates.dedupe(again).choices
    assert again.total_bytes == SIZE
    assert [one.own_bytes < SIZE for one in again.models] == [True] * 3
    assert not all(one.exact for one in again.models)
    applying.undo(host)
    assert all(path.read_bytes() == content for path in files)


def test_sharing_killed_at_every_disk_change_loses_nothing(disk: Path) -> None:
    """The bytes are the same after each kill, and both ways out work."""
    content = os.urandom(2 << 20)
    host, files = build(disk / "home", content)
    before = fingerprint(disk / "home")
    number = 0
    while killed_at(number := number + 1, lambda: apply(dedupe(host=host))):
        assert fingerprint(disk / "home") == before, f"killed at {number}"
        report = scanning.scan(host)
        plan = cures.plan(report, codes=("CD417",))
        if number % 2 and plan.unfinished:
            applying.apply(plan, report, Network(host, offline=True))
        elif applying.undoable(host):
            applying.undo(host)
        assert fingerprint(disk / "home") == before, f"killed at {number}"
    assert number > 5, "the harness did not reach the steps"
    assert not dedupe(host=host).choices
    assert all(path.read_bytes() == content for path in files)


def test_other_bytes_are_never_shared(disk: Path) -> None:
    """One byte differs behind the same name: refused, and both stay as they are."""
    content = os.urandom(SIZE)
    host, files = build(disk / "home", content)
    worlds.flip(files[0], SIZE - 5)
    report = scanning.scan(host)
    change = duplicates.dedupe(holdings.models(report))
    assert change.choices
    with pytest.raises(RepairError, match="different bytes"):
        carrying.carry_out(change, report, Network(host, offline=True))
    assert files[2].read_bytes() == content
    assert files[0].read_bytes() != content
    report = scanning.scan(host)
    assert not cures.plan(report).unfinished


def forget(files: Sequence[Path]) -> None:
    """Let the system drop what memory holds of files, so that they are read from the disk."""
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@pytest.mark.parametrize("copy", [0, pytest.param(-1, marks=pytest.mark.heavy)])
def test_what_a_disk_cannot_read_any_more_is_left_alone(disk: Path, copy: int) -> None:
    """A sector rots beneath one of two: btrfs says so and XFS reads other bytes; both stay."""
    content = os.urandom(SIZE)
    host, files = build(disk / "home", content, ggml=False)
    image = disk.parent / f"{disk.name}.image"
    at = SIZE // 2
    sector = re.escape(content[at : at + 64])
    places = [found.start() for found in re.finditer(sector, image.read_bytes())]
    assert len(places) == 2
    before = stamps(files)
    with image.open("r+b") as beneath:
        os.pwrite(beneath.fileno(), bytes(64), places[copy])
        forget(files)
        ended = cachedoctor("dedupe", "--yes", "--home", host.home, "--platform", "linux")
        said = "Input/output error" if disk.name == "btrfs" else "different bytes"
        assert (ended.code, said in ended.errors) == (4, True), ended
        assert stamps(files) == before
        os.pwrite(beneath.fileno(), content[at : at + 64], places[copy])
    forget(files)
    assert [path.read_bytes() == content for path in files] == [True, True]
    assert not cures.plan(scanning.scan(host)).unfinished


@pytest.mark.parametrize("other", [False, True], ids=["the same", "other"])
def test_somebody_writes_while_blocks_are_shared(
    disk: Path, other: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of their writes is there afterwards, and none of them in the other file."""
    content = os.urandom(3 * SIZE)
    host, files = build(disk / "home", content, ggml=False)
    report = scanning.scan(host)
    change = duplicates.dedupe(holdings.models(report))
    (choice,) = change.choices
    wanted = {path: bytearray(content) for path in files}
    target = next(path for path in files if str(path) == choice.path)
    begun, over = threading.Event(), threading.Event()

    def write() -> None:
        begun.wait()
        chance = random.Random(7)
        with target.open("r+b") as file:
            while not over.is_set():
                at = chance.randrange(len(content) - 9)
                piece = chance.randbytes(9) if other else content[at : at + 9]
                os.pwrite(file.fileno(), piece, at)
                wanted[target][at : at + 9] = piece

    def boundary(name: str) -> None:
        if name == "share":
            begun.set()

    monkeypatch.setattr(system_disk, "boundary", boundary)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with contextlib.suppress(RepairError):
            carrying.carry_out(change, report, Network(host, offline=True))
        assert begun.is_set()
    finally:
        begun.set()
        over.set()
        writer.join()
    forget(files)
    assert all(path.read_bytes() == wanted[path] for path in files)
    assert not cures.plan(scanning.scan(host)).unfinished


def test_holes_stay_holes_and_other_peoples_files_are_left_alone(disk: Path) -> None:
    """The file with fewer blocks is the source; what belongs to somebody else is not touched."""
    host, files = build(disk / "home", bytes(SIZE))
    os.truncate(files[2], 0)
    os.truncate(files[2], SIZE)
    os.chown(files[1], NOBODY, NOBODY)
    subprocess.run(["sync", "-f", str(disk)], check=True)
    report = scanning.scan(host)
    change = duplicates.dedupe(holdings.models(report))
    assert [choice.path for choice in change.choices] == [str(files[0])]
    carrying.carry_out(change, report, Network(host, offline=True))
    assert files[0].stat().st_blocks < SIZE // 512
    assert files[1].stat().st_blocks * 512 >= SIZE
    assert files[2].stat().st_blocks < SIZE // 512


@pytest.mark.real
@pytest.mark.parametrize("version", LAST_FIRST)
def test_the_client_works_where_blocks_are_shared(disk: Path, version: str) -> None:
    """It lists without complaint, loads offline, and an update leaves the other copy as it is."""
    home, names = disk / "home", ("some/one", "other/two")
    home.mkdir()
    code = (
        "from huggingface_hub import scan_cache_dir, snapshot_download\n"
        "for name in asked['names']: snapshot_download(name)\n"
        "assert not scan_cache_dir().warnings\n"
        "assert len(scan_cache_dir().repos) == 2\n"
        "for name in asked['names']: snapshot_download(name, local_files_only=True)\n"
    )
    content, newer = os.urandom(2 << 20), os.urandom(2 << 20)
    host = Host.look(home=str(home), platform="linux")
    with Hub() as served:
        for name in names:
            served.add(name, {"model.safetensors": content}, commit=worlds.COMMIT)
        run(version, served.url, home, code, names=names)
        subprocess.run(["sync", "-f", str(home)], check=True)
        before = fingerprint(worlds.hub_of(home))
        change = dedupe(host=host)
        assert change.bytes == len(content)
        apply(change)
        assert fingerprint(worlds.hub_of(home)) == before
        run(version, served.url, home, code, names=names)
        served.add(names[0], {"model.safetensors": newer}, commit="e" * 40)
        run(version, served.url, home, code, names=names)
    found = {
        path.read_bytes()
        for path in worlds.hub_of(home).glob("models--*/snapshots/*/model.safetensors")
    }
    assert found == {content, newer}
    other = worlds.hub_of(home) / "models--other--two" / "snapshots" / worlds.COMMIT
    assert (other / "model.safetensors").read_bytes() == content
    assert cachedoctor("scan", "--home", str(home), "--platform", "linux").code == 0


def test_a_disk_that_cannot_says_so(tmp_path: Path) -> None:
    """Nothing is offered and nothing changes; the exit code is 0."""
    host, files = build(tmp_path / "mine", os.urandom(2 << 20))
    found = holdings.models(scanning.scan(host))
    if duplicates.dedupe(found).choices:
        pytest.skip("this disk can share blocks")
    before = stamps(files)
    ended = cachedoctor("dedupe", "--yes", "--home", str(tmp_path / "mine"))
    assert ended.code == 0
    assert "cannot share blocks" in ended.output
    assert stamps(files) == before
