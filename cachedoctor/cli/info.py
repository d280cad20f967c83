"""`cachedoctor info`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import answering, look_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="info", short_help="Show facts about this machine for a bug report.")
@look_options
@answering(quiet="")
def command(host: Host, out: Output) -> None:
    """Show where models are looked for, and what changes that. Tokens are never shown.

    \b
      cachedoctor info
      cachedoctor info --json
    """
    from cachedoctor.cli import console
    from cachedoctor.report import inventory, record

    if out.json:
        click.echo(record.dumps({**record.head(host), "info": inventory.info_json(host)}))
    else:
        console.say(inventory.info_lines(host))
