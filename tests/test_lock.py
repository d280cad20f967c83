"""Lock files: written from what is proven, demanded to the byte, refused when not understood."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import lockfile
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.lockfile import LockedFile, LockedModel
from tests.conftest import fingerprint
from tests.support import builders, worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.host import Host

TINY = "faster-whisper:tiny.en"
NEWER = "d" * 40


@pytest.fixture
def model(home: Path) -> Path:
    """Put a whole model into the hub cache."""
    return worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())


@pytest.fixture
def lock(model: Path, tmp_path: Path) -> Path:
    """Lock that model."""
    path = tmp_path / "models.lock"
    ended = cachedoctor("lock", TINY, "-o", str(path))
    assert ended.code == 0, ended.errors
    return path


@pytest.fixture
def hub() -> Hub:
    """Return a hub that has the locked revision and a newer one."""
    served = Hub()
    served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
    newer = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
    served.add(worlds.TINY, newer, commit=NEWER)
    return served


def test_every_file_is_written_down(lock: Path, home: Path) -> None:
    """The repository, the revision, and of each file the length and SHA-256; a line each."""
    (model,) = tomllib.loads(lock.read_text())["model"]
    assert (model["engine"], model["name"]) == ("faster-whisper", "tiny.en")
    assert (model["repository"], model["revision"]) == (worlds.TINY, worlds.COMMIT)
    assert model["files"].keys() == worlds.whisper_files().keys()
    for name, content in worlds.whisper_files().items():
        assert model["files"][name]["bytes"] == len(content)
        assert model["files"][name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert lock.read_text().count("\n") == 8 + len(worlds.whisper_files())


def test_locking_twice_gives_the_same_text(lock: Path) -> None:
    """So that a review shows what changed; looking changes nothing in the cache."""
    assert cachedoctor("lock", TINY).output == lock.read_text()
    data = cachedoctor("lock", TINY, "--json").data
    assert data["models"][0]["unproven"] == []


def test_what_is_as_locked_passes(lock: Path, home: Path) -> None:
    """Ready, verified by the lock, nothing to fix."""
    before = fingerprint(home)
    ready = cachedoctor("preflight", "--lock", str(lock))
    assert (ready.code, ready.output.split()[:3]) == (0, ["ready", "faster-whisper", "tiny.en"])
    files = cachedoctor("verify", "--lock", str(lock), "--json").data["files"]
    assert {(f["verdict"], f["evidence"]) for f in files} == {("ok", "lock file")}
    fixed = cachedoctor("fix", "--lock", str(lock), "--yes")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert fingerprint(home) == before


def test_what_is_not_ready_cannot_be_locked(model: Path) -> None:
    """A truncated file, a flipped byte, a model that is not there, a name that means nothing."""
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin")
    worlds.flip(blob, blob.stat().st_size // 2)
    flipped = cachedoctor("lock", TINY)
    assert flipped.code == 1
    assert "cachedoctor fix faster-whisper --model tiny.en" in flipped.errors
    worlds.cut(blob, 100)
    assert cachedoctor("lock", TINY).code == 1
    assert cachedoctor("lock", "faster-whisper:small").code == 1
    for wrong in (
        "faster-whisper",
        "faster-whisper:",
        "faster-whispe:tiny",
        "faster-whisper:tinny",
    ):
        assert cachedoctor("lock", wrong).code == 2, wrong


def test_another_revision_is_not_the_locked_one(lock: Path, home: Path, hub: Hub) -> None:
    """A newer `main` is ready by itself and not by the lock; `fix --lock` brings the locked one."""
    shutil.rmtree(worlds.hub_of(home) / "models--Systran--faster-whisper-tiny.en")
    newer = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
    worlds.repository(worlds.hub_of(home), worlds.TINY, newer, commit=NEWER)
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en").code == 0
    other = cachedoctor("preflight", "--lock", str(lock))
    assert other.code == 1
    assert worlds.COMMIT[:12] in other.output
    assert cachedoctor("verify", "--lock", str(lock)).code == 1
    with hub:
        fixed = cachedoctor("fix", "--lock", str(lock), "--yes", "--mirror", f"hub={hub.url}")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert cachedoctor("preflight", "--lock", str(lock)).code == 0
    assert cachedoctor("verify", "--lock", str(lock)).code == 0


def test_an_empty_machine_gets_exactly_the_locked_revision(
    lock: Path, home: Path, hub: Hub
) -> None:
    """Although the hub's `main` is a newer one; undo takes it all back."""
    shutil.rmtree(home / ".cache")
    (home / ".cache").mkdir()
    missing = cachedoctor("verify", "--lock", str(lock), "--json")
    assert missing.code == 1
    with hub:
        fixed = cachedoctor("fix", "--lock", str(lock), "--yes", "--mirror", f"hub={hub.url}")
        assert fixed.code == 0, fixed.output + fixed.errors
    ready = cachedoctor("preflight", "--lock", str(lock), "--json").data
    assert ready["ready"] is True
    assert ready["verdicts"][0]["revision"] == worlds.COMMIT
    assert cachedoctor("verify", "--lock", str(lock)).code == 0
    assert cachedoctor("undo").code == 0
    assert cachedoctor("preflight", "--lock", str(lock)).code == 1


def test_a_hub_that_has_other_bytes_is_refused(lock: Path, home: Path) -> None:
    """The same commit with other content is not fetched, and nothing is changed."""
    shutil.rmtree(home / ".cache")
    before = fingerprint(home)
    other = {**worlds.whisper_files(), "vocabulary.txt": b"another\n"}
    with Hub() as served:
        served.add(worlds.TINY, other, commit=worlds.COMMIT)
        refused = cachedoctor("fix", "--lock", str(lock), "--yes", "--mirror", f"hub={served.url}")
    assert refused.code == 4
    assert "`vocabulary.txt` has other content" in refused.errors
    assert fingerprint(home) == before


@pytest.mark.parametrize("name", sorted(worlds.whisper_files()))
def test_each_byte_counts(name: str, model: Path, lock: Path, hub: Hub) -> None:
    """A flipped byte of any locked file is found by the lock, and repaired to the lock."""
    worlds.flip(worlds.blob_of(model / "snapshots" / worlds.COMMIT / name), 0)
    wrong = cachedoctor("verify", "--lock", str(lock), "--json")
    assert wrong.code == 1
    assert [f["verdict"] for f in wrong.data["files"]].count("bad") == 1
    with hub:
        fixed = cachedoctor("fix", "--lock", str(lock), "--yes", "--mirror", f"hub={hub.url}")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert cachedoctor("verify", "--lock", str(lock)).code == 0


def test_a_lock_from_the_hubs_listing(home: Path, hub: Hub, tmp_path: Path) -> None:
    """Without the model, `--online` writes what the hub lists; nothing is fetched."""
    worlds.hub_of(home).mkdir(parents=True)
    path = tmp_path / "models.lock"
    with hub:
        ask = ("--online", "--mirror", f"hub={hub.url}", "-o", str(path))
        ended = cachedoctor("lock", TINY, *ask)
        assert ended.code == 0, ended.errors
        assert not [r for r in hub.requests if "/resolve/" in r.path]
        (model,) = tomllib.loads(path.read_text())["model"]
        assert model["revision"] == NEWER
        assert model["files"].keys() == worlds.whisper_files().keys()
        fixed = cachedoctor("fix", "--lock", str(path), "--yes", "--mirror", f"hub={hub.url}")
        assert fixed.code == 0, fixed.output + fixed.errors
    assert cachedoctor("verify", "--lock", str(path)).code == 0


def test_one_file_of_openai(home: Path, tmp_path: Path) -> None:
    """A model that is one file is locked by its own bytes, whatever the table says of its name."""
    folder = home / ".cache" / "whisper"
    folder.mkdir(parents=True)
    path = tmp_path / "models.lock"
    ended = cachedoctor("lock", "openai-whisper:tiny.en", "--online", "-o", str(path))
    assert ended.code == 0, ended.errors
    (model,) = tomllib.loads(path.read_text())["model"]
    assert model["url"].endswith("/tiny.en.pt")
    (folder / "tiny.en.pt").write_bytes(builders.torch_zip_file())
    assert cachedoctor("verify", "--lock", str(path)).code == 1


GOOD = """version = 1
[[model]]
engine = "faster-whisper"
name = "tiny.en"
files."a" = {bytes = 1, sha256 = "%s"}
""" % ("0" * 64)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("version = 1", "version = 2", "this cachedoctor reads version 1"),
        ("version = 1", "", "`version` is missing"),
        ("version = 1", "version = true", "version 1"),
        ("version = 1", "version = 1\nsigned = 1", "`signed` is not known"),
        ('"faster-whisper"', '"faster-wisper"', "did you mean `faster-whisper`"),
        ('"tiny.en"', '"tiny.eng"', "did you mean `tiny.en`"),
        ('name = "tiny.en"', "name = 3", "non-empty string"),
        ('name = "tiny.en"', "", "lacks the key `name`"),
        ('name = "tiny.en"', 'name = "tiny.en"\nbranch = "x"', "`branch` is not known"),
        ('name = "tiny.en"', 'name = "tiny.en"\nrevision = "main"', "40 hex digits"),
        ('name = "tiny.en"', 'name = "tiny.en"\nrepository = "a/b/c"', "owner/name"),
        ('name = "tiny.en"', 'name = "tiny.en"\nrepository = "evil/one"', "not `evil/one`"),
        ('files."a"', 'files."/a"', "not a path within a model"),
        ('files."a"', 'files."../a"', "not a path within a model"),
        ('files."a"', 'files."a//b"', "not a path within a model"),
        ('files."a"', 'files."a\\\\b"', "not a path within a model"),
        ("bytes = 1", "bytes = -1", "lacks its `bytes`"),
        ("bytes = 1", "bytes = true", "lacks its `bytes`"),
        ("sha256", "md5", "`md5` is not known"),
        ("sha256", "git-sha1", "40 hex digits"),
        (', sha256 = "' + "0" * 64 + '"', "", "lacks its `sha256`"),
        ("0" * 64, "0" * 63 + "G", "64 hex digits"),
        ("[[model]]", "[model]", "write `[[model]]`"),
        ("version = 1", "version =", "is not a lock file"),
    ],
)
def test_what_is_not_understood_is_refused(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    """Exit code 2, naming the file and the place, for all three commands."""
    path = tmp_path / "models.lock"
    assert before in GOOD
    path.write_text(GOOD.replace(before, after, 1))
    for command in (["preflight"], ["verify"], ["fix", "--dry-run"]):
        ended = cachedoctor(*command, "--lock", str(path))
        assert ended.code == 2, ended.output
        assert said in ended.errors
        assert str(path) in ended.errors


def test_a_model_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """A merge that kept both sides."""
    path = tmp_path / "models.lock"
    path.write_text(GOOD + GOOD.removeprefix("version = 1\n"))
    ended = cachedoctor("preflight", "--lock", str(path))
    assert (ended.code, "appears twice" in ended.errors) == (2, True)
    assert "line 8" in ended.errors


def test_misuse_is_said(lock: Path, tmp_path: Path) -> None:
    """A lock that is not there, or with a question beside it, or that cannot be written."""
    assert cachedoctor("preflight", "--lock", str(tmp_path / "none")).code == 3
    assert cachedoctor("preflight").code == 2
    assert cachedoctor("preflight", "--lock", str(lock), "--size", "tiny").code == 2
    assert cachedoctor("fix", "--lock", str(lock), "--size", "tiny").code == 2
    assert cachedoctor("lock", TINY, "-o", str(tmp_path / "no" / "models.lock")).code == 3


@given(data=st.binary(max_size=400) | st.text(max_size=400).map(str.encode))
def test_any_bytes_are_read_or_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Only a lock or an error of our own."""
    path = tmp_path_factory.mktemp("fuzz") / "models.lock"
    path.write_bytes(data)
    with contextlib.suppress(UsageError, CannotLookError):
        lockfile.read(str(path))


@given(
    names=st.sets(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=20).filter(
            lambda name: name not in (".", "..") and "/" not in name and "\\" not in name
        ),
        min_size=1,
        max_size=5,
    ),
    size=st.integers(0, 2**60),
)
def test_what_is_written_is_read_again(
    names: set[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the files are called."""
    files = {name: LockedFile(size, {"sha256": "a" * 64}) for name in names}
    model = LockedModel("faster-whisper", 'a "name"', files, "some/one", "b" * 40)
    path = tmp_path_factory.mktemp("round") / "models.lock"
    path.write_text(lockfile.text([model], "a test"))
    (again,) = lockfile.read(str(path)).models
    assert again._replace(said_by="") == model
    assert json.dumps(sorted(again.files)) == json.dumps(sorted(names))


def test_a_lock_file_can_be_checked_without_its_models(lock: Path, home: Path) -> None:
    """Form and names only; several at once; anything else is refused as `preflight` would."""
    shutil.rmtree(home / ".cache")
    ended = cachedoctor("lock", "--check", str(lock), str(lock))
    assert (ended.code, ended.output) == (0, f"{lock}: 1 model, 4 files\n" * 2)
    data = cachedoctor("lock", "--check", str(lock), "--json").data
    assert data["locks"] == [{"path": str(lock), "models": 1, "files": 4}]
    assert cachedoctor("lock", "--check", str(lock), "-q").output == ""
    lock.write_text(lock.read_text().replace("tiny.en", "tiny.em", 1))
    refused = cachedoctor("lock", "--check", str(lock))
    assert (refused.code, refused.output) == (2, "")
    assert f"{lock}" in refused.errors
    assert "`tiny.en`" in refused.errors
    assert cachedoctor("lock", "--check", str(home / "no.lock")).code == 3
    assert cachedoctor("lock", "--check", str(lock), "-o", "x").code == 2


def test_what_is_remembered_changes_no_answer_about_right_files(
    lock: Path, home: Path, host: Host
) -> None:
    """Read or not, and after all is forgotten; only a file that was read and is wrong counts."""
    ask = ("preflight", "--lock", str(lock))
    answers = [cachedoctor(*ask)]
    assert cachedoctor("verify", "--lock", str(lock)).code == 0
    answers.append(cachedoctor(*ask))
    shutil.rmtree(host.state)
    answers.append(cachedoctor(*ask))
    assert {(one.code, one.output) for one in answers} == {(0, answers[0].output)}
    repository = worlds.hub_of(home) / f"models--{worlds.TINY.replace('/', '--')}"
    worlds.flip(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    assert cachedoctor("verify", "--lock", str(lock)).code == 1
    assert cachedoctor(*ask).code == 1
