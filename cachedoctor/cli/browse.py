"""`cachedoctor browse`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import Pairs, fetch_options, host_options
from cachedoctor.host import Host


@click.command(name="browse", short_help="Look around and choose in a full-screen view.")
@fetch_options
@host_options
def command(offline: bool, mirror: Pairs, host: Host) -> None:
    """Show models, findings and past changes in a full-screen view.

    Arrows move, space marks, `/` filters, `s` sorts, enter shows files, evidence and what would
    break; `f` fixes, `d` removes, `u` takes back, `?` lists every command with its key. A mark by
    itself does nothing. A key shows the plan of the command of that name, and nothing happens
    before you accept it.

    \b
      pip install 'model-cache-doctor[browse]'
      cachedoctor browse
    """
    import gc
    import importlib.util
    import os
    import sys

    from cachedoctor.browse import guard
    from cachedoctor.errors import UsageError
    from cachedoctor.system import shipped
    from cachedoctor.system.network import Network

    if importlib.util.find_spec("textual") is None:
        raise UsageError(
            "textual, which draws the screen, is not installed",
            hint="`pip install 'model-cache-doctor[browse]'`",
        )
    why = guard.obstacle(os.environ)
    if why:
        raise UsageError(why, hint=f"`{host.command('list')}` needs none")
    parent = guard.parent()
    if parent is None:
        code = guard.run([*shipped.command("cachedoctor"), *sys.argv[1:]])
    else:
        from cachedoctor.browse import app

        gc.enable()  # unlike other commands, this one runs for long
        code = app.run(Network.of(host, offline=offline, mirrors=dict(mirror)), parent)
    click.get_current_context().exit(code)
