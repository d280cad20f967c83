"""`cachedoctor diagnose`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import look_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.errors import CannotLookError
from cachedoctor.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK_BYTES = 1 << 20


@click.command(
    name="diagnose", short_help="Find the cause and the cure of an engine's error message."
)
@click.argument("source", metavar="[FILE|TEXT|-]", default="-", shell_complete=offers.files)
@look_options
@output_options
def command(source: str, host: Host, out: Output) -> None:
    """Read an engine's error message or log, and name the engine, the cause and the cure.

    Then checks whether these engines' caches have that problem. Exit code 0 when the text is
    recognised, 1 when nothing in it is, or when it is about something else.

    \b
      python app.py 2>&1 | cachedoctor diagnose
      cachedoctor diagnose crash.log
      cachedoctor diagnose 'File model.bin is incomplete: failed to read a buffer'
    """
    from cachedoctor import diagnosis
    from cachedoctor.cli import console

    known = diagnosis.recognise(diagnosis.pieces(_blocks(source)))
    found = diagnosis.diagnose(host, known)
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.diagnosis_json(found, host)))
    elif out.shown:
        from cachedoctor.report import diagnosis_text

        console.say(diagnosis_text.diagnosis_lines(found, host))
    click.get_current_context().exit(0 if found.recognised else 1)


def _blocks(source: str) -> Iterator[bytes]:
    """Yield what a file or standard input holds; words that name no file are the text itself."""
    if len(source.split()) > 1 and not os.path.lexists(source):
        yield os.fsencode(source)
        return
    try:
        with click.open_file(source, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block
    except OSError as error:
        raise CannotLookError(
            f"`{source}` cannot be read: {error.strerror}",
            hint="to paste a message, run `cachedoctor diagnose`, paste it, and press Ctrl-D",
        ) from error
