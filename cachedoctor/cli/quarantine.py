"""`cachedoctor quarantine`."""

from __future__ import annotations

import sys

import click

from cachedoctor.cli.options import answering, host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import AGE
from cachedoctor.host import Host


@click.group(name="quarantine", short_help="List or delete what fixes have set aside.")
def command() -> None:
    """List or empty what fixes have set aside; only emptying frees space."""


@command.command(name="list", short_help="List what is set aside, and since when.")
@host_options
@answering(quiet="")
def listing(host: Host, out: Output) -> None:
    """List what fixes have set aside."""
    from cachedoctor.report import plan_text, record
    from cachedoctor.runs import applying

    kept = applying.kept(host)
    if out.json:
        click.echo(record.dumps(record.kept_json(kept, host)))
    else:
        for line in plan_text.kept_lines(kept, host):
            click.echo(line)


@command.command(name="empty", short_help="Delete what is set aside.")
@click.option(
    "--older-than",
    metavar="AGE",
    type=AGE,
    help="Only what has been set aside for longer than this: 30d, 12h.",
)
@click.option("--dry-run", is_flag=True, help="List what would be deleted and delete nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@host_options
@output_options
def empty(older_than: int | None, dry_run: bool, yes: bool, host: Host, out: Output) -> None:
    """Delete for good what finished fixes have set aside; they can no longer be taken back."""
    import time

    from cachedoctor import text
    from cachedoctor.report import plan_text, record
    from cachedoctor.runs import applying

    before_s = time.time() - (older_than or 0)
    kept = [item for item in applying.kept(host) if item.ended and item.when_s <= before_s]
    total = sum(item.size_bytes for item in kept)
    if kept and not yes and not dry_run:
        question = f"Delete {text.plural(len(kept), 'thing')} set aside, {text.size(total)}?"
        if not (sys.stdin.isatty() and click.confirm(question, err=True)):
            click.echo("nothing was deleted; `--yes` deletes it", err=True)
            click.get_current_context().exit(1)
    freed = 0 if dry_run else applying.empty(host, before_s)
    if out.json:
        click.echo(record.dumps({**record.kept_json(kept, host), "freed_bytes": freed}))
    elif dry_run:
        for line in (*plan_text.kept_lines(kept, host), "nothing was deleted"):
            click.echo(line)
    elif out.shown:
        click.echo(f"freed {text.size(freed)}" if kept else "nothing is set aside")
