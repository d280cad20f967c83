"""`cachedoctor fleet`."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import CI_FORMATS, answering, output_options
from cachedoctor.cli.parameters import AGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cachedoctor.cli.output import Output
    from cachedoctor.fleet.asking import Means
    from cachedoctor.fleet.carrier import Fleet
    from cachedoctor.fleet.judging import Answer

P = ParamSpec("P")
R = TypeVar("R")

_PASSED_ON = {"ignore_unknown_options": True, "allow_interspersed_args": True}
_HOUR = 3600


@click.group(name="fleet", short_help="Do the same on many machines, through Ansible.")
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


def fleet_options(timeout_s: int) -> Callable[[Callable[P, R]], Callable[..., R]]:
    """Give a command the options that say which machines; it gets `fleet` and `means`."""

    def decorate(command: Callable[P, R]) -> Callable[..., R]:
        @click.option(
            "-i",
            "--inventory",
            metavar="FILE",
            required=True,
            help="An Ansible inventory of any kind, or `HOST,HOST`.",
            shell_complete=offers.files,
        )
        @click.option("--limit", metavar="PATTERN", default="", help="Only machines that match.")
        @click.option(
            "--forks",
            metavar="N",
            type=click.IntRange(1, 1000),
            default=64,
            show_default=True,
            help="Machines at a time; one that hangs keeps its slot.",
        )
        @click.option(
            "--timeout",
            metavar="TIME",
            type=AGE,
            default=f"{timeout_s}s",
            show_default=True,
            help="Give up on a machine that has not answered by then, and name it.",
        )
        @click.option(
            "--deadline",
            metavar="TIME",
            type=AGE,
            help="Let each machine stop by itself after this long.  [default: --timeout]",
        )
        @click.option(
            "--push",
            is_flag=True,
            help="Copy cachedoctor to the machines, and remove it at the end.",
        )
        @click.option(
            "--tool",
            metavar="PATH",
            default="cachedoctor",
            help="Path of cachedoctor on the machines, if it is not in their PATH.",
        )
        @click.option(
            "--ansible",
            "options",
            metavar="OPTION",
            multiple=True,
            help="Pass an option on to Ansible, such as `--ansible=--become`.",
        )
        @functools.wraps(command)
        def wrapped(
            *args: object,
            inventory: str,
            limit: str,
            forks: int,
            timeout: int,
            deadline: int | None,
            push: bool,
            tool: str,
            options: tuple[str, ...],
            **more: object,
        ) -> R:
            from cachedoctor.fleet.asking import Means, pushed
            from cachedoctor.fleet.carrier import Fleet
            from cachedoctor.host import Host

            host = Host.look()
            fleet = Fleet(
                inventory=inventory,
                limit=limit,
                forks=forks,
                timeout_s=timeout,
                options=options,
                environment=host.environment,
            )
            with pushed(push) as file:
                means = Means(tool, file, deadline or timeout)
                return command(*args, fleet=fleet, means=means, **more)  # type: ignore[arg-type]

        return wrapped

    return decorate


def _lock_option(command: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--lock",
        metavar="FILE",
        help="A lock file on this machine, for all of them.",
        shell_complete=offers.files,
    )(command)


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
@_lock_option
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
@_lock_option
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
@_lock_option
@click.option("--dry-run", is_flag=True, help="Show the plans and stop.")
@click.option("--yes", is_flag=True, help="Carry out the plans without asking, downloads included.")
@fleet_options(_HOUR)
@output_options
def fix(
    words: tuple[str, ...],
    lock: str | None,
    dry_run: bool,
    yes: bool,
    fleet: Fleet,
    means: Means,
    out: Output,
) -> None:
    """Show what `cachedoctor fix` would do on every machine, ask once, and do it.

    Each machine carries out only the plan that it showed: one that has another plan by then changes
    nothing and counts as *failed*. `cachedoctor fleet undo RUN` takes everything back; RUN is
    printed at the end. WORDs are arguments of `fix`.
    """
    from cachedoctor.cli import console
    from cachedoctor.fleet import asking, repairing, wording
    from cachedoctor.host import Host

    context = click.get_current_context()
    text = _text_of(lock)
    planned = asking.ask(fleet, means, "fix", (*words, "--dry-run"), lock=text)
    changing = repairing.changes(planned)
    heard = out.shown
    if heard:
        console.say(wording.plan_lines(planned))
    agreed = bool(changing) and not dry_run and (yes or (heard and _agreed(len(changing))))
    if not agreed:
        if not heard:
            show("fix", planned, out)
        elif changing and not dry_run:
            click.echo("nothing was changed; `--yes` applies these plans", err=True)
        code = wording.exit_code(planned)
        context.exit(max(code, 1) if changing and not dry_run else code)
    name, done = repairing.apply(fleet, means, words, planned, Host.look().state, lock=text)
    show("fix", done, out, run=name)
    if heard:
        click.echo(f"take it all back with `cachedoctor fleet undo {name}`")
    context.exit(wording.exit_code(done))


@command.command(name="undo", short_help="Take back a fix on all machines.")
@click.argument("run")
@click.option(
    "--timeout",
    metavar="TIME",
    type=AGE,
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
            f"`{name}` was to be changed and did not say whether it was: "
            "`cachedoctor undo` there takes its last fix back"
            for name in unknown
        )
    click.get_current_context().exit(5 if unknown else wording.exit_code(done))


def _agreed(count: int) -> bool:
    """Ask once, where there is somebody to answer."""
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
    """Read a lock file, and refuse one that is none before it goes anywhere."""
    if lock is None:
        return ""
    from cachedoctor import locking

    locking.read(lock)
    with open(lock, encoding="utf-8") as file:
        return file.read()
