"""`cachedoctor undo`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import host_options, output_options
from cachedoctor.host import Host


@click.command(name="undo", short_help="Take a fix back.")
@click.argument("run", required=False)
@host_options
@output_options
def command(run: str | None, host: Host, verbose: bool, quiet: bool, format_: str) -> None:
    """Bring back exactly what was there before a fix: the last one, or the RUN that is named.

    Bytes, modes, times and links are restored; what the fix had put in place is set aside. Refuses
    when a file has changed since, or when a later fix touched the same place.
    """
    from cachedoctor import report, surgery
    from cachedoctor.errors import UsageError
    from cachedoctor.vocabulary import nearest

    known = surgery.runs(host)
    if run is None:
        open_ = [each for each in known if each.state != "undone"]
        if not open_:
            if format_ == "json":
                click.echo(report.dumps({**report.head(host), "run": None}))
            elif not quiet:
                click.echo("no fix to take back")
            return
        chosen = open_[-1]
    else:
        names = [each.id for each in known]
        if run not in names:
            raise UsageError(
                f"no run `{run}`{nearest(run, names)}", hint="`cachedoctor quarantine list`"
            )
        chosen = known[names.index(run)]
    chosen.undo()
    if format_ == "json":
        body = {"id": chosen.id, "state": chosen.state, "folder": chosen.folder}
        click.echo(report.dumps({**report.head(host), "run": body}))
    elif not quiet:
        click.echo(f"✓ {chosen.id} is taken back; everything is as it was before")
