"""`cachedoctor ensure`."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


class Ensure(click.Command):
    """A command that ends with another command, after `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Cut off what follows `--` before the rest is parsed."""
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"], args = args[at + 1 :], args[:at]
        return super().parse_args(ctx, args)


@click.command(name="ensure", cls=Ensure, short_help="Make models ready, then run a command.")
@managing.bring_options
@host_options
@output_options
def command(wanted: managing.Bringing, host: Host, out: Output) -> None:
    """Make models ready by repairing or fetching them, then run the command after `--`.

    Takes milliseconds when they are ready already. With --yes, or with --max-download if no more
    than that must be fetched, nothing is asked; otherwise you are, if there is a terminal. Where
    there is a command, everything said here goes to stderr, and the command's exit code is passed
    on. Without one the exit code is 0 when all models are ready, and 1 when not.

    \b
      cachedoctor ensure faster-whisper:small --max-download 500MB -- python transcribe.py a.wav
      cachedoctor ensure --lock models.lock --yes
    """
    run = click.get_current_context().meta.get("command") or []
    if run:
        _require(run[0])
    verdicts = managing.bring(wanted, host, out=out, err=bool(run))
    if run and not wanted.dry_run:
        from cachedoctor.manager import bringing

        bringing.remember(verdicts, host)
        _become(run)


def _require(program: str) -> None:
    """Refuse a command that does not exist before anything is looked at."""
    from cachedoctor.errors import UsageError

    named = [program] if "/" in program else [f"{at}/{program}" for at in os.get_exec_path()]
    if not any(os.path.isfile(path) and os.access(path, os.X_OK) for path in named):
        raise UsageError(f"no command `{program}`", hint="name it as your shell would find it")


def _become(run: list[str]) -> NoReturn:
    """Replace this process with a command."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python's own choice, not the command's
    os.execvp(run[0], run)
