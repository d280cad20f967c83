"""Options that several commands take, and the host that they describe."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from cachedoctor.cli import offers
from cachedoctor.cli.parameters import OF_ENGINE, PAIR
from cachedoctor.errors import UsageError
from cachedoctor.host import PLATFORMS, Host

P = ParamSpec("P")
R = TypeVar("R")

Pairs = tuple[tuple[str, str], ...]
_CODE = re.compile(r"CD\d{3}", re.IGNORECASE)


def look_options(command: Callable[P, R]) -> Callable[..., R]:
    """Give a command that changes nothing what `host_options` gives."""
    return host_options(command, changes=False)


def host_options(command: Callable[P, R], *, changes: bool = True) -> Callable[..., R]:
    """Give a command the options that say where to look; it gets a `Host` called `host`.

    One that `changes` anything is refused where the user's own configuration cannot be trusted.
    """

    @click.option(
        "--home",
        metavar="DIR",
        help="Look at this home; its owner's variables are not used.",
        shell_complete=offers.folders,
    )
    @click.option("--platform", type=click.Choice(PLATFORMS), help="The system that home is of.")
    @click.option(
        "--env",
        "env",
        metavar="NAME=VALUE",
        multiple=True,
        type=PAIR,
        help="A variable of that home.",
    )
    @click.option(
        "--project",
        metavar="DIR",
        help="A project whose `models/` counts.  [default: here]",
        shell_complete=offers.folders,
    )
    @click.option(
        "--engine-version",
        "versions",
        metavar="ENGINE=VERSION",
        multiple=True,
        type=OF_ENGINE,
        help="The version that is used; the newest is assumed.",
    )
    @click.option(
        "--python",
        "pythons",
        metavar="ENGINE=PATH",
        multiple=True,
        type=OF_ENGINE,
        help="The Python that has an engine, or its bridge; only `bench` runs it.",
    )
    @functools.wraps(command)
    def wrapped(
        *args: object,
        home: str | None,
        platform: str | None,
        env: Pairs,
        project: str | None,
        versions: Pairs,
        pythons: Pairs,
        **more: object,
    ) -> R:
        host = Host.look(
            home=home,
            platform=platform,
            environment=dict(env),
            project=project,
            engine_versions=_versions(versions),
            pythons=_interpreters(pythons),
        )
        if changes:
            host.require_own_configuration()
        return command(*args, host=host, **more)  # type: ignore[arg-type]

    return wrapped


def output_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that say how to answer."""
    return _output(command, ("text", "json"))


def ci_output_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command these options, and the forms that continuous integration shows."""
    return _output(command, ("text", "json", "github", "junit"))


def _output(command: Callable[P, R], formats: tuple[str, ...]) -> Callable[P, R]:
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="List every note."),
        click.option("-q", "--quiet", is_flag=True, help="Only the exit code and errors."),
        click.option(
            "--color",
            type=click.Choice(("auto", "always", "never")),
            default="auto",
            help="Colour; it only repeats what a word says.",
            expose_value=False,
            callback=_set_color,
            is_eager=True,
        ),
        click.option(
            "--format",
            "format_",
            type=click.Choice(formats),
            default="text",
            help="How to answer.",
        ),
        click.option("--json", "format_", flag_value="json", help="The same as `--format json`."),
    ):
        command = option(command)
    return command


def fetch_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options about the network."""
    for option in (
        click.option("--offline", is_flag=True, help="Repair from local bytes only."),
        click.option(
            "--mirror",
            "mirror",
            metavar="hub=URL|openai=URL",
            multiple=True,
            type=PAIR,
            help="Fetch from here instead.",
        ),
    ):
        command = option(command)
    return command


def model_options(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--size` and `--model`."""
    command = click.option(
        "--model",
        metavar="M",
        help="One model, as its engine calls it.",
        shell_complete=offers.models,
    )(command)
    return click.option(
        "--size",
        metavar="S",
        help="tiny, base, small, medium or large: the engine's first choice.",
        shell_complete=offers.sizes,
    )(command)


def lock_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--lock`."""
    return click.option(
        "--lock",
        metavar="FILE",
        help="The models of a lock file, exactly as it says.",
        shell_complete=offers.files,
    )(command)


def scheduler_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--scheduler`."""
    return click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Let the workers of this Dask cluster look.",
    )(command)


def codes_and_engines(words: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tell rule codes from engine names among the arguments."""
    codes = tuple(word.upper() for word in words if _CODE.fullmatch(word))
    return codes, tuple(word for word in words if not _CODE.fullmatch(word))


def engines_and_paths(words: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Tell engines from paths: a path has a slash, or is there.

    Raises `CannotLookError` for a path at which nothing is.
    """
    from cachedoctor import engines
    from cachedoctor.doctor import named

    names, paths = [], []
    for word in words:
        if word not in engines.names() and (os.sep in word or os.path.lexists(word)):
            path = os.path.expanduser(word)
            named.require_readable(os.path.abspath(path))
            paths.append(path)
        else:
            names.append(engines.find(word).name)
    return names, paths


def mirrors(values: Pairs) -> dict[str, str]:
    """Check what `--mirror` names; raises `UsageError` for a source that is not known."""
    for name, _ in values:
        if name not in ("hub", "openai"):
            raise UsageError(
                f"no source `{name}` for --mirror", hint="use `hub=URL` or `openai=URL`"
            )
    return dict(values)


def _interpreters(values: Pairs) -> dict[str, str]:
    for _, path in values:
        if not os.path.isfile(path):
            raise UsageError(
                f"no program at `{path}`", hint="name the file, such as `…/bin/python`"
            )
    return dict(values)


def _versions(values: Pairs) -> dict[str, str]:
    if values:
        from cachedoctor.engines import catalog

        for _, version in values:
            catalog.ordinal(version)
    return dict(values)


def _set_color(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    if value != "auto":
        ctx.color = value == "always"
