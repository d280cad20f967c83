"""`-q` and `-v` mean something in every command that takes them, or are not offered there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from cachedoctor import cli
from cachedoctor.system import sharing
from tests.support import builders, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = "faster-whisper:tiny.en"
NEWER = "ab" * 20
MANY = 11  # one more than is listed without -v
OTHERS = tuple(f"somebody/model-{number}" for number in range(MANY))
QUIET = {
    "scan": (),
    "verify": (),
    "merge": ("PART",),
    "fix": ("--dry-run",),
    "undo": (),
    "quarantine empty": ("--yes",),
    "list": (),
    "remove": (TINY, "--dry-run"),
    "prune": ("--dry-run",),
    "free": ("1K", "--dry-run"),
    "dedupe": ("--dry-run",),
    "move": ("HUB", "ELSEWHERE", "--dry-run"),
    "ensure": (TINY,),
    "pull": (TINY,),
    "pack": (TINY, "-o", "ELSEWHERE", "--dry-run"),
    "unpack": ("PACK", "--dry-run"),
    "preflight": ("faster-whisper", "--model", "tiny.en"),
    "where": ("faster-whisper", "--model", "tiny.en"),
    "diagnose": ("LOG",),
    "lock": (TINY, "-o", "FILE"),
    "report": ("-o", "PAGE"),
    "bench": ("--engine", "mlx-whisper"),
    "fleet scan": ("-i", "LAB", "--tool", "TOOL"),
}
LIKE_SCAN = {f"fleet {one}" for one in ("preflight", "verify", "bench", "fix", "undo")}
VERBOSE = {
    "scan": (),
    "verify": (),
    "merge": ("PART",),
    "remove": (*OTHERS, "--dry-run"),
    "prune": ("--keep-revisions", "1", "--dry-run"),
    "free": ("1T", "--dry-run"),
    "dedupe": ("--dry-run",),
}


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")
        else:
            yield before + name, command


def offering(option: str) -> set[str]:
    """Name the commands that take an option."""
    assert isinstance(cli.group, click.Group)
    return {
        words
        for words, command in commands(cli.group)
        if any(option in parameter.opts for parameter in command.params)
    }


def test_every_command_that_offers_them_is_tried_below() -> None:
    """A new command says here what they do, or does not offer them."""
    assert offering("-q") == set(QUIET) | LIKE_SCAN  # all of a fleet's answer in one function
    assert offering("-v") == set(VERBOSE)


@pytest.fixture
def place(home: Path, tmp_path: Path) -> dict[str, str]:
    """Return where things are in a home of which there is much to say."""
    hub = worlds.hub_of(home)
    tiny = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    (tiny / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    for number, name in enumerate(OTHERS):
        files = {"weights.bin": builders.pattern((1 << 20) + number)}
        worlds.repository(hub, name, {**files, "more.bin": b"a"}, ref=None)
        worlds.repository(hub, name, {**files, "more.bin": b"b"}, commit=NEWER)
        worlds.repository(hub, f"{name}-copy", files)
    (tmp_path / "config/cachedoctor").mkdir(parents=True)
    keep = ", ".join(f'"{name}"' for name in OTHERS)
    (tmp_path / "config/cachedoctor/cachedoctor.toml").write_text(f"keep = [{keep}]\n")
    (tmp_path / "crash.log").write_text("nothing that is known\n")
    pack = str(tmp_path / "pack")
    assert cachedoctor("pack", TINY, "-o", pack).code == 0
    part = str(tmp_path / "part.json")
    assert cachedoctor("verify", "--subset", "1/1", "--save", part).code == 0
    lab = tmp_path / "lab.ini"
    lab.write_text("here ansible_connection=local\n")
    return {
        "PART": part,
        "LAB": str(lab),
        "TOOL": f"{Path(sys.executable).parent}/cachedoctor",
        "HUB": str(hub),
        "ELSEWHERE": str(tmp_path / "elsewhere"),
        "PACK": pack,
        "LOG": str(tmp_path / "crash.log"),
        "FILE": str(tmp_path / "models.lock"),
        "PAGE": str(tmp_path / "page.html"),
    }


def test_quiet_and_verbose_change_what_is_said(place: dict[str, str]) -> None:
    """With `-q` less is said than without, with `-v` more; the exit code is the same."""
    for option, table in (("-q", QUIET), ("-v", VERBOSE)):
        for words, rest in table.items():
            if (words, option) == ("dedupe", "-v") and sharing.can_share(place["HUB"]):
                continue  # then all of it is shared, and nothing stays
            arguments = [*words.split(), *(place.get(word, word) for word in rest)]
            plain, other = cachedoctor(*arguments), cachedoctor(*arguments, option)
            assert other.code == plain.code, (words, option, other)
            longer, shorter = (plain, other) if option == "-q" else (other, plain)
            assert len(longer.output) > len(shorter.output), (words, option, plain, other)
            assert other.errors == plain.errors, (words, option)


def test_without_them_nothing_is_hidden(place: dict[str, str]) -> None:
    """A command that lists a part says so, and offers the rest."""
    ended = cachedoctor("free", "1T", "--dry-run")
    assert "more; `-v` lists them" in ended.output
    assert "more; `-v` lists them" not in cachedoctor("free", "1T", "--dry-run", "-v").output
