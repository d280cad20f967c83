"""Packs: carried in parts, proven, into every layout; hostile ones are refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.host import Host
from cachedoctor.plans import packing, packs
from tests.conftest import fingerprint
from tests.support import weights, worlds
from tests.support.clients import VERSIONS, run
from tests.support.command import cachedoctor
from tests.support.loopback import Hub
from tests.test_faults_folders import build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TINY = "faster-whisper:tiny.en"
FOLDERS = (
    "whisperkit:openai_whisper-tiny",
    "fluidaudio:parakeet-tdt-0.6b-v3",
    "lightning-whisper-mlx:base",
)


@pytest.fixture
def pack(home: Path, tmp_path: Path) -> Path:
    """Pack a model of the hub cache."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    folder = tmp_path / "stick"
    ended = cachedoctor("pack", TINY, "-o", str(folder))
    assert ended.code == 0, ended.errors
    return folder


def other(tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """Return another machine's home, and how a command looks at it."""
    home = tmp_path / "other"
    home.mkdir(exist_ok=True)
    return home, ("--home", str(home))


def test_a_model_is_carried_to_another_machine_and_back(pack: Path, tmp_path: Path) -> None:
    """Ready there by its name, the same blobs and branch; undone, nothing is left of it."""
    home, there = other(tmp_path)
    before = fingerprint(home)
    assert cachedoctor("unpack", str(pack), "--dry-run", *there).code == 0
    assert cachedoctor("unpack", str(pack), *there).code == 1
    assert fingerprint(home) == before
    ended = cachedoctor("unpack", str(pack), "--yes", *there)
    assert ended.code == 0, ended.errors
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en", *there).code == 0
    assert cachedoctor("verify", *there).code == 0
    again = cachedoctor("unpack", str(pack), "--yes", *there)
    assert (again.code, "already here" in again.output) == (0, True)
    cachedoctor("undo", *there)
    assert fingerprint(home) == before


def test_a_damaged_copy_is_left_to_a_fix(pack: Path, tmp_path: Path) -> None:
    """It is not called put in place; the command that is named cures it."""
    home, there = other(tmp_path)
    cachedoctor("unpack", str(pack), "--yes", *there)
    blob = max(home.rglob("blobs/*"), key=lambda path: path.stat().st_size)
    os.truncate(blob, blob.stat().st_size - 1)
    before = fingerprint(home)
    ended = cachedoctor("unpack", str(pack), "--yes", *there)
    assert ended.code == 1, ended
    assert "what is here is damaged: `cachedoctor fix faster-whisper" in ended.output
    assert fingerprint(home) == before


def test_folders_of_every_layout_are_carried(home: Path, tmp_path: Path) -> None:
    """Bundles, a tokenizer elsewhere, a client's notes: each engine finds its model."""
    mac = build(home, tmp_path / "project")
    where = ("--home", str(home), "--platform", "darwin", "--project", str(mac.project))
    stick = str(tmp_path / "stick")
    ended = cachedoctor("pack", *FOLDERS, "-o", stick, *where)
    assert ended.code == 0, ended.errors
    fresh, project = tmp_path / "fresh", tmp_path / "fresh-project"
    fresh.mkdir()
    project.mkdir()
    there = ("--home", str(fresh), "--platform", "darwin", "--project", str(project))
    ended = cachedoctor("unpack", stick, "--yes", *there)
    assert ended.code == 0, ended.output + ended.errors
    for name in FOLDERS:
        engine, _, model = name.partition(":")
        asked = cachedoctor("preflight", engine, "--model", model, *there)
        assert asked.code == 0, asked.output
    assert cachedoctor("scan", *there, "--fail-on", "warning").code == 0


def test_what_the_other_side_has_is_left_out(pack: Path, home: Path, tmp_path: Path) -> None:
    """And taken from there when it is unpacked; a part that is nowhere is said."""
    far, there = other(tmp_path)
    worlds.repository(
        worlds.hub_of(far), "someone/else", {"w.bin": worlds.whisper_files()["model.bin"]}
    )
    have = tmp_path / "have"
    have.write_text(cachedoctor("unpack", "--have", *there).output)
    small = tmp_path / "small"
    ended = cachedoctor("pack", TINY, "-o", str(small), "--have", str(have), "--json")
    assert ended.data["pack"]["left_out"] == 1
    weights = len(worlds.whisper_files()["model.bin"])
    assert sum(path.stat().st_size for path in (small / "parts").iterdir()) < weights
    ended = cachedoctor("unpack", str(small), "--yes", *there)
    assert ended.code == 0, ended.output + ended.errors
    empty = tmp_path / "empty"
    empty.mkdir()
    ended = cachedoctor("unpack", str(small), "--yes", "--home", str(empty))
    assert (ended.code, "not in the pack" in ended.output) == (1, True)


@pytest.mark.real
def test_another_engine_gets_a_model_whose_files_are_the_same(home: Path, tmp_path: Path) -> None:
    """By its digest; an engine that has none such is said, with exit code 1."""
    place = home / ".cache" / "whisper"
    place.mkdir(parents=True)
    shutil.copy(weights.require(weights.openai_tiny_en), place)
    stick = str(tmp_path / "stick")
    assert cachedoctor("pack", "whisper-mps:tiny.en", "-o", stick).code == 0
    far, there = other(tmp_path)
    before = fingerprint(far)
    for engine in ("faster-whisper", "whisper.cpp", "whisperkit"):
        ended = cachedoctor("unpack", stick, "--for", engine, "--yes", *there)
        assert ended.code == 1, ended
        assert f"{engine} has no known model with the same files" in ended.output
        assert fingerprint(far) == before
    ended = cachedoctor("unpack", stick, "--for", "openai-whisper", "--yes", *there)
    assert ended.code == 0, ended.output + ended.errors
    assert cachedoctor("preflight", "openai-whisper", "--model", "tiny.en", *there).code == 0
    assert cachedoctor("verify", "openai-whisper", *there).code == 0
    assert cachedoctor("undo", *there).code == 0
    assert fingerprint(far) == before


def test_parts_are_joined_and_a_pack_is_gone_on_with(
    home: Path, host: Host, tmp_path: Path
) -> None:
    """Small parts; what is there is not written again; a wrong part is refused and named."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    found = packing.pack(host, [TINY], part_bytes=50)
    assert max(len(parts) for parts in found.files.values()) > 3
    folder = tmp_path / "stick"
    first = packing.write(found, str(folder))
    assert packing.write(found, str(folder)) == 0
    lost = max((folder / "parts").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    size = lost.stat().st_size
    lost.unlink()
    assert packing.write(found, str(folder)) == size < first
    _, there = other(tmp_path)
    worlds.flip(lost, 3)
    ended = cachedoctor("unpack", str(folder), "--yes", *there)
    assert (ended.code, lost.name in ended.errors) == (4, True)
    assert cachedoctor("scan", *there, "--json").data["entries"] == []
    worlds.flip(lost, 3)
    assert cachedoctor("unpack", str(folder), "--yes", *there).code == 0


def test_a_stream_carries_a_pack(home: Path, tmp_path: Path) -> None:
    """`pack -o - | unpack -`, and nothing of it stays in our own folder."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    _, there = other(tmp_path)
    me = [sys.executable, "-m", "cachedoctor"]
    with subprocess.Popen([*me, "pack", TINY, "-o", "-"], stdout=-1, stderr=-1) as sender:
        done = subprocess.run(
            [*me, "unpack", "-", "--yes", *there],
            stdin=sender.stdout,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en", *there).code == 0
    unpacking = tmp_path / "state" / "cachedoctor" / "unpacking"
    assert list(unpacking.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.35, 0.6])
def test_a_stream_that_was_cut_puts_nothing_anywhere(
    home: Path, tmp_path: Path, share: float
) -> None:
    """Wherever the line broke: an exit code that says so, and no half model."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    far, there = other(tmp_path)
    me = [sys.executable, "-m", "cachedoctor"]
    whole = subprocess.run([*me, "pack", TINY, "-o", "-"], capture_output=True, check=True).stdout
    cut = whole[: int(len(whole) * share)]
    done = subprocess.run(
        [*me, "unpack", "-", "--yes", *there], input=cut, capture_output=True, check=False
    )
    assert done.returncode in (1, 2, 3)
    assert done.stdout + done.stderr
    assert not [path for path in far.rglob("*") if path.is_file()]
    assert list((tmp_path / "state" / "cachedoctor" / "unpacking").iterdir()) == []


def index_of(pack: Path) -> dict[str, dict[str, list[list[object]]]]:
    """Return a pack's list of parts."""
    found: dict[str, dict[str, list[list[object]]]] = json.loads((pack / packs.INDEX).read_text())
    return found


def renamed(pack: Path) -> None:
    """Name a part by a path."""
    index = index_of(pack)
    next(iter(index["files"].values()))[0][0] = "../../etc/passwd"
    (pack / packs.INDEX).write_text(json.dumps(index))


def longer(pack: Path) -> None:
    """Say that a part is longer than it is."""
    index = index_of(pack)
    next(iter(index["files"].values()))[0][1] = 1 << 50
    (pack / packs.INDEX).write_text(json.dumps(index))


def climbing(pack: Path) -> None:
    """Let a model's file lead out of its folder."""
    lock = pack / packs.LOCK
    lock.write_text(lock.read_text().replace('"model.bin"', '"../../../model.bin"'))


def linked(pack: Path) -> None:
    """Make a part a link to something else of the same length."""
    part = next((pack / "parts").iterdir())
    aim = pack / "elsewhere"
    aim.write_bytes(part.read_bytes())
    part.unlink()
    part.symlink_to(aim)


def piped(pack: Path) -> None:
    """Put a pipe where the list of parts belongs."""
    (pack / packs.INDEX).unlink()
    os.mkfifo(pack / packs.INDEX)


def nested(pack: Path) -> None:
    """Write a list that is nested too deeply."""
    (pack / packs.INDEX).write_text("[" * 100_000)


def upper(pack: Path) -> None:
    """Write a digest in capitals, which some disks would take for the same name."""
    index = index_of(pack)
    row = next(iter(index["files"].values()))[0]
    row[0] = str(row[0]).upper()
    (pack / packs.INDEX).write_text(json.dumps(index))


def many(pack: Path) -> None:
    """Let one file consist of more parts than there can be."""
    index = index_of(pack)
    digest = next(iter(index["files"]))
    index["files"][digest] = [[digest, 1]] * 200_000
    (pack / packs.INDEX).write_text(json.dumps(index))


def repeated(pack: Path) -> None:
    """Join one part a thousand times: a bomb of what is small."""
    index = index_of(pack)
    digest, parts = max(index["files"].items(), key=lambda row: int(str(row[1][0][1])))
    index["files"][digest] = parts * 1000
    (pack / packs.INDEX).write_text(json.dumps(index))


def negative(pack: Path) -> None:
    """Give a part a length below nothing."""
    index = index_of(pack)
    next(iter(index["files"].values()))[0][1] = -1
    (pack / packs.INDEX).write_text(json.dumps(index))


def huge(pack: Path) -> None:
    """Let the list of parts be of a gigabyte, which is a hole."""
    os.truncate(pack / packs.INDEX, 1 << 30)


def elsewhere(pack: Path) -> None:
    """Let the folder of the parts be a link out of the pack."""
    (pack / "parts").rename(pack.parent / "real-parts")
    (pack / "parts").symlink_to(pack.parent / "real-parts")


def foreign(pack: Path) -> None:
    """Name a file of a model by an absolute path."""
    lock = pack / packs.LOCK
    lock.write_text(lock.read_text().replace('"model.bin"', '"/tmp/evil-model.bin"'))


def spoken(pack: Path) -> None:
    """Put a command for a terminal into a name."""
    lock = pack / packs.LOCK
    lock.write_text(lock.read_text().replace('"model.bin"', '"model\\u001b[2J.bin"'))


def other_bytes(pack: Path) -> None:
    """Let a part of the right length and name hold something else."""
    part = max((pack / "parts").iterdir(), key=lambda path: path.stat().st_size)
    part.write_bytes(bytes(part.stat().st_size))


def version(pack: Path) -> None:
    """Claim a version of the day after tomorrow."""
    (pack / packs.INDEX).write_text('{"pack": 99, "files": {}}')


@pytest.mark.parametrize(
    "harm",
    [
        *(renamed, longer, climbing, linked, piped, nested, version, upper, many, repeated),
        *(negative, huge, elsewhere, foreign, spoken, other_bytes),
    ],
)
def test_a_hostile_pack_is_refused(
    pack: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """An exit code that says so, in words; nothing was written, nor a command for a terminal."""
    harm(pack)
    home, there = other(tmp_path)
    before = fingerprint(home)
    began = time.monotonic()
    ended = cachedoctor("unpack", str(pack), "--yes", *there)
    assert ended.code in (1, 2, 4)
    assert ended.output + ended.errors
    assert "\x1b" not in ended.output + ended.errors
    assert time.monotonic() - began < 30
    assert not os.path.exists("/tmp/evil-model.bin")
    assert fingerprint(home) == before


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("pack.json", b"{}"), ("../models.lock", b"x")],
        [
            ("pack.json", b'{"pack": 1, "files": {}}'),
            ("models.lock", b"version = 1\n"),
            ("parts/x", b"x"),
        ],
    ],
)
def test_a_hostile_stream_is_refused(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    """A member that the lists do not name is not written."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    stream.seek(0)
    with pytest.raises(CacheDoctorError):
        packs.from_stream(stream, str(tmp_path / "in"))
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "models.lock").exists()


def bomb(members: list[tuple[str, bytes, int]]) -> io.BytesIO:
    """Return a stream whose members say that they are longer than they are."""
    stream = io.BytesIO()
    for name, content, size in members:
        info = tarfile.TarInfo(name)
        info.size = size
        stream.write(info.tobuf() + content + bytes(-len(content) % 512))
    stream.seek(0)
    return stream


@pytest.mark.parametrize(
    "members",
    [
        [("pack.json", b"{}", 1 << 40)],
        [("pack.json", b'{"pack": 1, "files": {}}', 24), ("models.lock", b"x", 1 << 40)],
        [("pack.json", b"{}", 2), ("pack.json", b"{}", 2)],
    ],
)
def test_a_stream_that_lies_about_lengths_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes, int]]
) -> None:
    """Before anything of it is kept in memory or on disk."""
    with pytest.raises(CacheDoctorError):
        packs.from_stream(bomb(members), str(tmp_path / "in"))
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert written < 1 << 20


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_stream_has_files_and_nothing_else(tmp_path: Path, kind: bytes) -> None:
    """No link, no pipe, also under a name that belongs to a pack."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("pack.json")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    stream.seek(0)
    with pytest.raises(CacheDoctorError):
        packs.from_stream(stream, str(tmp_path / "in"))


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"have": 7}', "\0" * 100, "[" * 100_000, '["../../x"]', '{"have": ["zz"]}'],
)
def test_a_list_of_what_the_other_side_has_is_foreign_input(
    pack: Path, tmp_path: Path, text: str
) -> None:
    """It is read, or refused in words; what it names wrongly is packed all the same."""
    have = tmp_path / "have"
    have.write_text(text)
    folder = tmp_path / "again"
    ended = cachedoctor("pack", TINY, "-o", str(folder), "--have", str(have))
    assert ended.code in (0, 2)
    assert ended.output + ended.errors
    if ended.code == 0:
        names = {path.name for path in (folder / "parts").iterdir()}
        assert names == {path.name for path in (pack / "parts").iterdir()}
    else:
        assert not folder.exists()


def test_what_cannot_be_described_is_not_packed(home: Path, host: Host) -> None:
    """Another program's repository has no lock file."""
    worlds.repository(worlds.hub_of(home), "someone/else", {"w.bin": b"x"})
    with pytest.raises(UsageError, match="no known engine loads"):
        packing.pack(host, ["someone/else"])
    assert scanning.scan(host).entries


@pytest.mark.real
@pytest.mark.parametrize("version_", VERSIONS)
def test_the_client_takes_what_was_unpacked_for_its_own(
    pack: Path, tmp_path: Path, version_: str
) -> None:
    """It lists it without complaint, loads it offline, and downloads nothing again."""
    home, there = other(tmp_path)
    assert cachedoctor("unpack", str(pack), "--yes", *there).code == 0
    code = (
        "from huggingface_hub import scan_cache_dir, snapshot_download\n"
        "assert not scan_cache_dir().warnings\n"
        "snapshot_download(asked['name'], local_files_only=True)\n"
        "snapshot_download(asked['name'])\n"
    )
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        run(version_, served.url, home, code, name=worlds.TINY)
        assert not [r for r in served.requests if r.method == "GET" and "model.bin" in r.path]
