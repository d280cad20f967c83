"""`cachedoctor where`."""

from __future__ import annotations

import os
import re

import click

from cachedoctor.cli.options import look_options, model_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")  # a path is for other programs, as its bytes are


@click.command(name="where", short_help="Print the path of a model, for scripts.")
@click.argument("name", metavar="ENGINE", type=ENGINE)
@model_options
@look_options
@output_options
def command(
    name: str,
    size: str | None,
    model: str | None,
    host: Host,
    out: Output,
) -> None:
    """Print where an engine's model is, or where the engine keeps its models.

    With a size or a model: the path of what the engine would load, whole or not, or an error and
    exit code 1 when there is none. Without: one line for each place that has models of the engine,
    or else its usual place.

    \b
      model="$(cachedoctor where faster-whisper --size small)" || exit 1
      cachedoctor where whisper.cpp | while read -r place; do du -sh "$place"; done
    """
    from cachedoctor.manager import asking
    from cachedoctor.report import record
    from cachedoctor.text import printable

    paths = asking.located(host, name, size=size, model=model)
    if out.json:
        shown = [printable(path) for path in paths]
        click.echo(record.dumps({**record.head(host), "where": {"engine": name, "paths": shown}}))
    elif out.shown:
        for path in paths:
            click.echo(os.fsencode(printable(path) if _CONTROL.search(path) else path))
