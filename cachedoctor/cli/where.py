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


@click.command(name="where", short_help="A path, for scripts.")
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

    With a size or a model: the path of what it would load, whole or not; exit code 1 and an error
    when there is none. Without: a line for each place that has models of the engine, or the usual
    one.

    \b
      model="$(cachedoctor where faster-whisper --size small)" || exit 1
      cachedoctor where whisper.cpp | while read -r place; do du -sh "$place"; done
    """
    from cachedoctor import engines, locators
    from cachedoctor.doctor import readiness, scanning
    from cachedoctor.errors import CacheDoctorError, CannotLookError, UsageError
    from cachedoctor.report import record
    from cachedoctor.rules.present import MissingFile
    from cachedoctor.text import printable

    engine = engines.find(name)
    version = host.engine_versions.get(name, "")
    try:
        models = readiness.answers(engine, size=size, model=model, version=version)
    except UsageError:  # a path is a word too, and its own answer
        if model is None or not engine.instead(None, model, host):
            raise
        models = ()
    report = scanning.scan(host, [name], cure_notes=False)
    if not models:
        paths = [engine.instead(None, model or "", host)]
    elif size or model:
        answer = readiness.ready(engine, report, models, size)
        if answer.entry is None and answer.code != MissingFile.code:
            raise CannotLookError(
                f"{name} {answer.model} cannot be looked for: {answer.why} (`{answer.path}`)",
                hint=f"`{host.command('scan', name)}` says more",
            )
        if answer.entry is None:
            question = ("--size", size) if size else ("--model", model or "")
            raise CacheDoctorError(
                f"{name} {answer.model} is not there; it would be at `{answer.path}`",
                hint=f"`{host.command('fix', name, *question)}` fetches it",
            )
        paths = [answer.path or ""]
    else:
        usual = os.path.dirname(engine.home(models[0], host))
        resolved = os.path.realpath(usual)
        there = [
            resolved if locators.inside(entry.path, resolved) else entry.root
            for entry in report.entries
            if name in entry.engines
        ]
        paths = list(dict.fromkeys(there)) or [usual]
    if out.json:
        shown = [printable(path) for path in paths]
        click.echo(record.dumps({**record.head(host), "where": {"engine": name, "paths": shown}}))
    elif out.shown:
        for path in paths:
            click.echo(os.fsencode(printable(path) if _CONTROL.search(path) else path))
