"""`cachedoctor diagnose`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import look_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_BLOCK_BYTES = 1 << 20


@click.command(
    name="diagnose", short_help="Find the cause and the cure of an engine's error message."
)
@click.argument("file", metavar="[FILE|-]", default="-", shell_complete=offers.files)
@look_options
@output_options
def command(file: str, host: Host, out: Output) -> None:
    """Read an engine's error message or log, and name the engine, the cause and the cure.

    Then checks whether these engines' caches have that problem. Exit code 0 when the text is
    recognised, 1 when nothing in it is, or when it is about something else.

    \b
      python app.py 2>&1 | cachedoctor diagnose
      cachedoctor diagnose crash.log
    """
    from cachedoctor import diagnosis
    from cachedoctor.cli import console
    from cachedoctor.errors import CannotLookError

    try:
        with click.open_file(file, "rb") as opened:
            known = diagnosis.recognise(diagnosis.pieces(_blocks(opened)))
    except OSError as error:
        raise CannotLookError(f"`{file}` cannot be read: {error.strerror}") from error
    found = diagnosis.diagnose(host, known)
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.diagnosis_json(found, host)))
    elif out.shown:
        from cachedoctor.report import diagnosis_text

        console.say(diagnosis_text.diagnosis_lines(found, host))
    click.get_current_context().exit(0 if found.recognised else 1)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block
