"""What the commands that manage share: their options, the one question, how they end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, ParamSpec, TypeVar

import click

from cachedoctor.cli.options import Pairs
from cachedoctor.cli.parameters import BYTES
from cachedoctor.text import size

if TYPE_CHECKING:
    from cachedoctor.cli.output import Output
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.plans.changes import Change
    from cachedoctor.verdict import Verdict

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


def bring_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options of what makes models ready."""
    for option in (
        click.option("--yes", is_flag=True, help="Apply the plan, downloads included."),
        click.option("--dry-run", is_flag=True, help="Show the plan and stop."),
        click.option(
            "--max-download",
            metavar="SIZE",
            type=BYTES,
            help="Without a question, where it is no more.",
        ),
    ):
        command = option(command)
    return command


def bring(
    questions: Pairs,
    host: Host,
    *,
    lock: str | None,
    most: int | None,
    dry_run: bool,
    yes: bool,
    offline: bool,
    mirror: Pairs,
    out: Output,
    err: bool,
) -> tuple[Verdict, ...]:
    """Make models ready, asked once, and return the verdicts; ends with 1 where one is not."""
    from cachedoctor import locking
    from cachedoctor.cli import console
    from cachedoctor.manager import bringing
    from cachedoctor.report import plan_text, record, verdict_text
    from cachedoctor.system.fetch import Mirrors
    from cachedoctor.system.network import Network

    wanted = bringing.wanted(questions, locking.read(lock) if lock else None)
    given = Mirrors(**dict(mirror))
    network = Network(host, offline, given, console.progress(quiet=out.quiet))
    proposals = bringing.propose(wanted, network)
    plans = [(one.plan, one.report) for one in proposals if one.plan and one.report]
    show = out.shown
    if show:
        for plan, found in plans:
            console.say(plan_text.plan_lines(plan, found), err=err)
    cost = sum(plan.fetch_bytes for plan, _ in plans)
    known = all(plan.fetch_bytes or not plan.fetches for plan, _ in plans)
    within = most is not None and known and cost <= most
    context = click.get_current_context()
    verdicts = tuple(one.verdict for one in proposals)
    agreed = not plans or yes or within
    if not dry_run and not agreed and show:
        agreed = _asked(f"Fetch {size(cost)}?" if cost else "Apply these repairs?")
    if agreed and not dry_run:
        verdicts = bringing.carry_out(proposals, network) if plans else verdicts
    elif plans and not dry_run and show:
        over = f"more than {size(most)}; " if most is not None else ""
        click.echo(f"{over}nothing was changed; `--yes` applies this plan", err=True)
    if out.json:
        body = record.verdicts_json(verdicts, host, many=True)
        click.echo(record.dumps(body), err=err)
    elif show:
        console.say((verdict_text.verdict_line(verdict, host) for verdict in verdicts), err=err)
    if not dry_run and not all(verdict.ready for verdict in verdicts):
        context.exit(1)
    return verdicts


def finish(
    change: Change,
    report: Report,
    *,
    dry_run: bool,
    yes: bool,
    delete: bool,
    out: Output,
    check: Callable[[], bool] | None = None,
    measure: bool = False,
) -> NoReturn:
    """Show a change, ask once, carry it out, and end with the exit code of what came of it.

    0 for done, 1 where something that was asked for stays or nobody agreed, 4 where `check` is
    asked afterwards and says no.
    """
    from cachedoctor.cli import console
    from cachedoctor.report import change_text, manager_record, record
    from cachedoctor.runs import carrying
    from cachedoctor.system.network import Network

    host = report.host
    show = out.shown
    if show:
        console.say(change_text.change_lines(change, host, verbose=out.verbose))
    context = click.get_current_context()
    short = not change.reached or any(one.named for one in change.spared)
    refused = False
    agreed = yes or (show and _asked(change_text.question(change, delete=delete)))
    if change.choices and not dry_run and delete and change.lost and agreed:
        agreed = _asked(change_text.last_question(change))
        refused = not agreed
    if not change.choices or dry_run or not agreed:
        if out.json:
            click.echo(record.dumps(manager_record.change_json(change, host)))
        if refused:
            click.echo(change_text.refused(change), err=True)
        elif show and change.choices and not dry_run:
            click.echo("nothing was changed; `--yes` applies this plan", err=True)
        context.exit(int(short if dry_run or not change.choices else True))
    network = Network(host, offline=True, progress=console.progress(quiet=out.quiet))
    carried = carrying.carry_out(change, report, network, delete=delete, measure=measure)
    if out.json:
        body = manager_record.changed_json(
            change, carried.outcome, host, carried.freed_bytes, deleted=delete
        )
        click.echo(record.dumps(body))
    elif show:
        console.say(change_text.outcome_lines(change, host, carried.freed_bytes, deleted=delete))
    if check is not None and not check():
        click.echo("not everything is ready; `cachedoctor scan` says why", err=True)
        context.exit(4)
    context.exit(int(short))


def _asked(question: str) -> bool:
    """Ask, where there is somebody to answer."""
    return sys.stdin.isatty() and click.confirm(question, default=False, err=True)
