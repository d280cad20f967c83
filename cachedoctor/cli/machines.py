"""The options of a fleet's commands: which machines, and how each is asked."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from cachedoctor.cli import offers
from cachedoctor.cli.parameters import AGE

P = ParamSpec("P")
R = TypeVar("R")


def fleet_options(timeout_s: int) -> Callable[[Callable[P, R]], Callable[..., R]]:
    """Give a command the options that say which machines; it gets `fleet` and `means`."""

    def decorate(command: Callable[P, R]) -> Callable[..., R]:
        @click.option(
            "-i",
            "--inventory",
            metavar="FILE",
            required=True,
            help="An inventory of Ansible's, of any kind, or `HOST,HOST`.",
            shell_complete=offers.files,
        )
        @click.option("--limit", metavar="PATTERN", default="", help="Only these machines of it.")
        @click.option(
            "--forks",
            metavar="N",
            type=click.IntRange(1, 1000),
            default=64,
            show_default=True,
            help="So many at a time; one that hangs holds its place.",
        )
        @click.option(
            "--timeout",
            metavar="AGE",
            type=AGE,
            default=f"{timeout_s}s",
            show_default=True,
            help="A machine that has not answered by then is named.",
        )
        @click.option(
            "--deadline",
            metavar="AGE",
            type=AGE,
            help="Each machine ends its part after so long.  [default: --timeout]",
        )
        @click.option("--push", is_flag=True, help="Bring cachedoctor along, and take it away.")
        @click.option(
            "--tool",
            metavar="PATH",
            default="cachedoctor",
            help="The machines' cachedoctor, where it is not in their PATH.",
        )
        @click.option(
            "--ansible",
            "options",
            metavar="OPTION",
            multiple=True,
            help="Handed on to Ansible, such as `--ansible=--become`.",
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


def lock_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--lock`, for all machines."""
    return click.option(
        "--lock",
        metavar="FILE",
        help="A lock file here, for all machines.",
        shell_complete=offers.files,
    )(command)
