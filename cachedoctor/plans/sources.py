"""Whether a model can be fetched again byte for byte, and so may be chosen without being named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.locators import is_litter
from cachedoctor.vocabulary import SILENT, State, Status

if TYPE_CHECKING:
    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.vocabulary import Progress


def hindrance(one: Holding) -> str:
    """Return why a model may not be chosen unnamed, or an empty string; reads no contents."""
    entry = one.entry
    if not entry.claims:
        return "no known engine loads it"
    if one.known_by != "name":
        return "recognised only by its content, so it may be somebody's own"
    if one.apps:
        return f"in the folder of {', '.join(one.apps)}"
    if not (entry.claims[0].repository or entry.claims[0].url):
        return "no source is known"
    if one.refetch_bytes is None:
        return "its weights differ in length from the published ones"
    if one.pinned:
        return "pinned: somebody asked for this revision by its commit"
    if one.kept_by:
        return f"kept: {'; '.join(one.kept_by)}"
    if one.status not in (Status.READY, Status.INCOMPLETE, Status.CORRUPT):
        return f"it is {one.status.value}"
    for artifact in entry.notable:
        there = artifact.state is State.PRESENT and not artifact.bundle
        litter = is_litter(artifact.name.rpartition("/")[2])
        if there and artifact.digest is None and not litter:
            return f"nothing says what `{artifact.name}` must contain"
        if artifact.outside or artifact.state is State.OTHER:
            return f"`{artifact.name}` points elsewhere"
    return ""


def doubt(holdings: Holdings, one: Holding, progress: Progress = SILENT) -> str:
    """Return why a model may differ from its source, or an empty string; reads every byte.

    Files that were read before and have not changed since are not read again.
    """
    from cachedoctor.doctor import reading

    report = holdings.report
    contents = reading.read(
        report.host, (one.entry,), fresh=False, max_age_s=None, progress=progress
    )
    for artifact in one.entry.notable:
        if artifact.state is not State.PRESENT or artifact.digest is None:
            continue
        right = artifact.judge(contents.digests.get(artifact.file, {}))
        if right is None:
            return f"`{artifact.name}` could not be proven"
        if not right:
            return f"`{artifact.name}` differs from its source"
    return ""
