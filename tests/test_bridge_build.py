"""Which wheel is made: with the bridges, pure, or none and one clear line."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import bridges, weights

_ROOT = Path(__file__).parent.parent
WITH = {"wheel.cmake": "true", "wheel.platlib": "true"}
PURE = {"wheel.cmake": "false", "wheel.platlib": "false"}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the build backend, on a system that is no Mac unless a test says so."""
    pytest.importorskip("scikit_build_core")
    monkeypatch.delenv("CACHEDOCTOR_BRIDGES", raising=False)
    monkeypatch.delenv("MACOSX_DEPLOYMENT_TARGET", raising=False)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    spec = importlib.util.spec_from_file_location(
        "bridge_build", bridges.PACKAGE / "bridge_build.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def install(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `swift` that says this of its version in front of any other, or none for no words."""
    folder.mkdir(exist_ok=True)
    if says:
        (folder / "swift").write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / "swift").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin" if says else str(folder))


NEW = "Swift version 6.1.2 (swift-6.1.2-RELEASE)"
MAC = ("Darwin", "arm64")


@pytest.mark.parametrize(
    ("wanted", "swift", "machine", "settings"),
    [
        (None, NEW, ("Linux", "x86_64"), PURE),
        ("AUTO", NEW, MAC, WITH),
        ("auto", NEW, MAC, WITH),
        ("", NEW, MAC, WITH),
        ("AUTO", "", MAC, PURE),
        ("AUTO", "Apple Swift version 5.10 (swiftlang-5.10)", MAC, PURE),
        ("AUTO", NEW, ("Darwin", "x86_64"), PURE),
        ("OFF", NEW, MAC, PURE),
        ("ON", NEW, MAC, WITH),
        ("ON", "Apple Swift version 6.0 (swiftlang-6.0.0.9)", ("Linux", "aarch64"), WITH),
    ],
)
def test_what_is_made_where(
    backend: ModuleType,
    wanted: str | None,
    swift: str,
    machine: tuple[str, str],
    settings: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same by the environment and by a setting; the wheel's tag follows."""
    install(tmp_path / "bin", swift, monkeypatch)
    monkeypatch.setattr(platform, "system", lambda: machine[0])
    monkeypatch.setattr(platform, "machine", lambda: machine[1])
    if wanted is not None:
        monkeypatch.setenv("CACHEDOCTOR_BRIDGES", wanted)
    assert backend.decided({"build-dir": "b"}) == {"build-dir": "b", **settings}
    monkeypatch.setenv("CACHEDOCTOR_BRIDGES", "OFF")
    if wanted:
        assert backend.decided({"cmake.define.CACHEDOCTOR_BRIDGES": wanted}) == settings
    made_for = os.environ.get("MACOSX_DEPLOYMENT_TARGET")
    assert made_for == ("14.0" if machine[0] == "Darwin" and settings == WITH else None)


@pytest.mark.parametrize(
    ("wanted", "swift", "says"),
    [
        ("ON", "", "need Swift 6.0 or newer, and there is no `swift` on PATH"),
        ("ON", "Swift version 5.9.2", "need Swift 6.0 or newer, and `"),
        ("ON", "hello", "--version` does not say which Swift it is"),
        ("YES", NEW, "CACHEDOCTOR_BRIDGES is `YES`; use AUTO, ON or OFF"),
    ],
)
def test_what_cannot_be_made_is_one_line(
    backend: ModuleType,
    wanted: str,
    swift: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It names what was found and what is needed."""
    install(tmp_path / "bin", swift, monkeypatch)
    monkeypatch.setenv("CACHEDOCTOR_BRIDGES", wanted)
    with pytest.raises(SystemExit) as caught:
        backend.decided(None)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_what_does_not_compile_is_never_a_pure_wheel(tmp_path: Path) -> None:
    """The build ends with an error, and the folder stays empty."""
    if shutil.which("swift") is None:
        assert "CI" not in os.environ, "continuous integration has to have Swift"
        pytest.skip("no Swift to build the bridges with")
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns(
        ".git", ".build", "build", "tests", "docs", ".venv", "__pycache__"
    )
    shutil.copytree(_ROOT, source, ignore=ignored)
    broken = source / "swift/Sources/BridgeKit/Wave.swift"
    broken.write_text(broken.read_text() + "\nfunc no( {\n")
    output = tmp_path / "wheels"
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--wheel-dir",
            str(output),
            str(source),
        ],
        env={**weights.ENVIRONMENT, "CACHEDOCTOR_BRIDGES": "ON"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "Wave.swift" in ended.stdout + ended.stderr
    assert list(output.glob("*.whl")) == []
