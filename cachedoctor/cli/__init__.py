"""The command line: parse, call, print, exit. One module per command."""

from __future__ import annotations

import importlib
import io
import os
import re
import shlex
import sys

import click

from cachedoctor.errors import CacheDoctorError
from cachedoctor.version import VERSION

COMMANDS = (
    "scan",
    "verify",
    "merge",
    "fix",
    "undo",
    "quarantine",
    "list",
    "browse",
    "remove",
    "prune",
    "free",
    "dedupe",
    "move",
    "ensure",
    "pull",
    "pack",
    "unpack",
    "preflight",
    "where",
    "engines",
    "explain",
    "diagnose",
    "lock",
    "bench",
    "report",
    "fleet",
    "info",
    "demo",
    "completion",
    "schema",
)

SHORT = {"ls": "list"}
# What users of other tools type, and the command here that does it.
MEANT = {
    "clean": "prune",
    "cleanup": "prune",
    "gc": "prune",
    "rm": "remove",
    "delete": "remove",
    "uninstall": "remove",
    "status": "scan",
    "doctor": "scan",
    "check": "scan",
    "health": "scan",
    "du": "list",
    "df": "list",
    "models": "list",
    "cache": "list",
    "repair": "fix",
    "heal": "fix",
    "revert": "undo",
    "rollback": "undo",
    "download": "pull",
    "fetch": "pull",
    "install": "pull",
    "path": "where",
    "which": "where",
    "export": "pack",
    "import": "unpack",
    "benchmark": "bench",
    "html": "report",
    "help": "--help",
}


class Context(click.Context):
    """The context in which every command runs."""

    def make_formatter(self) -> click.HelpFormatter:
        """Return a formatter that never breaks a line inside something meant for pasting."""
        from cachedoctor.cli.helping import Formatter

        return Formatter(width=self.terminal_width, max_width=self.max_content_width)


def _helped(command: click.Command) -> click.Command:
    """Give a command, and those below it, this context."""
    command.context_class = Context
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _helped(below)
    return command


class Commands(click.Group):
    """Import a command's module when that command is run, or when all are listed."""

    context_class = Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of use."""
        return [*COMMANDS]  # once imported, `list` is a module here

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command in the module of its name."""
        cmd_name = SHORT.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return _helped(command)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, the commands, and then, once, the options that many commands share."""
        super().format_options(ctx, formatter)
        from cachedoctor.cli.options import Shared

        shared = [p for p in _scan().get_params(ctx) if isinstance(p, Shared)]
        rows = [record for option in shared if (record := option.record(ctx))]
        with formatter.section("Common options"):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command for an unknown one."""
        from cachedoctor.vocabulary import nearest

        if args and args[0] not in (*COMMANDS, *SHORT) and not args[0].startswith("-"):
            meant = MEANT.get(args[0])
            if meant:
                again = " ".join(("cachedoctor", meant, *map(shlex.quote, args[1:])))
                ctx.fail(f"no command `{args[0]}`; did you mean `{again}`?")
            ctx.fail(f"no command `{args[0]}`{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `cachedoctor scan`, or with `cachedoctor demo` if you have no models yet.",
)
@click.version_option(VERSION, prog_name="cachedoctor")
def group() -> None:
    """Find, check and repair the models that speech engines keep on this machine.

    Speech engines from faster-whisper to WhisperKit keep gigabytes of models in different places,
    and trust whatever they find there. `scan` shows what is there and whether it is right, offline;
    `fix` repairs it, and `undo` takes that back; `preflight` answers other tools.
    """


def _scan() -> click.Command:
    """Return the command that takes every shared option."""
    command: click.Command = importlib.import_module(f"{__name__}.scan").command
    return command


def main() -> None:
    """Run a command; every ending has its exit code and one clear line."""
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # for a terminal whose encoding has no tick marks
            stream.reconfigure(errors="backslashreplace")
    if "_CACHEDOCTOR_COMPLETE" in os.environ:  # a shell asks for completions
        from cachedoctor.cli import completion

        completion.answer()
    try:
        code = group.main(prog_name="cachedoctor", standalone_mode=False)
    except CacheDoctorError as error:
        code = _fail(error.message, error.hint, error.exit_code)
    except click.exceptions.Abort:  # click's exception for Ctrl-C
        code = _fail(_interrupted(), "", 130)
    except click.ClickException as error:
        error.show()
        _tell(error.format_message(), "", error.exit_code)
        code = error.exit_code
    except KeyboardInterrupt:
        code = _fail(_interrupted(), "", 130)
    except OSError as error:
        if _stdout_is_lost() or error.filename is None:  # a full disk behind a redirected output
            message = f"the answer could not be written: {error.strerror}"
        else:
            message = f"`{error.filename}`: {error.strerror}"
        code = _fail(message, "", 1)
    sys.exit(code or 0)


def _open_standard_streams() -> None:
    """Open what the caller closed (`>&-`), lest the next file get its number and be written to."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _stdout_is_lost() -> bool:
    """Return whether stdout takes no more; what is left in it is dropped, or exiting fails."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _interrupted() -> str:
    from cachedoctor.system import deadline

    return deadline.reason() or "interrupted"


def _fail(message: str, hint: str, code: int) -> int:
    from cachedoctor.text import line

    click.echo(line(f"Error: {message}"), err=True)
    if hint:
        click.echo(line(f"hint: {hint}"), err=True)
    _tell(message, hint, code)
    return code


def _tell(message: str, hint: str, code: int) -> None:
    """Print an error as data too, if data was asked for."""
    given = " ".join(sys.argv[1:])
    if re.search(r"(^| )--(json|format[= ]json)( |$)", given):
        from cachedoctor.report import record

        try:
            click.echo(record.dumps(record.error_json(message, hint, code)))
        except OSError:  # stderr has said it
            _stdout_is_lost()
