"""`cachedoctor preflight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachedoctor.cli.options import CI_FORMATS, answering, lock_option, look_options, model_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import ENGINE
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.findings import Finding
    from cachedoctor.verdict import Verdict


@click.command(
    name="preflight", short_help="Check whether an engine would load a model now, offline."
)
@click.argument("engine", required=False, type=ENGINE)
@model_options
@lock_option
@click.option(
    "--by",
    type=click.Choice(("name",)),
    help="Count a model as ready only if the engine finds it by name, without a path.",
)
@click.option("--revision", metavar="R", help="Require exactly this commit, branch or tag.")
@look_options
@answering(CI_FORMATS)
def command(
    engine: str | None,
    size: str | None,
    model: str | None,
    lock: str | None,
    by: str | None,
    revision: str | None,
    host: Host,
    out: Output,
) -> None:
    """Say in one line whether ENGINE would load a model now, without the network. Made for scripts.

    A model is ready if the engine loads it when called with nothing but its name. If it loads only
    when given the path, the answer is "ready, by path only", which --by name counts as not ready.
    Name a model as its engine does: by a name or an alias, a repository, or a path. Things that
    would trip the engine although the files are right are warned about on stderr.

    With --lock there is one line for each model of the lock file, or only for those of ENGINE: each
    must be there at exactly that revision, with files of those lengths. `verify --lock` reads every
    byte. Exit code 0 when all are ready, 1 when one is not, 2 for an unknown name, 3 when a place
    that you named cannot be read.

    \b
      cachedoctor preflight faster-whisper --size small || exit 1
      cachedoctor preflight whisper-mps --model tiny.en --json
      cachedoctor preflight --lock models.lock
    """
    from cachedoctor.cli import console
    from cachedoctor.report import verdict_text

    verdicts = _verdicts(engine, size, model, lock, host, revision)
    if by is not None:
        verdicts = [_by_name(verdict) for verdict in verdicts]
    if out.json:
        from cachedoctor.report import record

        click.echo(record.dumps(record.verdicts_json(verdicts, host, many=lock is not None)))
    elif out.format != "text":
        from cachedoctor.report import ci

        click.echo(ci.render(out.format, "preflight", ci.of_verdicts(verdicts), folder=host.cwd))
    elif out.shown:
        console.say([verdict_text.verdict_line(verdict, host) for verdict in verdicts])
        warnings = dict.fromkeys(f for verdict in verdicts for f in verdict.warnings)
        console.warn(_warning(found, host) for found in warnings)
    code = 0 if all(verdict.ready for verdict in verdicts) else 1
    hidden = [verdict.engine for verdict in verdicts if verdict.unseen]
    click.get_current_context().exit(console.code_for(host, hidden, code) if hidden else code)


def _warning(finding: Finding, host: Host) -> str:
    from cachedoctor import text

    said = f"{finding.code} {text.printable(finding.message)}"
    if finding.repair is None or not finding.entries:
        return said
    return f"{said}; `{text.printable(host.again(finding.repair.describe))}`"


def _by_name(verdict: Verdict) -> Verdict:
    """Treat a model that is ready by path only as not ready."""
    if verdict.ready and verdict.by != "name":
        return verdict._replace(ready=False, why=f"by path only: `{verdict.path}`")
    return verdict


def _verdicts(
    engine: str | None,
    size: str | None,
    model: str | None,
    lock: str | None,
    host: Host,
    revision: str | None,
) -> list[Verdict]:
    from cachedoctor.errors import UsageError
    from cachedoctor.verdict import preflight

    if lock is None:
        if engine is None:
            raise UsageError("name an engine, or a lock file with --lock")
        return [preflight(engine, size=size, model=model, host=host, revision=revision)]
    if size or model or revision:
        raise UsageError("--lock names the models itself; leave --size, --model, --revision out")
    from cachedoctor import engines, locking

    demanded = locking.read(lock)
    chosen = engines.find(engine).name if engine else None
    return [
        preflight(locked.engine, model=locked.name, lock=demanded, host=host)
        for locked in demanded.models
        if chosen in (None, locked.engine)
    ]
