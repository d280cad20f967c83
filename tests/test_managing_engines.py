"""True weights and true engines after the manager was at work, and clients that work meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor as library
from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import budget, holdings, pruning, relocation
from cachedoctor.runs import applying
from tests.conftest import fingerprint
from tests.support import benches, clients, weights, worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = ("faster-whisper:tiny.en", "whisper.cpp:tiny.en")


@pytest.fixture
def true_home(home: Path) -> Path:
    """Give the home its own copies of the true weights of three engines."""
    benches.faster_whisper(home)
    for path in worlds.hub_of(home).rglob("blobs/*"):
        content = path.read_bytes()  # it is a hard link to what all tests share
        path.unlink()
        path.write_bytes(content)
    for made, place in (
        (weights.ggml_tiny_en, ".local/share/pywhispercpp/models/ggml-tiny.en.bin"),
        (weights.openai_tiny_en, ".cache/whisper/tiny.en.pt"),
    ):
        (home / place).parent.mkdir(parents=True)
        shutil.copy2(weights.require(made), home / place)
    return home


def speaks(engine: str) -> bool:
    """Say whether an engine loads the model and hears the right words."""
    words = ("bench", "--model", "tiny.en", "--engine", engine, "--runs", "1", "--json")
    rows = cachedoctor(*words).data["bench"]["rows"]
    return [row["engine"] for row in rows] == [engine]


@pytest.mark.heavy
@pytest.mark.real
def test_engines_load_what_remains_and_what_comes_back(true_home: Path, tmp_path: Path) -> None:
    """Packed, removed, moved, unpacked: whoever is left speaks, and so does who comes back."""
    stick = str(tmp_path / "stick")
    assert cachedoctor("pack", *TINY, "-o", stick).code == 0
    ended = cachedoctor("remove", "whisper.cpp:tiny.en", "--yes", "--delete")
    assert ended.code == 0, ended.errors
    hub = worlds.hub_of(true_home)
    assert cachedoctor("move", str(hub), str(tmp_path / "hub"), "--yes").code == 0
    assert speaks("faster-whisper")
    assert cachedoctor("preflight", "whisper.cpp", "--model", "tiny.en").code == 1
    ended = cachedoctor("unpack", stick, "--yes")
    assert ended.code == 0, ended.output + ended.errors
    assert speaks("whisper.cpp")
    assert cachedoctor("verify").code == 0


@pytest.mark.real
def test_true_models_can_be_had_again_and_others_cannot(true_home: Path, host: Host) -> None:
    """What a published digest proves may be chosen; one bit of difference is somebody's own."""
    change = budget.free(holdings.models(scanning.scan(host)), 1 << 50, time.time())
    assert {choice.title for choice in change.choices} == {
        "faster-whisper/tiny.en", "openai-whisper/tiny.en", "whisper.cpp/tiny.en",
    }  # fmt: skip
    assert all(choice.refetch_bytes for choice in change.choices)
    ggml = true_home / ".local" / "share" / "pywhispercpp" / "models" / "ggml-tiny.en.bin"
    worlds.flip(ggml, ggml.stat().st_size // 2)
    change = budget.free(holdings.models(scanning.scan(host)), 1 << 50, time.time())
    assert "whisper.cpp/tiny.en" not in {choice.title for choice in change.choices}
    with ggml.open("r+b") as file:
        file.truncate(60_000_000)
    change = budget.free(holdings.models(scanning.scan(host)), 1 << 50, time.time())
    assert [spared.why for spared in change.spared] == [
        "its weights differ in length from the published ones"
    ]
    assert "not as published" in cachedoctor("list").output


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve a model."""
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        yield served


@pytest.mark.real
@pytest.mark.parametrize("version", clients.ENDS_FIRST)
def test_what_somebody_downloads_is_left_alone(
    home: Path, host: Host, hub: Hub, version: str, tmp_path: Path
) -> None:
    """Neither removed nor pruned nor freed nor moved, while the client's lock is held."""
    held = hub.hold("/model.bin", 10)
    with clients.downloading(version, hub.url, worlds.TINY, home) as child:
        for _ in range(600):
            codes = {finding.code for finding in scanning.scan(host).findings}
            if (held.reached.is_set() and codes == {"CD109"}) or child.poll() is not None:
                break
            time.sleep(0.05)
        found = holdings.models(scanning.scan(host))
        change = library.remove(worlds.TINY, host=host)
        assert not change.choices
        assert "downloading" in change.spared[0].why
        assert not pruning.prune(holdings.models(scanning.scan(host)), keep_revisions=1).choices
        assert not budget.free(found, 1 << 40, time.time()).choices
        with pytest.raises(RepairError, match="downloading"):
            relocation.relocate(found.report, str(worlds.hub_of(home)), str(tmp_path / "x"))
        assert not applying.runs(host)


def test_a_target_without_room_leaves_both_sides_whole(home: Path, tmp_path: Path) -> None:
    """Exit code 4, before anything is copied."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, worlds.TINY, {**worlds.whisper_files(), "x.bin": bytes(3 << 20)})
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount")
    try:
        before = fingerprint(home)
        ended = cachedoctor("move", str(hub), str(place / "hub"), "--yes")
        assert (ended.code, "no space" in ended.errors) == (4, True)
        assert fingerprint(home) == before
        assert list(place.iterdir()) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)
