"""`cachedoctor unpack`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import managing, offers
from cachedoctor.cli.options import host_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.plans.packs import Pack


@click.command(name="unpack", short_help="Install the models of a pack.")
@click.argument("source", metavar="[DIR|-]", required=False, shell_complete=offers.folders)
@click.argument("names", metavar="[ENGINE:MODEL]...", nargs=-1)
@click.option(
    "--for",
    "for_engines",
    metavar="ENGINE",
    multiple=True,
    type=ENGINE,
    help="Install for this engine, if it uses the same files.",
)
@click.option("--have", is_flag=True, help="Only list what this machine has, for `pack --have`.")
@click.option("--yes", is_flag=True, help="Carry out the plan without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@host_options
@output_options
def command(
    source: str | None,
    names: tuple[str, ...],
    for_engines: tuple[str, ...],
    have: bool,
    yes: bool,
    dry_run: bool,
    host: Host,
    out: Output,
) -> None:
    """Install models from a pack: every part is checked before a whole model is put in place.

    A missing part is taken from another copy on this machine, if there is one. A model that is
    ready here already stays as it is. `-` reads the stream that `pack -o -` writes, which needs
    --yes.

    \b
      cachedoctor unpack /media/stick/models
      cachedoctor unpack /media/stick/models --for openai-whisper
      cachedoctor unpack --have > have; cachedoctor pack NAME -o DIR --have have
    """
    from cachedoctor import verdict
    from cachedoctor.cli import console
    from cachedoctor.doctor import scanning
    from cachedoctor.errors import UsageError
    from cachedoctor.manager import unpacking
    from cachedoctor.plans import packing

    if have:
        for digest in packing.digests_here(host):
            click.echo(digest)
        return
    if source is None:
        raise UsageError("name a folder, or `-` for a stream", hint="`cachedoctor unpack DIR`")
    with _opened(source, host, quiet=out.quiet) as pack:
        report = scanning.scan(host, cure_notes=False, progress=console.progress(quiet=out.quiet))
        report = unpacking.with_source(report, pack)
        change = unpacking.unpack(pack, host, report.survey, for_engines=for_engines, names=names)

        def ready() -> bool:
            brought = [choice.brings for choice in change.choices if choice.brings]
            return all(verdict.preflight(e, model=m, host=host).ready for e, m in brought)

        managing.finish(
            change,
            report,
            dry_run=dry_run,
            yes=yes,
            delete=False,
            out=out._replace(verbose=True),  # what stays was named, so it is short
            check=ready,
        )


@contextlib.contextmanager
def _opened(source: str, host: Host, *, quiet: bool) -> Iterator[Pack]:
    """Open a pack; one that arrives as a stream is kept in our own folder while it is used."""
    from cachedoctor.cli import console
    from cachedoctor.plans import packs
    from cachedoctor.system import disk

    if source != "-":
        yield packs.read(source)
        return
    folder = os.path.join(host.state, "unpacking", str(os.getpid()))
    try:
        yield packs.from_stream(sys.stdin.buffer, folder, console.progress(quiet=quiet))
    finally:
        disk.remove_tree(folder)
