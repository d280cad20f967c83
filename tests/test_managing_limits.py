"""What the manager's verbs do where something is in their way, and at a disk that is full."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor as library
from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import relocation
from cachedoctor.runs import applying, carrying
from cachedoctor.system import disk
from cachedoctor.system.logbook import OPEN
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.places import as_nobody
from tests.support import builders, worlds
from tests.support.command import Ended, cachedoctor
from tests.support.killing import killed_at
from tests.test_managing import taken
from tests.test_removal import two_revisions

if TYPE_CHECKING:
    from collections.abc import Iterator


def answering(answer: str, *words: str) -> Ended:
    """Run a command with somebody at the keyboard who gives this answer to every question."""
    keys, terminal = pty.openpty()
    try:
        os.write(keys, f"{answer}\n".encode() * 3)
        done = subprocess.run(
            [sys.executable, "-m", "cachedoctor", *words],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(keys)
        os.close(terminal)
    return Ended(done.returncode, done.stdout, done.stderr)


def full_home(home: Path) -> None:
    """Fill a home with what a year leaves: whole, cut, old, half, twice, and of other programs."""
    hub = worlds.hub_of(home)
    two_revisions(home)
    cut = worlds.repository(hub, "Systran/faster-whisper-base", worlds.whisper_files())
    worlds.cut(worlds.blob_of(cut / "snapshots" / worlds.COMMIT / "model.bin"), 40)
    other = worlds.repository(hub, "meta-llama/Llama-3.1-8B", {"w.bin": builders.pattern(9000)})
    (other / "blobs" / ("ab" * 32)).write_bytes(b"nobody leads here")
    (other / "blobs" / f"{'cd' * 32}.0123abcd.incomplete").write_bytes(bytes(700))
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-mine.bin").write_bytes(b"lmgg" + bytes(300))


def test_every_byte_that_can_go_is_reached_with_three_commands(home: Path) -> None:
    """List, remove what is named there, prune the rest: no network, and nothing is left."""
    full_home(home)
    assert taken(home) > 10_000
    offline = ("--env", "HF_ENDPOINT=http://127.0.0.1:9")
    ids = cachedoctor("list", "-q").output.split()
    assert len(ids) == 5
    ended = answering("y", "remove", *ids, "--yes", "--delete")
    assert ended.code == 0, ended.output + ended.errors
    ended = cachedoctor("prune", "--yes", "--delete", *offline)
    assert ended.code == 0, ended.output + ended.errors
    assert taken(home) == 0
    assert cachedoctor("scan").code == 0


def test_what_can_go_without_a_loss_goes_at_once(home: Path) -> None:
    """The amount that `list` says is what `free` takes, and none of it costs a download."""
    full_home(home)
    whole = cachedoctor("list", "--json").data["summary"]["without_loss_bytes"]
    assert whole
    ended = cachedoctor("free", str(whole), "--yes", "--delete", "--json")
    assert ended.code == 0, ended.errors
    assert ended.data["change"]["bytes"] >= whole
    assert cachedoctor("list", "--json").data["summary"]["without_loss_bytes"] == 0
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en").code == 0


def test_a_loss_that_cannot_be_made_good_is_asked_for_by_name(home: Path) -> None:
    """Also under `--yes`; no, or nobody there, changes nothing and says what would be kept."""
    full_home(home)
    before = fingerprint(home)
    mine = str(home / "whisper.cpp" / "models" / "ggml-mine.bin")
    words = ("remove", mine, worlds.TINY, "--yes", "--delete")
    for ended in (cachedoctor(*words), answering("n", *words)):
        assert ended.code == 1
        assert "no source is known for ggml-mine.bin" in ended.errors
        assert "`undo`" in ended.errors
        assert fingerprint(home) == before
    ended = answering("y", *words)
    assert ended.code == 0, ended.errors
    assert "delete it for good anyway?" in ended.errors
    assert not os.path.exists(mine)


@pytest.mark.parametrize("verb", ["remove", "prune", "free", "dedupe", "move", "pack", "unpack"])
def test_what_cannot_be_read_of_a_users_own_configuration_stops_every_verb(
    home: Path, tmp_path: Path, verb: str
) -> None:
    """Exit code 2 before anything is done: a `keep` that is passed over would be a loss."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    stick = str(tmp_path / "stick")
    assert cachedoctor("pack", worlds.TINY, "-o", stick).code == 0
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    config.parent.mkdir(parents=True)
    config.write_text("keep = [")
    before = fingerprint(tmp_path)
    words = {
        "remove": (worlds.TINY, "--yes"),
        "free": ("1G", "--yes"),
        "move": (str(worlds.hub_of(home)), str(tmp_path / "hub"), "--yes"),
        "pack": (worlds.TINY, "-o", str(tmp_path / "more")),
        "unpack": (stick, "--yes"),
    }.get(verb, ("--yes",))
    ended = cachedoctor(verb, *words)
    assert (ended.code, "cachedoctor.toml" in ended.errors) == (2, True), ended.errors
    assert fingerprint(tmp_path) == before


def test_what_is_named_and_stays_is_said_and_the_rest_goes(home: Path, tmp_path: Path) -> None:
    """Kept, or linked from elsewhere: skipped, and exit code 1, also with `--delete`."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    worlds.repository(hub, "some/other", {"w.bin": b"x" * 50})
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-tiny.bin").write_bytes(b"lmgg" + bytes(300))
    leads = home / ".local" / "share" / "pywhispercpp" / "models" / "ggml-tiny.bin"
    leads.parent.mkdir(parents=True)
    leads.symlink_to(folder / "ggml-tiny.bin")
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    config.parent.mkdir(parents=True)
    config.write_text('keep = ["faster-whisper:tiny.en"]\n')
    names = (worlds.TINY, "some/other", str(folder / "ggml-tiny.bin"))
    ended = cachedoctor("remove", *names, "--yes")
    assert ended.code == 1
    assert "kept: `keep` names `faster-whisper:tiny.en`" in ended.output
    assert "links to it" in ended.output
    left = cachedoctor("list", "--json").data["entries"]
    assert "some/other" not in "".join(row["id"] for row in left)
    assert len(left) == 3


def test_what_cannot_be_read_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreadable is not absent: it is said, and stays."""
    if os.geteuid():
        pytest.skip("only root can ask as another user")
    with tempfile.TemporaryDirectory() as folder:  # where another user may enter
        home = Path(folder)
        home.chmod(0o755)
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            monkeypatch.setenv(name, str(home / "own"))
        path = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
        worlds.blob_of(path / "snapshots" / worlds.COMMIT / "model.bin").chmod(0)

        def ask() -> tuple[str, ...]:
            change = library.remove(worlds.TINY, host=Host.look(home=folder))
            return tuple(one.why for one in change.spared if one.named and not change.choices)

        (why,) = as_nobody(ask)
    assert "cannot be read" in why


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small disk in memory that can be taken away."""
    place = tmp_path / "small"
    place.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if subprocess.run(made, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


@pytest.mark.parametrize("harm", [("mount", "-o", "remount,ro"), ("umount", "-l"), ("fill",)])
def test_a_target_that_goes_in_the_middle_leaves_both_sides_whole(
    home: Path, host: Host, small_disk: Path, monkeypatch: pytest.MonkeyPatch, harm: tuple[str, ...]
) -> None:
    """Read-only, gone or full at any change of the disk: an error of exit code 4, nothing lost."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    before, number = fingerprint(home), 0
    again = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(small_disk)]
    while number < 200:
        number += 7
        count = 0

        def boundary(_operation: str, at: int = number) -> None:
            nonlocal count
            count += 1
            if count == at and harm == ("fill",):
                with (small_disk / "others").open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, os.statvfs(small_disk).f_bavail * 4096)
            elif count == at:
                subprocess.run([*harm, str(small_disk)], check=True)

        report = scanning.scan(host)
        found = relocation.relocate(report, str(hub), str(small_disk / "hub"))
        with monkeypatch.context() as patched, contextlib.suppress(RepairError):  # exit code 4
            patched.setattr(disk, "boundary", boundary)
            relocation.bring(found, report)
            change = relocation.switch(found, report)
            carrying.carry_out(change, report, Network(host, offline=True))
        if count < number:
            break
        if not hub.is_symlink():
            assert fingerprint(home) == before, f"{harm} at {number}"
        else:
            back = ["mount", "-o", "remount,rw", str(small_disk)]
            subprocess.run(back, check=True)
            applying.undo(host)
            assert fingerprint(home) == before, f"{harm} at {number}"
        began = [one for one in applying.runs(host) if one.state in OPEN]
        assert not began or harm[0] == "mount", f"{harm} at {number}"  # it waits for the disk
        shutil.rmtree(host.state, ignore_errors=True)
        subprocess.run(["umount", "-l", str(small_disk)], check=False, capture_output=True)
        subprocess.run(again, check=True)
    assert 14 < number < 200


@pytest.mark.parametrize("killed", [False, True])
def test_a_disk_that_is_lost_is_given_up_with_a_printed_command(
    home: Path, host: Host, small_disk: Path, tmp_path: Path, killed: bool
) -> None:
    """After a move, or after one that was killed: `fix` and `undo` name it, and it works."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    before = fingerprint(home)
    words = ("move", str(hub), str(small_disk / "hub"), "--yes")
    if killed:
        number = 40
        while True:  # until the old place is aside
            number += 1
            report = scanning.scan(host)
            change = relocation.switch(
                relocation.relocate(report, str(hub), str(small_disk / "hub")), report
            )
            assert killed_at(number, functools.partial(library.apply, change))
            if hub.is_symlink():
                break
            while applying.undoable(host):
                applying.undo(host)
            for path in (small_disk / "hub", small_disk / "hub.part"):
                shutil.rmtree(path, ignore_errors=True)
    else:
        assert cachedoctor(*words).code == 0
    subprocess.run(["umount", "-l", str(small_disk)], check=True)
    if killed:
        ended = cachedoctor("fix", "--yes")
        assert (ended.code, "--lost`" in ended.output) == (4, True), ended
    ended = cachedoctor("undo")
    assert ended.code == 4
    (command,) = re.findall("`cachedoctor ([^`]*--lost)`", ended.errors)
    assert cachedoctor(*shlex.split(command)).code == 0
    assert fingerprint(home) == before
    assert not (tmp_path / "config" / "cachedoctor" / "cachedoctor.toml").exists()
    assert cachedoctor("scan").code == 0
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en").code == 0


def test_nothing_is_given_up_that_is_here(home: Path, small_disk: Path) -> None:
    """With the disk in its place `--lost` changes nothing; a folder that went is refused."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    before = fingerprint(home)
    assert cachedoctor("move", str(hub), str(small_disk / "hub"), "--yes").code == 0
    away = small_disk / "elsewhere"
    (small_disk / "hub").rename(away)
    assert cachedoctor("undo", "--lost").code == 4
    away.rename(small_disk / "hub")
    assert cachedoctor("undo", "--lost").code == 0
    assert fingerprint(home) == before
    assert (small_disk / "hub.part").is_dir()
