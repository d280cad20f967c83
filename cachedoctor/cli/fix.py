"""`cachedoctor fix`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cachedoctor.cli.options import (
    fetch_options,
    host_options,
    lock_option,
    model_options,
    output_options,
)
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE_OR_CODE, Word
from cachedoctor.findings import Severity
from cachedoctor.host import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.cli.options import Pairs
    from cachedoctor.plans.cures import Plan
    from cachedoctor.question import Question
    from cachedoctor.system.network import Network


@click.command(name="fix", short_help="Repair what `scan` finds; asks first.")
@click.argument("words", metavar="[ENGINE|CODE]...", nargs=-1, type=ENGINE_OR_CODE)
@model_options
@lock_option
@click.option(
    "--deep", is_flag=True, help="Read every byte first, to find damage that headers do not show."
)
@click.option("--waste", is_flag=True, help="Only set aside what wastes space; repair nothing.")
@click.option(
    "--delete",
    is_flag=True,
    help="Delete for good what a CODE or --waste would set aside: no way back.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@click.option("--yes", is_flag=True, help="Carry out the plan without asking, downloads included.")
@click.option(
    "--accept",
    metavar="DIGEST",
    help="Carry out the plan only if it has this digest, which `--dry-run --json` prints.",
)
@fetch_options
@host_options
@output_options
def command(
    words: tuple[Word, ...],
    size: str | None,
    model: str | None,
    lock: str | None,
    deep: bool,
    waste: bool,
    delete: bool,
    dry_run: bool,
    yes: bool,
    accept: str | None,
    offline: bool,
    mirror: Pairs,
    host: Host,
    out: Output,
) -> None:
    """Repair what `scan` finds: every error and warning, or only those of an ENGINE or a CODE.

    Everything that a repair needs is fetched and checked before any file is moved. What was broken
    is set aside, so `cachedoctor undo` can bring it back; only --delete deletes. A fix that was
    interrupted is finished first, or taken back.

    Without a terminal and without --yes, the plan is printed and the exit code is 1. Exit code 4
    means that a repair failed; the cache is then as it was.

    \b
      cachedoctor fix                           every error and warning
      cachedoctor fix fluidaudio --yes          one engine, without a question
      cachedoctor fix whisper-mps --size tiny   also fetches the model when it is missing
      cachedoctor fix CD502                     one kind of finding, notes too
      cachedoctor fix CD502 --delete            frees space in one step, with no way back
      cachedoctor fix --lock models.lock        fetches exactly these revisions
    """
    from cachedoctor import engines, rules
    from cachedoctor.cli import choosing, console
    from cachedoctor.doctor import scanning
    from cachedoctor.errors import UsageError
    from cachedoctor.plans import cures
    from cachedoctor.report import plan_record, plan_text, record
    from cachedoctor.runs import applying

    network = _network(host, offline=offline, mirror=mirror, quiet=out.quiet)
    question = _question(host, words, size, model, lock)
    if delete and not (question.codes or waste):
        raise UsageError("--delete needs a CODE or --waste", hint="`cachedoctor fix CODE --delete`")
    read_all = any(rules.find(code).deep for code in question.codes)
    question = question._replace(deep=deep or lock is not None or read_all)
    found = scanning.answer(question, progress=network.progress)
    absent = cures.absent_locked(found)
    if size or model:
        absent = cures.absent_model(found, question.engines[0], size=size, model=model)
    plan = cures.plan(
        found,
        codes=question.codes,
        waste=waste,
        faults=not waste,
        absent=absent,
        network=network,
    )
    show = out.shown
    if show:
        console.say(plan_text.plan_lines(plan, found))
        if delete and plan.cures:
            click.echo("what is set aside is deleted for good; there is no way back")
    context = click.get_current_context()
    if not plan.cures and not plan.unfinished:
        if out.json:
            click.echo(record.dumps(plan_record.plan_json(plan, host)))
        code = 1 if any(rules.find(f.code).a_failure for f in plan.by_hand) else 0
        context.exit(console.code_for(host, question.engines or engines.names(), code))
    if accept and not dry_run:
        _require(accept, plan_record.plan_json(plan, host))
        yes = True
    wanted = plan if yes else None if dry_run else choosing.chosen(plan, text=show)
    if dry_run or wanted is None:
        if out.json:
            click.echo(record.dumps(plan_record.plan_json(plan, host)))
        elif show and not dry_run:
            click.echo("nothing was changed; `--yes` applies this plan", err=True)
        context.exit(0 if dry_run else 1)
    plan = wanted
    outcome = applying.apply(plan, found, network, delete=delete)
    if out.json:
        click.echo(record.dumps(plan_record.run_json(plan, outcome, host)))
    elif show:
        console.say(plan_text.outcome_lines(plan, outcome))
    undone = any(finding.severity is Severity.ERROR for finding in plan.by_hand)
    context.exit(4 if outcome.left or _left_unfinished(plan, host) else int(undone))


def _network(host: Host, *, offline: bool, mirror: Pairs, quiet: bool) -> Network:
    from cachedoctor.cli import console
    from cachedoctor.system.network import Network

    return Network.of(
        host, offline=offline, mirrors=dict(mirror), progress=console.progress(quiet=quiet)
    )


def _question(
    host: Host, words: tuple[Word, ...], size: str | None, model: str | None, lock: str | None
) -> Question:
    from cachedoctor import engines
    from cachedoctor.doctor import readiness
    from cachedoctor.errors import UsageError
    from cachedoctor.question import Question

    codes = tuple(word.code for word in words if word.code)
    names = tuple(word.engine for word in words if word.engine)
    question = Question(host, names, codes=codes)
    if lock is not None:
        from cachedoctor import locking

        if size or model:
            raise UsageError("--lock names the models itself; leave --size and --model out")
        return question._replace(lock=locking.read(lock))
    if not (size or model):
        return question
    if len(names) != 1:
        raise UsageError(
            "--size and --model need exactly one engine",
            hint="`cachedoctor fix faster-whisper --size small`",
        )
    engine = engines.find(names[0])
    models = (found.name for found in readiness.answers(engine, size=size, model=model))
    return question._replace(size=size, models=tuple(models))


def _left_unfinished(plan: Plan, host: Host) -> bool:
    """Return whether an interrupted fix could be neither finished nor taken back."""
    from cachedoctor.runs import applying
    from cachedoctor.system.logbook import OPEN

    begun = {one.id for one in plan.unfinished}
    return any(one.id in begun and one.state in OPEN for one in applying.runs(host))


def _require(accepted: str, plan: Mapping[str, Any]) -> None:
    """Raise `RepairError` if a plan is not the one that was accepted."""
    from cachedoctor.errors import RepairError

    if plan["plan"]["digest"] != accepted:
        raise RepairError(
            f"the plan is no longer `{accepted[:12]}`, so nothing was changed",
            hint="look at it again with `--dry-run`",
        )
