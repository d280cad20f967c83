"""From a broken hub cache to a working engine: real weights, the real client, the real engine."""

from __future__ import annotations

import filecmp
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import MOVERS
from tests.support import speech, weights, worlds
from tests.support.command import cachedoctor, scan
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.real

ENGINE = "faster-whisper"
COMMIT = "0d3d19a32d3338f10357c0889762bd8d64bbdeba"  # for which the digests are published
PATTERNS = (  # faster-whisper 1.2.1 utils.py `download_model`
    "config.json",
    "preprocessor_config.json",
    "model.bin",
    "tokenizer.json",
    "vocabulary.*",
)
DOWNLOAD = (
    "from huggingface_hub import snapshot_download;"
    f"snapshot_download('{worlds.TINY}', allow_patterns={list(PATTERNS)!r})"
)


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    """Serve the official files of tiny.en, and a README that no engine reads."""
    folder = weights.require(weights.faster_whisper_tiny_en)
    files: dict[str, bytes | Path] = {path.name: path for path in folder.iterdir()}
    with Hub() as server:
        server.add(worlds.TINY, {**files, "README.md": b"# tiny.en\n"}, commit=COMMIT)
        yield server


def start(hub: Hub, home: Path) -> subprocess.Popen[bytes]:
    """Start the real client against the loopback hub."""
    own = {name: value for name, value in os.environ.items() if name not in MOVERS}
    return subprocess.Popen(
        [sys.executable, "-c", DOWNLOAD],
        env={**own, "HOME": str(home), "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture
def client(
    hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], subprocess.Popen[bytes]]:
    """Return a start of the real client in the test's home; the test asks that hub, too."""
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    return lambda: start(hub, home)


@pytest.fixture(scope="module")
def downloaded(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Download tiny.en with the real client, once for all tests; returns the hub cache."""
    home = tmp_path_factory.mktemp("downloaded")
    assert start(hub, home).wait() == 0
    return worlds.hub_of(home)


@pytest.fixture
def snapshot(home: Path, downloaded: Path, client: Callable[[], subprocess.Popen[bytes]]) -> Path:
    """Give the home that cache; it is healthy and nothing is found in it."""
    worlds.hub_of(home).parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(downloaded), str(worlds.hub_of(home))], check=True)
    fresh = scan("--fail-on", "note")
    assert (fresh.code, fresh.codes) == (0, [])
    (entry,) = fresh.data["entries"]
    assert (entry["model"], entry["status"]) == ("tiny.en", "ready")
    return Path(entry["path"])


def assert_cured(*left: str, offline: bool) -> None:
    """Refuse, fix, and scan clean but for the notes `left`."""
    refused = cachedoctor("preflight", ENGINE, "--model", "tiny.en")
    assert refused.code == 1
    assert refused.output.startswith("broken")
    assert refused.output.count("\n") == 1
    fixed = cachedoctor("fix", "--yes", *(["--offline"] if offline else []))
    assert fixed.code == 0, fixed.output + fixed.errors
    clean = scan("--deep", "--fail-on", "note")
    assert (clean.code, clean.codes) == (1 if left else 0, list(left))
    assert cachedoctor("preflight", ENGINE, "--model", "tiny.en").output.startswith("ready")


def assert_heard() -> None:
    """Let the real engine transcribe."""
    text = speech.transcribe_offline("tiny.en", dict(os.environ))
    assert speech.words(text) == speech.words(speech.TRANSCRIPT)


def assert_as_downloaded(snapshot: Path, downloaded: Path) -> None:
    """Find the branch and every file that an engine reads as the real client left them."""
    repository = snapshot.parent.parent
    its = downloaded / repository.name / "snapshots" / COMMIT
    assert (repository / "refs" / "main").read_text() == COMMIT
    names = sorted(path.name for path in its.iterdir())
    assert sorted(path.name for path in snapshot.iterdir()) == names
    assert filecmp.cmpfiles(snapshot, its, names, shallow=False) == (names, [], [])


def test_what_the_client_leaves_is_heard(snapshot: Path, downloaded: Path) -> None:
    """The real engine transcribes with it, so it does with whatever is byte for byte the same."""
    assert_as_downloaded(snapshot, downloaded)
    assert_heard()


def test_a_truncated_blob_is_found_and_fetched_again(snapshot: Path, hub: Hub) -> None:
    """A blob cut to half is CD201 and cured by fetching that one file."""
    worlds.cut(worlds.blob_of(snapshot / "model.bin"), 30_000_000)
    assert scan().codes == ["CD201"]
    before = len(hub.requests)
    assert_cured(offline=False)
    fetched = {r.path.rsplit("/", 1)[-1] for r in hub.requests[before:] if r.method == "GET"}
    assert "model.bin" in fetched
    assert not fetched & {"tokenizer.json", "vocabulary.txt", "README.md"}
    assert_heard()


def test_a_flipped_bit_is_found_by_reading_and_remembered(snapshot: Path, downloaded: Path) -> None:
    """A flipped bit is invisible to a plain scan, CD301 to a deep one, and then remembered."""
    worlds.flip(worlds.blob_of(snapshot / "model.bin"), 40_000_000)
    assert scan().codes == []
    deep = scan("--deep")
    assert (deep.code, deep.codes) == (1, ["CD301"])
    assert scan().codes == ["CD301"]
    assert_cured(offline=False)
    assert_as_downloaded(snapshot, downloaded)


def test_naming_the_code_of_a_flipped_bit_reads_the_files(snapshot: Path) -> None:
    """`fix CD301` finds a flipped bit without an earlier deep scan."""
    worlds.flip(worlds.blob_of(snapshot / "model.bin"), 50_000_000)
    assert cachedoctor("fix", "CD301", "--yes").code == 0
    assert scan("--deep").codes == []


def test_a_deleted_blob_is_a_dangling_link(snapshot: Path, downloaded: Path) -> None:
    """A missing blob is CD103, and the link works again."""
    worlds.blob_of(snapshot / "model.bin").unlink()
    assert scan().codes == ["CD103"]
    assert_cured(offline=False)
    assert_as_downloaded(snapshot, downloaded)


@pytest.mark.parametrize(
    ("text", "code"), [("", "CD402"), (f"{COMMIT}\n", "CD401"), ("a" * 40, "CD403")]
)
def test_a_broken_ref_is_rewritten_offline(
    text: str, code: str, snapshot: Path, downloaded: Path
) -> None:
    """An empty, newline-ended or dangling `refs/main` is cured from local bytes."""
    (snapshot.parent.parent / "refs" / "main").write_text(text)
    assert scan().codes == [code]
    assert_cured(offline=True)
    assert_as_downloaded(snapshot, downloaded)


def test_an_error_page_in_place_of_the_weights_is_named(snapshot: Path, downloaded: Path) -> None:
    """An HTML page under the weights' name is CD202."""
    page = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>\n"
    worlds.blob_of(snapshot / "model.bin").write_bytes(page)
    found = scan()
    assert found.codes == ["CD202"]
    assert "HTML" in found.data["findings"][0]["message"]
    assert_cured(offline=False)
    assert_as_downloaded(snapshot, downloaded)


def test_a_copy_in_another_repository_saves_the_download(
    snapshot: Path, downloaded: Path, home: Path
) -> None:
    """An identical blob under another repository's name is used before the network."""
    blob = worlds.blob_of(snapshot / "model.bin")
    other = worlds.hub_of(home) / "models--guillaumekln--faster-whisper-tiny.en"
    copied = snapshot.parent.parent
    subprocess.run(["cp", "-a", str(copied), str(other)], check=True)
    worlds.cut(blob, 1_000_000)
    assert scan().codes == ["CD201"]
    assert_cured("CD504", offline=True)
    assert_as_downloaded(snapshot, downloaded)


def test_a_complete_partial_is_used_before_the_network(snapshot: Path, downloaded: Path) -> None:
    """A partial whose digest is right takes the place of the missing blob."""
    blob = worlds.blob_of(snapshot / "model.bin")
    blob.rename(blob.with_name(f"{blob.name}.12ab34cd.incomplete"))
    assert scan().codes == ["CD103", "CD502"]
    assert_cured(offline=True)
    assert_as_downloaded(snapshot, downloaded)


def test_a_running_download_is_left_alone_and_a_killed_one_is_cured(
    home: Path, hub: Hub, client: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """While the client lives there is CD109 and nothing else; then what it left and what lacks."""
    held = hub.hold("model.bin", 20_000_000)
    try:
        process = client()
        assert held.reached.wait(60)
        deadline = time.monotonic() + 60
        while scan().codes != ["CD109"] and time.monotonic() < deadline:
            time.sleep(0.2)
        live = scan()
        assert (live.code, live.codes) == (0, ["CD109"])
        busy = cachedoctor("preflight", ENGINE, "--model", "tiny.en")
        assert (busy.code, busy.output.split()[0]) == (1, "busy")
        assert cachedoctor("fix", "--yes").output.startswith("nothing to repair")
        process.send_signal(signal.SIGKILL)
        process.wait()
    finally:
        hub.heal()
    assert scan().codes == ["CD101", "CD502"]
    assert_cured(offline=False)
    assert_heard()


def test_a_hub_that_sends_wrong_bytes_changes_nothing(snapshot: Path, hub: Hub) -> None:
    """Wrong bytes from the hub end in exit 4 with the old file still in its place."""
    blob = worlds.blob_of(snapshot / "model.bin")
    worlds.cut(blob, 1_000_000)
    before = blob.stat()
    hub.corrupt("model.bin")
    try:
        failed = cachedoctor("fix", "--yes")
    finally:
        hub.heal()
    assert failed.code == 4
    assert "wrong bytes" in failed.errors
    assert (blob.stat().st_ino, blob.stat().st_size) == (before.st_ino, 1_000_000)
    assert scan().codes == ["CD201"]


def test_an_absent_model_that_is_named_is_fetched_whole(
    home: Path, hub: Hub, client: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """`fix ENGINE --model M` on an empty machine fetches what the engine reads, at one commit."""
    assert scan().codes == []
    plan = cachedoctor("fix", ENGINE, "--model", "tiny.en", "--dry-run", "--json")
    assert [cure["code"] for cure in plan.data["plan"]["cures"]] == ["CD101"]
    assert cachedoctor("fix", ENGINE, "--model", "tiny.en", "--yes").code == 0
    assert scan("--deep", "--fail-on", "note").codes == []
    assert_heard()
    assert cachedoctor("undo").code == 0
    assert scan().data["entries"] == []


def test_a_refused_download_says_why(snapshot: Path, hub: Hub) -> None:
    """Offline flags and a hub that is not there are told apart, with exit 4."""
    worlds.blob_of(snapshot / "model.bin").unlink()
    flagged = cachedoctor("fix", "--yes", env={"HF_HUB_OFFLINE": "1"})
    assert (flagged.code, "HF_HUB_OFFLINE" in flagged.errors) == (4, True)
    gone = cachedoctor("fix", "--yes", "--mirror", "hub=http://127.0.0.1:9")
    assert (gone.code, "127.0.0.1:9" in gone.errors) == (4, True)
