"""`cachedoctor explain`."""

from __future__ import annotations

import click

from cachedoctor.cli.options import output_options
from cachedoctor.cli.parameters import CODE


@click.command(name="explain", short_help="A finding's page: what it means and what to do.")
@click.argument("code", required=False, type=CODE)
@output_options
def command(code: str | None, verbose: bool, quiet: bool, format_: str) -> None:
    """Print the page of one finding's code, or list all codes.

    \b
      cachedoctor explain CD201
      cachedoctor explain truncated
    """
    import inspect

    from cachedoctor import record, rules

    pages = {rule.code: rule for rule in rules.every()}
    if code is None:
        if format_ == "json":
            click.echo(record.dumps(record.rules_json(pages.values())))
            return
        for rule in pages.values():
            click.echo(f"{rule.code} {rule.slug:<22} {rule.severity.value:<8} {rule.title()}")
        return
    found = pages[code]
    if format_ == "json":
        click.echo(record.dumps(record.rules_json([found])))
        return
    click.echo(f"{found.code} {found.slug} ({found.severity.value})\n")
    click.echo(inspect.cleandoc(found.__doc__ or ""))
