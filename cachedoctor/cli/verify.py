"""`cachedoctor verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import (
    ci_output_options,
    lock_option,
    look_options,
    scheduler_option,
)
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import AGE, ENGINE_OR_PATH, MIRROR, RATE, SUBSET, Word
from cachedoctor.errors import UsageError
from cachedoctor.host import Host

if TYPE_CHECKING:
    from cachedoctor.cli.options import Pairs
    from cachedoctor.lockfile import Lock
    from cachedoctor.question import Question
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Progress


@click.command(name="verify", short_help="Read every byte and check it.")
@click.argument("words", metavar="[ENGINE|PATH]...", nargs=-1, type=ENGINE_OR_PATH)
@click.option(
    "--fresh", is_flag=True, help="Read everything again, even files that are remembered as right."
)
@click.option(
    "--max-age",
    metavar="AGE",
    type=AGE,
    help="Read a file again if it was last read longer ago than this: 30d, 12h, 45m, 90s.",
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
    help="Read no faster than this: 50M or 1G per second.",
)
@click.option(
    "--subset",
    metavar="K/N",
    type=SUBSET,
    help="Read only the K-th of N parts, for any scheduler; `merge` joins them.",
)
@click.option(
    "--save", metavar="FILE", help="Write the part to this file.", shell_complete=offers.files
)
@scheduler_option
@lock_option
@look_options
@ci_output_options
def command(
    words: tuple[Word, ...],
    lock: str | None,
    fresh: bool,
    max_age: int | None,
    max_rate: int | None,
    subset: tuple[int, int] | None,
    save: str | None,
    scheduler: str | None,
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
      cachedoctor verify ~/models --max-age 30d   any folder
      cachedoctor verify --lock models.lock    exactly these bytes
      cachedoctor verify ~/hub --subset 3/8 --save part3.json   one of eight jobs
      cachedoctor verify ~/hub --scheduler tcp://head:8786      a Dask cluster
    """
    from cachedoctor.cli import console, verified
    from cachedoctor.doctor import scanning
    from cachedoctor.doctor.pace import Throttled
    from cachedoctor.question import Question

    _together(subset, save, scheduler, lock, out, online=online)
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
    if subset is not None and save is not None:
        # the rate of all parts together, which run at once
        rate = max(max_rate // subset[1], 1) if max_rate else None
        progress = Throttled(shown, rate) if rate else shown
        _write_part(question, subset, save, progress, out)
        return
    gathered = None
    if scheduler is not None:
        from cachedoctor.fleet import cluster

        question, gathered = cluster.gather(question, scheduler, rate=max_rate, progress=shown)
    report = scanning.answer(
        question,
        network=_network(host, mirror) if online else None,
        cure_notes=out.verbose or out.json,
        progress=Throttled(shown, max_rate) if max_rate else shown,
        gathered=gathered,
    )
    if lock:
        from cachedoctor.plans import cures

        report = report._replace(findings=(*cures.absent_locked(report), *report.findings))
    code = verified.show(report, out, online=online)
    click.get_current_context().exit(code)


def _together(
    subset: tuple[int, int] | None,
    save: str | None,
    scheduler: str | None,
    lock: str | None,
    out: Output,
    *,
    online: bool,
) -> None:
    """Refuse options that cannot be combined."""
    if (subset is None) != (save is None):
        raise UsageError(
            "--subset and --save belong together", hint="`--subset 1/8 --save part1.json`"
        )
    divided = "--subset" if subset else "--scheduler" if scheduler else ""
    others = {"--lock": lock, "--online": online, "--scheduler": scheduler if subset else None}
    for other, given in others.items():
        if divided and given:
            raise UsageError(f"{divided} and {other} cannot be combined")
    if subset and out.format != "text":
        raise UsageError("a part is not an answer; use --format with `merge`")


def _write_part(
    question: Question, subset: tuple[int, int], save: str, progress: Progress, out: Output
) -> None:
    from cachedoctor.cli import console
    from cachedoctor.doctor import parts, shares
    from cachedoctor.text import printable

    number, of = subset
    plan = shares.plan(question, of)
    content = parts.look_at(question, plan.parts[number - 1], plan.mark, progress=progress)
    console.write_whole(save, content)
    if out.shown:
        console.say([f"part {number}/{of}: {printable(save)}; `cachedoctor merge` judges all"])


def _lock(path: str | None) -> Lock | None:
    if path is None:
        return None
    from cachedoctor import locking

    return locking.read(path)


def _network(host: Host, mirror: Pairs) -> Network:
    from cachedoctor.system.network import Network

    return Network.of(host, mirrors=dict(mirror))
