"""`cachedoctor lock`."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import look_options, output_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import MIRROR, QUESTION
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.cli.options import Pairs
    from cachedoctor.system.network import Network


@click.command(name="lock", short_help="Record the exact bytes of models in a lock file.")
@click.argument(
    "questions",
    metavar="ENGINE:SIZE|MODEL...",
    nargs=-1,
    required=True,
    shell_complete=offers.questions,
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write to this file.  [default: standard output]",
    shell_complete=offers.files,
)
@click.option(
    "--online", is_flag=True, help="Lock models that are not here from the hub's listing."
)
@click.option(
    "--mirror",
    "mirror",
    metavar="hub=URL",
    multiple=True,
    type=MIRROR,
    help="Ask this server instead of the hub.",
)
@click.option("--check", is_flag=True, help="Only check that the named lock files are valid.")
@click.option(
    "--register", is_flag=True, help="Keep the models of the named lock files on this machine."
)
@click.option(
    "--unregister", is_flag=True, help="Stop keeping them; the files themselves may be gone."
)
@look_options
@output_options
def command(
    questions: tuple[str, ...],
    output: str | None,
    online: bool,
    mirror: Pairs,
    check: bool,
    register: bool,
    unregister: bool,
    host: Host,
    out: Output,
) -> None:
    """Write a lock file: each model's repository, revision, and every file's length and digests.

    Every model must be ready here; every byte is read and checked first. `preflight --lock` then
    asks for exactly these files, `verify --lock` reads them, `fix --lock` fetches them. The file is
    made for review, with one line for each file of a model. An existing FILE is replaced.

    With --check, --register and --unregister, name lock files instead of models. --check exits
    with 2 for a file that `preflight --lock` would refuse, and looks at nothing else. --register
    stores a copy of each, and nothing that it names is chosen for removal until --unregister, even
    when the file is gone.

    \b
      cachedoctor lock faster-whisper:small whisperkit:large -o models.lock
      cachedoctor lock whisper.cpp:tiny.en --online
      cachedoctor lock --check models.lock
      cachedoctor lock --register ~/projects/*/models.lock
    """
    from cachedoctor import lockfile, locking
    from cachedoctor.cli import console
    from cachedoctor.errors import NotReadyError, UsageError
    from cachedoctor.text import line, plural
    from cachedoctor.version import VERSION

    if check or register or unregister:
        if output or online or mirror or check + register + unregister > 1:
            raise UsageError("--check, --register and --unregister stand alone")
        say = _check if check else functools.partial(_registered, register=register)
        say(questions, host, out=out)
        return
    network = _network(host, mirror) if online else None
    found = []
    for question in questions:
        engine, what = QUESTION.read(question, None)  # not a type: --check names files
        progress = console.progress(quiet=out.quiet)
        try:
            found.append(locking.lock(host, engine, what, network=network, progress=progress))
        except NotReadyError as error:
            hint = f"{error.hint}, or `--online` to take what the hub lists"
            raise NotReadyError(error.message, hint=hint) from error
    models = {(one.model.engine, one.model.name): one.model for one in found}.values()
    text = lockfile.text(models, f"cachedoctor {VERSION}")
    if output is not None:
        console.write_whole(output, text.encode())
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.lock_json(found, host)))
    elif output is None:
        click.echo(text, nl=False)
    elif out.shown:
        files = sum(len(model.files) for model in models)
        counted = f"{plural(len(models), 'model')}, {plural(files, 'file')}"
        click.echo(line(f"{counted}: {os.path.abspath(output)}"))
    for one in () if out.quiet else found:
        name = f"{one.model.engine} {one.model.name}"
        if one.online:
            click.echo(f"{name}: from the hub's listing; nothing was read", err=True)
        if one.unproven:
            names = ", ".join(one.unproven)
            told = f"{name}: locked as they are, nothing proves them: {names}"
            click.echo(line(told), err=True)


def _check(paths: tuple[str, ...], host: Host, *, out: Output) -> None:
    from cachedoctor import locking
    from cachedoctor.text import line, plural

    locks = [locking.read(path) for path in paths]
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.locks_json(locks, host)))
    for lock in locks if out.shown else ():
        files = sum(len(model.files) for model in lock.models)
        counted = f"{plural(len(lock.models), 'model')}, {plural(files, 'file')}"
        click.echo(line(f"{lock.path}: {counted}"))


def _registered(paths: tuple[str, ...], host: Host, *, register: bool, out: Output) -> None:
    from cachedoctor.plans import kept
    from cachedoctor.text import printable

    change = kept.register if register else kept.unregister
    found = [change(host, path) for path in paths]
    if out.json:
        from cachedoctor.report import manager_record, record

        click.echo(record.dumps(manager_record.registered_json(kept.registered(host), host)))
    for one in found if out.shown else ():
        word = "keeps its models" if register else "no longer keeps its models"
        click.echo(f"{printable(one.origin)} {word}")


def _network(host: Host, mirror: Pairs) -> Network:
    from cachedoctor.system.network import Network

    return Network.of(host, mirrors=dict(mirror))
