"""A benchmark as text, JSON and CSV; pure."""

from __future__ import annotations

import csv
import io
import textwrap
from typing import TYPE_CHECKING

from cachedoctor.report.folding import Folding, joined
from cachedoctor.text import plural, printable, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.bench.comparison import Comparison
    from cachedoctor.bench.outcome import LeftOut, Result, Row

_BAR_WIDTH = 8
_HEADS = ("engine", "model", "load", "median", "± spread", "× real time", "WER", "memory")
_COLUMNS = (
    "engine",
    "model",
    "precision",
    "import_s",
    "load_cold_s",
    "load_warm_s",
    "first_s",
    "median_s",
    "spread_s",
    "times_real_time",
    "word_error_rate",
    "peak_bytes",
    "size_bytes",
    "text",
)

Json = dict[str, object]


def bench_json(result: Result, comparison: Comparison | None = None) -> Json:
    """Return a benchmark as data: enough for others to repeat it."""
    clip = {name: value for name, value in result.clip._asdict().items() if name != "file"}
    body: Json = {
        "began_s": result.began_s,
        "interrupted": result.interrupted,
        "clip": clip,
        "settings": result.settings._asdict(),
        "machine": result.machine._asdict(),
        "rows": [_row_json(row, result) for row in result.rows],
        "left_out": [each._asdict() for each in result.left_out],
    }
    if comparison is not None:
        body["comparison"] = {
            "path": comparison.path,
            "unlike": list(comparison.unlike),
            "changes": [{**change._asdict(), "word": change.word} for change in comparison.changes],
        }
    return body


def bench_csv(result: Result) -> str:
    """Return a table with one line per engine."""
    made = io.StringIO()
    writer = csv.DictWriter(made, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in result.rows:
        writer.writerow(_row_json(row, result) | {"precision": row.settings.get("precision")})
    return made.getvalue()


def bench_lines(
    result: Result, comparison: Comparison | None = None, *, bars: bool = False
) -> Iterator[str]:
    """Yield the lines of a benchmark: how it ran, the table, what did not run, the count."""
    settings, machine = result.settings, result.machine
    order = ", engines in turn" if settings.in_turn else ", one engine after another"
    runs = f"{plural(settings.runs, 'run')} after {plural(settings.warmup, 'warm-up')}"
    how = (
        f"clip {result.clip.seconds:.1f} s · {printable(machine.chip)}, "
        f"{settings.threads} of {plural(machine.cores, 'core')} · "
        f"{runs}{order if len(result.rows) > 1 else ''}"
    )
    yield how
    if result.rows:
        yield ""
        yield from _table(result, bars=bars)
    yield from _remarks(result)
    if comparison is not None:
        yield from _comparison(comparison)
    if result.left_out:
        yield ""
        yield "did not run"
        yield from _left_out(result.left_out)
    yield ""
    words = [f"{plural(len(result.rows), 'engine')} measured", f"{len(result.left_out)} left out"]
    yield ("interrupted: " if result.interrupted else "") + ", ".join(words)


def _row_json(row: Row, result: Result) -> Json:
    spread = row.spread_s
    return {
        **row._asdict(),
        "digests": dict(row.digests),
        "versions": dict(row.versions),
        "settings": dict(row.settings),
        "runs_s": list(row.runs_s),
        "median_s": row.median_s,
        "spread_s": spread,
        "real_time_factor": row.median_s / result.clip.seconds,
        "times_real_time": result.clip.seconds / row.median_s,
    }


def _table(result: Result, *, bars: bool) -> Iterator[str]:
    """Yield the table, the fastest first; a bar is as long as its time."""
    slowest = max(row.median_s for row in result.rows)
    lines = [_HEADS, *(_cells(row, result) for row in result.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    for number, line in enumerate(lines):
        shown = "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        if bars and number:
            share = result.rows[number - 1].median_s / slowest
            shown += "  " + "█" * max(1, round(share * _BAR_WIDTH))
        yield shown


def _cells(row: Row, result: Result) -> tuple[str, ...]:
    spread = row.spread_s
    precision = str(row.settings.get("precision", ""))
    model = f"{row.model} ({precision})" if precision[:1] in "bfi" and precision else row.model
    wrong = row.word_error_rate
    return (
        row.engine,
        model,
        f"{row.load_warm_s:.2f} s",
        f"{row.median_s:.2f} s",
        "–" if spread is None else f"±{spread / row.median_s * 100:.0f} %",
        f"{result.clip.seconds / row.median_s:.1f}",
        "–" if wrong is None else f"{wrong:.3f}",
        "–" if row.peak_bytes is None else size(row.peak_bytes),
    )


def _remarks(result: Result) -> Iterator[str]:
    """Yield what the table cannot say."""
    if cold := [row for row in result.rows if row.load_cold_s is not None]:
        yield ""
        told = ", ".join(joined(f"{row.engine} {row.load_cold_s:.2f} s") for row in cold)
        yield Folding(f"load from disk, with a cold file cache: {told}")
    for row in result.rows:
        if not row.same_text:
            yield f"{row.engine} did not transcribe every run alike"
    if result.rows and result.clip.words is None:
        yield "no word error rate: put its words into a `.txt` beside the audio"
    elif any(row.word_error_rate is None for row in result.rows):
        yield "no word error rate: `pip install 'model-cache-doctor[bench]'`"


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield ""
    unlike = f" ({', '.join(comparison.unlike)}: no fair comparison)" if comparison.unlike else ""
    yield f"against {printable(comparison.path)}{unlike}"
    if not comparison.changes:
        yield "  nothing in common"
    width = max((len(change.engine) for change in comparison.changes), default=0)
    for change in comparison.changes:
        percent = (change.now_s / change.before_s - 1) * 100
        yield (
            f"  {change.engine:<{width}}  {change.before_s:.2f} s → {change.now_s:.2f} s"
            f"  {percent:+.0f} %  {change.word}"
        )


def _left_out(left: Sequence[LeftOut]) -> Iterator[str]:
    """Yield the engines without numbers; those that fail alike share a line."""
    width = max(len(each.engine) for each in left)
    for each in left:
        code = f"{each.code} " if each.code else ""
        lead = f"  {each.engine:<{width}}  "
        yield Folding(lead + code + printable(each.why), len(lead))
        if each.cure:
            yield " " * len(lead) + each.cure
        if each.text:
            yield " " * len(lead) + "it said: " + printable(textwrap.shorten(each.text, 48))
