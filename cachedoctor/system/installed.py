"""Find what is installed beside an interpreter from its folders, importing and running nothing."""

from __future__ import annotations

import glob
import os
import re


def release(python: str, package: str) -> str | None:
    """Return the version of `package` that the interpreter at `python` would import, or `None`.

    Looks in `site-packages` of the environment that contains the interpreter's own path; Debian's
    system interpreter has a second one below `local`. Packages linked in from elsewhere do not
    count.
    """
    from importlib import metadata  # slow to import, and needed only for a Python given by the user

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
    """Return whether `release` is before `limit`; a pre-release counts as its final release."""
    from packaging.version import InvalidVersion, Version  # slow to import, and rarely needed

    try:
        return Version(Version(release).base_version) < Version(limit)
    except InvalidVersion:  # no valid version to compare
        return False


def _folders(python: str) -> tuple[str, ...]:
    """Return the library folders below the prefix, in import order.

    A prefix can hold several Python releases; the interpreter's own name tells them apart.
    """
    names = (os.path.basename(python), os.path.basename(os.path.realpath(python)))
    release = next((m[1] for n in names if (m := re.fullmatch(r"python(3\.\d+t?)", n))), "3*")
    own = f"lib/python{release}"
    return f"local/{own}", own, f"lib64/python{release}", "lib/python3", "Lib"
