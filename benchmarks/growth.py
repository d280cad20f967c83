"""Time and memory of `scan` and `verify` as the cache grows; a plot of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import caches
from benchmarks.timing import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILES = 100  # of each repository


class Point(NamedTuple):
    """One size of cache."""

    repositories: int
    files: int
    scan_s: float
    scan_peak_bytes: int
    verify_s: float
    verify_peak_bytes: int
    again_s: float


def measure(tool: str, environment: Mapping[str, str], sizes: Sequence[int]) -> list[Point]:
    """Build a cache of each size and look at it; the faster of three scans counts."""
    points = []
    for repositories in sizes:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            caches.hub(home, repositories, 1, FILES)
            here = {**environment, "HOME": folder, "XDG_STATE_HOME": f"{folder}/state"}
            scans = [process([tool, "scan"], here) for _ in range(3)]
            verify = process([tool, "verify"], here)
            again = process([tool, "verify"], here)
            points.append(
                Point(
                    repositories,
                    repositories * FILES,
                    min(cost.seconds for cost in scans),
                    max(cost.peak_bytes for cost in scans),
                    verify.seconds,
                    verify.peak_bytes,
                    again.seconds,
                )
            )
    return points


def lines(points: Sequence[Point]) -> list[str]:
    """Return the rows of the table."""
    head = (
        f"{'files':>8} {'scan':>9} {'a file':>9} {'peak':>8} {'verify':>9} {'peak':>8} {'again':>9}"
    )
    return [
        head,
        *(
            f"{p.files:>8} {p.scan_s:>7.2f} s {p.scan_s / p.files * 1e6:>6.1f} µs "
            f"{p.scan_peak_bytes / 1e6:>5.0f} MB {p.verify_s:>7.2f} s "
            f"{p.verify_peak_bytes / 1e6:>5.0f} MB {p.again_s:>7.2f} s"
            for p in points
        ),
    ]


def plot(points: Sequence[Point], path: str) -> None:
    """Draw time and memory against the number of files; needs the extra `plot`."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    files = [point.files for point in points]
    figure, (time_axis, memory_axis) = pyplot.subplots(1, 2, figsize=(10, 4))
    time_axis.loglog(files, [p.scan_s for p in points], "o-", label="scan")
    time_axis.loglog(files, [p.verify_s for p in points], "s-", label="verify, first")
    time_axis.loglog(files, [p.again_s for p in points], "^-", label="verify, again")
    time_axis.set(xlabel="files", ylabel="seconds, whole process")
    memory_axis.semilogx(files, [p.scan_peak_bytes / 1e6 for p in points], "o-", label="scan")
    memory_axis.semilogx(files, [p.verify_peak_bytes / 1e6 for p in points], "s-", label="verify")
    memory_axis.axhline(100, linestyle=":", color="grey", label="bound")
    memory_axis.set(xlabel="files", ylabel="peak memory, MB", ylim=(0, None))
    for axis in (time_axis, memory_axis):
        axis.grid(visible=True, alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
