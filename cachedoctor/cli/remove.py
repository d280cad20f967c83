"""`cachedoctor remove`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing, offers
from cachedoctor.cli.options import answering, host_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="remove", short_help="Remove models by name.")
@click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=offers.questions
)
@click.option(
    "--kept", is_flag=True, help="Remove even models that a lock file or `keep` asks for."
)
@managing.change_options
@host_options
@answering(verbose="List everything that stays, and why.")
def command(
    names: tuple[str, ...],
    kept: bool,
    dry_run: bool,
    yes: bool,
    delete: bool,
    host: Host,
    out: Output,
) -> None:
    """Set models aside, together with every file that only they use.

    A NAME is an id, `engine:model`, a repository (with all its revisions) or a path, as
    `cachedoctor list` shows them. Blobs that another revision or repository needs stay; refs, locks
    and the client's notes go too. A model that is in use, unreadable, kept or linked from elsewhere
    stays, and the exit code is 1. `cachedoctor undo` brings everything back; the space is free
    after `cachedoctor quarantine empty`, or at once with --delete.

    \b
      cachedoctor remove whisper.cpp:large-v3
      cachedoctor remove Systran/faster-whisper-small --yes
    """
    from cachedoctor.doctor import scanning
    from cachedoctor.plans import holdings, naming, removal

    report = scanning.scan(host, cure_notes=False)
    found = holdings.models(report)
    change = removal.remove(found, naming.resolve(names, report), even_kept=kept)
    managing.finish(
        change,
        report,
        dry_run=dry_run,
        yes=yes,
        delete=delete,
        out=out,
    )
