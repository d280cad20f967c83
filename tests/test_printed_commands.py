"""Every command that a screen prints is run in the world it was printed in, and does what it says.

A command is what stands in backticks, or alone on a line, and begins with our name. Words in
capitals (`NAME`, `RUN`) are for the reader to fill in.
"""

from __future__ import annotations

import re
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from cachedoctor import demo
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.command import Ended

_PRINTED = re.compile(r"`(cachedoctor [^`]+)`([^`\n]*)|^\s+(cachedoctor [a-z].*)$", re.MULTILINE)
_TO_FILL_IN = re.compile(r"(?<![\w/.-])[A-Z]{2,}(?![\w=./-])|…")
_CHANGING = ("fix", "undo", "quarantine", "prune", "free", "remove", "dedupe", "pull", "ensure")
SCREENS = (
    ("scan",),
    ("scan", "-v"),
    ("scan", "faster-whisper"),
    ("scan", "--deep"),
    ("verify",),
    ("fix", "--dry-run"),
    ("preflight", "faster-whisper", "--model", "tiny.en"),
    ("preflight", "faster-whisper", "--size", "base"),
    ("preflight", "faster-whisper", "--model", "tiny.en", "--format", "github"),
    ("preflight", "faster-whisper", "--model", "tiny.en", "--format", "junit"),
    ("preflight", "fluidaudio", "--size", "small"),
    ("where", "faster-whisper", "--model", "tiny.en"),
    ("where", "faster-whisper", "--size", "base"),
    ("lock", "faster-whisper:tiny.en"),
    ("bench", "--engine", "faster-whisper", "--model", "tiny.en"),
    ("list",),
    ("list", "-v"),
    ("remove", "tiny.en-that-is-not-there"),
    ("move", "somewhere", "/elsewhere"),
    ("prune", "--dry-run"),
    ("free", "1G", "--dry-run"),
    ("undo", "20200101-000000-0000"),
    ("quarantine", "list"),
    ("fix", "--delete"),
    ("fix", "--size", "small"),
    ("engines",),
    ("info",),
    ("explain", "CD999"),
)


def printed(ended: Ended) -> Iterator[tuple[str, str]]:
    """Yield the commands of a screen, each with what is said of it on its line."""
    for match in _PRINTED.finditer(f"{ended.output}\n{ended.errors}"):
        command = (match[1] or match[3]).strip()
        if not _TO_FILL_IN.search(re.sub(r"'[^']*'|/\S*", "", command)):
            yield command, match[2] or ""


def _demo(home: Path) -> tuple[str, ...]:
    demo.build(str(home / "a mac"))
    return ("--home", str(home / "a mac"), "--platform", "darwin")


def _empty(home: Path) -> tuple[str, ...]:
    return ()


def _hurt(home: Path) -> tuple[str, ...]:
    """Cut a model's weights, break its ref, and leave partial download beside it."""
    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    (model / "refs" / "main").write_text(worlds.COMMIT + "\n")
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(bytes(5000))
    other = worlds.hub_of(home) / "models--gone--gone" / "refs"
    other.mkdir(parents=True)
    return ()


def _moved(home: Path) -> tuple[str, ...]:
    """Let a variable lead to the hub cache, and a version be assumed."""
    hub = home / "else where"
    model = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    (model / "refs" / "main").write_text(worlds.COMMIT + "\n")
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(bytes(5000))
    return (
        "--home", str(home), "--env", f"HF_HUB_CACHE={hub}", "--engine-version",
        "faster-whisper=1.1.0",
    )  # fmt: skip


def _healthy(home: Path) -> tuple[str, ...]:
    """Keep a whole model, and something that a fix has set aside."""
    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    (model / "refs" / "main").write_text(worlds.COMMIT + "\n")
    assert cachedoctor("fix", "--yes").code == 0
    return ()


WORLDS = (
    *(_demo, _empty),
    *(pytest.param(world, marks=pytest.mark.heavy) for world in (_hurt, _moved, _healthy)),
)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__.strip("_"))
def test_what_is_printed_works_when_pasted(
    world: Callable[[Path], tuple[str, ...]], home: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """No command is a mistake or has nothing to do; each asks about the same home."""
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        for name in ("tiny.en", "base", "small"):
            hub.add(f"Systran/faster-whisper-{name}", worlds.whisper_files(), commit=worlds.COMMIT)
        where = world(home)
        shutil.copytree(home, tmp_path / "before", symlinks=True)
        commands: dict[str, str] = {}
        for screen in SCREENS:
            given = where if screen[0] not in ("engines", "explain") else ()
            for command, said in printed(cachedoctor(*screen, *given)):
                commands.setdefault(command, said)
        assert commands
        for command, said in commands.items():
            _pasted(command, said, where, hub.url)
            shutil.rmtree(home)
            shutil.copytree(tmp_path / "before", home, symlinks=True)


def _pasted(command: str, said: str, where: tuple[str, ...], url: str) -> None:
    _, name, *rest = shlex.split(command)
    if name in ("engines", "explain", "demo"):
        assert cachedoctor(name, *([] if name == "demo" else rest)).code == 0, command
        return
    for word in where:
        assert word in rest, command
    more: list[str] = []
    if name in _CHANGING and name != "undo" and "--yes" not in rest:
        more.append("--yes")
    if "nothing to download" in said or "--waste" in rest:
        more.append("--offline")
    elif name in ("fix", "pull", "ensure"):
        more += ["--mirror", f"hub={url}"]
    ended = cachedoctor(name, *rest, *more)
    if name not in _CHANGING:
        assert ended.code in (0, 1), (command, ended.errors)
        return
    assert ended.code == 0, (command, ended)
    assert "nothing to repair" not in ended.output, command
    assert "nothing that can be repaired" not in ended.output, command
    if "--waste" in rest:
        assert "set aside" in ended.output, command


def test_a_verdict_cures_the_home_that_it_is_about(home: Path) -> None:
    """In Python, too, the cure carries home, system and versions."""
    from cachedoctor import preflight
    from cachedoctor.host import Host

    demo.build(str(home / "mac"))
    host = Host.look(home=str(home / "mac"), platform="darwin")
    words = shlex.split(preflight("faster-whisper", model="tiny.en", host=host).cure)
    assert words[:2] == ["cachedoctor", "fix"]
    assert words[-4:] == ["--home", str(home / "mac"), "--platform", "darwin"]
    assert cachedoctor(*words[1:], "--yes", "--offline").code == 0


def test_a_waste_line_counts_what_its_command_takes(home: Path) -> None:
    """And no more: what no fix takes is a note among others."""
    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(bytes(5000))
    shown = cachedoctor("scan").output
    told = re.search(r"([\d.]+ \w+) in all: `cachedoctor fix --waste`", shown)
    assert told
    assert f"{told[1]} set aside" in cachedoctor("fix", "--waste", "--yes").output
    assert "in all" not in cachedoctor("scan").output
