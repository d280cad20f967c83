"""`cachedoctor dedupe`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import answering, host_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="dedupe", short_help="Store identical files once, where the disk can.")
@click.option("--yes", is_flag=True, help="Carry out the plan without asking.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
@host_options
@answering(verbose="List everything that stays, and why.")
def command(yes: bool, dry_run: bool, host: Host, out: Output) -> None:
    """Let files with the same bytes share their blocks, on disks that can: btrfs and XFS.

    Works across engines and apps. Every file stays where it is and keeps its times; the kernel
    compares both files before it shares anything. You are told how much this should free, and how
    much it did. On other disks it says so and changes nothing.

    \b
      cachedoctor dedupe --dry-run
    """
    from cachedoctor.cli import console
    from cachedoctor.doctor import scanning
    from cachedoctor.plans import duplicates, holdings

    report = scanning.scan(host, cure_notes=False)
    change = duplicates.dedupe(holdings.models(report), console.progress(quiet=out.quiet))
    managing.finish(
        change,
        report,
        dry_run=dry_run,
        yes=yes,
        delete=False,
        out=out,
        measure=True,
    )
