"""The reference in `docs/`, generated from the code: rules, caches, commands, Python, messages.

`python -m docs.generate docs` writes the pages and pictures; a test compares them.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import textwrap
from typing import TYPE_CHECKING

import click

from cachedoctor import cli, engines, locators, rules
from cachedoctor.cli import options
from cachedoctor.rules._entries import span
from cachedoctor.system import disk
from cachedoctor.text import size
from docs.generate import api_reference, json_reference, manual, screen, terminal, troubleshooting
from docs.generate.api_reference import MADE, WIDTH, head, prose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cachedoctor.engines.catalog import Model, Table
    from cachedoctor.vocabulary import FileSet

_HUB_FILE = re.compile(r"https://huggingface\.co/(?P<repository>[^/]+/[^/]+)/resolve/[^/]+/")
_KINDS = {
    "CD0": "cachedoctor itself",
    "CD1": "What is there",
    "CD2": "Form, from headers and offsets",
    "CD3": "Content, by digests and lengths",
    "CD4": "What must agree",
    "CD5": "What only takes up space",
    "CD6": "The machine; said by `preflight` and `bench`",
}


def rules_page() -> str:
    """Return the page of every finding: a table of all codes, then a section for each rule."""
    return "\n".join(_rules())


def caches_page() -> str:
    """Return the page of where each engine keeps what, by version, with the layouts as trees."""
    return "\n".join(_caches())


def json_page() -> str:
    """Return the page of what every command answers with `--json`, key by key."""
    return "\n".join(("# JSON", "", MADE, "", *json_reference.lines(), ""))


def commands_page() -> str:
    """Return the page of the commands: usage, `--help` text, options, exit codes."""
    return "\n".join(_commands())


PAGES: dict[str, Callable[[], str]] = {
    "rules.md": rules_page,
    "python.md": api_reference.page,
    "caches.md": caches_page,
    "commands.md": commands_page,
    "json.md": json_page,
    "troubleshooting.md": troubleshooting.page,
    "figures/terminal.svg": terminal.picture,
    "figures/browse.svg": screen.models,
    "figures/browse-plan.svg": screen.plan,
    **{f"man/{name}": page for name, page in manual.pages().items()},
}


def main(arguments: Sequence[str]) -> None:
    """Write every page into the named folder."""
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        raise SystemExit("Usage: python -m docs.generate FOLDER")
    for folder in ("man", "figures"):
        disk.make_folders(os.path.join(arguments[0], folder))
    for name, page in PAGES.items():
        with open(os.path.join(arguments[0], name), "w", encoding="utf-8") as file:
            file.write(page())


def _filled(text: str, lead: str = "") -> list[str]:
    """Break a long line between words, never inside a name."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rules() -> Iterator[str]:
    yield from ("# Findings", "", MADE, "")
    yield "One fault has one code; `cachedoctor explain CODE` prints its page."
    group = ""
    for rule in rules.every():
        if rule.code[:3] != group:
            group = rule.code[:3]
            yield from ("", f"**{_KINDS[group]}**", *head("code", "name", "severity", ""))
        link = f"[{rule.code}](#{rule.code.lower()}-{rule.slug})"
        yield f"| {link} | {rule.slug} | {rule.severity.value} | {rule.title()} |"
    for rule in rules.every():
        yield from ("", f"## {rule.code} {rule.slug}", "")
        yield from (f"Severity: {rule.severity.value}", "", *prose(rule.__doc__))
    yield ""


def _caches() -> Iterator[str]:
    yield from ("# Where models are", "", MADE, "")
    yield "Each engine with its models and approximate download sizes, where known;"
    yield "then each layout as a tree."
    yield ""
    yield f"Engines: {' · '.join(map(_link, engines.names()))}"
    yield ""
    yield f"Layouts: {' · '.join(map(_link, locators.names()))}"
    for name in engines.names():
        yield from _engine(engines.find(name))
    for layout in locators.names():
        module = importlib.import_module(type(locators.find(layout)).__module__)
        yield from ("", f"## {layout}", "", *prose(module.__doc__))
    yield ""


def _engine(engine: engines.Engine) -> Iterator[str]:
    table = engine.table
    module = importlib.import_module(type(engine).__module__)
    if module is engines:  # an engine that consists of data only
        module = importlib.import_module(f"{engines.__name__}.{re.sub('[-.]', '_', engine.name)}")
    yield from ("", f"## {engine.name}", "", *prose(module.__doc__), "")
    layouts = ", ".join(map(_link, engine.locators))
    yield f"Layout: {layouts}. Runs on: {' and '.join(table.platforms)}."
    yield ""
    yield from _filled(f"Versions read: {', '.join(table.versions)}. Table: {table.source}.")
    yield from head("size", "answered by, in order")
    for each, models in table.sizes.items():
        yield f"| {each} | {', '.join(models)} |"
    if table.aliases:
        pairs = ", ".join(f"`{alias}` = {model}" for alias, model in table.aliases.items())
        yield from ("", *_filled(f"Other names: {pairs}."))
    yield from head("model", "from", "download")
    for model in table.models.values():
        about = size(model.download_bytes) if model.download_bytes else ""
        yield f"| {model.name} | {_origin(model)} | {about} |"
    yield from _file_sets(table)
    if table.removed:
        gone = ", ".join(f"`{folder}` (to {until})" for folder, until in table.removed.items())
        yield from ("", *_filled(f"Folders that no version reads any more: {gone}."))


def _link(section: str) -> str:
    return f"[{section}](#{section.replace('.', '')})"


def _origin(model: Model) -> str:
    if not model.repository:
        hub = _HUB_FILE.match(model.url)
        file = f"[{model.url.rpartition('/')[2]}]({model.url})"
        return f"`{hub['repository']}`, {file}" if hub else file
    where = f"`{model.repository}`"
    if model.prefix:
        where += f", `{model.prefix}`"
    if model.tokenizer:
        where += f"; tokenizer `{model.tokenizer}`"
    folders = {files.folder for files in model.sets} - {"", model.name}
    if len(folders) == 1 == len({files.folder for files in model.sets}):
        where += f"; into `{folders.pop()}`"
    former, until = model.former
    return f"{where}; to {until} `{former}`" if former else where


def _file_sets(table: Table) -> Iterator[str]:
    """Yield the files that models need, grouping models that need the same."""
    if all(model.url for model in table.models.values()):
        yield from _single_files(table)
        return
    rows: dict[tuple[str, ...], list[str]] = {}
    for model in table.models.values():
        moved = len({files.folder for files in model.sets}) > 1
        key = tuple(_needs(files, moved=moved) for files in model.sets)
        rows.setdefault(key, []).append(model.name)
    yield ""
    yield "Files by version, the newest first; those in brackets are read if they are there."
    for needs, models in rows.items():
        who = "every model" if len(models) == len(table.models) else ", ".join(models)
        yield from ("", *_filled(f"**{who}**"), "")
        for line in needs:
            yield from _filled(line, "- ")


def _single_files(table: Table) -> Iterator[str]:
    """Yield the files beside models that are one file each."""
    rows: dict[str, list[str]] = {}
    for model in table.models.values():
        for need in model.sets[0].requirements[1:]:
            names = " or ".join(f"`{name}`" for name in need.names)
            rows.setdefault(names, []).append(model.name)
    yield from ("", "A model is one file, by its own name.")
    if rows:
        yield from ("", "Beside it, read if it is there:", "")
    for names, models in rows.items():
        yield from _filled(f"{names}: {', '.join(models)}", "- ")


def _needs(files: FileSet, *, moved: bool) -> str:
    """Return one file set in words: versions, the folder if it varies, and the files."""
    named = []
    for need in files.requirements:
        names = " or ".join(f"`{name}`" for name in need.names)
        named.append(f"[{names}]" if need.optional else names)
    versions = files.since if files.since and files.since == files.until else span(files)
    folder = f", in `{files.folder}`" if moved else ""
    return f"{versions}{folder}: {', '.join(named)}"


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", MADE)
    context = cli.group.make_context("cachedoctor", [], resilient_parsing=True)
    yield from _command(cli.group, context, 2)
    yield from ("", "Each command explains itself with `-h` or `--help`.", *head("command", ""))
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        if command is not None:
            link = f"[cachedoctor {name}](#cachedoctor-{name})"
            yield f"| {link} | {command.get_short_help_str(WIDTH)} |"
    for name in cli.COMMANDS:
        command = cli.group.get_command(context, name)
        if command is not None:
            yield from _command(command, _below(command, context, name), 2)
    for title, says, shared in _SHARED:
        yield from ("", f"## {title}", "", says, *head("option", ""))
        yield from (_option(option, context) for option in shared)
    yield from ("", "## Exit codes", *head("code", "means"))
    yield from (f"| {code} | {means} |" for code, means in manual.EXITS)
    yield ""


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    """Yield one command and its subcommands."""
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield from ("", f"{'#' * level} {context.command_path}", "", "```", usage, "```", "")
    yield from _help(command.help or "")
    own = {tuple(each.opts): each for each in command.params if isinstance(each, click.Option)}
    also = []
    for title, _, shared in _SHARED:
        keys = [tuple(each.opts) for each in shared]
        if own.keys() >= set(keys):
            also.append(f"[{title}](#{title.lower().replace(' ', '-')})")
            own = {key: option for key, option in own.items() if key not in keys}
    if own:
        yield from head("option", "")
        yield from (_option(option, context) for option in own.values())
    if also:
        yield from ("", f"Also: {', '.join(also)}.")
    if isinstance(command, click.Group) and command is not cli.group:
        for name, inner in command.commands.items():
            yield from _command(inner, _below(inner, context, name), level + 1)


def _below(command: click.Command, context: click.Context, name: str) -> click.Context:
    return command.make_context(name, [], parent=context, resilient_parsing=True)


def _help(text: str) -> Iterator[str]:
    """Yield a help text; a block that click leaves unwrapped becomes a block of code."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        lines = paragraph.splitlines()
        if number:
            yield ""
        if lines[0] == "\b":
            lines = ["```", *textwrap.dedent("\n".join(lines[1:])).splitlines(), "```"]
        yield from lines


def _option(option: click.Parameter, context: click.Context) -> str:
    record = getattr(option, "record", option.get_help_record)(context)
    flags, words = record or ("", "")
    return "| `{}` | {} |".format(*(text.replace("|", "\\|") for text in (flags, words)))


def _given(decorate: Callable[[Callable[..., None]], Callable[..., None]]) -> list[click.Option]:
    """Return the options that a decorator adds to a command."""

    def nothing(**_: object) -> None: ...

    made = click.command()(decorate(nothing)).params
    return [option for option in made if isinstance(option, click.Option)]


_SHARED = (
    ("Which model", "Of one engine.", _given(options.model_options)),
    (
        "Where to look",
        "By default: this machine, as the engines would see it from here.",
        _given(options.host_options),
    ),
    ("The network", "Only `fix` ever uses it.", _given(options.fetch_options)),
    (
        "How to answer",
        "Data goes to stdout, progress and hints to stderr.",
        _given(options.output_options),
    ),
)
