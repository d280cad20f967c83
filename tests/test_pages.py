"""Every command that the documentation shows is run, and what it shows is what comes."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from cachedoctor import cli
from tests.support import pages

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

PAGES = sorted(
    str(path.relative_to(pages.ROOT))
    for path in (*pages.ROOT.glob("*.md"), *(pages.ROOT / "docs").rglob("*.md"))
)
_GENERATED = ("docs/commands.md", "docs/rules.md", "docs/caches.md", "docs/python.md")
RUN = [name for name in PAGES if name not in _GENERATED]


def text_of(name: str) -> str:
    """Return a page."""
    return (pages.ROOT / name).read_text()


def marked(name: str) -> ParameterSet:
    """Return a page with its marks; the how-tos run what the README and the tutorial show once."""
    runs_engines = "<!-- world: engines -->" in text_of(name)
    marks = [pytest.mark.real] if runs_engines else []
    if runs_engines or name.startswith("docs/how-to/"):
        marks.append(pytest.mark.heavy)
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [marked(name) for name in RUN])
def test_what_a_page_shows_is_what_comes(name: str) -> None:
    """Console blocks with their output, and Python blocks, which have to end well."""
    for block, commands in pages.run(text_of(name), forked=name != "README.md"):
        for command, wanted, came in commands:
            if block.kind == "console":
                assert pages.matches(wanted, came), f"$ {command}\n" + "\n".join(came)
            assert not any("Traceback" in line for line in came), "\n".join(came)


@pytest.mark.parametrize("name", RUN)
def test_no_command_hides_in_another_block(name: str) -> None:
    """What begins with a prompt or with our name is a console block, and so it is run."""
    assert not re.search(r"^ +```", text_of(name), re.MULTILINE), "a block that is not seen here"
    for block in pages.blocks(text_of(name)):
        if block.kind in ("console", "python"):
            continue
        for line in block.text.splitlines():
            assert not line.startswith(("$ ", "cachedoctor ")), f"{name}: {line}"
        if block.kind == "toml":
            assert tomllib.loads(block.text)


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each of our commands in a shell's lines."""
    found = []
    for line in text.replace("\\\n> ", "").splitlines():
        for part in re.split(r"\|\||&&|[|;]", line.removeprefix("$ ").split(" # ")[0]):
            words = shlex.split(re.split(r"(?<![\w'])\d?>", part)[0], comments=True)
            if words and words[0] == "cachedoctor":
                found.append(words[1:])
    return found


def parse(words: list[str]) -> None:
    """Parse a command as far as its options and arguments, without running it."""
    group: click.Command = cli.group
    context = click.Context(cli.group, **cli.group.context_settings)
    while isinstance(group, click.Group):
        command = group.get_command(context, words[0])
        assert command is not None, words
        group, words = command, words[1:]
    for word in words:  # what is named has to be there
        named = word.rpartition("=")[2]
        path = Path(named).expanduser()
        if len(path.parts) > 1 and not named.startswith("/") and "://" not in named:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    group.make_context(group.name, list(words), parent=context)


@pytest.mark.parametrize("name", RUN)
def test_what_cannot_be_run_here_has_a_reason_and_parses(name: str) -> None:
    """Only a Mac or a package index excuses a block; its options must exist all the same."""
    for block in pages.blocks(text_of(name)):
        if block.why_not is None:
            continue
        assert re.search(r"Mac|index|minutes|engine", block.why_not), block.why_not
        for words in commands_of(block.text):
            parse(words)


def examples() -> list[list[str]]:
    """Return the examples in every command's help."""
    found = []
    for name in cli.COMMANDS:
        context = click.Context(cli.group, **cli.group.context_settings)
        command = cli.group.get_command(context, name)
        assert command is not None
        for line in (command.help or "").splitlines():
            example = re.match(r" +(cachedoctor .*?)(?:   .*)?$", line)
            if example:
                found += commands_of(example[1])
    return found


def test_the_examples_in_every_help_parse() -> None:
    """An option that was renamed would be left behind in an example."""
    shown = examples()
    assert len(shown) > 20
    for words in shown:
        parse(words)


def test_other_output_is_noticed() -> None:
    """Another number, another word and a line too many do not match; times do."""
    wanted = ["1 file, 20 ms", "…", "20260101-000000-abcd is taken back", "end …"]
    same = ["1 file, 3.5 s", "a", "b", "20991231-235959-0000 is taken back", "end of it"]
    assert pages.matches(wanted, same)
    for number, line in ((0, "2 files, 3.5 s"), (3, "20991231-235959-0000 is gone"), (4, "start")):
        assert not pages.matches(wanted, [*same[:number], line, *same[number + 1 :]])
    assert not pages.matches(wanted, [*same, "more"])
    assert not pages.matches(wanted, same[:-1])
