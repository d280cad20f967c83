"""What our own fixes have left on a host: interrupted runs, and folders beside roots."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import inside

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.system.run import Run
    from cachedoctor.vocabulary import Survey


def concerns(run: Run, host: Host, survey: Survey | None = None) -> bool:
    """Return whether a run changed anything on this host; homes can share a state folder."""
    home = os.path.realpath(host.home)
    if run.header.home == home:
        return True
    roots = {root.path for root in survey.roots} if survey else set()
    changed = (os.path.realpath(repair.root) for repair in run.repairs if repair.root)
    return any(root in roots or inside(root, home) for root in changed)


def unfinished(host: Host, survey: Survey) -> tuple[tuple[str, str], ...]:
    """Return the folder of each interrupted fix that concerns this host, and how to go on."""
    if not os.path.isdir(os.path.join(host.state, "runs")):
        return ()
    from cachedoctor.system import run

    return tuple(
        (
            found.folder,
            f"the fix {found.id} was interrupted; `{host.command('fix')}` finishes it, "
            f"`{host.command('undo', found.id)}` takes it back",
        )
        for found in run.unfinished(host.state)
        if concerns(found, host, survey)
    )


def beside(survey: Survey) -> tuple[str, ...]:
    """Return the existing folders, beside and in the roots, where runs keep their bytes."""
    around = (place for r in survey.roots for place in (os.path.dirname(r.path), r.path))
    folders = dict.fromkeys(os.path.join(place, ".cachedoctor") for place in around)
    return tuple(path for path in folders if os.path.lexists(path))
