"""The options of a fleet's commands: which machines, and how to ask each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from cachedoctor.cli import offers
from cachedoctor.cli.parameters import TIME

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
            type=TIME,
            default=f"{timeout_s}s",
            show_default=True,
            help="Give up on a machine that has not answered by then, and name it.",
        )
        @click.option(
            "--deadline",
            metavar="TIME",
            type=TIME,
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


def lock_option(command: Callable[P, R]) -> Callable[P, R]:
    """Give a command `--lock`, for all machines."""
    return click.option(
        "--lock",
        metavar="FILE",
        help="A lock file on this machine, for all of them.",
        shell_complete=offers.files,
    )(command)
