"""`cachedoctor report`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import answering, look_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.report.page.documents import Document
    from cachedoctor.report.page.gathered import Page


@click.command(name="report", short_help="Write it all to one HTML page, to read or send.")
@click.argument("files", metavar="[FILE.json]...", nargs=-1, shell_complete=offers.files)
@click.option(
    "-o",
    "--output",
    metavar="PAGE.html",
    required=True,
    help="Write here; an earlier page is replaced, anything else is not. `-` is standard output.",
    shell_complete=offers.files,
)
@look_options
@answering()
def command(files: tuple[str, ...], output: str, host: Host, out: Output) -> None:
    """Write one page about this machine, or about saved answers from any number of machines.

    The page shows what is wrong and how to cure it, what takes up space, what can go, how fast the
    engines are, and what was checked. It is one file that loads nothing, for a browser, a phone or
    paper. Without FILE, this machine is scanned now. A FILE is what --json of scan, list, verify,
    preflight, bench or fleet wrote; its name tells which machine it belongs to, or you say so:
    mac-01=FILE. Several dates of one machine show what changed. Exit code 0 when the page was
    written, whatever it says.

    \b
      cachedoctor report -o page.html
      cachedoctor report -o lab.html mac-01.json mac-02.json
      cachedoctor report -o week.html before.json after.json
      cachedoctor fleet scan -i lab.ini --json | cachedoctor report -o lab.html -
    """
    import time

    from cachedoctor.cli import console
    from cachedoctor.report.page import documents, gathered, render

    _require_free(output, host)
    now = time.time()
    told = documents.read(files) if files else [_look(host, now)]
    page = gathered.gather(told, now, host.command)
    data = render.render(page)
    if output == "-":
        sys.stdout.buffer.write(data)
        return
    console.write_whole(output, data)
    _say(page, output, len(data), host, out)


def _say(page: Page, output: str, length: int, host: Host, out: Output) -> None:
    """Say what was written, and the sentence it begins with."""
    from cachedoctor.text import plural, printable, size

    path = printable(os.path.abspath(output))
    if out.json:
        from cachedoctor.report import record

        made = {
            "path": path,
            "bytes": length,
            "sentence": page.headline.sentence,
            "machines": page.machines,
            "models": len(page.models),
            "findings": page.grave,
        }
        click.echo(record.dumps({**record.head(host), "report": made}))
    elif out.shown:
        from cachedoctor.cli import console

        counted = f"{plural(len(page.models), 'model')}, {size(length)}"
        console.say((page.headline.sentence, f"{counted}: {path}"))


def _look(host: Host, now: float) -> Document:
    """Return the answers of a scan and a list made now."""
    from cachedoctor import engines
    from cachedoctor.doctor import readiness, scanning
    from cachedoctor.plans import budget, holdings
    from cachedoctor.question import Question
    from cachedoctor.report import manager_record, record
    from cachedoctor.report.page import documents

    report = scanning.answer(Question(host), cure_notes=True)
    found = holdings.models(report)
    ready = [
        readiness.ready(engine, report, engine.table.answers(size), size)
        for engine in map(engines.find, engines.names())
        for size in engine.table.sizes
    ]
    listed = manager_record.list_json(found, found.models, found.loose, budget.without_loss(found))
    return documents.of_look({**record.scan_json(report, ready), **listed}, now)


def _require_free(output: str, host: Host) -> None:
    """Refuse to overwrite anything but an earlier page, or to write into a cache."""
    from cachedoctor.doctor import scanning
    from cachedoctor.errors import CannotLookError, UsageError
    from cachedoctor.report.page import render
    from cachedoctor.system.ground import below
    from cachedoctor.text import printable

    if output == "-":
        return
    target, shown = os.path.realpath(output), printable(output)
    if os.path.isdir(target):
        raise UsageError(f"a folder, not a file: `{shown}`", hint="name a file in it")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise CannotLookError(f"no folder to write in: `{printable(folder)}`")
    if os.path.isfile(target):
        with open(target, "rb") as file:
            if render.GENERATOR not in file.read(4096):
                raise UsageError(f"something else is already at `{shown}`", hint="name a new file")
    for root in scanning.look_around(host).roots:
        if below(target, os.path.realpath(root.path)):
            raise UsageError(
                f"a page cannot go into a cache: `{printable(root.path)}`",
                hint="name a file elsewhere",
            )
