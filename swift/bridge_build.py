"""Build backend: scikit-build-core, told first whether the wheel is to hold the Swift bridges.

A wheel's tag is fixed before CMake runs, so this is decided here. `CACHEDOCTOR_BRIDGES`, from the
environment or as `-C cmake.define.CACHEDOCTOR_BRIDGES=…`:

- `ON` builds them, and refuses where there is no Swift that can;
- `OFF` makes a pure wheel;
- `AUTO`, the default, is `ON` on a Mac with Apple silicon that has such a Swift, else `OFF`.

Once it is `ON`, what does not compile is an error.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess

from scikit_build_core import build as skbuild
from scikit_build_core.build import build_sdist, get_requires_for_build_sdist

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
_OLDEST_MACOS = "14.0"  # `Package.swift`: platforms

Config = dict[str, str | list[str]]


def get_requires_for_build_wheel(config: Config | None = None) -> list[str]:
    """Name what building needs; CMake and ninja only where something is compiled."""
    return skbuild.get_requires_for_build_wheel(decided(config))


def get_requires_for_build_editable(config: Config | None = None) -> list[str]:
    """Name what building needs, as for a wheel."""
    return skbuild.get_requires_for_build_editable(decided(config))


def prepare_metadata_for_build_wheel(folder: str, config: Config | None = None) -> str:
    """Write the metadata of the wheel that would be built."""
    return skbuild.prepare_metadata_for_build_wheel(folder, decided(config))


def prepare_metadata_for_build_editable(folder: str, config: Config | None = None) -> str:
    """Write the metadata of the wheel that would be built."""
    return skbuild.prepare_metadata_for_build_editable(folder, decided(config))


def build_wheel(folder: str, config: Config | None = None, metadata: str | None = None) -> str:
    """Build the wheel, with the bridges or pure."""
    return skbuild.build_wheel(folder, decided(config), metadata)


def build_editable(folder: str, config: Config | None = None, metadata: str | None = None) -> str:
    """Build the editable wheel; the bridges go where those of a normal one go."""
    return skbuild.build_editable(folder, decided(config), metadata)


def decided(config: Config | None) -> Config:
    """Return the settings with which scikit-build-core makes the wheel that is wanted.

    Raises `SystemExit`, with one line that says why, where the bridges cannot be built.
    """
    settings = dict(config or {})
    wanted = str(settings.pop(_KEY, None) or os.environ.get(_NAME) or "AUTO").upper()
    if wanted not in ("AUTO", "ON", "OFF"):
        raise SystemExit(f"{_NAME} is `{wanted}`; use AUTO, ON or OFF")
    trouble = _trouble()
    if wanted == "ON" and trouble:
        raise SystemExit(f"{_NAME}=ON: {trouble}")
    apple = (platform.system(), platform.machine()) == ("Darwin", "arm64")
    building = wanted == "ON" or (wanted == "AUTO" and apple and not trouble)
    if building and platform.system() == "Darwin":
        os.environ.setdefault("MACOSX_DEPLOYMENT_TARGET", _OLDEST_MACOS)
    flag = "true" if building else "false"
    return {**settings, "wheel.cmake": flag, "wheel.platlib": flag}


def _trouble() -> str:
    """Say why the bridges cannot be built here; empty where they can."""
    needed = ".".join(map(str, _NEEDED))
    swift = shutil.which("swift")
    if swift is None:
        return f"the bridges need Swift {needed} or newer, and there is no `swift` on PATH"
    try:
        done = subprocess.run(
            [swift, "--version"], capture_output=True, check=False, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"`{swift}` cannot be run: {error}"
    found = re.search(r"Swift version (\d+)\.(\d+)", done.stdout + done.stderr)
    if found is None:
        return f"`{swift} --version` does not say which Swift it is"
    if tuple(map(int, found.groups())) < _NEEDED:
        return f"the bridges need Swift {needed} or newer, and `{swift}` is {found[1]}.{found[2]}"
    return ""
