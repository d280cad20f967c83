"""Benchmarks → bars with their spread; all lengths are percentages."""

from __future__ import annotations

import os
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.report.page import readings
from cachedoctor.text import plural, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.report.page.documents import Body
    from cachedoctor.report.page.machines import Bench, Machine

_NONE = "–"


class Bar(NamedTuple):
    """One engine: its median run as a bar, the fastest and the slowest as a line over its end."""

    engine: str
    model: str
    median_s: float
    times: float
    shown: str  # the median with its spread
    width: str
    low: str
    high: str
    load: str
    wrong: str
    memory: str
    before: str  # compared with the previous benchmark


class LeftOut(NamedTuple):
    """One engine that did not run."""

    engine: str
    why: str
    cure: str


class Plot(NamedTuple):
    """One benchmark."""

    machine: str
    when_s: float | None
    how: str
    bars: tuple[Bar, ...]
    left_out: tuple[LeftOut, ...]
    unit: str  # what the full width of the chart stands for


def plots(machines: Sequence[Machine]) -> list[Plot]:
    """Return the benchmarks of all machines, the newest of each first."""
    found = []
    for machine in machines:
        for number in reversed(range(len(machine.benches))):
            before = machine.benches[number - 1] if number else None
            found.append(_plot(machine.benches[number], before))
    return found


def _plot(bench: Bench, before: Bench | None) -> Plot:
    clip = readings.part(bench.body, "clip")
    seconds = readings.number(clip, "seconds") or 0.0
    rows = [row for row in readings.rows(bench.body, "rows") if _runs(row)]
    rows.sort(key=lambda row: median(_runs(row)))
    longest = max((max(_runs(row)) for row in rows), default=0.0) * 1.02 or 1.0
    like = before is not None and _like(bench.body, before.body)
    earlier = _earlier(before.body) if before is not None and like else {}
    return Plot(
        machine=bench.machine,
        when_s=bench.when_s,
        how=_how(bench.body, seconds),
        bars=tuple(_bar(row, seconds, longest, earlier) for row in rows),
        left_out=tuple(
            LeftOut(
                readings.text(row, "engine"),
                " ".join(filter(None, (readings.text(row, "code"), readings.text(row, "why")))),
                readings.text(row, "cure"),
            )
            for row in readings.rows(bench.body, "left_out")
        ),
        unit=f"{longest:.2g} s",
    )


def _how(body: Body, seconds: float) -> str:
    machine, settings = readings.part(body, "machine"), readings.part(body, "settings")
    clip = os.path.basename(readings.text(readings.part(body, "clip"), "path"))
    words = [f"{clip or 'clip'}, {seconds:.1f} s"]
    words.append(readings.text(machine, "chip"))
    if cores := readings.count(machine, "cores"):
        words.append(f"{readings.count(settings, 'threads') or cores} of {plural(cores, 'core')}")
    runs = plural(readings.count(settings, "runs") or 0, "run")
    words.append(f"{runs} after {plural(readings.count(settings, 'warmup') or 0, 'warm-up')}")
    return " · ".join(filter(None, words))


def _runs(row: Body) -> tuple[float, ...]:
    found = row.get("runs_s")
    numbers = found if isinstance(found, list) else ()
    known = (readings.number({"run": each}, "run") for each in numbers)
    return tuple(each for each in known if each)


def _bar(
    row: Body,
    seconds: float,
    longest: float,
    earlier: dict[tuple[str, str], tuple[float, float]],
) -> Bar:
    runs = _runs(row)
    middle, spread = median(runs), (max(runs) - min(runs)) / 2
    engine, model = readings.text(row, "engine"), readings.text(row, "model")
    load = readings.number(row, "load_warm_s")
    wrong = readings.number(row, "word_error_rate")
    memory = readings.count(row, "peak_bytes")
    percent = f" ±{spread / middle * 100:.0f} %" if len(runs) > 1 else ""
    return Bar(
        engine=engine,
        model=model,
        median_s=middle,
        times=seconds / middle,
        shown=f"{middle:.2f} s{percent}",
        width=_share(middle / longest),
        low=_share(min(runs) / longest),
        high=_share(max(runs) / longest),
        load=_NONE if load is None else f"{load:.2f} s",
        wrong=_NONE if wrong is None else f"{wrong * 100:.1f} %",
        memory=_NONE if memory is None else size(memory),
        before=_against(earlier.get((engine, model)), middle, spread),
    )


def _like(now: Body, before: Body) -> bool:
    """Return whether two benchmarks are comparable: the same clip, chip and threads."""
    for part, key in (("clip", "sha256"), ("machine", "chip"), ("settings", "threads")):
        if readings.part(now, part).get(key) != readings.part(before, part).get(key):
            return False
    return True


def _earlier(body: Body) -> dict[tuple[str, str], tuple[float, float]]:
    found = {}
    for row in readings.rows(body, "rows"):
        if runs := _runs(row):
            key = (readings.text(row, "engine"), readings.text(row, "model"))
            found[key] = (median(runs), (max(runs) - min(runs)) / 2)
    return found


def _against(before: tuple[float, float] | None, middle: float, spread: float) -> str:
    if before is None:
        return ""
    was, noise = before[0], before[1] + spread
    change = f"{(middle / was - 1) * 100:+.0f} %"
    if abs(middle - was) <= noise:
        return f"{change}, within the noise"
    return f"{change}, {'slower' if middle > was else 'faster'}"


def _share(value: float) -> str:
    return f"{100 * value:.2f}%"
