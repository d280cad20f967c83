"""`cachedoctor demo`."""

from __future__ import annotations

import click

from cachedoctor.cli import offers
from cachedoctor.system import shipped


@click.command(name="demo", short_help="Try everything on a small broken home.")
@click.argument("folder", metavar="[DIR]", required=False, shell_complete=offers.folders)
def command(folder: str | None) -> None:
    """Make a small home with broken caches and go through scan, fix, scan and undo on it.

    The home is made in DIR, which must not exist yet, or in a new temporary folder. It is kept, so
    that you can go on trying; nothing outside it is looked at.
    """
    import os
    import subprocess
    import sys
    import tempfile

    from cachedoctor import demo
    from cachedoctor.errors import UsageError

    if folder is None:
        home = os.path.join(tempfile.mkdtemp(prefix="cachedoctor-demo-"), "home")
    else:
        home = os.path.abspath(folder)
        if os.path.lexists(home):
            raise UsageError(f"`{home}` exists already", hint="name a folder that does not")
    demo.build(home)
    where = ["--home", home, "--platform", "darwin"]
    story = (
        ("A Mac's home with two engines' models, all hurt. What is wrong with them?", ["scan"]),
        (
            "What can be done? Nothing here needs the network.",
            ["fix", "--dry-run"],
        ),
        ("Do it.", ["fix", "--yes", "--offline"]),
        ("And set aside what only takes up room.", ["fix", "--waste", "--yes", "--offline"]),
        ("Look again.", ["scan"]),
        ("And now as it was before: one fix after the other.", ["undo"]),
        ("The other one.", ["undo"]),
    )
    environment = {**os.environ, "NO_COLOR": "1"} if not sys.stdout.isatty() else dict(os.environ)
    for words, arguments in story:
        click.secho(f"\n# {words}", bold=True)
        click.echo(f"$ cachedoctor {' '.join(arguments)} --home {home} --platform darwin\n")
        sys.stdout.flush()
        command_ = [*shipped.command("cachedoctor"), *arguments, *where]
        subprocess.run(command_, env=environment, check=False)
    click.echo(f"\nThe home stays at {home}; delete it when you have seen enough.")
    click.echo("Your own caches: `cachedoctor scan`")
