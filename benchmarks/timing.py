"""Two commands in turn, and the ratios of their times."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Ratio(NamedTuple):
    """Our time divided by theirs, measured in turn."""

    title: str
    ours_s: float
    theirs_s: float
    median: float
    low: float
    high: float
    cpu: float  # the same for CPU time, which other work affects less
    bound: float | None = None
    note: str = ""

    def line(self) -> str:
        """Return one row of the table."""
        bound = "" if self.bound is None else f"at most {self.bound:.3g}"
        return (
            f"{self.title:<64} {self.ours_s * 1e3:9.1f} {self.theirs_s * 1e3:9.1f} "
            f"{self.median:7.3f} ({self.low:.3f} to {self.high:.3f}) {self.cpu:7.3f}  {bound}"
        )


class Cost(NamedTuple):
    """The cost of one process or call."""

    seconds: float
    cpu_s: float
    peak_bytes: int = 0


def process(
    command: Sequence[str], environment: Mapping[str, str], *, code: int | None = 0
) -> Cost:
    """Run a whole process that must exit with `code` unless that is `None`, and time it."""
    with open(os.devnull, "wb") as nowhere:
        began = time.perf_counter()
        child = subprocess.Popen(command, env=dict(environment), stdout=nowhere, stderr=nowhere)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if code is not None and child.returncode != code:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {child.returncode}")
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    return Cost(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def in_turn(
    title: str,
    ours: Callable[[], Cost],
    theirs: Callable[[], Cost],
    rounds: int,
    *,
    bound: float | None = None,
    note: str = "",
) -> Ratio:
    """Time both alternately after one warm-up round, and return their ratio."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return ratio(title, pairs, bound=bound, note=note)


def ratio(
    title: str, pairs: Sequence[tuple[Cost, Cost]], *, bound: float | None = None, note: str = ""
) -> Ratio:
    """Return the median of the pairs' ratios with its spread."""
    ratios = [mine.seconds / other.seconds for mine, other in pairs]
    return Ratio(
        title=title,
        ours_s=statistics.median(mine.seconds for mine, _ in pairs),
        theirs_s=statistics.median(other.seconds for _, other in pairs),
        median=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        cpu=statistics.median(mine.cpu_s / other.cpu_s for mine, other in pairs),
        bound=bound,
        note=note,
    )
