"""Time and memory of `scan` and `verify` as a cache of the client's grows; and a plot."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import caches, homes
from benchmarks.place import TOOL, Place
from benchmarks.timing import process

if TYPE_CHECKING:
    from collections.abc import Sequence

FILES = 100  # of each repository
_FINDINGS = 2  # in each repository of the broken caches


class Point(NamedTuple):
    """One size of cache."""

    repositories: int
    files: int
    scan_s: float
    scan_peak_bytes: int
    verify_s: float
    verify_peak_bytes: int
    again_s: float
    broken_s: float  # a first scan of the same number of files with findings
    broken_peak_bytes: int


def measure(sizes: Sequence[int]) -> list[Point]:
    """Build a cache of each size, whole and broken, and look; the fastest of three scans counts."""
    points = []
    for repositories in sizes:
        with tempfile.TemporaryDirectory() as folder:
            place = Place(folder, 1)
            folders = caches.hub(place.home, repositories, 1, FILES, shards=1)
            scans = []
            for _ in range(3):
                place.forget()
                scans.append(process([TOOL, "scan"], place.environment))
            verify = process([TOOL, "verify"], place.environment)
            again = process([TOOL, "verify"], place.environment)
            homes.damage(folders, _FINDINGS * repositories)
            place.forget()
            broken = process([TOOL, "scan"], place.environment, code=None)
            points.append(
                Point(
                    repositories,
                    repositories * FILES,
                    min(cost.seconds for cost in scans),
                    max(cost.peak_bytes for cost in scans),
                    verify.seconds,
                    verify.peak_bytes,
                    again.seconds,
                    broken.seconds,
                    broken.peak_bytes,
                )
            )
    return points


def lines(points: Sequence[Point]) -> list[str]:
    """Return the rows of the table."""
    head = (
        f"{'files':>8} {'scan':>9} {'a file':>9} {'peak':>8} {'verify':>9} {'peak':>8} "
        f"{'again':>9} {'broken':>9} {'peak':>8}"
    )
    return [
        head,
        *(
            f"{p.files:>8} {p.scan_s:>7.2f} s {p.scan_s / p.files * 1e6:>6.1f} µs "
            f"{p.scan_peak_bytes / 1e6:>5.0f} MB {p.verify_s:>7.2f} s "
            f"{p.verify_peak_bytes / 1e6:>5.0f} MB {p.again_s:>7.2f} s "
            f"{p.broken_s:>7.2f} s {p.broken_peak_bytes / 1e6:>5.0f} MB"
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
    time_axis.loglog(files, [p.broken_s for p in points], "x--", label="scan, broken")
    time_axis.set(xlabel="files", ylabel="seconds, whole process")
    memory_axis.semilogx(files, [p.scan_peak_bytes / 1e6 for p in points], "o-", label="scan")
    memory_axis.semilogx(files, [p.verify_peak_bytes / 1e6 for p in points], "s-", label="verify")
    memory_axis.semilogx(
        files, [p.broken_peak_bytes / 1e6 for p in points], "x--", label="scan, broken"
    )
    memory_axis.axhline(100, linestyle=":", color="grey", label="bound")
    memory_axis.set(xlabel="files", ylabel="peak memory, MB", ylim=(0, None))
    for axis in (time_axis, memory_axis):
        axis.grid(visible=True, alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
