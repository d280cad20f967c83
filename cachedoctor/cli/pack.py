"""`cachedoctor pack`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import look_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import BYTES
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.plans.packing import Packing


@click.command(name="pack", short_help="Pack models for a machine without a network.")
@click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, shell_complete=offers.questions
)
@click.option(
    "-o",
    "--output",
    metavar="DIR|-",
    required=True,
    help="Write the pack here, or resume one; `-` writes a stream to stdout.",
    shell_complete=offers.folders,
)
@click.option(
    "--have",
    metavar="FILE",
    help="Leave out what the other machine has, as `unpack --have` listed it.",
    shell_complete=offers.files,
)
@click.option(
    "--part-size", default="4GB", metavar="SIZE", type=BYTES, help="Make no part larger than this."
)
@click.option("--dry-run", is_flag=True, help="Show what would be packed and stop.")
@look_options
@output_options
def command(
    names: tuple[str, ...],
    output: str,
    have: str | None,
    part_size: int,
    dry_run: bool,
    host: Host,
    out: Output,
) -> None:
    """Pack models that are ready, with their lock file, for a machine without a network.

    Every byte is read and checked first. Parts are named by their digests and are at most 4 GB
    long, so that they fit on any USB stick. Run the same command again to resume. Exit code 4 when
    there is not enough space; what was written stays.

    \b
      cachedoctor pack faster-whisper:small whisper.cpp:small -o /media/stick/models
      cachedoctor pack faster-whisper:small -o - | ssh lab cachedoctor unpack - --yes
    """
    from cachedoctor.cli import console
    from cachedoctor.plans import packing

    progress = console.progress(quiet=out.quiet)
    found = packing.pack(
        host,
        names,
        have=_listed(have) if have else (),
        part_bytes=part_size,
        progress=progress,
    )
    written = 0
    if output == "-" and not dry_run:
        packing.stream(found, sys.stdout.buffer, progress)
        written = found.bytes
    elif not dry_run:
        written = packing.write(found, os.path.abspath(output), progress)
    _say(found, written, output, host, out=out, err=output == "-")


def _say(found: Packing, written: int, output: str, host: Host, *, out: Output, err: bool) -> None:
    from cachedoctor.text import plural, printable, size

    if out.json:
        from cachedoctor.report import manager_record, record

        click.echo(record.dumps(manager_record.pack_json(found, written, output, host)), err=err)
    elif out.shown:
        counted = f"{plural(len(found.models), 'model')}, {plural(len(found.files), 'file')}"
        more = f", {len(found.left_out)} left out" if found.left_out else ""
        here = f"; {size(written)} written" if written != found.bytes else ""
        click.echo(f"{counted}, {size(found.bytes)}{more}{here}: {printable(output)}", err=err)


def _listed(path: str) -> frozenset[str]:
    """Read the output of `unpack --have`: one SHA-256 per line."""
    import re

    from cachedoctor.errors import CannotLookError, UsageError

    try:
        with open(path, encoding="ascii") as file:
            words = file.read().split()
    except (OSError, UnicodeDecodeError) as error:
        raise CannotLookError(f"`{path}` cannot be read: {error}") from error
    wrong = next((word for word in words if not re.fullmatch("[0-9a-f]{64}", word)), None)
    if wrong is not None:
        raise UsageError(f"`{path}` is not a list of digests: `{wrong[:80]}`")
    return frozenset(words)
