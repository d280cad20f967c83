"""`cachedoctor demo`."""

from __future__ import annotations

import contextlib
import os
import shlex
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.system import shipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STORY = (
    ("A Mac's home with two engines' models, both damaged. What is wrong with them?", "scan"),
    ("Repair them; nothing here needs the network.", "fix --yes --offline"),
    ("Would a program load it now?", "preflight faster-whisper --model tiny.en"),
    ("And everything as it was before.", "undo"),
)


@click.command(name="demo", short_help="Take a tour on a small broken home.")
@click.argument("folder", metavar="[DIR]", required=False, shell_complete=offers.folders)
@click.option("--only-make", is_flag=True, help="Only make the home; take the tour yourself.")
def command(folder: str | None, only_make: bool) -> None:
    """Make a small home with broken caches, and run scan, fix, preflight and undo on it.

    Without DIR the home is temporary and gone at the end. With DIR, which must not exist yet, it is
    kept, so that you can keep trying. Nothing outside it is looked at.

    \b
      cachedoctor demo                    the tour; nothing is left
      cachedoctor demo demo --only-make   a home to try commands on
    """
    from cachedoctor import demo
    from cachedoctor.errors import UsageError

    if only_make and folder is None:
        raise UsageError("--only-make needs a DIR", hint="`cachedoctor demo demo --only-make`")
    if folder is not None and os.path.lexists(folder):
        taken = f"`{os.path.abspath(folder)}` exists already"
        raise UsageError(taken, hint="name a folder that does not")
    with _place(folder) as (home, variables):
        demo.build(home)
        if not only_make:
            _tour(home, variables)
    if folder is None:
        click.echo("\nThe demo's home is gone. Your own caches: `cachedoctor scan`")
        return
    again = f"cachedoctor scan --home {shlex.quote(folder)} --platform darwin"
    click.echo(f"{'' if only_make else chr(10)}The home is `{home}`; go on with `{again}`")


@contextlib.contextmanager
def _place(folder: str | None) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield a path for the home, and variables that keep a temporary home's state inside it."""
    import tempfile

    if folder is not None:
        yield os.path.abspath(folder), {}
        return
    with tempfile.TemporaryDirectory(prefix="cachedoctor-demo-") as place:
        yield os.path.join(place, "home"), {"XDG_STATE_HOME": os.path.join(place, "state")}


def _tour(home: str, variables: Mapping[str, str]) -> None:
    """Run each command as a user would, and say what it is for."""
    import subprocess
    import sys

    where = ["--home", home, "--platform", "darwin"]
    plain = {} if sys.stdout.isatty() else {"NO_COLOR": "1"}
    for number, (words, command_) in enumerate(_STORY):
        arguments = command_.split()
        click.secho(("\n" if number else "") + f"# {words}", bold=True)
        click.echo(f"$ {shlex.join(['cachedoctor', *arguments, *where])}")
        sys.stdout.flush()
        ran = [*shipped.command("cachedoctor"), *arguments, *where]
        subprocess.run(ran, env={**os.environ, **variables, **plain}, check=False)
