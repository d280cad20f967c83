"""What is installed beside an interpreter, from its folders: nothing of it is imported or run."""

from __future__ import annotations

import glob
import os
import re


def release(python: str, package: str) -> str | None:
    """Return the version of `package` that the interpreter at `python` would import, or `None`.

    Looks in `site-packages` of the environment that the interpreter's own path lies in; Debian's
    own interpreter has a second one below `local`. What is linked in from elsewhere does not count.
    """
    from importlib import metadata  # slow to import, and needed only where a Python was named

    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    for folder in _folders(python):
        for kind in ("site-packages", "dist-packages"):
            pattern = os.path.join(glob.escape(prefix), folder, kind)
            for path in sorted(glob.glob(pattern), reverse=True):
                for found in metadata.distributions(name=package, path=[path]):
                    if "Version" in found.metadata:
                        return found.metadata["Version"]
    return None


def before(release: str, limit: str) -> bool:
    """Return whether `release` came before `limit`; a candidate counts as what it is one for."""
    from packaging.version import InvalidVersion, Version  # slow to import, and seldom needed

    try:
        return Version(Version(release).base_version) < Version(limit)
    except InvalidVersion:  # nobody can tell
        return False


def _folders(python: str) -> tuple[str, ...]:
    """Name the folders of libraries below the prefix, first those that are imported from first.

    A prefix may hold several releases of Python; the interpreter's own name tells which is meant.
    """
    names = (os.path.basename(python), os.path.basename(os.path.realpath(python)))
    release = next((m[1] for n in names if (m := re.fullmatch(r"python(3\.\d+t?)", n))), "3*")
    own = f"lib/python{release}"
    return f"local/{own}", own, f"lib64/python{release}", "lib/python3", "Lib"
