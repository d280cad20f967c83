"""Run what the documentation shows: every `console` and `python` block of a page, in order.

A page is a user's session: one shell, an empty home, one folder; it makes what it needs itself, as
a reader does. `<!-- world: NAMES -->` names the stand-ins for what a reader has: a network, or the
weights that a page about engines begins with (`WORLDS`); `<!-- not run: WHY -->` before a block
says why it cannot be run here.

In the output shown, `…` stands for anything, alone on a line for any number of lines; times, free
space and names of runs match any of their kind.

`python -m tests.support.pages PAGE...` writes what the commands really print into pages.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import forking, worlds
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+?) -->\n+)?^```(?P<kind>[^\s`]*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_WORLD = re.compile(r"<!-- world: ([\w ]+) -->")
_MARK = "\1end of a command\1"
_VARIES = (
    (r"\d{8}-\d{6}-[0-9a-f]{4}", r"\d{8}-\d{6}-[0-9a-f]{4}"),  # a run
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?"),
    (r"\d+(\.\d+)? (ms|s)\b", r"\d+(\.\d+)? (ms|s)"),
    (r"\d+(\.\d+)? [KMGT]iB free", r"\d+(\.\d+)? [KMGT]iB free"),
    (r"free +\d+(\.\d+)? [KMGT]iB", r"free +\d+(\.\d+)? [KMGT]iB"),
)


class Block(NamedTuple):
    """One fenced block of a page."""

    kind: str
    text: str
    why_not: str | None
    start: int  # of the text, in the page

    def commands(self) -> list[tuple[str, list[str]]]:
        """Return each command of a console block with the lines shown below it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and line.startswith("> ") and not found[-1][1]:  # the shell's own prompt
                found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
            elif found:
                found[-1][1].append(line)
            else:
                raise AssertionError(f"output without a command: {line}")
        return found


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(m["kind"], m["text"], m["why"], m.start("text")) for m in _BLOCK.finditer(page)]


def _hub(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Serve a hub with faster-whisper's tiny.en and base here, in place of the real one."""
    hub = stack.enter_context(Hub())
    for name in ("tiny.en", "base"):
        hub.add(f"Systran/faster-whisper-{name}", worlds.whisper_files())
    return {"HF_ENDPOINT": hub.url}


def _engines(folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Put the real weights of two engines into the home."""
    from tests.support import benches

    for engine in ("faster-whisper", "whisper.cpp"):
        benches.ENGINES[engine](folder / "home")
    return {}


WORLDS: dict[str, Callable[[Path, contextlib.ExitStack], dict[str, str]]] = {
    "hub": _hub,
    "engines": _engines,
}


def run(
    page: str, *, forked: bool = False
) -> Iterator[tuple[Block, list[tuple[str, list[str], list[str]]]]]:
    """Run a page; yield its blocks with each command, the expected output and the actual one.

    Where it is `forked`, what stands in for our program has it run without starting Python.
    """
    named = _WORLD.search(page)
    wanted = [b for b in blocks(page) if b.kind in ("console", "python") and b.why_not is None]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="page-"))).resolve()
        (folder / "home").mkdir()
        programs, server = f"{Path(sys.executable).parent}", forking.server(os.getpid())
        if forked:
            ours = stack.enter_context(tempfile.TemporaryDirectory(prefix="programs-"))
            server.program(f"{ours}/cachedoctor")
            programs = f"{ours}:{programs}"
        variables: dict[str, str] = {}
        for world in named[1].split() if named else ():
            variables |= WORLDS[world](folder, stack)
        script = []
        for block in wanted:
            typed = [command for command, _ in _session(block)]
            if block.kind == "python":
                typed = [f"python -c {shlex.quote(block.text)}"]
            script += [f"{command}\nprintf '%s\\n' '{_MARK}'" for command in typed]
        ended = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=folder,
            env={
                **{name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ},
                "PATH": f"{programs}:{os.environ['PATH']}",
                "HOME": str(folder / "home"),
                "LC_ALL": "C.UTF-8",
                "HF_HUB_DISABLE_TELEMETRY": "1",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            pass_fds=[server.channel.fileno()],
        )
    outputs = iter(ended.stdout.split(f"{_MARK}\n"))
    for block in wanted:
        shown = [(c, lines, next(outputs, "").splitlines()) for c, lines in _session(block)]
        yield block, shown


def _session(block: Block) -> list[tuple[str, list[str]]]:
    return block.commands() if block.kind == "console" else [(block.text, [])]


def matches(wanted: list[str], came: list[str]) -> bool:
    """Return whether the actual output is what a page shows.

    The columns of a table with omitted rows are as wide as those rows need.
    """
    pattern = []
    for line, below in zip(wanted, [*wanted, ""][1:], strict=True):
        if line.strip() == "…":
            pattern.append(r"(?:[^\n]*\n)*?")
        else:
            exact = _pattern(line)
            loose = re.sub(r"(?:\\ ){2,}", "  +", exact) if below.strip() == "…" else exact
            pattern.append(loose + r"\n")
    return (
        re.fullmatch("".join(pattern), "".join(f"{line.rstrip()}\n" for line in came)) is not None
    )


def _pattern(line: str) -> str:
    """Return what a line of a page matches."""
    kinds = "|".join(f"(?:{shown})" for shown, _ in _VARIES)
    found, at = [], 0
    line = line.rstrip()
    for match in re.finditer(f"{kinds}|…", line):
        found.append(re.escape(line[at : match.start()]))
        text = match[0]
        found.append(
            ".*" if text == "…" else next(p for shown, p in _VARIES if re.fullmatch(shown, text))
        )
        at = match.end()
    return "".join(found) + re.escape(line[at:])


def fill(path: Path) -> None:
    """Write into a page what its commands print."""
    page = path.read_text()
    for block, commands in reversed(list(run(page))):
        if block.kind == "console":
            text = "".join(
                "$ "
                + command.replace("\n", "\n> ")
                + "\n"
                + "".join(f"{line.rstrip()}\n" for line in came)
                for command, _, came in commands
            )
            page = page[: block.start] + text + page[block.start + len(block.text) :]
    path.write_text(re.sub(r"(/[^\s/`]+)*/page-\w+", "…", page))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        fill(Path(name))
