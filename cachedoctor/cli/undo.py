"""`cachedoctor undo`."""

from __future__ import annotations

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.host import Host


@click.command(name="undo", short_help="Take a fix back.")
@click.argument("run", required=False, shell_complete=offers.runs)
@host_options
@output_options
def command(run: str | None, host: Host, verbose: bool, quiet: bool, format_: str) -> None:
    """Bring back exactly what was there before a fix: the last one, or the RUN that is named.

    Bytes, modes, times and links are restored; what the fix had put in place is set aside. Refuses
    when a file has changed since, or when a later fix touched the same place.
    """
    from cachedoctor import record, surgery

    taken = surgery.undo(host, run)
    if format_ == "json":
        bodies = [{"id": r.id, "state": r.state, "folder": r.folder} for r in taken]
        click.echo(record.dumps({**record.head(host), "runs": bodies}))
    elif not quiet:
        names = " and ".join(r.id for r in taken)
        click.echo(
            f"✓ {names} {'is' if len(taken) == 1 else 'are'} taken back; "
            "everything is as it was before"
            if taken
            else "no fix to take back"
        )
