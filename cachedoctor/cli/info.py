"""`cachedoctor info`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import answering, look_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="info", short_help="Facts about this machine for a bug report.")
@look_options
@answering(quiet="")
def command(host: Host, out: Output) -> None:
    """Say where things are looked for and what moved them; no token is shown.

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
