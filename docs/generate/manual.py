"""The manual pages, generated from the commands: `cachedoctor.1`, and one per command, as git has.

`docs.generate` writes them into `docs/man`; the wheel installs them into `share/man/man1`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from functools import partial
from typing import TYPE_CHECKING

import click

from cachedoctor import cli
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXITS = (
    ("0", "healthy or done, even without any cache"),
    ("1", "findings at or above `--fail-on`, or not ready"),
    ("2", "an invalid name, option or configuration"),
    ("3", "a home, project or path that you named cannot be read"),
    (
        "4",
        "a repair failed: the cache is as it was, or undo the fix; or a cluster gave no answer",
    ),
    ("130", "interrupted"),
)
_FILES = (
    (
        "cachedoctor.toml",
        "In a project, or in the folder that `cachedoctor info` names: places of "
        "your own, and the versions of engines.",
    ),
    ("models.lock", "The exact bytes of models, as `cachedoctor lock` writes them."),
)
_FLAG = re.compile(r"(?P<flag>--?[\w-]+)(?: (?P<value>\S+))?")


def pages() -> dict[str, Callable[[], str]]:
    """Return the function for each page, by its file name."""
    below = {f"cachedoctor-{name}.1": partial(_page, name) for name in cli.COMMANDS}
    return {"cachedoctor.1": _whole, **below}


def _whole() -> str:
    context = _context()
    lines = [*_head("cachedoctor", "find, check and repair the models of speech engines")]
    lines += [".SH SYNOPSIS", *_synopsis(context, cli.group), ".SH DESCRIPTION"]
    lines += [*_prose(cli.group.help or ""), ".SH COMMANDS"]
    for name in cli.COMMANDS:
        lines += [".TP", f"\\fBcachedoctor\\-{_text(name)}\\fR(1)", _text(_short(context, name))]
    lines += [".SH OPTIONS", *_options(cli.group, context), *_exits(), ".SH FILES"]
    for name, says in _FILES:
        lines += [".TP", f"\\fI{_text(name)}\\fR", _text(says)]
    lines += _see(tuple(f"cachedoctor-{name}" for name in cli.COMMANDS))
    return "\n".join(lines) + "\n"


def _page(name: str) -> str:
    context = _context()
    command = cli.group.get_command(context, name)
    assert command is not None, name
    inner = command.make_context(name, [], parent=context, resilient_parsing=True)
    lines = [*_head(f"cachedoctor-{name}", _short(context, name)), ".SH SYNOPSIS"]
    below = command.commands if isinstance(command, click.Group) else {}
    contexts = [
        (each, each.make_context(word, [], parent=inner, resilient_parsing=True))
        for word, each in below.items()
    ]
    for each, its in contexts or [(command, inner)]:
        lines += [*_synopsis(its, each), ".br"]
    lines[-1:] = [".SH DESCRIPTION", *_prose(command.help or "")]
    for each, its in contexts:
        lines += [f".SS {_text(its.command_path)}", *_prose(each.help or ""), *_options(each, its)]
    if not contexts:
        lines += [".SH OPTIONS", *_options(command, inner)]
    return "\n".join([*lines, *_exits(), *_see(("cachedoctor",))]) + "\n"


def _context() -> click.Context:
    return cli.group.make_context("cachedoctor", [], resilient_parsing=True)


def _short(context: click.Context, name: str) -> str:
    command = cli.group.get_command(context, name)
    assert command is not None, name
    return command.get_short_help_str(100).rstrip(".")


def _head(title: str, says: str) -> Iterator[str]:
    yield '.\\" made by `python -m docs.generate docs`; do not edit'
    yield f'.TH {_text(title).upper()} 1 "" "cachedoctor {VERSION}" "cachedoctor\'s manual"'
    yield ".nh"  # file and option names are not broken
    yield from (".SH NAME", f"{_text(title)} \\- {_text(says)}")


def _synopsis(context: click.Context, command: click.Command) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"\\fB{_text(context.command_path)}\\fR {_text(pieces)}"


def _prose(text: str) -> Iterator[str]:
    """Yield a help text; a block that click leaves unwrapped becomes an example."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        first, *rest = paragraph.splitlines()
        if first == "\b":
            block = textwrap.dedent("\n".join(rest)).splitlines()
            yield from (".PP", ".RS 4", ".EX", *map(literal, block), ".EE", ".RE")
        else:
            yield from (*([".PP"] if number else []), *map(_text, (first, *rest)))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.get_params(context):
        record = getattr(option, "record", option.get_help_record)(context)
        if record is not None and isinstance(option, click.Option):
            yield from (".TP", _FLAG.sub(_flag, record[0]), _text(record[1]))


def _flag(found: re.Match[str]) -> str:
    value = f" \\fI{_text(found['value'])}\\fR" if found["value"] else ""
    return f"\\fB{literal(found['flag'])}\\fR{value}"


def _exits() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, means in EXITS:
        yield from (".TP", f"\\fB{code}\\fR", _text(means))


def _see(names: tuple[str, ...]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield ",\n".join(f"\\fB{literal(name)}\\fR(1)" for name in names)


def literal(text: str) -> str:
    """Return a line with every character shown as it is; its hyphens can be copied as hyphens."""
    shown = text.replace("\\", "\\e").replace("-", "\\-")
    shown = re.sub(r"[^\0-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", shown)
    return f"\\&{shown}" if shown[:1] in (".", "'") else shown


def _text(line: str) -> str:
    """Return a line of prose, with code in bold."""
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", literal(line))
