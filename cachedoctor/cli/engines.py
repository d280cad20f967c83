"""`cachedoctor engines`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import look_options, output_options
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host


@click.command(name="engines", short_help="The catalogue: engines, models, sizes.")
@click.argument("name", metavar="[ENGINE]", required=False, type=ENGINE)
@look_options
@output_options
def command(name: str | None, host: Host, verbose: bool, quiet: bool, format_: str) -> None:
    """List the engines that are known, or the models of one.

    A size is answered by the first of its models that is ready.

    \b
      cachedoctor engines               all ten
      cachedoctor engines whisper.cpp   its models, with what a download costs
    """
    from cachedoctor import engines, inventory, record
    from cachedoctor.cli import console

    chosen = [engines.find(each) for each in ([name] if name else engines.names())]
    if format_ == "json":
        body = {**record.head(host), "engines": inventory.engines_json(chosen, host)}
        click.echo(record.dumps(body))
    elif not quiet:
        one = inventory.models_lines(chosen[0], host)
        console.say(one if name else inventory.engines_lines(chosen, host))
