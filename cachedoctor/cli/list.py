"""`cachedoctor list`."""

from __future__ import annotations

import click

from cachedoctor.cli import offers
from cachedoctor.cli.options import answering, look_options
from cachedoctor.cli.output import Output
from cachedoctor.host import Host


@click.command(name="list", short_help="List all models: size, last use, who needs them.")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=offers.engines)
@click.option(
    "--sort", default="size", metavar="ORDER", help="Sort by size, used or name.", show_default=True
)
@click.option(
    "--filter",
    "filters",
    metavar="TEST",
    multiple=True,
    help="Only what matches: `size>1G`, `used>90d`, `engine=NAME`, `status=ready`, `app=NAME`.",
)
@click.option(
    "--by", type=click.Choice(("engine", "app", "place")), help="Group by engine, app or place."
)
@look_options
@answering(quiet="Print only ids, one a line, for scripts.")
def command(
    names: tuple[str, ...],
    sort: str,
    filters: tuple[str, ...],
    by: str | None,
    host: Host,
    out: Output,
) -> None:
    """List every model on this machine, including those of programs that are not known here.

    For each: its size, when it was last used, which engine, size or app needs it, where it is, and
    how much it would cost to download again. A NAME is an engine, an id, `engine:model`, a
    repository or a path. A dash means that the last use is not known, not that it was long ago. The
    exit code is 0 even when there are no models.

    \b
      cachedoctor list --filter 'used>90d' --filter 'size>1G'
      cachedoctor list whisper.cpp --by place
      cachedoctor list -q --filter status=corrupt | xargs -n 1 cachedoctor remove
    """
    import time

    from cachedoctor import text
    from cachedoctor.cli import console
    from cachedoctor.doctor import scanning
    from cachedoctor.plans import budget, holdings, naming, pruning, sieve
    from cachedoctor.report import holdings_text

    report = scanning.scan(host, cure_notes=pruning.waste_codes())
    found = holdings.models(report)
    now = time.time()

    def place(one: holdings.Holding) -> str:
        return holdings_text.place(one, host)

    tests = [sieve.test(words, now, place) for words in filters]
    ids = {entry.id for name in names for entry in naming.matching(name, report)}
    chosen = [one for one in found.models if not names or one.id in ids]
    chosen = sieve.ordered([one for one in chosen if all(passes(one) for passes in tests)], sort)
    loose = () if names or filters else found.loose
    freed = {} if names or filters else budget.without_loss(found)
    if by:
        chosen = holdings_text.grouped(chosen, by, host)
    if out.json:
        from cachedoctor.report import manager_record, record

        click.echo(record.dumps(manager_record.list_json(found, chosen, loose, freed)))
    elif out.quiet:
        for one in chosen:
            click.echo(text.printable(one.id))
    else:
        lines = holdings_text.list_lines(found, chosen, loose, freed, now, by=by or "")
        console.say(lines)
        console.warn(found.roots.problems)
        console.warn_of_hidden(report)
