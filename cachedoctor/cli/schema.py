"""`cachedoctor schema`."""

from __future__ import annotations

import click

from cachedoctor.cli import offers


@click.command(name="schema", short_help="Print the JSON Schema of what `--json` prints.")
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=offers.schemas)
def command(name: str | None) -> None:
    """Print the JSON Schema (2020-12) of a command's JSON, or of all commands together.

    Within a schema number keys are only added, never renamed, so expect keys that you do not know.
    `examples` hold the values that are known now.

    \b
      cachedoctor schema scan > scan.schema.json
      cachedoctor schema quarantine-list
    """
    from cachedoctor.report import record, schema

    click.echo(record.dumps(schema.of(name) if name else schema.whole()))
