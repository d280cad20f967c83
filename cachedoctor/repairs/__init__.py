"""What cures what: needs and steps, as data. Nothing here changes or fetches anything.

Sources are listed in the order of law 6: relink or rename in place, a partial that may be complete,
another local copy with a known digest, then a fetch of just the bad file. There is one module per
kind of layout; what they share is here.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.findings import Repair, Safety, SetAside
from cachedoctor.locators import inside
from cachedoctor.repairs import folder, hub, single
from cachedoctor.repairs._build import built as built
from cachedoctor.repairs._build import folders as folders
from cachedoctor.repairs._elsewhere import from_copies as from_copies

if TYPE_CHECKING:
    from cachedoctor.findings import Finding
    from cachedoctor.vocabulary import Survey

_LONG_NAME = 48


def restore(finding: Finding, survey: Survey, *, resume: bool = False) -> Repair | None:
    """Return the repair that restores the file or bundle of `finding`, or `None` if there is none.

    With `resume`, the existing bytes are the beginning of the file.
    """
    at = [(each.entry, each.artifact) for each in finding.subjects if each.entry and each.artifact]
    if not at:
        return None
    at.sort(key=lambda pair: not pair[0].claims)
    entry, artifact = at[0]
    layout = locators.of(entry)
    if layout.has_revisions:
        return hub.restore_blob(finding, survey, at)
    if layout.single_file and artifact.name == entry.name:
        return single.restore_file(finding, survey, entry, artifact, begun=resume)
    return folder.restore_in_folder(survey, entry, artifact)


def set_aside(finding: Finding) -> Repair | None:
    """Return the repair that moves what a finding names into the run folder."""
    subject = finding.subjects[0]
    root = subject.entry.root if subject.entry else subject.root.path if subject.root else ""
    if not root or not inside(finding.path, root):  # nothing beside a root is ours to move
        return None
    if finding.path == root:  # a root that is one model
        root = os.path.dirname(root)
    name = os.path.basename(finding.path)
    if len(name) > _LONG_NAME:  # a digest with a suffix
        name = f"{name[:12]}…{name[-_LONG_NAME // 2 :]}"
    more = f" and {len(finding.links)} more" if finding.links else ""
    steps = tuple(SetAside(path) for path in (finding.path, *finding.links))
    return built("set-aside", f"set `{name}`{more} aside", root, (), steps, finding.bytes)


def manual(kind: str, *command: str) -> Repair:
    """Return a repair that only a person can do, with the exact command."""
    words = [word if word in (">", "%s", "&&") else shlex.quote(word) for word in command]
    return Repair(kind=kind, safety=Safety.MANUAL, describe=" ".join(words))
