"""What is installed beside an interpreter, from names of folders: nothing is imported or run."""

from __future__ import annotations

import glob
import os
import re


def release(python: str, package: str) -> str | None:
    """Return the version of `package` that the interpreter at `python` would import, or `None`.

    Looks in `site-packages` of the environment that the interpreter's own path lies in.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    wanted = _normal(package)
    for folder in ("lib/python3*", "lib64/python3*", "Lib"):
        for kind in ("site-packages", "dist-packages"):
            pattern = os.path.join(glob.escape(prefix), folder, kind, "*-info")
            for path in sorted(glob.glob(pattern), reverse=True):
                name, _, version = os.path.basename(path).rpartition(".")[0].partition("-")
                if _normal(name) == wanted:
                    return version
    return None


def before(release: str, limit: str) -> bool:
    """Say whether `release` came before `limit`, by its numbers: `2.0.0rc1` counts as 2.0.0."""
    return _numbers(release) < _numbers(limit)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)[:3]]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
