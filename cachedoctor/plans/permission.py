"""Whether a repair may write where it has to, and what a person must do first if not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import locators, repairs
from cachedoctor.findings import Rename
from cachedoctor.looking import quietly
from cachedoctor.system import disk, usage

if TYPE_CHECKING:
    from cachedoctor.findings import Repair
    from cachedoctor.host import Host


def needed_first(repair: Repair, host: Host) -> Repair | None:
    """Return what the user must do before a repair can write where it has to, or `None`.

    Nothing is written behind a link that points outside the place (law 9): a scan of what is there
    tells how to make it a place of its own.
    """
    folders = {os.path.dirname(step.path) for step in repair.steps}
    folders |= {os.path.dirname(s.target) for s in repair.steps if isinstance(s, Rename)}
    root = os.path.realpath(repair.root)
    for place in sorted(folders) or [repair.root]:
        there = disk.folder_above(place)
        real = os.path.realpath(there)
        if not (locators.inside(real, root) or locators.inside(root, real)):
            look = host.command("scan", _linked(there))
            return repairs.manual("repair-elsewhere")._replace(describe=look)
        if not quietly.can_access(there, os.W_OK | os.X_OK):
            return _opening(there, real, root)
    return None


def _linked(path: str) -> str:
    """Return where the innermost link on the way to `path` points."""
    while not os.path.islink(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return os.path.realpath(path)


def _opening(there: str, real: str, root: str) -> Repair:
    """Return the command that lets this user write in a folder, which resolves to `real`."""
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        mount = usage.Mounts.look().point(real)
        return repairs.manual("mount-writable", "mount", "-o", "remount,rw", mount)
    user = str(os.geteuid())
    if not locators.inside(real, root):  # nothing of the place is there yet
        return repairs.manual("allow-writing", "sudo", "install", "-d", "-o", user, root)
    if os.stat(there).st_uid != os.geteuid():  # such as root, after a container used the cache
        return repairs.manual("allow-writing", "sudo", "chown", "-R", user, root)
    return repairs.manual("allow-writing", "chmod", "u+w", there)
