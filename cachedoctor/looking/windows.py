"""A Windows home seen from another system: drive letters, `%NAME%`, case-insensitive names.

The home is mounted somewhere, as `…/Users/ada`; the folder that contains `Users` is its drive.
Beside it, the Windows Subsystem for Linux mounts other drives by letter, as `/mnt/d`.

Source: Microsoft's documentation of `%USERPROFILE%`, of `expandvars` in Python's `ntpath`, and of
WSL's `/etc/wsl.conf`.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_DRIVE = re.compile(r"([A-Za-z]):(?=[\\/]|$)")
_SHARE = re.compile(r"[\\/]{2}([^\\/]+)[\\/]+([^\\/]+)")
_PERCENT = re.compile(r"%([^%]+)%")
_USERS = re.compile(r"(.*)/Users/[^/]+", re.IGNORECASE)
_USUAL = "C"


def expanded(value: str, environment: Mapping[str, str]) -> str:
    """Replace `%NAME%`, ignoring the case of the name; unknown names stay unchanged."""
    known = {name.upper(): said for name, said in environment.items()}
    return _PERCENT.sub(lambda found: known.get(found[1].upper(), found[0]), value)


def local(value: str, home: str, environment: Mapping[str, str]) -> str:
    """Return the local path for a path on that Windows system.

    A drive not known to be mounted here becomes `/D:/…`, a share `/UNC/…`: nothing is there.
    """
    share = _SHARE.match(value)
    if share:
        rest = value[share.end() :].replace("\\", "/")
        return f"/UNC/{share[1]}/{share[2]}{rest}"
    found = _DRIVE.match(value)
    if found is None:
        return value.replace("\\", "/")
    letter = found[1].upper()
    rest = value[found.end() :].replace("\\", "/")
    return (_drives(home, environment).get(letter) or _beside(home, letter)) + rest


def spelled(path: str) -> str:
    """Return `path` spelled as on disk, because Windows ignores case."""
    if os.path.lexists(path):
        return path
    above, name = os.path.split(path)
    if not name or above == path:
        return path
    above = spelled(above)
    try:
        names = os.listdir(above)
    except OSError:
        return os.path.join(above, name)
    folded = name.casefold()
    same = next((other for other in names if other.casefold() == folded), name)
    return os.path.join(above, same)


def _drives(home: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the mount point of the home's drive, keyed by its letter."""
    found = _USERS.fullmatch(home)
    if found is None:
        return {}
    mounted = found[1]
    last = os.path.basename(mounted)
    said = environment.get("SystemDrive") or environment.get("USERPROFILE") or _USUAL
    letter = last if len(last) == 1 and last.isalpha() else said[:1]
    return {letter.upper(): mounted}


def _beside(home: str, letter: str) -> str:
    """Return where another drive is mounted, beside the home's drive."""
    found = _USERS.fullmatch(home)
    mounted = found[1] if found else ""
    if len(os.path.basename(mounted)) == 1:
        beside = os.path.join(os.path.dirname(mounted), letter.lower())
        if os.path.isdir(beside):
            return beside
    return f"/{letter}:"
