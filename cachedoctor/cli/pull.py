"""`cachedoctor pull`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="pull", short_help="Download models.")
@managing.bring_options
@host_options
@output_options
def command(wanted: managing.Bringing, host: Host, out: Output) -> None:
    """Download models to where their engines look for them, each at one commit and checked.

    A model that is here already is not downloaded again; one that is broken is repaired. Bytes that
    are on this machine are used before the network. Exit code 0 when all models are ready, 1 when
    not.

    \b
      cachedoctor pull faster-whisper:small whisper.cpp:small
      cachedoctor pull --lock models.lock --yes
    """
    managing.bring(wanted, host, out=out, err=False)
