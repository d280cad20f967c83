"""`cachedoctor explain`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import answering
from cachedoctor.cli.output import Output
from cachedoctor.cli.parameters import CODE


@click.command(name="explain", short_help="Explain a finding's code: what it means and what to do.")
@click.argument("code", required=False, type=CODE)
@answering(quiet="")
def command(code: str | None, out: Output) -> None:
    """Explain the code of a finding, or list all codes.

    \b
      cachedoctor explain CD201
      cachedoctor explain truncated
    """
    import inspect

    from cachedoctor import rules
    from cachedoctor.cli import console
    from cachedoctor.report import record
    from cachedoctor.report.folding import Folding

    pages = {rule.code: rule for rule in rules.every()}
    if code is None:
        if out.json:
            click.echo(record.dumps(record.rules_json(pages.values())))
            return
        for rule in pages.values():
            lead = f"{rule.code} {rule.slug:<22} {rule.severity.value:<8} "
            console.say([Folding(lead + rule.title(), len(lead))])
        return
    found = pages[code]
    if out.json:
        click.echo(record.dumps(record.rules_json([found])))
        return
    click.echo(f"{found.code} {found.slug} ({found.severity.value})\n")
    click.echo(inspect.cleandoc(found.__doc__ or ""))
