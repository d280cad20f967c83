"""`cachedoctor bench`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import look_options, model_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host

if TYPE_CHECKING:
    from tqdm import tqdm

    from cachedoctor.bench import Watcher
    from cachedoctor.bench.comparison import Comparison
    from cachedoctor.bench.outcome import Result

_KINDS = (".json", ".csv", ".svg", ".png")
_INTERRUPTED = 130


@click.command(name="bench", short_help="Measure every ready engine on one clip.")
@model_options
@click.option(
    "--engine",
    "names",
    metavar="ENGINE",
    multiple=True,
    help="Only this engine; may be given more than once.",
    type=ENGINE,
)
@click.option(
    "--audio",
    metavar="FILE",
    help="Use your own clip; a `.txt` file beside it holds the words.",
    shell_complete=offers.files,
)
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Measured runs.")
@click.option(
    "--warmup",
    default=1,
    show_default=True,
    type=click.IntRange(0),
    help="Warm-up runs before those, not measured.",
)
@click.option(
    "--timeout",
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Time limit for each import, load and run.",
)
@click.option(
    "--threads",
    metavar="N",
    type=click.IntRange(1),
    help="Threads for each engine.  [default: all cores]",
)
@click.option(
    "--language",
    metavar="CODE",
    help="Language of the clip, such as `en`.  [default: en, or detected]",
)
@click.option(
    "--save",
    metavar="FILE",
    multiple=True,
    help="Write the results as .json, .csv, .svg or .png; may be given more than once.",
    shell_complete=offers.files,
)
@click.option(
    "--compare",
    metavar="OLD.json",
    help="Show what has changed by more than noise since this result.",
    shell_complete=offers.files,
)
@look_options
@output_options
def command(
    size: str | None,
    model: str | None,
    names: tuple[str, ...],
    audio: str | None,
    runs: int,
    warmup: int,
    timeout: float,
    threads: int | None,
    language: str | None,
    save: tuple[str, ...],
    compare: str | None,
    host: Host,
    out: Output,
) -> None:
    """Run every engine that is ready on the same clip, and measure it.

    Measures import, load, transcription time and its spread, real-time factor, word error rate and
    memory. Every engine has a process of its own, offline, and they take turns. An engine that is
    not ready is listed with the reason and the command that cures it. The bytes of a model are
    checked before it runs. Without a size or a model: `--size base`.

    Exit code 0 when an engine was measured, 1 when none was. Ctrl-C keeps what was measured.

    \b
      cachedoctor bench --size small
      cachedoctor bench --model tiny.en --engine faster-whisper --engine whisper.cpp
      cachedoctor bench --size large --python mlx-whisper=venv/bin/python
      cachedoctor bench --save now.json --save now.svg --compare before.json
    """
    from cachedoctor import bench
    from cachedoctor.bench import comparison
    from cachedoctor.cli import console
    from cachedoctor.errors import UsageError
    from cachedoctor.report import bench_text

    if size and model:
        raise UsageError("name either a size or a model")
    _require_writable(save)
    earlier = comparison.read(compare) if compare else None
    result = bench.measure(
        host,
        names,
        size=None if model else size or "base",
        model=model,
        audio=audio,
        wish=bench.Wish(runs, warmup, timeout, threads, language),
        progress=console.progress(quiet=out.quiet),
        watcher=_watcher(quiet=out.quiet),
    )
    changes = comparison.compare(result, earlier) if earlier else None
    if out.json:
        click.echo(_json(host, result, changes))
    elif out.shown:
        bars = sys.stdout.isatty()
        console.say(bench_text.bench_lines(result, changes, bars=bars))
    for path in save:
        _write(path, host, result, changes)
    if result.interrupted:
        click.get_current_context().exit(_INTERRUPTED)
    click.get_current_context().exit(0 if result.rows else 1)


def _require_writable(paths: tuple[str, ...]) -> None:
    """Refuse, before anything is measured, a file that could not be written afterwards."""
    import importlib.util

    from cachedoctor.errors import CannotLookError, UsageError

    for path in paths:
        ending = os.path.splitext(path)[1]
        if ending not in _KINDS:
            raise UsageError(
                f"unknown file type: `{path}`", hint=f"the types are {', '.join(_KINDS)}"
            )
        if ending in (".svg", ".png") and importlib.util.find_spec("matplotlib") is None:
            raise UsageError(
                f"a picture needs matplotlib: `{path}`",
                hint="`pip install 'model-cache-doctor[plot]'`",
            )
        if os.path.lexists(path):
            raise UsageError(f"already exists: `{path}`", hint="name a new file")
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise CannotLookError(f"no folder to write in: `{folder}`")


def _json(host: Host, result: Result, changes: Comparison | None) -> str:
    from cachedoctor.report import bench_text, record

    return record.dumps({**record.head(host), "bench": bench_text.bench_json(result, changes)})


def _write(path: str, host: Host, result: Result, changes: Comparison | None) -> None:
    """Write a file whole, or not at all."""
    from cachedoctor.cli import console
    from cachedoctor.report import bench_chart, bench_text

    ending = os.path.splitext(path)[1]
    if ending == ".json":
        data = (_json(host, result, changes) + "\n").encode()
    elif ending == ".csv":
        data = bench_text.bench_csv(result).encode()
    elif result.rows:
        data = bench_chart.draw(result, ending[1:])
    else:
        click.echo(f"`{path}` was not written: there is nothing to draw", err=True)
        return
    console.write_whole(path, data)


class _Bars:
    """A progress bar for each engine, one below the other."""

    def __init__(self) -> None:
        """Begin without a bar."""
        self._bars: dict[str, tqdm[NoReturn]] = {}

    def begin(self, engine: str, steps: int) -> None:
        """Show an engine's bar."""
        from tqdm import tqdm

        self._bars[engine] = tqdm(
            total=steps,
            desc=f"  {engine:<22}",
            bar_format="{desc}{bar:24} {n_fmt}/{total_fmt} {elapsed}",
            position=len(self._bars),
            leave=False,
            file=sys.stderr,
        )

    def step(self, engine: str) -> None:
        """Advance the bar."""
        self._bars[engine].update()

    def finish(self, engine: str) -> None:
        """Remove the bar."""
        if engine in self._bars:
            self._bars.pop(engine).close()


def _watcher(*, quiet: bool) -> Watcher | None:
    return _Bars() if not quiet and sys.stderr.isatty() else None
