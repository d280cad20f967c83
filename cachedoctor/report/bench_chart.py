"""A benchmark as a picture: time and word error rate of each engine."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.bench.outcome import Result

_BLUE, _ORANGE = "#3b6ea5", "#c8742c"


def draw(result: Result, kind: str) -> bytes:
    """Return the picture as `svg` or `png`; needs matplotlib, but no screen."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = result.rows[::-1]  # the fastest at the top
    names = [f"{row.engine}\n{row.model}" for row in rows]
    figure = Figure(figsize=(9, 1.6 + 0.6 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    times, errors = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    spreads = [row.spread_s or 0 for row in rows]
    medians = [row.median_s for row in rows]
    bars = times.barh(names, medians, xerr=spreads, color=_BLUE, ecolor="black", capsize=3)
    times.bar_label(bars, [f"{each:.2f} s" for each in medians], padding=4, fontsize=8)
    times.margins(x=0.15)
    times.set_xlabel(f"seconds for {result.clip.seconds:.1f} s of speech, median of runs")
    wrong = [(row.word_error_rate or 0) * 100 for row in rows]
    known = ["?" if row.word_error_rate is None else f"{row.word_error_rate:.1%}" for row in rows]
    errors.bar_label(errors.barh(names, wrong, color=_ORANGE), known, padding=4, fontsize=8)
    errors.set_xlabel("word errors, %")
    errors.set_xlim(left=0, right=max(5, *wrong) * 1.3)
    settings = result.settings
    figure.suptitle(
        f"{result.machine.chip}, {settings.threads} threads, {settings.runs} runs", fontsize=10
    )
    made = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "cachedoctor", "svg.fonttype": "none"}):
        figure.savefig(made, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return made.getvalue()
