"""`cachedoctor fleet`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

import click

from cachedoctor.cli.machines import fleet_options, lock_option
from cachedoctor.cli.options import CI_FORMATS, answering, output_options
from cachedoctor.cli.parameters import TIME
from cachedoctor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cachedoctor.cli.output import Output
    from cachedoctor.fleet.asking import Means
    from cachedoctor.fleet.carrier import Fleet
    from cachedoctor.fleet.judging import Answer

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": True}
_HOUR = 3600


@click.group(name="fleet", short_help="Run the same on many machines, through Ansible.")
def command() -> None:
    """Look at many machines, repair them, and take that back, with one answer for all.

    Ansible reaches the machines as its inventory and your ssh configuration say; each machine runs
    its own `cachedoctor`, and answers in JSON. Options that these commands do not know are passed
    on to it. Needs `pip install 'model-cache-doctor[fleet]'` here, and no part of Ansible on the
    machines.

    \b
      cachedoctor fleet scan -i lab.ini
      cachedoctor fleet preflight -i lab.ini faster-whisper --size small
      cachedoctor fleet fix -i lab.ini --lock models.lock
    """


_words = click.argument("words", metavar="[WORD]...", nargs=-1, type=click.UNPROCESSED)


@command.command(
    name="scan",
    short_help="Show what is on each machine, and what is wrong.",
    context_settings=_PASSED_ON,
)
@_words
@fleet_options(60)
@answering(CI_FORMATS)
def scan(words: tuple[str, ...], fleet: Fleet, means: Means, out: Output) -> None:
    """Run `cachedoctor scan` on every machine; WORDs are its arguments."""
    _look("scan", words, fleet, means, None, out)


@command.command(
    name="preflight",
    short_help="Check whether a model would load on each machine.",
    context_settings=_PASSED_ON,
)
@_words
@lock_option
@fleet_options(60)
@answering(CI_FORMATS)
def preflight(
    words: tuple[str, ...], lock: str | None, fleet: Fleet, means: Means, out: Output
) -> None:
    """Run `cachedoctor preflight` on every machine; WORDs are its arguments."""
    _look("preflight", words, fleet, means, lock, out)


@command.command(
    name="verify",
    short_help="Read and check every byte on each machine.",
    context_settings=_PASSED_ON,
)
@_words
@lock_option
@fleet_options(_HOUR)
@answering(CI_FORMATS)
def verify(
    words: tuple[str, ...], lock: str | None, fleet: Fleet, means: Means, out: Output
) -> None:
    """Run `cachedoctor verify` on every machine; WORDs are its arguments."""
    _look("verify", words, fleet, means, lock, out)


@command.command(
    name="bench", short_help="Measure the engines on each machine.", context_settings=_PASSED_ON
)
@_words
@fleet_options(_HOUR)
@output_options
def bench(words: tuple[str, ...], fleet: Fleet, means: Means, out: Output) -> None:
    """Run `cachedoctor bench` on every machine at the same time; WORDs are its arguments."""
    _look("bench", words, fleet, means, None, out)


@command.command(
    name="fix",
    short_help="Repair all machines; shows all plans and asks once.",
    context_settings=_PASSED_ON,
)
@_words
@lock_option
@click.option(
    "--from",
    "source",
    metavar="HOST",
    help="Take the models that others lack from this machine, not from the network.",
)
@click.option("--dry-run", is_flag=True, help="Show the plans and stop.")
@click.option("--yes", is_flag=True, help="Carry out the plans without asking, downloads included.")
@fleet_options(_HOUR)
@output_options
def fix(
    words: tuple[str, ...],
    lock: str | None,
    source: str | None,
    dry_run: bool,
    yes: bool,
    fleet: Fleet,
    means: Means,
    out: Output,
) -> None:
    """Show what `cachedoctor fix` would do on every machine, ask once, and do it.

    Each machine carries out only the plan that it showed: if its plan has changed by then, it
    changes nothing and counts as *failed*. `cachedoctor fleet undo RUN` takes everything back; RUN
    is printed at the end. WORDs are arguments of `fix`. With --from, only that machine may
    download; models of the lock file that others lack are packed there, brought here, and unpacked
    where they are missing. Damaged models are left to a fix without --from.

    \b
      cachedoctor fleet fix -i lab.ini --lock models.lock
      cachedoctor fleet fix -i lab.ini --lock models.lock --from mac-01
    """
    from cachedoctor.cli import console
    from cachedoctor.fleet import asking, repairing, wording
    from cachedoctor.host import Host

    text = _text_of(lock)
    if source is not None:
        if lock is None:
            raise UsageError("--from needs --lock", hint="`--from HOST --lock FILE`")
        beside = next((one for one in ("--become", "-b") if one in fleet.options), "")
        if other := "--push" if means.pushed else beside:
            raise UsageError(f"--from and {other} cannot be combined")
        _fix_from(source, words, lock, fleet, means, out, dry_run=dry_run, yes=yes)
        return
    planned = asking.ask(fleet, means, "fix", (*words, "--dry-run"), lock=text)
    if out.shown:
        console.say(wording.plan_lines(planned))
    _settle(planned, len(repairing.changes(planned)), out, dry_run=dry_run, yes=yes)
    name, done = repairing.apply(fleet, means, words, planned, Host.look().state, lock=text)
    show("fix", done, out, run=name)
    _end(name, wording.exit_code(done), out)


def _fix_from(
    source: str,
    words: Sequence[str],
    lock: str,
    fleet: Fleet,
    means: Means,
    out: Output,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Give the machines of a fleet what they lack from one of them."""
    from cachedoctor import locking
    from cachedoctor.cli import console
    from cachedoctor.fleet import handing, wording
    from cachedoctor.host import Host

    text = _text_of(lock)
    plans = handing.plan(fleet, means, words, source, text, locking.read(lock))
    if out.shown:
        console.say(wording.plan_lines(plans.answers, plans.wanted, source, plans.sizes))
    unpacks = {host: list(models) for host, models in plans.wanted.items()}
    _settle(plans.answers, len(plans.changing), out, dry_run=dry_run, yes=yes, unpacks=unpacks)
    done = handing.apply(plans, fleet, means, words, Host.look().state, text)
    console.warn(wording.troubles(done.troubles))
    show("preflight", done.answers, out, run=done.run, unpacks=unpacks)
    _end(done.run, max(wording.exit_code(done.answers), min(len(done.troubles), 1)), out)


def _settle(
    planned: Sequence[Answer],
    changing: int,
    out: Output,
    *,
    dry_run: bool,
    yes: bool,
    **more: object,
) -> None:
    """Ask once whether to do what was shown, and end here if not."""
    from cachedoctor.fleet import wording

    if changing and not dry_run and (yes or (out.shown and _agreed(changing))):
        return
    if not out.shown:
        show("fix", planned, out, **more)
    elif changing and not dry_run:
        click.echo("nothing was changed; `--yes` applies these plans", err=True)
    code = wording.exit_code(planned)
    click.get_current_context().exit(max(code, 1) if changing and not dry_run else code)


def _end(name: str, code: int, out: Output) -> NoReturn:
    if out.shown:
        click.echo(f"take it all back with `cachedoctor fleet undo {name}`")
    click.get_current_context().exit(code)


@command.command(name="undo", short_help="Take back a fix on all machines.")
@click.argument("run")
@click.option(
    "--timeout",
    metavar="TIME",
    type=TIME,
    default=f"{_HOUR}s",
    show_default=True,
    help="Give up on a machine that has not answered by then, and name it.",
)
@click.option(
    "--push", is_flag=True, help="Copy cachedoctor to the machines, and remove it at the end."
)
@output_options
def undo(run: str, timeout: int, push: bool, out: Output) -> None:
    """Bring back what was there before the fix named RUN, on every machine that it changed."""
    from cachedoctor.cli import console
    from cachedoctor.fleet import asking, repairing, wording
    from cachedoctor.host import Host

    host = Host.look()
    with asking.pushed(push) as file:
        means = asking.Means(pushed=file, deadline_s=timeout)
        done, unknown = repairing.undo(run, means, host.state, host.environment, timeout)
    show("undo", done, out)
    if unknown:
        console.warn(
            f"`{name}` did not say whether it was changed: "
            "`cachedoctor undo` there takes its last fix back"
            for name in unknown
        )
    click.get_current_context().exit(5 if unknown else wording.exit_code(done))


def _agreed(count: int) -> bool:
    """Ask once, if somebody can answer."""
    if not sys.stdin.isatty():
        return False
    where = "this machine" if count == 1 else f"these {count} machines"
    return click.confirm(f"Apply the plans of {where}?", default=False)


def _look(
    asked: str,
    words: Sequence[str],
    fleet: Fleet,
    means: Means,
    lock: str | None,
    out: Output,
) -> None:
    from cachedoctor.fleet import asking, wording

    answers = asking.ask(fleet, means, asked, words, lock=_text_of(lock))
    show(asked, answers, out)
    click.get_current_context().exit(wording.exit_code(answers))


def show(asked: str, answers: Iterable[Answer], out: Output, **more: object) -> None:
    """Print the answers of all machines."""
    from cachedoctor.cli import console
    from cachedoctor.fleet import wording
    from cachedoctor.report import ci, record

    if out.json:
        click.echo(record.dumps(wording.json_of(asked, answers, **more)))
    elif out.format != "text":
        click.echo(ci.render(out.format, f"fleet {asked}", wording.cases(asked, answers)))
    elif not out.quiet:
        console.say(wording.lines(asked, answers))


def _text_of(lock: str | None) -> str:
    """Read a lock file, and refuse an invalid one before it is sent anywhere."""
    if lock is None:
        return ""
    from cachedoctor import locking

    locking.read(lock)
    with open(lock, encoding="utf-8") as file:
        return file.read()
