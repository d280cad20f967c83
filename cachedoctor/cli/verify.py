"""`cachedoctor verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachedoctor.cli.options import (
    ci_output_options,
    lock_option,
    look_options,
)
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import AGE, ENGINE_OR_PATH, MIRROR, RATE, Word
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.cli.options import Pairs
    from cachedoctor.lockfile import Lock
    from cachedoctor.system.network import Network


@click.command(name="verify", short_help="Read every byte and check it.")
@click.argument("words", metavar="[ENGINE|PATH]...", nargs=-1, type=ENGINE_OR_PATH)
@click.option(
    "--fresh", is_flag=True, help="Read everything again, even files that are remembered as right."
)
@click.option(
    "--max-age",
    metavar="AGE",
    type=AGE,
    help="Read again what was last read longer ago than this: 30d, 12h, 45m, 90s.",
)
@click.option(
    "--online", is_flag=True, help="Ask the hub about files that nothing on this machine can prove."
)
@click.option(
    "--mirror",
    "mirror",
    metavar="hub=URL",
    multiple=True,
    type=MIRROR,
    help="Ask this server instead of the hub.",
)
@click.option(
    "--max-rate",
    metavar="RATE",
    type=RATE,
    help="Read no faster than this: 50M or 1G bytes a second.",
)
@lock_option
@look_options
@ci_output_options
def command(
    words: tuple[Word, ...],
    lock: str | None,
    fresh: bool,
    max_age: int | None,
    max_rate: int | None,
    online: bool,
    mirror: Pairs,
    host: Host,
    out: Output,
) -> None:
    """Read every file and compare it with what it must be; only `--online` needs a network.

    Files are checked against the hub's own manifest, the blob's name, the digest in an address, the
    client's notes, published tables, a copy elsewhere, or an archive's checksums. Results are
    remembered until a file changes. Files that nothing can prove are listed and counted.

    With --lock, only the models of the lock file are checked, against what it says; a model that is
    missing is an error. Exit code 0 when nothing is wrong, 1 otherwise, 3 for a PATH that cannot be
    read or holds nothing that is known.

    \b
      cachedoctor verify                       everything
      cachedoctor verify whisper-mps --fresh   one engine, every byte again
      cachedoctor verify ~/models --max-age 30d   whatever lies there
      cachedoctor verify --lock models.lock    exactly these bytes
    """
    from cachedoctor import engines
    from cachedoctor.cli import console
    from cachedoctor.doctor import contents, scanning
    from cachedoctor.question import Question
    from cachedoctor.report import verify_text

    names = [word.engine for word in words if word.engine]
    paths = [word.path for word in words if word.path]
    shown = console.progress(quiet=out.quiet)
    question = Question(
        host,
        tuple(names),
        paths=tuple(paths),
        lock=_lock(lock),
        deep=True,
        fresh=fresh,
        max_age_s=max_age,
    )
    report = scanning.answer(
        question,
        network=_network(host, mirror) if online else None,
        cure_notes=out.verbose or out.json,
        progress=contents.Throttled(shown, max_rate) if max_rate else shown,
    )
    if lock:
        from cachedoctor.plans import cures

        report = report._replace(findings=(*cures.absent_locked(report), *report.findings))
    files = contents.verdicts(report.entries, report.contents)
    if out.json:
        from cachedoctor.report import record

        listed = sorted(files)
        tally = verify_text.Tally(listed)
        body = {
            **record.scan_json(report),
            "files": verify_text.files_json(listed),
            "unanswered": dict(report.unanswered),
        }
        click.echo(record.dumps(body))
    else:
        tally = verify_text.Tally(files)
        if out.format != "text":
            from cachedoctor.report import ci

            click.echo(ci.render(out.format, "verify", ci.of_report(report), folder=host.cwd))
        elif out.shown:
            console.say(verify_text.verify_lines(report, tally, verbose=out.verbose))
    if not out.quiet and tally.files() and not tally.files("proven") and not tally.wrong:
        ask = "" if online else f"; `{host.command('verify', *names, *paths, '--online')}`"
        console.warn((f"nothing could be checked: nothing says what these files must be{ask}",))
    errors = any(finding.severity == "error" for finding in report.findings)
    code = 1 if tally.wrong or errors else 0
    asked = names or () if paths else names or engines.names()
    if out.verbose:
        console.moved_times()
    click.get_current_context().exit(console.code_for(host, asked, code))


def _lock(path: str | None) -> Lock | None:
    if path is None:
        return None
    from cachedoctor import locking

    return locking.read(path)


def _network(host: Host, mirror: Pairs) -> Network:
    from cachedoctor.system.fetch import Mirrors
    from cachedoctor.system.network import Network

    return Network(host, mirrors=Mirrors(**dict(mirror)))
