"""The package's own data and scripts, read from a folder or from a zip.

The loader that found a package also reads its data; unlike `importlib.resources`, that costs
nothing on the start-up path.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import zlib
from functools import cache
from typing import Any


def names(package: str) -> list[str]:
    """Return the names of the files directly in a package, unsorted."""
    folder = _folder(package)
    try:
        return os.listdir(folder)
    except NotADirectoryError:  # `…/cachedoctor.pyz/cachedoctor/rules`
        archive, prefix = _inside(folder)
        return [name.removeprefix(prefix) for name in _listing(archive) if _lies(name, prefix)]


def modules(package: str) -> list[str]:
    """Return the modules of a package that do not begin with `_`, sorted."""
    return sorted(
        name[:-3] for name in names(package) if name.endswith(".py") and not name.startswith("_")
    )


def read(package: str, name: str) -> bytes:
    """Return the content of one of these files."""
    spec = importlib.import_module(package).__spec__
    data: bytes = spec.loader.get_data(path(package, name))  # type: ignore[union-attr]
    return data


def rows(package: str, name: str) -> dict[str, Any]:
    """Return the content of a TOML table; raises `ValueError` if it is not TOML.

    Parsing all tables takes 20 ms. So a wheel also has each as JSON, made from exactly that text
    when the wheel was built (`swift/bridge_build.py`); a checkout has none, and an edited text is
    parsed.
    """
    text = read(package, f"{name}.toml")
    with contextlib.suppress(OSError, ValueError, LookupError):
        import json

        parsed = json.loads(read(package, f"{name}.json"))
        found: dict[str, Any] = parsed["rows"]
        if parsed["made_of"] == zlib.crc32(text):
            return found
    import tomllib

    return tomllib.loads(text.decode())


def path(package: str, name: str) -> str:
    """Return the path of one of these files; for a zip, that is inside a file."""
    return os.path.join(_folder(package), name)


@cache
def folder(package: str, below: str = "") -> str:
    """Return a folder with a package's files, or those of a subfolder, for tools that read no zip.

    In a zip it is a copy, made once and deleted when the process ends.
    """
    here = os.path.join(_folder(package), below).rstrip(os.sep)
    if os.path.isdir(here):
        return here
    import atexit
    import tempfile

    place = tempfile.TemporaryDirectory(prefix="cachedoctor-")
    atexit.register(place.cleanup)
    archive, prefix = _inside(here)
    for name in _listing(archive):
        if _lies(name, prefix):
            with open(os.path.join(place.name, os.path.basename(name)), "wb") as file:
                file.write(read(package, os.path.join(below, os.path.basename(name))))
    return place.name


def command(module: str) -> list[str]:
    """Return the command that runs one of our modules in another process of this Python."""
    here = _folder("cachedoctor")
    if os.path.isdir(here):
        return [sys.executable, "-P", "-m", module]  # import nothing from the current folder
    archive, _ = _inside(here)
    code = f"import runpy, sys; sys.path.insert(0, {archive!r}); "
    return [sys.executable, "-P", "-c", f"{code}runpy.run_module({module!r}, run_name='__main__')"]


def _folder(package: str) -> str:
    return os.path.dirname(str(importlib.import_module(package).__file__))


def _inside(folder: str) -> tuple[str, str]:
    """Return the file that contains a folder, and the prefix of the names inside it."""
    archive = folder
    while not os.path.isfile(archive):
        archive = os.path.dirname(archive)
    return archive, os.path.relpath(folder, archive).replace(os.sep, "/") + "/"


def _lies(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and "/" not in name.removeprefix(prefix) and name != prefix


@cache
def _listing(archive: str) -> list[str]:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        return file.namelist()
