"""`cachedoctor undo`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.system.run import Run


@click.command(name="undo", short_help="Take back the last fix, or a named one.")
@click.argument("run", required=False, shell_complete=offers.runs)
@click.option(
    "--journal",
    metavar="FILE",
    shell_complete=offers.files,
    help="Use the journal beside a cache: from another Mac, or when the state folder is lost.",
)
@click.option(
    "--lost", is_flag=True, help="Take back the rest of a fix when one of its disks is lost."
)
@click.option("--dry-run", is_flag=True, help="Show the steps and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Only --journal asks.")
@host_options
@output_options
def command(
    run: str | None,
    journal: str | None,
    lost: bool,
    dry_run: bool,
    yes: bool,
    host: Host,
    out: Output,
) -> None:
    """Bring back exactly what was there before a fix: the last one, or the RUN that you name.

    Contents, modes, times and links are restored; what the fix had put in place is set aside.
    Refuses when a file has changed since, or when a later fix touched the same place. With
    --journal every step is shown first and you are asked, because a journal beside a cache may be a
    stranger's.
    """
    from cachedoctor.errors import UsageError
    from cachedoctor.report import record
    from cachedoctor.runs import applying

    if journal is not None and (run is not None or lost):
        raise UsageError("--journal stands alone; leave RUN and --lost out")
    if dry_run:
        shown = (
            applying.would_undo(host, run, lost=lost)
            if journal is None
            else (applying.named(host, journal),)
        )
        _show(shown, host, out)
        return
    if journal is not None:
        taken = _named(host, journal, yes=yes, show=out.shown)
    else:
        taken = applying.undo(host, run, lost=lost)
    if out.json:
        click.echo(record.dumps({**record.head(host), "runs": [_body(each) for each in taken]}))
    elif out.shown:
        names = " and ".join(r.id for r in taken)
        click.echo(
            f"✓ {names} {'is' if len(taken) == 1 else 'are'} taken back; "
            "everything is as it was before"
            if taken
            else "no fix to take back"
        )


def _body(run: Run) -> dict[str, object]:
    return {"id": run.id, "state": run.state, "folder": run.folder}


def _show(runs: Sequence[Run], host: Host, out: Output) -> None:
    """Show what taking back these runs would do."""
    from cachedoctor.report import record
    from cachedoctor.system import undoing
    from cachedoctor.text import printable

    steps = {each.id: [printable(step) for step in undoing.words(each)] for each in runs}
    if out.json:
        bodies = [{**_body(each), "steps": steps[each.id]} for each in runs]
        click.echo(record.dumps({**record.head(host), "runs": bodies}))
        return
    for name, words in steps.items():
        click.echo(f"{name}:")
        for step in words:
            click.echo(f"  {step}")
    click.echo("nothing was changed" if runs else "no fix to take back")


def _named(host: Host, path: str, *, yes: bool, show: bool) -> tuple[Run, ...]:
    """Show what a named journal would have us do, and ask."""
    from cachedoctor.runs import applying
    from cachedoctor.system import undoing
    from cachedoctor.text import plural, printable

    found = applying.named(host, path)
    steps = undoing.words(found)
    for words in steps if show else ():
        click.echo(f"  {printable(words)}")
    if not yes:
        question = f"Take back these {plural(len(steps), 'step')}?"
        if not (show and sys.stdin.isatty() and click.confirm(question, default=False)):
            click.echo("nothing was changed; `--yes` takes it back", err=True)
            click.get_current_context().exit(1)
    return (applying.adopt(host, found),)
