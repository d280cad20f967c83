"""What the commands that manage share: their options, the one question, how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from cachedoctor.changes import Change
    from cachedoctor.doctor import Report

P = ParamSpec("P")
R = TypeVar("R")


def change_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of everything that changes."""
    for option in (
        click.option(
            "--delete", is_flag=True, help="Delete at once instead of setting aside: no way back."
        ),
        click.option("--yes", is_flag=True, help="Apply the plan that is printed."),
        click.option("--dry-run", is_flag=True, help="Show the plan and stop."),
    ):
        command = option(command)
    return command


def finish(
    change: Change,
    report: Report,
    *,
    dry_run: bool,
    yes: bool,
    delete: bool,
    verbose: bool,
    quiet: bool,
    format_: str,
) -> NoReturn:
    """Show a change, ask once, carry it out, and end with the exit code of what came of it.

    0 for done, 1 where something that was asked for stays or nobody agreed.
    """
    from cachedoctor import carrying, change_report, manager_record, record
    from cachedoctor.cli import console
    from cachedoctor.staging import Network

    host = report.host
    show = not quiet and format_ == "text"
    if show:
        console.say(change_report.change_lines(change, host, verbose=verbose))
    context = click.get_current_context()
    short = not change.reached or any(one.named for one in change.spared)
    agreed = yes or (show and _asked(change_report.question(change, delete=delete)))
    if change.choices and not dry_run and delete and change.lost and agreed:
        agreed = _asked(change_report.last_question(change))
    if not change.choices or dry_run or not agreed:
        if format_ == "json":
            click.echo(record.dumps(manager_record.change_json(change, host)))
        elif show and change.choices and not dry_run:
            click.echo("nothing was changed; `--yes` applies this plan", err=True)
        context.exit(int(short if dry_run or not change.choices else True))
    network = Network(host, offline=True, progress=console.progress(quiet=quiet))
    carried = carrying.carry_out(change, report, network, delete=delete)
    if format_ == "json":
        body = manager_record.changed_json(
            change, carried.outcome, host, carried.freed_bytes, deleted=delete
        )
        click.echo(record.dumps(body))
    elif show:
        console.say(change_report.outcome_lines(change, host, carried.freed_bytes, deleted=delete))
    context.exit(int(short))


def _asked(question: str) -> bool:
    """Ask, where there is somebody to answer."""
    return sys.stdin.isatty() and click.confirm(question, default=False, err=True)
