"""Options that several commands take, and the host that they describe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from cachedoctor.cli import offers
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import MIRROR, PAIR, PROGRAM_OF, SIZE, TIME, VERSION_OF
from cachedoctor.errors import CacheDoctorError
from cachedoctor.host import PLATFORMS, Host

P = ParamSpec("P")
R = TypeVar("R")


class Shared(click.Option):
    """An option of many commands: explained once, in the main help, and only named elsewhere."""

    row: tuple[str, str] | None = None  # stands for the whole kind in a command's help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return one row for all options of this kind."""
        return self.row

    def record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's own row."""
        return super().get_help_record(ctx)


class LookOption(Shared):
    """The first of the options about where to look."""

    row = (
        "--home, --platform, --env, --project, --engine-version, --python",
        "Where to look; see `cachedoctor --help`.",
    )


class AnswerOption(Shared):
    """The first of the options about how to answer."""

    row = ("--json, --format, --color, -q", "How to answer; see `cachedoctor --help`.")


CI_FORMATS = ("text", "json", "github", "junit", "sarif")
Pairs = tuple[tuple[str, str], ...]


def look_options(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command that changes nothing the options of `host_options`."""
    return host_options(command, changes=False)


def host_options(command: Callable[P, R], *, changes: bool = True) -> Callable[..., R]:
    """Give a command the options about where to look; it gets a `Host` called `host`.

    If it `changes` anything, it is refused when the user's own configuration cannot be trusted.
    """

    @click.option(
        "--home",
        cls=LookOption,
        metavar="DIR",
        help="Look at this home, without its owner's environment.",
        shell_complete=offers.folders,
    )
    @click.option(
        "--platform",
        cls=Shared,
        type=click.Choice(PLATFORMS),
        help="Operating system of that home.",
    )
    @click.option(
        "--env",
        "env",
        cls=Shared,
        metavar="NAME=VALUE",
        multiple=True,
        type=PAIR,
        help="Set an environment variable for that home.",
    )
    @click.option(
        "--project",
        cls=Shared,
        metavar="DIR",
        help="Also look at this project's `models/`.  [default: here]",
        shell_complete=offers.folders,
    )
    @click.option(
        "--engine-version",
        "versions",
        cls=Shared,
        metavar="ENGINE=VERSION",
        multiple=True,
        type=VERSION_OF,
        help="Version in use, also of transformers; by default the newest is assumed.",
    )
    @click.option(
        "--python",
        "pythons",
        cls=Shared,
        metavar="ENGINE=PATH",
        multiple=True,
        type=PROGRAM_OF,
        help="Python that has the engine, or path of its bridge; only `bench` runs it.",
    )
    @click.option(
        "--deadline",
        metavar="TIME",
        type=TIME,
        help="Stop after this long (90s, 5m), or when nobody reads the answer any more.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: object,
        deadline: int | None,
        home: str | None,
        platform: str | None,
        env: Pairs,
        project: str | None,
        versions: Pairs,
        pythons: Pairs,
        **more: object,
    ) -> R:
        if deadline is not None:
            from cachedoctor.system import deadline as ending

            ending.begin(deadline)
        host = Host.look(
            home=home,
            platform=platform,
            environment=dict(env),
            project=project,
            engine_versions=dict(versions),
            pythons=dict(pythons),
        )
        try:
            if changes:
                host.require_own_configuration()
            return command(*args, host=host, **more)  # type: ignore[arg-type]
        except CacheDoctorError as error:
            from cachedoctor.cli import stopping

            stopping.repeated(error, host)
            raise
        except (KeyboardInterrupt, click.Abort):
            from cachedoctor.cli import stopping

            name = click.get_current_context().info_name or ""
            raise stopping.stopped(host, name, changes=changes) from None

    return wrapped


def output_options(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command the options about how to answer; it gets an `Output` called `out`."""
    return answering()(command)


def ci_output_options(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command these options, `-v`, and the formats that continuous integration shows."""
    return answering(CI_FORMATS, verbose="List every note.")(command)


def answering(
    formats: tuple[str, ...] = ("text", "json"),
    *,
    quiet: str = "Print nothing but errors.",
    verbose: str = "",
) -> Callable[[Callable[P, R]], Callable[..., R]]:
    """Give a command the formats it can answer in; `-q` and `-v` only with what they do there."""
    offered = [
        click.option(
            f"-{word[0]}",
            f"--{word}",
            is_flag=True,
            help=does,
            cls=Shared if word == "quiet" else click.Option,
        )
        for word, does in (("verbose", verbose), ("quiet", quiet))
        if does
    ]
    offered += [
        click.option(
            "--color",
            cls=Shared,
            type=click.Choice(("auto", "always", "never")),
            default="auto",
            help="Use colour; nothing depends on it.",
            expose_value=False,
            callback=_set_color,
            is_eager=True,
        ),
        click.option(
            "--format",
            "format_",
            cls=Shared,
            type=click.Choice(formats),
            default="text",
            help="Format of the answer.",
        ),
        click.option(
            "--json",
            "format_",
            flag_value="json",
            help="Short for `--format json`.",
            cls=AnswerOption,
        ),
    ]

    def decorate(command: Callable[P, R]) -> Callable[..., R]:
        @functools.wraps(command)
        def wrapped(
            *args: object,
            format_: str,
            quiet: bool = False,
            verbose: bool = False,
            **more: object,
        ) -> R:
            out = Output(format_, quiet, verbose)
            return command(*args, out=out, **more)  # type: ignore[arg-type]

        for option in offered:
            wrapped = option(wrapped)
        return wrapped

    return decorate


def fetch_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options about the network."""
    for option in (
        click.option("--offline", is_flag=True, help="Use no network, only bytes on this machine."),
        click.option(
            "--mirror",
            "mirror",
            metavar="hub=URL|openai=URL",
            multiple=True,
            type=MIRROR,
            help="Fetch from this server instead.",
        ),
    ):
        command = option(command)
    return command


def model_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--size` and `--model`."""
    command = click.option(
        "--model",
        metavar="M",
        help="One model, by the name that its engine uses.",
        shell_complete=offers.models,
    )(command)
    return click.option(
        "--size",
        metavar="S",
        type=SIZE,
        help="tiny, base, small, medium or large, as the engine means it.",
    )(command)


def lock_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--lock`."""
    return click.option(
        "--lock",
        metavar="FILE",
        help="Use the models of a lock file, exactly as locked.",
        shell_complete=offers.files,
    )(command)


def scheduler_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--scheduler`."""
    return click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Run it on the workers of this Dask cluster.",
    )(command)


def _set_color(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    if value != "auto":
        ctx.color = value == "always"
