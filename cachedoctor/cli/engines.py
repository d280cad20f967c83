"""`cachedoctor engines`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import answering, look_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host


@click.command(name="engines", short_help="List the known engines and their models.")
@click.argument("name", metavar="[ENGINE]", required=False, type=ENGINE)
@look_options
@answering(quiet="")
def command(name: str | None, host: Host, out: Output) -> None:
    """List the known engines, or the models of one.

    Where a size has several models, the first one that is ready answers for it.

    \b
      cachedoctor engines               all of them
      cachedoctor engines whisper.cpp   its models, with what a download costs
    """
    from cachedoctor import engines
    from cachedoctor.cli import console
    from cachedoctor.report import inventory, record

    chosen = [engines.find(each) for each in ([name] if name else engines.names())]
    if out.json:
        body = {**record.head(host), "engines": inventory.engines_json(chosen, host)}
        click.echo(record.dumps(body))
    else:
        one = inventory.models_lines(chosen[0], host)
        console.say(one if name else inventory.engines_lines(chosen, host))
