"""`cachedoctor info`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import look_options, output_options
from cachedoctor.host import Host


@click.command(name="info", short_help="Facts about this machine for a bug report.")
@look_options
@output_options
def command(host: Host, verbose: bool, quiet: bool, format_: str) -> None:
    """Say where things are looked for and what moved them; no token is shown.

    \b
      cachedoctor info
      cachedoctor info --json
    """
    from cachedoctor import inventory, record
    from cachedoctor.cli import console

    if format_ == "json":
        click.echo(record.dumps({**record.head(host), "info": inventory.info_json(host)}))
    elif not quiet:
        console.say(inventory.info_lines(host))
