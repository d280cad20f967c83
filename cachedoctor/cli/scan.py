"""`cachedoctor scan`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import (
    ci_output_options,
    look_options,
    model_options,
    scheduler_option,
)
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE_OR_PATH, Word
from cachedoctor.host import Host


@click.command(name="scan", short_help="Show which models are there and what is wrong with them.")
@click.argument("words", metavar="[ENGINE|PATH]...", nargs=-1, type=ENGINE_OR_PATH)
@model_options
@click.option(
    "--deep",
    is_flag=True,
    help="Also read and check every byte; on a Mac with the bridges, load each Core ML bundle.",
)
@click.option(
    "--fail-on",
    type=click.Choice(("error", "warning", "note", "never")),
    default="error",
    help="Exit with 1 only for findings at least this severe.",
)
@scheduler_option
@look_options
@ci_output_options
def command(
    words: tuple[Word, ...],
    size: str | None,
    model: str | None,
    deep: bool,
    fail_on: str,
    scheduler: str | None,
    host: Host,
    out: Output,
) -> None:
    """Show which models each engine has on this machine, and what is wrong with them.

    Reads names, sizes and headers, which takes milliseconds; changes nothing and needs no network.
    A PATH may be a cache, a repository, a folder of models or a single file. Exit code 0 when
    nothing is wrong, 1 with findings, 3 when a home, path or place that you named cannot be read.

    \b
      cachedoctor scan                         everything
      cachedoctor scan faster-whisper --deep   one engine, every byte
      cachedoctor scan ~/models/whisper-tiny   one folder
      cachedoctor scan --home /Volumes/Mac/Users/ada --platform darwin
    """
    from cachedoctor import engines
    from cachedoctor.cli import console
    from cachedoctor.doctor import readiness, scanning
    from cachedoctor.findings import Severity
    from cachedoctor.question import Question
    from cachedoctor.report import scan_text

    names = [word.engine for word in words if word.engine]
    paths = [word.path for word in words if word.path]
    chosen = [engines.find(name) for name in names or engines.names()]
    if model and not names:
        chosen = readiness.engines_with(model)
    models = [
        found.name
        for engine in chosen
        if size or model
        for found in readiness.answers(engine, size=size, model=model)
    ]
    fails = fail_on != "never"
    bridges = None
    if deep:
        from cachedoctor.doctor import core_ml

        bridges = core_ml.programs(host)
    question = Question(
        host,
        tuple(engine.name for engine in chosen) if names or models else (),
        models=tuple(models),
        size=size,
        paths=tuple(paths),
        deep=deep,
    )
    shown = console.progress(quiet=out.quiet)
    gathered = None
    if scheduler is not None:
        from cachedoctor.fleet import cluster

        question, gathered = cluster.gather(question, scheduler, progress=shown)
    result = scanning.answer(
        question,
        cure_notes=out.verbose or out.json,
        bridges=bridges,
        progress=shown,
        gathered=gathered,
    )
    ready = [
        readiness.ready(engine, result, engine.table.answers(each), each)
        for engine in (chosen if out.verbose or out.json else ())
        for each in ([size] if size else engine.table.sizes)
    ]
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.scan_json(result, ready)))
    elif out.format != "text":
        from cachedoctor.report import ci

        cases = ci.of_report(result)
        click.echo(ci.render(out.format, "scan", cases, folder=host.cwd, fails=fails))
    elif out.shown:
        console.say(
            scan_text.scan_lines(
                result, [engine.name for engine in chosen], ready, verbose=out.verbose
            )
        )
        console.say(scan_text.summary_lines(result))
    limit = Severity(fail_on).rank if fails else -1
    code = 1 if any(finding.severity.rank <= limit for finding in result.findings) else 0
    asked = names if paths else [engine.name for engine in chosen]
    if out.verbose:
        console.moved_times()
    click.get_current_context().exit(console.code_for(host, asked, code))
