"""What keeps a repair from writing where it has to, and what its user can do about that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import locators, repairs
from cachedoctor.findings import Rename
from cachedoctor.looking import quietly
from cachedoctor.system import disk

if TYPE_CHECKING:
    from cachedoctor.findings import Repair


def needed_first(repair: Repair) -> Repair | None:
    """Return what the user must do before a repair can write where it has to, or `None`.

    Nothing is written behind a link that points outside the place (law 9).
    """
    folders = {os.path.dirname(step.path) for step in repair.steps}
    folders |= {os.path.dirname(s.target) for s in repair.steps if isinstance(s, Rename)}
    root = os.path.realpath(repair.root)
    for place in sorted(folders) or [repair.root]:
        there = disk.folder_above(place)
        real = os.path.realpath(there)
        if not (locators.inside(real, root) or locators.inside(root, real)):
            return repairs.manual("repair-elsewhere", "cachedoctor", "fix", real)
        if not quietly.can_access(there, os.W_OK | os.X_OK):
            if os.statvfs(there).f_flag & os.ST_RDONLY:
                return repairs.manual("mount-writable", "mount", "-o", "remount,rw", there)
            return repairs.manual("allow-writing", "chmod", "u+w", there)
    return None
