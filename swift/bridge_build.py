"""Build backend: scikit-build-core, told first what the wheel is to hold besides the package.

Each table of the catalogue is in it as JSON, too, which takes a thirtieth of the time to read.
Then there are the Swift bridges.

A wheel's tag is fixed before CMake runs, so this is decided here. `CACHEDOCTOR_BRIDGES`, from the
environment or as `-C cmake.define.CACHEDOCTOR_BRIDGES=…`:

- `ON` builds them; whatever stands in the way is an error;
- `OFF` makes a pure wheel;
- `AUTO`, the default, tries on a Mac with Apple silicon. Whatever stands in the way there (no
  Command Line Tools, no network for the frameworks' sources, a compiler that refuses them) ends in
  a pure wheel, in one line that says so, and in the same line inside the wheel, for
  `cachedoctor info`: pip hides what a build says. Elsewhere it is `OFF`.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from scikit_build_core import build as skbuild
from scikit_build_core.build import build_sdist, get_requires_for_build_sdist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

_NAME = "CACHEDOCTOR_BRIDGES"
_KEY = f"cmake.define.{_NAME}"
_NEEDED = (6, 0)  # `Package.swift`: swift-tools-version
_OLDEST_MACOS = (14, 0)  # `Package.swift`: platforms
_PACKAGE = "swift"
_SCRATCH = "build/swift"  # as in `CMakeLists.txt`
_RESOLVED = ("swift/Mac/Package.resolved", "swift/Package.resolved")  # kept; where it is read
_FETCH_LIMIT_S = 1200.0  # some 120 MB of the frameworks' history
_NOTE = "cachedoctor/no_bridges.txt"

Config = dict[str, str | list[str]]


def get_requires_for_build_wheel(config: Config | None = None) -> list[str]:
    """Name what building needs; CMake and ninja only where something is compiled."""
    return skbuild.get_requires_for_build_wheel(decided(config))


def get_requires_for_build_editable(config: Config | None = None) -> list[str]:
    """Name what building needs, as for a wheel."""
    return skbuild.get_requires_for_build_editable(decided(config))


def prepare_metadata_for_build_wheel(folder: str, config: Config | None = None) -> str:
    """Write the metadata of the wheel that would be built; the same with the bridges or without."""
    return skbuild.prepare_metadata_for_build_wheel(folder, _pure(config))


def prepare_metadata_for_build_editable(folder: str, config: Config | None = None) -> str:
    """Write the metadata of the wheel that would be built; the same with the bridges or without."""
    return skbuild.prepare_metadata_for_build_editable(folder, _pure(config))


def build_wheel(folder: str, config: Config | None = None, _metadata: str | None = None) -> str:
    """Build the wheel, with the bridges or pure.

    What was prepared before says a tag, which only now is known, so it is written anew.
    """
    with _tables() as settings:
        return _built(skbuild.build_wheel, folder, {**(config or {}), **settings})


def build_editable(folder: str, config: Config | None = None, _metadata: str | None = None) -> str:
    """Build the editable wheel; the bridges go where those of a normal one go."""
    return _built(skbuild.build_editable, folder, config)


@contextlib.contextmanager
def _tables() -> Iterator[Config]:
    """Write the tables as `cachedoctor/system/shipped.py` reads them; return what takes them in."""
    with tempfile.TemporaryDirectory() as place:
        settings: Config = {}
        for number, path in enumerate(sorted(Path("cachedoctor").rglob("*.toml"))):
            text = path.read_bytes()
            said = {"made_of": zlib.crc32(text), "rows": tomllib.loads(text.decode())}
            file = os.path.join(place, str(number))
            Path(file).write_text(json.dumps(said, separators=(",", ":")), encoding="utf-8")
            settings[f"wheel.force-include.{file}"] = path.with_suffix(".json").as_posix()
        yield settings


def decided(config: Config | None) -> Config:
    """Return the settings with which scikit-build-core makes the wheel that is wanted.

    Raises `SystemExit`, with one line that says why, where the bridges were demanded and cannot be
    built.
    """
    wanted = _wanted(config)
    trouble = _trouble() if wanted != "OFF" else ""
    if wanted == "ON" and trouble:
        raise SystemExit(f"{_NAME}=ON: {trouble}")
    building = wanted == "ON" or (wanted == "AUTO" and _is_mac() and not trouble)
    if not building:
        return _pure(config)
    if _is_mac():
        _tell_the_truth()
        _pin()
    return _settings(config, "true")


def _built(build: Callable[[str, Config], str], folder: str, config: Config | None) -> str:
    """Build; under `AUTO` on a Mac nothing that is about the bridges ends the installation."""
    if _wanted(config) != "AUTO" or not _is_mac():
        return build(folder, decided(config))
    why = _trouble()
    if not why:
        _pin()
        why = _unfetched()
    if not why:
        try:
            return build(folder, decided(config))
        except SystemExit:  # a compiler's words are long, and were shown
            why = "the bridges do not compile here"
        except Exception as error:  # noqa: BLE001 - nothing here may end an installation
            why = f"the bridges could not be built ({' '.join(str(error).split())[:200]})"
    line = f"a pure wheel, without the bridges: {why}; `{_NAME}=ON` shows all of it\n"
    sys.stderr.write(f"model-cache-doctor: {line}")
    if build is skbuild.build_editable:  # what is shown is the checkout
        return build(folder, _pure(config))
    with tempfile.TemporaryDirectory() as place:
        note = os.path.join(place, "note")
        with open(note, "w", encoding="utf-8") as file:
            file.write(line)
        return build(folder, {**_pure(config), f"wheel.force-include.{note}": _NOTE})


def _wanted(config: Config | None) -> str:
    wanted = str((config or {}).get(_KEY) or os.environ.get(_NAME) or "AUTO").upper()
    if wanted not in ("AUTO", "ON", "OFF"):
        raise SystemExit(f"{_NAME} is `{wanted}`; use AUTO, ON or OFF")
    return wanted


def _pure(config: Config | None) -> Config:
    return _settings(config, "false")


def _settings(config: Config | None, flag: str) -> Config:
    rest = {name: value for name, value in (config or {}).items() if name != _KEY}
    return {**rest, "wheel.cmake": flag, "wheel.platlib": flag}


def _is_mac() -> bool:
    return platform.system() == "Darwin"


def _tell_the_truth() -> None:
    """Have the wheel's tag say what is in it: arm64 alone, for macOS 14 or later.

    An interpreter for both kinds of Mac, a build for several, or an older target in the environment
    would have it say something else.
    """
    asked = re.findall(r"\d+", os.environ.get("MACOSX_DEPLOYMENT_TARGET", ""))[:2]
    target = max(_OLDEST_MACOS, (*map(int, asked), 0, 0)[:2])
    os.environ["MACOSX_DEPLOYMENT_TARGET"] = ".".join(map(str, target))
    os.environ["ARCHFLAGS"] = "-arch arm64"
    os.environ.pop("_PYTHON_HOST_PLATFORM", None)


def _pin() -> None:
    """Put the commits that the frameworks were resolved to where Swift's package manager looks.

    They lie elsewhere because it fetches what they name, or deletes them, on a system whose
    manifest asks for no framework.
    """
    if os.path.exists(_RESOLVED[0]):
        shutil.copyfile(*_RESOLVED)


def _trouble() -> str:
    """Say why the bridges cannot be built here; empty where they can."""
    if _is_mac():
        if platform.machine() != "arm64":
            return f"the bridges are for Apple silicon, and this Python is for {platform.machine()}"
        tools = _said(["xcode-select", "-p"])  # asked first: without tools `swift` opens a dialog
        if tools is None or not os.path.isdir(tools.strip()):
            return "no Command Line Tools; `xcode-select --install` brings them"
    needed = ".".join(map(str, _NEEDED))
    swift = shutil.which("swift")
    if swift is None:
        return f"the bridges need Swift {needed} or newer, and there is no `swift` on PATH"
    said = _said([swift, "--version"])
    if said is None:
        return f"`{swift}` cannot be run"
    found = re.search(r"Swift version (\d+)\.(\d+)", said)
    if found is None:
        return f"`{swift} --version` does not say which Swift it is"
    if tuple(map(int, found.groups())) < _NEEDED:
        return f"the bridges need Swift {needed} or newer, and `{swift}` is {found[1]}.{found[2]}"
    return ""


def _said(command: list[str]) -> str | None:
    """Return what a program said, or `None` where it failed or is not there."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return (done.stdout + done.stderr).decode(errors="replace")


def _unfetched() -> str:
    """Fetch the frameworks' sources, within a limit of time; say why that failed, if it did.

    Nobody can be asked for a password here, and a line that carries nothing is given up.
    """
    variables = {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_HTTP_LOW_SPEED_LIMIT": "1000",
        "GIT_HTTP_LOW_SPEED_TIME": "60",
        **os.environ,
    }
    places = ["--package-path", _PACKAGE, "--scratch-path", _SCRATCH]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["swift", "package", *places, "resolve"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            if process.wait(_FETCH_LIMIT_S) == 0:
                return ""
        except subprocess.TimeoutExpired:
            return f"the frameworks' sources were not here after {_FETCH_LIMIT_S / 60:.0f} min"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        said = output.read()
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    error = next((line for line in lines if "error:" in line), lines[-1] if lines else "no reason")
    return f"the frameworks' sources could not be fetched ({error[:200]})"
