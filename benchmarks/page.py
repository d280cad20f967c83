"""Numbers kept between runs of single parts, and the tables of a page made from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.growth import Point
from benchmarks.timing import Ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_FILE_S = 1e6  # microseconds


class Numbers:
    """What was measured: ratios by part, and the growth."""

    def __init__(self) -> None:
        """Start without any."""
        self.machine: Mapping[str, object] = {}
        self.ratios: dict[str, list[Ratio]] = {}
        self.growth: list[Point] = []

    @classmethod
    def read(cls, path: str | None) -> Numbers:
        """Return the numbers of an earlier run, or none."""
        numbers = cls()
        if path and Path(path).is_file():
            body = json.loads(Path(path).read_text())
            numbers.machine = body["machine"]
            numbers.ratios = {
                part: [Ratio(**row) for row in rows] for part, rows in body["ratios"].items()
            }
            numbers.growth = [Point(**row) for row in body["growth"]]
        return numbers

    def put(self, part: str, found: Sequence[Ratio]) -> None:
        """Replace what a part measured before."""
        if found:
            self.ratios[part] = list(found)

    def write(self, path: str) -> None:
        """Save everything."""
        body = {
            "machine": self.machine,
            "ratios": {part: [one._asdict() for one in rows] for part, rows in self.ratios.items()},
            "growth": [point._asdict() for point in self.growth],
        }
        Path(path).write_text(json.dumps(body, indent=2) + "\n")


def fill(path: Path, numbers: Numbers) -> None:
    """Write the tables between the marks of a page, `<!-- NAME -->` to `<!-- end -->`."""
    text = path.read_text()
    for name, lines in (
        ("machine", machine(numbers)),
        ("ratios", table(numbers)),
        ("missed", missed(numbers)),
        ("growth", grown(numbers)),
    ):
        start = f"<!-- {name} -->\n"
        before, found, rest = text.partition(start)
        if found:
            after = rest[rest.index("<!-- end -->") :]
            text = before + start + "\n".join(lines) + "\n" + after
    path.write_text(text)


def machine(numbers: Numbers) -> Iterator[str]:
    """Yield where and how it was measured, and what that means for the numbers."""
    said = numbers.machine
    load, cores = float(str(said["load"])), int(str(said["cores"]))
    fewer = said["few"] != said["rounds"]
    few = f", of {said['few']} where gigabytes move or calls are late" if fewer else ""
    yield (
        f"Medians of {said['rounds']} pairs{few}, with the smallest and the largest; "
        f"{cores} cores, {said['system']}, Python {said['python']}, "
        f"huggingface_hub {said['huggingface_hub']}, a load of {load} when it began."
    )
    if load > cores / 2:
        yield (
            "Other work shared the machine, so that single runs vary a lot and times are no claim "
            "at all; the ratio of CPU time is the steadier one."
        )


def table(numbers: Numbers) -> Iterator[str]:
    """Yield the ratios."""
    yield "| what, whole processes unless said | ours | theirs | ratio | of CPU time | bound |"
    yield "|---|---|---|---|---|---|"
    for row in _rows(numbers):
        bound = "" if row.bound is None else f"{row.bound:.3g}"
        if row.bound is not None and row.median > row.bound:
            bound += ", missed"
        ratio = f"{row.median:.2f} ({row.low:.2f} to {row.high:.2f})"
        times = f"{_time(row.ours_s)} | {_time(row.theirs_s)}"
        yield f"| {row.title} | {times} | {ratio} | {row.cpu:.2f} | {bound} |"


def missed(numbers: Numbers) -> Iterator[str]:
    """Yield the count of bounds kept, and the bounds missed."""
    bound = [row for row in _rows(numbers) if row.bound is not None]
    over = [row for row in bound if row.bound is not None and row.median > row.bound]
    yield f"{len(bound) - len(over)} of {len(bound)} bounds are kept in this run."
    for row in over:
        yield f"- {row.title}: {row.median:.2f}, of CPU time {row.cpu:.2f}, at most {row.bound:.3g}"


def grown(numbers: Numbers) -> Iterator[str]:
    """Yield the table of the growth."""
    yield "| files | scan, first | a file | peak | verify | peak | again | scan, broken | peak |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for p in numbers.growth:
        yield (
            f"| {p.files:,} | {p.scan_s:.2f} s | {p.scan_s / p.files * _FILE_S:.1f} µs | "
            f"{_mb(p.scan_peak_bytes)} | {p.verify_s:.2f} s | {_mb(p.verify_peak_bytes)} | "
            f"{p.again_s:.2f} s | {p.broken_s:.2f} s | {_mb(p.broken_peak_bytes)} |"
        )


def _rows(numbers: Numbers) -> Iterator[Ratio]:
    for rows in numbers.ratios.values():
        yield from rows


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _mb(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
