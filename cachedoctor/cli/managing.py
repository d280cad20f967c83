"""What the commands that manage share: their options, the one question, their endings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, ParamSpec, TypeVar

import click

from cachedoctor.cli.options import Pairs, fetch_options, lock_option
from cachedoctor.cli.parameters import BYTES, QUESTION
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
    """Give a command the options of every command that changes something."""
    for option in (
        click.option(
            "--delete", is_flag=True, help="Delete for good instead of setting aside: no way back."
        ),
        click.option("--yes", is_flag=True, help="Carry out the plan without asking."),
        click.option("--dry-run", is_flag=True, help="Show the plan and stop."),
    ):
        command = option(command)
    return command


class Bringing(NamedTuple):
    """Which models to make ready, and how, as the command line says."""

    questions: Pairs  # each an engine with a size or a model
    lock: str | None  # a lock file that names more
    max_download: int | None  # how much may be fetched without asking
    dry_run: bool
    yes: bool
    offline: bool
    mirror: Pairs


def bring_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options for making models ready; it gets a `Bringing`, `wanted`."""

    @click.argument("questions", metavar="[ENGINE:SIZE|MODEL]...", nargs=-1, type=QUESTION)
    @lock_option
    @click.option(
        "--max-download",
        metavar="SIZE",
        type=BYTES,
        help="Do not ask about a download of up to SIZE.",
    )
    @click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
    @click.option(
        "--yes", is_flag=True, help="Carry out the plan without asking, downloads included."
    )
    @fetch_options
    @functools.wraps(command)
    def wrapped(*args: object, **given: Any) -> R:
        wanted = Bringing(**{name: given.pop(name) for name in Bringing._fields})
        return command(*args, wanted=wanted, **given)

    return wrapped


def bring(given: Bringing, host: Host, *, out: Output, err: bool) -> tuple[Verdict, ...]:
    """Make models ready after one question, and return the verdicts; exit with 1 if one is not.

    If the tables know the cost, ask before any use of the network, and again only if it turns out
    to cost more.
    """
    from cachedoctor import locking
    from cachedoctor.cli import console
    from cachedoctor.errors import UsageError
    from cachedoctor.manager import bringing
    from cachedoctor.report import plan_text, record, verdict_text
    from cachedoctor.system.network import Network

    context = click.get_current_context()
    if not given.questions and not given.lock:
        example = host.command(context.info_name or "pull", "faster-whisper:small")
        raise UsageError("name a model", hint=f"`{example}`, or `--lock FILE`")
    wanted = bringing.wanted(given.questions, locking.read(given.lock) if given.lock else None)
    network = Network.of(
        host,
        offline=given.offline,
        mirrors=dict(given.mirror),
        progress=console.progress(quiet=out.quiet),
    )
    proposals = bringing.propose(wanted, network)
    plans = [one.plan for one in proposals if one.plan]
    for one in proposals if out.shown else ():
        plan = one.plan or one.barred
        if plan and one.report:
            console.say(plan_text.plan_lines(plan, one.report), err=err)
    verdicts = tuple(one.verdict for one in proposals)
    agreed = not given.dry_run and bool(plans) and _agreed(bringing.cost(proposals), given, out)
    if agreed:
        settled = bringing.settle(proposals)
        cost = bringing.cost(settled)
        agreed = not bringing.dearer(proposals, settled) or _agreed(cost, given, out, again=True)
        proposals = settled
    if agreed:
        verdicts = bringing.carry_out(proposals, network)
    elif plans and not given.dry_run and out.shown:
        over = f"more than {size(given.max_download)}; " if given.max_download is not None else ""
        click.echo(f"{over}nothing was changed; `--yes` applies this plan", err=True)
    if out.json:
        body = record.verdicts_json(verdicts, host, many=True)
        click.echo(record.dumps(body), err=err)
    elif out.shown:
        console.say((verdict_text.verdict_line(verdict, host) for verdict in verdicts), err=err)
    stuck = [one for one in proposals if one.plan is None and not one.verdict.ready]
    if stuck if given.dry_run else not all(verdicts):
        context.exit(1)
    return verdicts


def _agreed(cost: int | None, given: Bringing, out: Output, *, again: bool = False) -> bool:
    """Ask, unless the options have answered already."""
    most = given.max_download
    if given.yes or (most is not None and cost is not None and cost <= most):
        return True
    from cachedoctor.report import plan_text

    return out.shown and _asked(plan_text.fetch_question(cost, again=again))


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
    """Show a change, ask once, carry it out, and exit with the code of the outcome.

    0 if done, 1 if something that was asked for stays or nobody agreed, 4 if `check` is called
    afterwards and says no.
    """
    from cachedoctor.cli import console
    from cachedoctor.report import change_text, manager_record, record
    from cachedoctor.runs import carrying
    from cachedoctor.system.network import Network

    host = report.host
    show = out.shown
    if show:
        console.say(change_text.change_lines(change, host, verbose=out.verbose))
        console.warn_of_hidden(report)
    context = click.get_current_context()
    short = not change.reached or any(one.named for one in change.spared)
    refused = False
    wanted = bool(change.choices) and not dry_run
    agreed = wanted and (yes or (show and _asked(change_text.question(change, delete=delete))))
    if agreed and delete and change.lost:
        agreed = _asked(change_text.last_question(change))
        refused = not agreed
    if not agreed:
        if out.json:
            click.echo(record.dumps(manager_record.change_json(change, host)))
        if refused:
            click.echo(change_text.refused(change), err=True)
        elif show and wanted:
            click.echo("nothing was changed; `--yes` applies this plan", err=True)
        context.exit(int(short or wanted))
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
    """Ask, if somebody can answer."""
    return sys.stdin.isatty() and click.confirm(question, default=False, err=True)
