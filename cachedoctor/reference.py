"""The reference in `docs/`, made of the code itself: rules, caches, commands.

`python -m cachedoctor.reference docs` writes the pages; a test compares them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from typing import TYPE_CHECKING

import click

from cachedoctor import cli, engines, locators, rules
from cachedoctor.report import size
from cachedoctor.rules._entries import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cachedoctor.catalog import Model, Table

_MADE = "<!-- made by `python -m cachedoctor.reference docs`; do not edit -->"
_WIDTH = 88
_KINDS = {
    "CD0": "cachedoctor itself",
    "CD1": "What is there",
    "CD2": "Form, from headers and offsets",
    "CD3": "Content, by digests and lengths",
    "CD4": "What must agree",
    "CD5": "What only takes up room",
    "CD6": "The machine; said by `preflight` alone",
}
_EXITS = (
    ("0", "healthy or done, also where no cache is"),
    ("1", "findings at or above `--fail-on`, or not ready"),
    ("2", "a name, option or configuration that means nothing"),
    ("3", "a home, project or path that was named cannot be read"),
    ("4", "a repair failed; the cache is as it was, or the fix can be taken back"),
    ("130", "interrupted"),
)


def rules_page() -> str:
    """Return the page of every finding: a table of all codes, then each rule's own page."""
    return "\n".join(_rules())


def caches_page() -> str:
    """Return where each engine keeps what, by version, and the layouts as trees."""
    return "\n".join(_caches())


def commands_page() -> str:
    """Return the commands with their options, as `--help` has them."""
    return "\n".join(_commands())


PAGES: dict[str, Callable[[], str]] = {
    "rules.md": rules_page,
    "caches.md": caches_page,
    "commands.md": commands_page,
}


def main() -> None:
    """Write every page into the folder that is named."""
    (folder,) = sys.argv[1:]
    for name, page in PAGES.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(page())


def _rules() -> Iterator[str]:
    yield from ("# Findings", "", _MADE, "")
    yield "One fault has one code; `cachedoctor explain CODE` prints its page."
    group = ""
    for rule in rules.every():
        if rule.code[:3] != group:
            group = rule.code[:3]
            yield from (
                "",
                f"**{_KINDS[group]}**",
                "",
                "| code | name | gravity | |",
                "|---|---|---|---|",
            )
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.slug})"
        yield f"| {link} | {rule.slug} | {rule.severity.value} | {rule.title()} |"
    for rule in rules.every():
        yield from ("", f"## {rule.code} {rule.slug}", "")
        yield from inspect.cleandoc(rule.__doc__ or "").splitlines()
    yield ""


def _caches() -> Iterator[str]:
    yield from ("# Where models are", "", _MADE, "")
    yield "Each engine with its models and about what a download costs, then each layout as a tree."
    for name in engines.names():
        engine = engines.find(name)
        table = engine.table
        module = importlib.import_module(type(engine).__module__)
        if module is engines:  # an engine that is only data
            module = importlib.import_module(f"{engines.__name__}.{re.sub('[-.]', '_', name)}")
        yield from ("", f"## {name}", "", *inspect.cleandoc(module.__doc__ or "").splitlines(), "")
        layouts = ", ".join(f"[{layout}](#{layout})" for layout in engine.locators)
        yield f"Layout: {layouts}. Runs on: {' and '.join(table.platforms)}."
        yield f"Versions read: {', '.join(table.versions)}. Source of the table: {table.source}."
        yield from ("", "| size | answered by, in order |", "|---|---|")
        for each, models in table.sizes.items():
            yield f"| {each} | {', '.join(models)} |"
        if table.aliases:
            pairs = ", ".join(f"`{alias}` = {model}" for alias, model in table.aliases.items())
            yield from ("", f"Other names: {pairs}.")
        yield from ("", "| model | from | bytes |", "|---|---|---|")
        for model in table.models.values():
            about = size(model.bytes or _published(model)) if model.bytes or model.published else ""
            yield f"| {model.name} | {_origin(model)} | {about} |"
        yield from _file_sets(table)
        if table.removed:
            gone = ", ".join(f"`{folder}` (to {until})" for folder, until in table.removed.items())
            yield from ("", f"Folders that no version reads any more: {gone}.")
    for layout in locators.names():
        module = importlib.import_module(type(locators.find(layout)).__module__)
        yield from ("", f"## {layout}", "", *inspect.cleandoc(module.__doc__ or "").splitlines())
    yield ""


def _published(model: Model) -> int:
    return sum(length for length, _ in model.published.values())


def _origin(model: Model) -> str:
    where = f"`{model.repository}`" if model.repository else model.url
    if model.prefix:
        where += f", `{model.prefix}`"
    former, until = model.former
    return f"{where}; to {until} `{former}`" if former else where


def _file_sets(table: Table) -> Iterator[str]:
    """Go through what models need, models that need the same in one row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for model in table.models.values():
        for files in model.sets:
            names = [
                " or ".join(f"`{name}`" for name in need.names) + ("?" if need.optional else "")
                for need in files.requirements
            ]
            folder = files.folder if len({known.folder for known in model.sets}) > 1 else ""
            key = (span(files), folder, ", ".join(names))
            rows.setdefault(key, []).append(model.name)
    if all(len(models) == 1 for models in rows.values()) and len(rows) == len(table.models):
        yield from ("", "A model is one file, by its own name.")
        return
    yield from (
        "",
        "| models | versions | folder | files (`?`: read where it is there) |",
        "|---|---|---|---|",
    )
    for (versions, folder, names_), models in rows.items():
        who = "all" if len(models) == len(table.models) else ", ".join(models)
        yield f"| {who} | {versions} | {folder} | {names_} |"


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", _MADE, "")
    context = click.Context(cli.group, info_name="cachedoctor", terminal_width=_WIDTH)
    yield from ("```", *cli.group.get_help(context).splitlines(), "```")
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        if command is None:
            continue
        yield from _command(command, _below(command, context, name))
    yield from ("", "## Exit codes", "", "| code | means |", "|---|---|")
    yield from (f"| {code} | {means} |" for code, means in _EXITS)
    yield ""


def _command(command: click.Command, context: click.Context, level: int = 2) -> Iterator[str]:
    title = context.command_path
    yield from ("", f"{'#' * level} {title}", "")
    yield from ("```", *command.get_help(context).splitlines(), "```")
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _command(inner, _below(inner, context, name), level + 1)


def _below(command: click.Command, context: click.Context, name: str) -> click.Context:
    return click.Context(command, parent=context, info_name=name, terminal_width=_WIDTH)


if __name__ == "__main__":
    main()
