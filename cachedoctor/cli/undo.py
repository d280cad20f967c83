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
    from cachedoctor.system import undoing
    from cachedoctor.text import printable

    if journal is not None and (run is not None or lost):
        raise UsageError("--journal stands alone; leave RUN and --lost out")
    found = (
        applying.would_undo(host, run, lost=lost)
        if journal is None
        else (applying.named(host, journal),)
    )
    steps = [[printable(step) for step in undoing.words(each)] for each in found]
    if (dry_run or journal) and out.shown:
        _show(found, steps)
    if dry_run:
        taken = found
    elif journal is None:
        taken = applying.undo(host, run, lost=lost)
    else:
        _ask(len(steps[0]), yes=yes, show=out.shown)
        taken = (applying.adopt(host, found[0]),)
    if out.json:
        bodies = [
            {"id": each.id, "state": each.state, "folder": each.folder, "steps": done}
            for each, done in zip(taken, steps, strict=True)
        ]
        click.echo(record.dumps({**record.head(host), "runs": bodies}))
    elif out.shown:
        click.echo(_outcome([each.id for each in taken], dry_run=dry_run))


def _show(runs: Sequence[Run], steps: Sequence[Sequence[str]]) -> None:
    """Show what taking back these runs does."""
    for each, words in zip(runs, steps, strict=True):
        click.echo(f"{each.id}:")
        for step in words:
            click.echo(f"  {step}")


def _ask(count: int, *, yes: bool, show: bool) -> None:
    """Ask before the steps of a named journal are taken; ends the command if the answer is no."""
    if yes:
        return
    from cachedoctor.text import plural

    question = f"Take back these {plural(count, 'step')}?"
    if not (show and sys.stdin.isatty() and click.confirm(question, default=False)):
        click.echo("nothing was changed; `--yes` takes it back", err=True)
        click.get_current_context().exit(1)


def _outcome(names: Sequence[str], *, dry_run: bool) -> str:
    if not names:
        return "no fix to take back"
    if dry_run:
        return "nothing was changed"
    verb = "is" if len(names) == 1 else "are"
    return f"✓ {' and '.join(names)} {verb} taken back; everything is as it was before"
