"""Which wheel is made: with the bridges, pure, or none and one clear line."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import zipfile
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
    for name in ("MACOSX_DEPLOYMENT_TARGET", "ARCHFLAGS"):
        monkeypatch.setenv(name, "")  # so that both are as before afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    spec = importlib.util.spec_from_file_location(
        "bridge_build", bridges.PACKAGE / "bridge_build.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def program(path: Path, script: str) -> None:
    """Write a program of the shell's."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def install(folder: Path, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a `swift` that says this of its version in front of any other, or none for no words.

    Beside it is what a Mac with its Command Line Tools has.
    """
    program(folder / "xcode-select", "echo /")
    if says:
        program(folder / "swift", f"echo '{says}'")
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
        ("ON", "failed'; exit 1; echo '", "swift` cannot be run"),
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


@pytest.mark.heavy
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


@pytest.mark.parametrize("wanted", ["AUTO", "ON"])
@pytest.mark.parametrize(
    ("machine", "tools", "why"),
    [
        ("x86_64", "echo /", "for Apple silicon, and this Python is for x86_64"),
        ("arm64", "exit 2", "no Command Line Tools; `xcode-select --install` brings them"),
        ("arm64", "echo /nowhere", "no Command Line Tools; `xcode-select --install` brings them"),
    ],
)
def test_a_mac_that_cannot_is_asked_nothing_more(
    backend: ModuleType,
    wanted: str,
    machine: str,
    tools: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where tools are missing, Apple's own `swift` opens a dialog: it is not run."""
    install(tmp_path / "bin", NEW, monkeypatch)
    program(tmp_path / "bin" / "xcode-select", tools)
    program(tmp_path / "bin" / "swift", f"touch {tmp_path}/asked; echo '{NEW}'")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setenv("CACHEDOCTOR_BRIDGES", wanted)
    if wanted == "ON":
        with pytest.raises(SystemExit, match=why):
            backend.decided(None)
    else:
        assert backend.decided(None) == PURE
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    ("said", "target"),
    [("", "14.0"), ("11.0", "14.0"), ("13", "14.0"), ("15", "15.0"), ("15.2", "15.2")],
)
def test_the_tag_is_for_what_is_inside(
    backend: ModuleType, said: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apple silicon alone, whatever a universal Python or the environment would have it say."""
    builder = pytest.importorskip("scikit_build_core.builder.builder")
    wheel_tag = pytest.importorskip("scikit_build_core.builder.wheel_tag")
    install(tmp_path / "bin", NEW, monkeypatch)
    sysconfig.get_config_vars()  # this interpreter's own, before it seems to be another's
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(platform, "mac_ver", lambda: ("26.1", ("", "", ""), "arm64"))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("MACOSX_DEPLOYMENT_TARGET", said)
    monkeypatch.setenv("ARCHFLAGS", "-arch x86_64 -arch arm64")
    monkeypatch.setenv("_PYTHON_HOST_PLATFORM", "macosx-11.0-universal2")
    backend.decided({"cmake.define.CACHEDOCTOR_BRIDGES": "ON"})
    archs = builder.archs_to_tags(builder.get_archs(os.environ))
    tag = wheel_tag.WheelTag.compute_best(archs, "py3")
    major = target.split(".", maxsplit=1)[0]
    assert os.environ["MACOSX_DEPLOYMENT_TARGET"] == target
    assert str(tag) == f"py3-none-macosx_{major}_0_arm64"


# What a `swift` does when it is told to: all of it, or failing where a user's did.
WORKS = f"""case "$*" in
*--version*) echo '{NEW}';;
*--show-bin-path*) echo PLACE;;
*resolve*) RESOLVE;;
*) COMPILE;;
esac"""
BRIDGES = "mkdir -p PLACE; touch PLACE/whisperkit-bridge PLACE/fluidaudio-bridge"
OFFLINE = 'echo "error: Failed to clone repository https://example.org/x.git" >&2; exit 1'
REFUSED = "echo 'error: main actor-isolated' >&2; exit 1"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy what an sdist holds to where pip would build it, and go there."""
    pytest.importorskip("scikit_build_core")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, folder)
    for name in ("cachedoctor", "docs/man", "swift/Sources", "swift/Mac"):
        shutil.copytree(_ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "swift" / "bridge_build.py", folder / "swift")
    monkeypatch.chdir(folder)
    return folder


def mac(
    backend: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    resolve: str,
    compile_: str,
) -> None:
    """Stand on a Mac whose `swift` does this when it is to fetch, and this when it is to build."""
    install(tmp_path / "bin", NEW, monkeypatch)
    program(
        tmp_path / "bin" / "swift",
        WORKS.replace("RESOLVE", resolve)
        .replace("COMPILE", compile_)
        .replace("PLACE", str(tmp_path / "built")),
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{weights.ENVIRONMENT['PATH']}")
    monkeypatch.setattr(backend, "_is_mac", lambda: True)


def prepare(backend: ModuleType, folder: Path) -> str:
    """Have the metadata written that installers ask for before they have the wheel built."""
    place = folder / "metadata"
    place.mkdir()
    return str(place / backend.prepare_metadata_for_build_wheel(str(place), None))


def files(wheel: Path) -> dict[str, bytes]:
    """Read all that a wheel holds."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    ("resolve", "compile_", "why"),
    [
        (OFFLINE, BRIDGES, "could not be fetched (error: Failed to clone repository https://ex"),
        ("sleep 60", BRIDGES, "the frameworks' sources were not here after 0 min"),
        ("", REFUSED, "the bridges do not compile here"),
        ("", "true", "the bridges do not compile here"),  # and are not where it says they are
    ],
)
def test_nothing_about_the_bridges_ends_an_installation(
    backend: ModuleType,
    source: Path,
    resolve: str,
    compile_: str,
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A pure wheel that says why in it; the same is an error where bridges were demanded."""
    mac(backend, monkeypatch, tmp_path, resolve, compile_)
    monkeypatch.setattr(backend, "_FETCH_LIMIT_S", 1.0)
    output = tmp_path / "wheels"
    prepared = prepare(backend, tmp_path)
    name = backend.build_wheel(str(output), None, prepared)
    assert name.endswith("-py3-none-any.whl")
    note = files(output / name)["cachedoctor/no_bridges.txt"].decode()
    assert why in note
    assert note.endswith("`CACHEDOCTOR_BRIDGES=ON` shows all of it\n")
    assert note.count("\n") == 1
    assert note in capfd.readouterr().err
    assert backend.build_editable(str(tmp_path / "editable"), None).endswith("-py3-none-any.whl")
    if compile_ != BRIDGES:
        monkeypatch.setenv("CACHEDOCTOR_BRIDGES", "ON")
        with pytest.raises((SystemExit, Exception)):
            backend.build_wheel(str(tmp_path / "on"), None)
        assert list((tmp_path / "on").glob("*.whl")) == []


def test_a_mac_that_can_gets_its_bridges(
    backend: ModuleType, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found where this Swift says that it put them, run bit and all; and no note."""
    mac(backend, monkeypatch, tmp_path, "", BRIDGES)
    output = tmp_path / "wheels"
    prepared = prepare(backend, tmp_path)
    name = backend.build_wheel(str(output), None, prepared)
    assert not name.endswith("-any.whl")
    inside = files(output / name)
    (metadata,) = (each for each in inside if each.endswith("/METADATA"))
    assert inside[metadata] == (Path(prepared) / "METADATA").read_bytes()
    assert [each for each in inside if each.endswith("/scripts/whisperkit-bridge")]
    assert "cachedoctor/no_bridges.txt" not in inside
    kept, read = (source / "swift" / each for each in ("Mac/Package.resolved", "Package.resolved"))
    assert read.read_bytes() == kept.read_bytes()  # exactly these commits


def test_a_pure_wheel_that_was_wanted_has_no_note(
    backend: ModuleType, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any system but a Mac, and where bridges were refused."""
    mac(backend, monkeypatch, tmp_path, OFFLINE, REFUSED)
    monkeypatch.setenv("CACHEDOCTOR_BRIDGES", "OFF")
    refused = backend.build_wheel(str(tmp_path / "off"), None)
    monkeypatch.setattr(backend, "_is_mac", lambda: False)
    monkeypatch.delenv("CACHEDOCTOR_BRIDGES")
    other = backend.build_wheel(str(tmp_path / "linux"), None)
    assert files(tmp_path / "off" / refused) == files(tmp_path / "linux" / other)
    assert "cachedoctor/no_bridges.txt" not in files(tmp_path / "linux" / other)


def test_a_wheel_has_the_tables_ready(backend: ModuleType, source: Path, tmp_path: Path) -> None:
    """Read without a parser they say what the texts say; a text that was edited is parsed."""
    wheel = tmp_path / "wheels" / backend.build_wheel(str(tmp_path / "wheels"), None)
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    code = (
        "import sys\n"
        # an editable install has a finder of its own
        "sys.meta_path = [f for f in sys.meta_path if f.__module__.startswith('_frozen')]\n"
        f"sys.path.insert(0, {str(installed)!r})\n"
        "from cachedoctor import engines; from cachedoctor.system import apps, shipped\n"
        "sys.modules['tomllib'] = PARSER\n"
        "print([repr(engines.find(name).table) for name in engines.names()], apps.known())\n"
        "print(len(shipped.rows('cachedoctor.diagnosis', 'symptoms')), shipped.__file__)\n"
    )

    def said(parser: str) -> list[str]:
        ran = [sys.executable, "-c", code.replace("PARSER", parser)]
        return subprocess.run(ran, capture_output=True, text=True, check=True).stdout.splitlines()

    ready = said("None")
    assert str(installed) in ready[1]
    for path in installed.rglob("*.json"):
        if path.with_suffix(".toml").exists():
            path.unlink()
    assert said("__import__('tomllib')") == ready
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    table = installed / "cachedoctor" / "engines" / "faster_whisper.toml"
    table.write_text(table.read_text().replace('name = "tiny.en"', 'name = "small.xx"', 1))
    assert "small.xx" not in ready[0]
    assert "small.xx" in said("__import__('tomllib')")[0]


@pytest.mark.parametrize("wanted", ["ON", "OFF"])
def test_an_installer_gets_the_wheel_that_was_asked_for(
    source: Path, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way that pip goes, with a `swift` that builds at once."""
    program(
        tmp_path / "bin" / "swift",
        WORKS.replace("RESOLVE", "true")
        .replace("COMPILE", BRIDGES)
        .replace("PLACE", str(tmp_path / "built")),
    )
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    ended = subprocess.run(
        [*pip, "--wheel-dir", str(tmp_path / "wheels"), str(source)],
        env={
            **weights.ENVIRONMENT,
            "PATH": f"{tmp_path / 'bin'}:{weights.ENVIRONMENT['PATH']}",
            "CACHEDOCTOR_BRIDGES": wanted,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl") is (wanted == "OFF")
    bridges_in = [each for each in files(wheel) if each.endswith("-bridge")]
    assert len(bridges_in) == (2 if wanted == "ON" else 0)
