"""The manual pages say all that `--help` says, render without a complaint, and are installed."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from cachedoctor import cli
from docs.generate import manual

MAN = Path(__file__).parent.parent / "docs" / "man"
MACROS = {".TH", ".nh", ".SH", ".SS", ".TP", ".PP", ".RS", ".RE", ".EX", ".EE", ".br", '.\\"'}


def plain(page: str) -> str:
    """Return a page without the marks of its type."""
    return re.sub(r"\\f[BIR]|\\&", "", page).replace("\\-", "-").replace("\\e", "\\")


def test_there_is_a_page_for_each_command() -> None:
    """And one for all, which names them; none is left of a command that is gone."""
    wanted = {"cachedoctor.1", *(f"cachedoctor-{name}.1" for name in cli.COMMANDS)}
    assert manual.pages().keys() == wanted == {path.name for path in MAN.iterdir()}
    whole = plain(manual.pages()["cachedoctor.1"]())
    for name in cli.COMMANDS:
        assert whole.count(f"cachedoctor-{name}(1)") == 2  # in the list, and to see also


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_page_says_what_help_says(name: str) -> None:
    """Each option with its help, each line of the text, each exit code."""
    context = click.Context(cli.group, info_name="cachedoctor")
    command = cli.group.get_command(context, name)
    assert command is not None
    page = plain(manual.pages()[f"cachedoctor-{name}.1"]())
    below = command.commands.values() if isinstance(command, click.Group) else ()
    for each in (command, *below):
        for option in each.params:
            if isinstance(option, click.Option):
                assert re.search(rf"^(.*, )?{option.opts[-1]}( |,|$)", page, re.MULTILINE)
                assert (option.help or "").replace("`", "") in page
        for line in (each.help or "").replace("\b", "").replace("`", "").splitlines():
            assert line.strip() in page
    for code, _ in manual.EXITS:
        assert f".TP\n{code}\n" in page


@pytest.mark.parametrize("name", manual.pages())
def test_a_page_is_well_formed(name: str) -> None:
    """Only known macros begin a line with a dot, and characters beyond ASCII are named."""
    page = manual.pages()[name]()
    assert page.isascii()
    lines = page.splitlines()
    assert {line.split(" ")[0] for line in lines if line[:1] in (".", "'")} <= MACROS
    assert lines.count(".EX") == lines.count(".EE")
    assert lines.count(".RS 4") == lines.count(".RE")
    wanted = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "SEE ALSO"]
    found = [line[4:] for line in lines if line.startswith(".SH ")]
    assert [each for each in found if each in wanted] == wanted


def test_odd_characters_are_shown_as_they_are() -> None:
    """A dot that would begin a macro, a quote, a backslash, a hyphen, and what is not ASCII."""
    assert manual.literal(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert manual.literal("'x") == "\\&'x"
    assert manual.literal("a\\-b ·") == "a\\e\\-b \\[u00B7]"


def test_pages_render_without_a_complaint() -> None:
    """By groff and by mandoc, whichever is here: one is on every Mac, one on most of Linux."""
    checks = {
        "groff": ["groff", "-man", "-Tutf8", "-ww", "-z"],
        "mandoc": ["mandoc", "-T", "lint", "-W", "error"],
    }
    here = [command for name, command in checks.items() if shutil.which(name)]
    if not here:
        pytest.skip("neither groff nor mandoc is installed")
    for command in here:
        for path in MAN.iterdir():
            done = subprocess.run([*command, path], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout + done.stderr) == (0, ""), path.name


def test_pages_are_installed_where_man_looks() -> None:
    """Beside the command: `bin` has its pages in `share/man`."""
    files = importlib.metadata.files("model-cache-doctor") or []
    found = {file.name: file for file in files if file.parts[-4:-1] == ("share", "man", "man1")}
    assert found.keys() == manual.pages().keys()
    assert all(Path(str(file.locate())).is_file() for file in found.values())
