"""OpenAI's own `tiny.en.pt`, hurt and made whole from a loopback CDN or from another copy."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import weights, worlds
from tests.support.command import Ended, cachedoctor, scan
from tests.support.loopback import Cdn

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.real

SHA256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
URL_PATH = f"/main/whisper/models/{SHA256}/tiny.en.pt"
PAGE = "<!DOCTYPE html><html><body>Please log in</body></html>"


@pytest.fixture(scope="module")
def official() -> Path:
    """Return the official file, whose digest is proven."""
    return weights.require(weights.openai_tiny_en)


@pytest.fixture
def cdn(official: Path) -> Iterator[Cdn]:
    """Serve the file under its real path."""
    with Cdn() as server:
        server.add(URL_PATH, official)
        yield server


@pytest.fixture(params=["home", pytest.param("project", marks=pytest.mark.heavy)])
def installed(request: pytest.FixtureRequest, home: Path, official: Path) -> Path:
    """Put the file into `~/.cache/whisper`, or into the models of the current project."""
    folder = home / ".cache/whisper" if request.param == "home" else Path("models").absolute()
    folder.mkdir(parents=True)
    return Path(shutil.copy(official, folder / "tiny.en.pt"))


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fix(cdn: Cdn, *arguments: str) -> Ended:
    """Run a fix with the loopback CDN in OpenAI's place."""
    return cachedoctor("fix", "--yes", "--mirror", f"openai={cdn.url}", *arguments)


def assert_whole(path: Path) -> None:
    """Find nothing any more, and the published digest in place."""
    assert sha256(path) == SHA256
    clean = scan("--deep", "--fail-on", "note")
    assert (clean.code, clean.codes) == (0, [])
    for engine in ("whisper-mps", "openai-whisper"):
        assert cachedoctor("preflight", engine, "--model", "tiny.en").code == 0


def test_a_whole_file_is_one_entry_of_two_engines(installed: Path) -> None:
    """The file is ready for both engines, and nothing is found."""
    fresh = scan("--deep", "--fail-on", "note")
    assert (fresh.code, fresh.codes) == (0, [])
    (entry,) = fresh.data["entries"]
    assert entry["engines"] == ["openai-whisper", "whisper-mps"]
    assert (entry["status"], entry["checked"]["digest"]) == ("ready", 1)


def test_a_file_cut_short_is_resumed(installed: Path, cdn: Cdn) -> None:
    """Only what is missing is asked for, and the whole is proven."""
    worlds.cut(installed, 60_000_000)
    found = scan()
    assert (found.code, found.codes) == (1, ["CD201"])
    refused = cachedoctor("preflight", "whisper-mps", "--model", "tiny.en")
    assert (refused.code, refused.output.count("\n")) == (1, 1)
    assert fix(cdn).code == 0
    assert [request.range for request in cdn.requests] == ["bytes=60000000-"]
    assert_whole(installed)


def test_a_resume_from_a_damaged_beginning_starts_again(installed: Path, cdn: Cdn) -> None:
    """When the resumed whole proves wrong, the first part is not believed either."""
    worlds.cut(installed, 60_000_000)
    worlds.flip(installed, 1_000_000)
    assert fix(cdn).code == 0
    assert [request.range for request in cdn.requests] == ["bytes=60000000-", ""]
    assert_whole(installed)


def test_a_flipped_bit_is_replaced(installed: Path, cdn: Cdn) -> None:
    """A flipped bit is found by reading, and the file comes anew."""
    worlds.flip(installed, 30_000_000)
    assert scan().codes == []
    assert scan("--deep").codes == ["CD301"]
    assert cachedoctor("preflight", "openai-whisper", "--model", "tiny.en").code == 1
    assert fix(cdn).code == 0
    assert_whole(installed)


def test_an_error_page_is_replaced(installed: Path, cdn: Cdn) -> None:
    """A page under the model's name is CD202, and never taken for a beginning."""
    installed.write_text(PAGE)
    assert scan().codes == ["CD202"]
    assert fix(cdn).code == 0
    assert [request.range for request in cdn.requests] == [""]
    assert_whole(installed)


def test_a_healthy_copy_elsewhere_comes_before_the_network(
    installed: Path, home: Path, official: Path
) -> None:
    """Another folder's copy is proven and used, with no network at all."""
    xdg = home / "xdg"
    (xdg / "whisper").mkdir(parents=True)
    shutil.copy(official, xdg / "whisper" / "tiny.en.pt")
    worlds.cut(installed, 100)
    done = cachedoctor("fix", "--yes", "--offline", "--env", f"XDG_CACHE_HOME={xdg}")
    assert done.code == 0, done.output + done.errors
    assert sha256(installed) == SHA256


def test_a_copy_that_proves_wrong_gives_way_to_the_download(
    installed: Path, home: Path, official: Path, cdn: Cdn
) -> None:
    """A copy with a flipped bit is staged, disproved and dropped for the next source."""
    xdg = home / "xdg"
    (xdg / "whisper").mkdir(parents=True)
    worlds.flip(Path(shutil.copy(official, xdg / "whisper" / "tiny.en.pt")), 5_000_000)
    worlds.cut(installed, 100)
    assert fix(cdn, "--env", f"XDG_CACHE_HOME={xdg}").code == 0
    assert sha256(installed) == SHA256


def test_wrong_bytes_leave_the_old_file_in_place(installed: Path, cdn: Cdn) -> None:
    """A CDN that serves wrong bytes ends in exit 4, and what was there is still there."""
    worlds.flip(installed, 30_000_000)
    assert scan("--deep").codes == ["CD301"]
    before = installed.stat()
    cdn.corrupt("tiny.en.pt")
    failed = fix(cdn)
    assert failed.code == 4
    assert "wrong bytes" in failed.errors
    after = installed.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert scan().codes == ["CD301"]


def test_a_broken_connection_is_taken_up_again(installed: Path, cdn: Cdn) -> None:
    """A connection that breaks twice costs only what had not come yet."""
    installed.write_text(PAGE)
    cdn.cut("tiny.en.pt", 20_000_000, times=2)
    assert fix(cdn).code == 0
    ranges = [request.range for request in cdn.requests]
    assert len(ranges) == 3
    assert ranges[0] == ""
    assert all(later.startswith("bytes=") for later in ranges[1:])
    assert_whole(installed)


def test_a_server_without_ranges_sends_the_whole(installed: Path, cdn: Cdn) -> None:
    """A 200 in answer to a Range request starts from the beginning."""
    worlds.cut(installed, 60_000_000)
    cdn.ignore_range("tiny.en.pt")
    assert fix(cdn).code == 0
    assert_whole(installed)


@pytest.mark.parametrize("status", [401, 403, 404, 503])
def test_a_refusal_is_told_in_words(status: int, installed: Path, cdn: Cdn) -> None:
    """Each status ends in exit 4 with a line that names it."""
    worlds.cut(installed, 100)
    cdn.fail("tiny.en.pt", status)
    failed = fix(cdn)
    assert (failed.code, str(status) in failed.errors) == (4, True)
    assert installed.stat().st_size == 100


def test_a_captive_portal_is_named(installed: Path, cdn: Cdn) -> None:
    """A web page in place of the file is told apart from a broken file."""
    worlds.cut(installed, 100)
    cdn.page("tiny.en.pt", PAGE)
    failed = fix(cdn)
    assert (failed.code, "web page" in failed.errors) == (4, True)


def test_an_absent_model_is_fetched_when_it_is_named(home: Path, cdn: Cdn) -> None:
    """`fix ENGINE --model M` fetches one file, and undo takes it away again."""
    assert fix(cdn, "whisper-mps", "--model", "tiny.en").code == 0
    path = home / ".cache/whisper/tiny.en.pt"
    assert_whole(path)
    assert cachedoctor("undo").code == 0
    assert not (home / ".cache").exists()
