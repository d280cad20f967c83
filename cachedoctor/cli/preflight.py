"""`cachedoctor preflight`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import host_options, model_options, output_options
from cachedoctor.host import Host


@click.command(name="preflight", short_help="Will this engine load this model, now, offline?")
@click.argument("engine")
@model_options
@host_options
@output_options
def command(
    engine: str,
    size: str | None,
    model: str | None,
    host: Host,
    verbose: bool,
    quiet: bool,
    format_: str,
) -> None:
    """Answer in one line whether ENGINE would load a model now, without the network.

    Exit code 0 when it is ready, 1 when it is not, 2 for an unknown name: made for scripts.

    \b
      cachedoctor preflight faster-whisper --size small || exit 1
      cachedoctor preflight whisper-mps --model tiny.en --json
    """
    from cachedoctor import report
    from cachedoctor.cli import console
    from cachedoctor.verdict import preflight

    verdict = preflight(engine, size=size, model=model, host=host)
    if format_ == "json":
        from cachedoctor import record

        click.echo(record.dumps(record.verdict_json(verdict, host)))
    elif not quiet:
        console.say([report.verdict_line(verdict, host)])
    click.get_current_context().exit(0 if verdict.ready else 1)
