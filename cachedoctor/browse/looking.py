"""One look for the screen: the models, the findings, past changes, the quarantine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.manager import library
from cachedoctor.plans import budget, holdings
from cachedoctor.report import holdings_text
from cachedoctor.runs import applying
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.host import Host
    from cachedoctor.plans.holdings import Holding, Holdings
    from cachedoctor.runs.quarantine import Kept
    from cachedoctor.vocabulary import Progress


class Look(NamedTuple):
    """Everything that the tables show, at one moment."""

    found: Holdings
    runs: tuple[library.PastRun, ...]  # the newest first
    kept: tuple[Kept, ...]  # what is set aside
    freed: Mapping[str, int]  # what can go without loss, by kind
    now: float

    @property
    def host(self) -> Host:
        """Return the host that it is about."""
        return self.found.report.host

    def place(self, one: Holding) -> str:
        """Return in words where a model is."""
        return holdings_text.place(one, self.host)


def look(host: Host, progress: Progress = SILENT) -> Look:
    """Look as `list`, `scan` and `quarantine list` do; changes nothing."""
    report = scanning.scan(host, progress=progress)
    found = holdings.models(report)
    return Look(
        found=found,
        runs=tuple(reversed(library.history(host))),
        kept=tuple(applying.kept(host)),
        freed=budget.without_loss(found),
        now=time.time(),
    )
