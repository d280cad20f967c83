"""`cachedoctor move`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing, offers
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(
    name="move", short_help="Move a cache, a folder of models or one model to another disk."
)
@click.argument("place", metavar="PLACE", shell_complete=offers.folders)
@click.argument("target", metavar="TO", shell_complete=offers.folders)
@click.option("--no-link", is_flag=True, help="Leave no link where the place was.")
@click.option("--yes", is_flag=True, help="Copy and switch without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@host_options
@output_options
def command(
    place: str,
    target: str,
    no_link: bool,
    yes: bool,
    dry_run: bool,
    host: Host,
    out: Output,
) -> None:
    """Move a hub cache, a store, a folder of models, or one model. TO is the new path itself.

    Everything is first copied to `TO.part` and checked; until then nothing else changes, and the
    same command resumes after an interruption. Then the copy gets its name, the old place is set
    aside, a link is left where the engines are known to follow one, and the new place is added to
    your `cachedoctor.toml`. If anything in the place changes meanwhile, the exit code is 4 and the
    copy is kept. To go back: `cachedoctor undo`, or move it back.

    PLACE is a folder, or a model as `cachedoctor list` names it. A model of a hub cache moves as
    its whole repository, and TO must end with the folder name that its engine looks for.

    \b
      cachedoctor move ~/.cache/huggingface/hub /Volumes/Big/hub
      cachedoctor move /Volumes/Big/hub ~/.cache/huggingface/hub
      cachedoctor move whisper.cpp:small /Volumes/Big/ggml-small.bin
    """
    from cachedoctor.doctor import scanning
    from cachedoctor.plans import kept, relocation

    kept.roots(host).require()
    report = scanning.scan(host, cure_notes=False)
    found = relocation.relocate(report, place, target, link=not no_link)
    managing.finish(
        relocation.switch(found, report),
        report,
        dry_run=dry_run,
        yes=yes,
        delete=False,
        out=out,
    )
