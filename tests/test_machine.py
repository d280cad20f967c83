"""What stands in an engine's way whatever is on disk: system, interpreter, room, an old client."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from cachedoctor import preflight
from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.rules import machine
from cachedoctor.system import disk, installed
from tests.support import worlds
from tests.support.command import Ended, cachedoctor
from tests.support.environments import install

if TYPE_CHECKING:
    from pathlib import Path


def environment(folder: Path, **releases: str) -> Path:
    """Make a folder that looks like an environment with these releases, and return its Python."""
    packages = folder / "lib" / "python3.12" / "site-packages"
    for name, release in releases.items():
        install(packages, name, release)
    python = folder / "bin" / "python3"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    return python


def asked(*words: str) -> Ended:
    """Ask whether faster-whisper's tiny.en is ready."""
    return cachedoctor("preflight", "faster-whisper", "--model", "tiny.en", *words)


@pytest.fixture
def model(home: Path) -> Path:
    """Put a whole model into the hub cache."""
    return worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())


@pytest.mark.parametrize(
    ("releases", "code"),
    [
        ({"faster_whisper": "1.2.1", "huggingface_hub": "2.4.0"}, None),
        ({"faster_whisper": "1.2.1"}, None),
        ({"huggingface_hub": "2.4.0"}, "CD601"),
        ({"faster_whisper_fork": "1.0"}, "CD601"),
        ({"faster_whisper": "1.2.1", "huggingface_hub": "0.7.0"}, "CD604"),
        ({"faster_whisper": "1.2.1", "huggingface_hub": "0.8.1"}, None),
        ({"faster_whisper": "1.2.1", "huggingface_hub": "2.0.0rc1"}, None),
    ],
)
def test_an_interpreter_that_is_named_is_looked_at(
    releases: dict[str, str], code: str | None, model: Path, tmp_path: Path
) -> None:
    """Its packages' names tell; it is not run, and without `--python` nothing is said."""
    python = environment(tmp_path / "environment", **releases)
    ended = asked("--python", f"faster-whisper={python}", "--json")
    assert ended.data["verdict"]["code"] == code
    assert ended.code == (1 if code else 0)
    line = asked("--python", f"faster-whisper={python}").output
    assert line.startswith("blocked" if code else "ready")
    assert line.count("\n") == 1
    assert asked().code == 0


def test_another_engines_interpreter_says_nothing_of_this_one(model: Path, tmp_path: Path) -> None:
    """Each engine may live in an environment of its own."""
    python = environment(tmp_path / "environment")
    assert asked("--python", f"mlx-whisper={python}").code == 0


def test_a_named_interpreter_must_be_there(model: Path, tmp_path: Path) -> None:
    """A path that is no file, an unknown engine and a missing `=` are misuse."""
    for word in (f"faster-whisper={tmp_path}/none", "faster-wisper=/bin/sh", "faster-whisper"):
        assert asked("--python", word).code == 2


@pytest.mark.parametrize("engine", ["fluidaudio", "whisperkit"])
def test_an_engine_of_another_system(engine: str, home: Path) -> None:
    """Examined as Linux, what needs a Mac is blocked; as a Mac it is only not there."""
    linux = cachedoctor("preflight", engine, "--size", "small", "--platform", "linux")
    assert (linux.code, linux.output.split()[0]) == (1, "blocked")
    assert "CD602" in linux.output
    assert "needs macOS" in linux.output
    mac = cachedoctor("preflight", engine, "--size", "small", "--platform", "darwin")
    assert mac.output.startswith("absent")


def test_no_room_for_what_would_be_fetched(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where less is free than a model takes up; how much is free is the one thing made up here."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1000)
    verdict = preflight("faster-whisper", model="large-v3")
    assert (verdict.ready, verdict.code) == (False, "CD603")
    assert verdict.cure == "cachedoctor quarantine empty"
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    assert preflight("faster-whisper", model="tiny.en").ready
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1 << 40)
    assert preflight("faster-whisper", model="large-v3").code == "CD101"


def test_the_engines_package_is_known_by_its_name(tmp_path: Path) -> None:
    """whisper.cpp comes with pywhispercpp; names are compared as package indexes do."""
    assert machine.package_of("whisper.cpp") == "pywhispercpp"
    python = environment(tmp_path, **{"Lightning.Whisper_mlx": "0.0.10"})
    assert installed.release(str(python), "lightning-whisper-mlx") == "0.0.10"
    assert installed.release(str(tmp_path / "other" / "bin" / "python"), "mlx") is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a file system without room")
def test_no_room_on_a_real_file_system() -> None:
    """Nothing made up: `/proc` says of itself that nothing is free on it."""
    nowhere = {"HF_HUB_CACHE": "/proc/nowhere"}
    words = ("preflight", "faster-whisper", "--model", "large-v3")
    ended = cachedoctor(*words, env=nowhere)
    assert ended.code == 1
    assert ended.output.startswith("blocked")
    assert ended.output.count("\n") == 1
    assert "0 B free at `/proc`" in ended.output
    assert cachedoctor(*words, "--json", env=nowhere).data["verdict"]["code"] == "CD603"


@pytest.mark.parametrize(
    ("engine", "variables"),
    [("openai-whisper", {"XDG_CACHE_HOME": "data"}), ("whisper-mps", {"HOME": "relative"})],
)
def test_a_relative_folder_is_below_the_current_one(
    engine: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search for a folder whose room counts ends, wherever it begins."""
    asked_of: list[str] = []

    def free(folder: str) -> int:
        assert os.path.isabs(folder)
        asked_of.append(folder)
        return 1 << 40

    monkeypatch.setattr(disk, "free_bytes", free)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert preflight(engine, model="tiny").code == "CD101"
    assert asked_of == [os.getcwd()]


def test_a_trap_names_a_whole_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty `HF_HOME` is the current folder, also where another variable is the trap."""
    monkeypatch.setenv("HF_HOME", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "y")
    paths = {f.path for f in scanning.scan(Host.look()).findings if f.code == "CD411"}
    assert paths == {os.getcwd(), os.path.join(os.getcwd(), "hub")}


@pytest.mark.parametrize(
    ("first", "limit", "older"),
    [
        ("0.7.0", "0.8.0", True),
        ("0.8", "0.8.0", False),
        ("1", "1.0.0", False),
        ("0.36.2", "1.32.0", True),
        ("1.32.0.dev0", "1.32.0", False),
        ("1.4", "1.32.0", True),
    ],
)
def test_releases_are_compared_by_their_numbers(first: str, limit: str, older: bool) -> None:
    """A release of two numbers is the one that ends in a zero."""
    assert installed.before(first, limit) is older


def test_the_interpreters_own_packages_count(tmp_path: Path) -> None:
    """Of a prefix with several releases only its own; Debian's pip installs below `local`."""
    python = environment(tmp_path, faster_whisper="1.2.1").with_name("python3.11")
    python.touch()
    assert installed.release(str(python), "faster-whisper") is None
    python.with_name("python3.12").touch()
    assert installed.release(f"{python.parent}/python3.12", "faster-whisper") == "1.2.1"
    link = tmp_path / "other" / "bin" / "python"
    link.parent.mkdir(parents=True)
    link.symlink_to(python)
    added = tmp_path / "other" / "lib" / "python3.11" / "site-packages"
    install(added, "mlx_whisper", "0.4.3")
    assert installed.release(str(link), "mlx-whisper") == "0.4.3"
    assert installed.release(str(link), "faster-whisper") is None
    debian = tmp_path / "local" / "lib" / "python3.11" / "dist-packages"
    install(debian, "faster_whisper", "1.1.0")
    assert installed.release(str(python), "faster-whisper") == "1.1.0"


def test_a_preflight_warns_of_what_no_file_is_wrong_in(
    model: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer stays one line on stdout and the exit code 0; other engines have other traps."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "y")
    ended = asked()
    assert (ended.code, ended.output.count("\n")) == (0, 1)
    assert ended.errors == "warning CD411 `HF_HUB_OFFLINE=y` does not mean offline; write 1\n"
    (warning,) = asked("--json").data["verdict"]["warnings"]
    assert (warning["code"], warning["severity"]) == ("CD411", "warning")
    assert asked("--format", "github").output.startswith("::notice title=CD411")
    assert cachedoctor("preflight", "whisper.cpp", "--size", "tiny").errors == ""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    for engine, warned in (("openai-whisper", True), ("whisper.cpp", False)):
        errors = cachedoctor("preflight", engine, "--size", "tiny").errors
        assert errors.startswith("warning CD411 `XDG_CACHE_HOME`") is warned
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert asked().errors == ""
