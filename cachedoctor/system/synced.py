"""Folders copied by a sync service, recognised by its traces on this disk; and Time Machine.

```
~/Library/Mobile Documents/com~apple~CloudDocs/           iCloud Drive
    Documents  Desktop                                    symlinks, if iCloud keeps these two
~/Library/CloudStorage/<Service>-<account>/               OneDrive, Dropbox, Google Drive since 12.1
~/OneDrive*  ~/Dropbox*  ~/Google Drive  ~/Nextcloud      on other systems, and before
```

Time Machine copies everything except caches, unless an attribute of the folder excludes it. This is
checked only on the Mac itself, and only if a backup disk is configured.

Source: Apple support 102651 and 109344; tmutil(8); Dropbox help "ignored files"; OneDrive's and
Google Drive's documentation of their folders.
"""

from __future__ import annotations

import os
import sys

ICLOUD, DROPBOX, ONEDRIVE, TIME_MACHINE = "iCloud", "Dropbox", "OneDrive", "Time Machine"
_CLOUD = "Library/Mobile Documents"
_STORAGE = "Library/CloudStorage"
_NAMES = {
    "onedrive": ONEDRIVE,
    "dropbox": DROPBOX,
    "google drive": "Google Drive",
    "googledrive": "Google Drive",
    "nextcloud": "Nextcloud",
    "owncloud": "ownCloud",
    "seafile": "Seafile",
    "syncthing": "Syncthing",
    "box": "Box",
    "pcloud": "pCloud",
}
_MARKS = {".dropbox": DROPBOX, ".stfolder": "Syncthing", ".owncloudsync.log": "ownCloud"}
_TIME_MACHINE = "/Library/Preferences/com.apple.TimeMachine.plist"
_EXCLUDED = b"com.apple.metadata:com_apple_backup_excludeItem"
_NEVER_COPIED = ("Library/Caches", "Library/Logs", ".Trash")


def service_of(path: str, home: str, platform: str) -> str:
    """Return the service that copies `path`, or an empty string."""
    if platform == "darwin":
        if _inside(path, f"{home}/{_CLOUD}"):
            return ICLOUD
        for name in ("Documents", "Desktop"):
            kept = os.path.lexists(f"{home}/{_CLOUD}/com~apple~CloudDocs/{name}")
            if kept and _inside(path, f"{home}/{name}"):
                return "" if ".nosync" in path else ICLOUD
    if not _inside(path, home):
        return ""
    parts = path[len(home.rstrip("/")) + 1 :].split("/")
    if parts[:2] == _STORAGE.split("/") and len(parts) > 2:
        return _named(parts[2].partition("-")[0])
    if parts and (service := _named(parts[0])):
        return service
    here = home.rstrip("/")
    for part in parts:
        here = f"{here}/{part}"
        for mark, service in _MARKS.items():
            if os.path.lexists(f"{here}/{mark}"):
                return service
    return TIME_MACHINE if sys.platform == platform == "darwin" and _backed_up(path, home) else ""


def command(service: str, path: str, platform: str) -> tuple[str, ...]:
    """Return the command that excludes a folder from a service."""
    if service == TIME_MACHINE:
        return ("tmutil", "addexclusion", path)
    if service == DROPBOX and platform == "darwin":
        return ("xattr", "-w", "com.dropbox.ignored", "1", path)
    if service == DROPBOX:
        return ("attr", "-s", "com.dropbox.ignored", "-V", "1", path)
    if service == ICLOUD:
        return ("mv", "-n", path, f"{path}.nosync", "&&", "ln", "-s", f"{path}.nosync", path)
    return ("mv", "-n", path, "SOMEWHERE-ELSE")


def _named(name: str) -> str:
    """Return the service that a top-level folder belongs to, as in `OneDrive - Contoso`."""
    folded = name.casefold()
    for known, service in _NAMES.items():
        rest = folded.removeprefix(known)
        if folded.startswith(known) and (not rest or rest[0] in " -("):
            return service
    return ""


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _backed_up(path: str, home: str) -> bool:
    """Return whether Time Machine has a disk and copies `path`, with no parent folder excluded."""
    import plistlib

    try:
        with open(_TIME_MACHINE, "rb") as file:
            said = plistlib.load(file)
        if not isinstance(said, dict) or not said.get("Destinations"):
            return False
    except (OSError, ValueError):
        return False
    skipped = [os.path.join(home, name) for name in _NEVER_COPIED]
    skipped += [str(each) for each in said.get("SkipPaths", ())]
    if any(_inside(path, each) for each in skipped):
        return False
    while _inside(path, home):
        if _has_attribute(path):
            return False
        path = os.path.dirname(path)
    return True


def _has_attribute(path: str) -> bool:
    import ctypes

    try:
        libc = ctypes.CDLL(None)
        return bool(libc.getxattr(os.fsencode(path), _EXCLUDED, None, 0, 0, 0) >= 0)
    except (AttributeError, OSError):
        return True
