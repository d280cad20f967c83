"""`cachedoctor pull`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import Pairs, fetch_options, host_options, lock_option, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import QUESTION
from cachedoctor.host import Host


@click.command(name="pull", short_help="Fetch whole models.")
@click.argument("questions", metavar="[ENGINE:SIZE|MODEL]...", nargs=-1, type=QUESTION)
@lock_option
@managing.bring_options
@fetch_options
@host_options
@output_options
def command(
    questions: Pairs,
    lock: str | None,
    max_download: int | None,
    dry_run: bool,
    yes: bool,
    offline: bool,
    mirror: Pairs,
    host: Host,
    out: Output,
) -> None:
    """Fetch models to where their engines look for them, each at one commit and proven.

    What is here already is not fetched again, and what is broken is repaired. Local bytes come
    before the network. Exit code 0 when all are ready, 1 when not.

    \b
      cachedoctor pull faster-whisper:small whisper.cpp:small
      cachedoctor pull --lock models.lock --yes
    """
    managing.bring(
        questions,
        host,
        lock=lock,
        most=max_download,
        dry_run=dry_run,
        yes=yes,
        offline=offline,
        mirror=mirror,
        out=out,
        err=False,
    )
