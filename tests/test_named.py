"""`lock`, `pull` and `bench` of what is asked for by its repository or its path, as by its name."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import tomllib
from typing import TYPE_CHECKING

import pytest

from cachedoctor.bench import lineup
from cachedoctor.errors import UsageError
from cachedoctor.host import Host
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = "some/one"  # of which no table knows anything


@pytest.fixture
def mirror() -> Iterator[str]:
    """Serve a model that the table knows and one that it does not; return what asks there."""
    with Hub() as hub:
        for repository in (worlds.TINY, OWN):
            hub.add(repository, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        yield f"hub={hub.url}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a whole model in a folder of one's own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, content in worlds.whisper_files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(("repository", "name"), [(worlds.TINY, "tiny.en"), (OWN, OWN)])
def test_a_repository_is_pulled_and_locked(
    home: Path, mirror: str, tmp_path: Path, repository: str, name: str
) -> None:
    """By its name, known or not: fetched, ready, locked as its engine calls it, locked online."""
    asked, path = f"faster-whisper:{repository}", tmp_path / "models.lock"
    pulled = cachedoctor("pull", asked, "--yes", "--mirror", mirror)
    assert pulled.code == 0, pulled.output + pulled.errors
    locked = cachedoctor("lock", asked, "-o", str(path))
    assert locked.code == 0, locked.errors
    (model,) = tomllib.loads(path.read_text())["model"]
    assert (model["name"], model["repository"]) == (name, repository)
    assert model["revision"] == worlds.COMMIT
    online = cachedoctor("lock", asked, "--online", "--mirror", mirror)
    assert (online.code, online.output) == (0, path.read_text())


@pytest.mark.parametrize("repository", [worlds.TINY, OWN])
def test_what_was_locked_by_its_repository_is_demanded(
    home: Path, tmp_path: Path, repository: str
) -> None:
    """By `preflight`, `verify`, `fix` and `pull`."""
    worlds.repository(worlds.hub_of(home), repository, worlds.whisper_files())
    path = str(tmp_path / "models.lock")
    assert cachedoctor("lock", f"faster-whisper:{repository}", "-o", path).code == 0
    for command in ("preflight", "verify", "fix", "pull"):
        ended = cachedoctor(command, "--lock", path)
        assert ended.code == 0, (command, ended.output, ended.errors)


def test_what_lies_at_a_path_is_there_and_cannot_be_locked(folder: Path, mirror: str) -> None:
    """Nothing is pulled to a path; a lock file names repositories, so it has no word for one."""
    asked = f"faster-whisper:{folder}"
    pulled = cachedoctor("pull", asked, "--yes", "--mirror", mirror)
    assert (pulled.code, pulled.output.split()[0]) == (0, "ready,")
    missing = cachedoctor("pull", f"{asked}-not", "--yes", "--mirror", mirror)
    assert missing.code == 1
    assert "no model of faster-whisper is at" in missing.output
    locked = cachedoctor("lock", asked)
    assert locked.code == 2
    assert "is a path: a lock file names models by their repository" in locked.errors


def test_a_path_and_a_repository_are_measured(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From where they are, each file read against what is known of it."""
    really, spec = importlib.util.find_spec, importlib.machinery.ModuleSpec("faster_whisper", None)
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, package=None: spec if name == spec.name else really(name, package),
    )
    place = worlds.repository(worlds.hub_of(home), OWN, worlds.whisper_files())
    host = Host.look(home=str(home))
    for word, path in ((OWN, place / "snapshots" / worlds.COMMIT), (str(folder), folder)):
        ready, left = lineup.contenders(host, ["faster-whisper"], model=word)
        assert not left
        (one,) = ready
        assert one.path == str(path)
        assert len(one.files) == len(worlds.whisper_files())
    (folder / "model.bin").unlink()
    ready, left = lineup.contenders(host, ["faster-whisper"], model=str(folder))
    assert not ready
    assert [one.code for one in left] == ["CD101"]
    with pytest.raises(UsageError):
        lineup.contenders(host, ["faster-whisper"], model=f"{folder}-not")
