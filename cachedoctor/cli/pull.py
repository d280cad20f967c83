"""`cachedoctor pull`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="pull", short_help="Fetch whole models.")
@managing.bring_options
@host_options
@output_options
def command(wanted: managing.Bringing, host: Host, out: Output) -> None:
    """Fetch models to where their engines look for them, each at one commit and proven.

    What is here already is not fetched again, and what is broken is repaired. Local bytes come
    before the network. Exit code 0 when all are ready, 1 when not.

    \b
      cachedoctor pull faster-whisper:small whisper.cpp:small
      cachedoctor pull --lock models.lock --yes
    """
    managing.bring(wanted, host, out=out, err=False)
