"""`cachedoctor prune`."""

from __future__ import annotations

import click

from cachedoctor.cli import managing
from cachedoctor.cli.options import answering, host_options
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import AGE
from cachedoctor.host import Host


@click.command(
    name="prune", short_help="Remove what nobody needs: partial downloads, leftovers, orphans."
)
@click.option(
    "--keep-revisions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also superseded revisions, except the newest N of each repository.",
)
@click.option(
    "--older-than",
    metavar="AGE",
    type=AGE,
    help="Also superseded revisions that were downloaded longer ago than this: 30d.",
)
@click.option(
    "--compile-caches",
    is_flag=True,
    help="Also caches that Core ML and hf_xet rebuild by themselves.",
)
@managing.change_options
@host_options
@answering(verbose="List everything that stays, and why.")
def command(
    keep_revisions: int | None,
    older_than: int | None,
    compile_caches: bool,
    dry_run: bool,
    yes: bool,
    delete: bool,
    host: Host,
    out: Output,
) -> None:
    """Set aside partial downloads, orphans, leftovers and variants that nobody reads.

    Superseded revisions go only with --keep-revisions or --older-than, and only if they can be
    downloaded again byte for byte. A revision that was downloaded after its branch had moved on
    counts as pinned and stays, as does anything that a lock file or `keep` asks for or that is in
    use.

    \b
      cachedoctor prune --dry-run
      cachedoctor prune --keep-revisions 1 --yes
    """
    from cachedoctor.cli import console
    from cachedoctor.doctor import scanning
    from cachedoctor.plans import holdings, pruning

    report = scanning.scan(host)
    change = pruning.prune(
        holdings.models(report),
        keep_revisions=keep_revisions,
        older_than_s=older_than,
        caches=compile_caches,
        progress=console.progress(quiet=out.quiet),
    )
    managing.finish(
        change,
        report,
        dry_run=dry_run,
        yes=yes,
        delete=delete,
        out=out,
    )
