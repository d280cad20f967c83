"""`cachedoctor free`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import answering, host_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import BYTES
from cachedoctor.host import Host


@click.command(
    name="free", short_help="Free this much space, starting with what you will miss least."
)
@click.argument("amount", metavar="[SIZE]", required=False, type=BYTES)
@click.option(
    "--budget",
    metavar="SIZE",
    type=BYTES,
    help="Shrink the caches to at most this size, instead of freeing SIZE.",
)
@managing.change_options
@host_options
@answering(verbose="List everything that stays, and why.")
def command(
    amount: int | None,
    budget: int | None,
    dry_run: bool,
    yes: bool,
    delete: bool,
    host: Host,
    out: Output,
) -> None:
    """Set aside what you will miss least, until SIZE can be freed.

    First waste, then superseded revisions and second copies, then models: those unused longest
    first, larger before smaller, and those whose last use is not known last. A model is chosen only
    if it belongs to a known engine and can be downloaded again byte for byte, which is checked by
    reading it. Nothing that a lock file or `keep` asks for, that is in use, or that an app keeps is
    ever chosen.

    Exit code 1 when less can go than you asked for. G and GiB are powers of 1024, GB of 1000.

    \b
      cachedoctor free 20G --dry-run
      cachedoctor free --budget 50G --yes
    """
    import time

    from cachedoctor.cli import console
    from cachedoctor.doctor import scanning
    from cachedoctor.errors import UsageError
    from cachedoctor.plans import budget as choosing
    from cachedoctor.plans import holdings

    if (amount is None) == (budget is None):
        raise UsageError("name either a SIZE or a --budget", hint="`cachedoctor free 20G`")
    choose = choosing.free if budget is None else choosing.leave
    limit = (amount if budget is None else budget) or 0
    report = scanning.scan(host)
    found = holdings.models(report)
    change = choose(found, limit, time.time(), console.progress(quiet=out.quiet))
    managing.finish(
        change,
        report,
        dry_run=dry_run,
        yes=yes,
        delete=delete,
        out=out,
    )
