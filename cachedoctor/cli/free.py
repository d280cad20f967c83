"""`cachedoctor free`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import answering, host_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import BYTES
from cachedoctor.host import Host


@click.command(name="free", short_help="Choose what goes until so much is free.")
@click.argument("amount", metavar="[SIZE]", required=False, type=BYTES)
@click.option(
    "--budget", metavar="SIZE", type=BYTES, help="Leave at most so much in place of freeing SIZE."
)
@managing.change_options
@host_options
@answering(verbose="List everything that stays.")
def command(
    amount: int | None,
    budget: int | None,
    dry_run: bool,
    yes: bool,
    delete: bool,
    host: Host,
    out: Output,
) -> None:
    """Set aside what is missed least until SIZE is free, and stop there.

    In this order: waste, superseded revisions, second copies, then models by the days since their
    last use and by size; those whose last use is not known come last. Chosen is only what belongs
    to a known engine and can be had again byte for byte, which is proven by reading it. Never what
    a lock file or `keep` asks for, what is in use, or what an app keeps. Exit code 1 when less can
    go than was asked for. G and GiB count in 1024s, GB in 1000s.

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
