"""The screen at a real terminal: refused where nothing can be drawn, and a terminal left whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor import demo
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_ENDS_S = 30.0
_STYLE = re.compile(rb"\x1b\[([0-9;]*)m")
_OTHER_SCREEN, _BACK, _CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


class Terminal:
    """A terminal with a program on it that was started as a shell would."""

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        rows: int = 24,
        term: str = "xterm",
        env: dict[str, str] | None = None,
    ):
        """Start `cachedoctor browse`."""
        self.shown = b""
        self.side, self.child_side = pty.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.child_side, termios.TIOCSWINSZ, size)
        self.before = termios.tcgetattr(self.child_side)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", "browse", *arguments],
            stdin=self.child_side,
            stdout=self.child_side,
            stderr=self.child_side,
            env={**os.environ, "TERM": term, **(env or {})},
            start_new_session=True,
        )

    def read(self, until: Callable[[], object], longest_s: float = _ENDS_S) -> None:
        """Read what is shown until something holds; fails where it never does."""
        end = time.monotonic() + longest_s
        while not until():
            assert time.monotonic() < end, self.shown[-2000:]
            if select.select([self.side], [], [], 0.02)[0]:
                with contextlib.suppress(OSError):
                    self.shown += os.read(self.side, 65536)

    def shows(self, *words: str) -> None:
        """Wait until these words were drawn."""
        self.read(lambda: all(word.encode() in self.shown for word in words))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.side, keys.encode())

    @property
    def screen(self) -> int:
        """Return the process that draws, whose parent waits."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True
        )
        return int(found.stdout.split()[0])

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        self.read(lambda: self.process.poll() is not None)
        return self.process.wait()

    @property
    def whole(self) -> bool:
        """Say whether the terminal is as it was: echo, its own screen, its cursor."""
        after = self.shown.rpartition(_OTHER_SCREEN)[2]
        same = termios.tcgetattr(self.child_side) == self.before
        return same and _BACK in after and _CURSOR in after.rpartition(b"\x1b[?25l")[2]

    def close(self) -> None:
        """Take the terminal away."""
        for side in (self.side, self.child_side):
            with contextlib.suppress(OSError):
                os.close(side)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def gone(number: int) -> bool:
    """Say whether a process is at its end."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def at(home: Path) -> Iterator[Terminal]:
    """Start the screen at a terminal, on a Mac's home with two hurt models."""
    demo.build(str(home / "mac"))
    terminal = Terminal("--home", str(home / "mac"), "--platform", "darwin")
    terminal.shows("parakeet", "quit")
    yield terminal
    terminal.close()


ENDS: dict[str, tuple[Callable[[Terminal], None], int]] = {
    "q": (lambda t: t.type("q"), 0),
    "ctrl+c": (lambda t: t.type("\x03"), 0),
    "ctrl+q": (lambda t: t.type("\x11"), 0),
    "INT": (lambda t: os.killpg(t.process.pid, signal.SIGINT), 0),
    "TERM": (lambda t: t.process.terminate(), 128 + signal.SIGTERM),
    "TERM of the screen": (lambda t: os.kill(t.screen, signal.SIGTERM), 128 + signal.SIGTERM),
    "HUP": (lambda t: os.killpg(t.process.pid, signal.SIGHUP), 128 + signal.SIGHUP),
    "KILL of the screen": (lambda t: os.kill(t.screen, signal.SIGKILL), 128 + signal.SIGKILL),
    "KILL of its parent": (lambda t: t.process.kill(), -signal.SIGKILL),
}


FEW = ("q", "TERM", "KILL of the screen", "KILL of its parent")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else [pytest.mark.heavy]) for name in ENDS]
)
def test_every_end_leaves_the_terminal_whole(at: Terminal, name: str) -> None:
    """Keys, and every signal that ends programs; nobody is left behind."""
    end, code = ENDS[name]
    assert termios.tcgetattr(at.child_side) != at.before
    screen = at.screen
    end(at)
    assert at.ended() == code
    at.read(lambda: at.whole)
    at.read(lambda: gone(screen))


def test_a_terminal_that_goes_away_ends_it(at: Terminal) -> None:
    """As when a line of ssh is cut: nobody goes on in the dark."""
    screen = at.screen
    os.close(at.side)
    os.close(at.child_side)
    os.killpg(at.process.pid, signal.SIGHUP)  # what the system does for the session's leader
    assert at.process.wait(_ENDS_S) == 128 + signal.SIGHUP
    end = time.monotonic() + _ENDS_S
    while not gone(screen):
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("missing", ["stdin", "stdout", "stderr"])
def test_without_a_terminal_it_says_so(home: Path, missing: str) -> None:
    """In one line and its hint, at once; nothing is drawn into a pipe."""
    side, child_side = pty.openpty()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "browse"],
        stdin=subprocess.DEVNULL if missing == "stdin" else child_side,
        stdout=pipe if missing == "stdout" else child_side,
        stderr=pipe if missing == "stderr" else child_side,
    )
    os.close(child_side)
    said = b"".join(part or b"" for part in process.communicate(timeout=_ENDS_S))
    with contextlib.suppress(OSError):
        said += os.read(side, 65536)
    os.close(side)
    assert process.returncode == 2
    assert b"terminal to draw on" in said
    assert b"`cachedoctor list` needs none" in said
    assert b"\x1b" not in said
    assert said.count(b"\n") == 2


@pytest.mark.parametrize(
    ("columns", "rows", "term", "why"),
    [
        (80, 24, "dumb", "this terminal cannot draw: `TERM` is `dumb`"),
        (59, 24, "xterm", "the terminal is too small: 59 columns by 24 rows, at"),
        (80, 11, "xterm", "the terminal is too small: 80 columns by 11 rows"),
    ],
)
def test_a_terminal_that_cannot_show_it_is_refused(
    home: Path, columns: int, rows: int, term: str, why: str
) -> None:
    """With what it is and what it would have to be."""
    terminal = Terminal(columns=columns, rows=rows, term=term)
    assert terminal.ended() == 2
    terminal.shows(why)
    assert b"\x1b" not in terminal.shown
    terminal.close()


@pytest.mark.heavy
@pytest.mark.parametrize("term", ["linux", "vt100", "screen-256color"])
def test_other_terminals_will_do(home: Path, term: str) -> None:
    """A console, an old one, and one in another."""
    terminal = Terminal(term=term)
    terminal.shows("no models here")
    terminal.type("q")
    assert terminal.ended() == 0
    terminal.read(lambda: terminal.whole)
    terminal.close()


@pytest.mark.parametrize("wish", ["", "1"])
def test_colours_are_the_terminals_own_or_none(home: Path, wish: str) -> None:
    """And where none are wanted, letters are not drawn in the colour of their ground."""
    demo.build(str(home / "mac"))
    terminal = Terminal("--home", str(home / "mac"), "--platform", "darwin", env={"NO_COLOR": wish})
    terminal.shows("parakeet", "quit", "✗")
    terminal.type("q")
    assert terminal.ended() == 0
    terminal.close()
    styles = {part for found in _STYLE.findall(terminal.shown) for part in found.split(b";")}
    plain = {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}
    assert b"7" in styles
    assert styles - plain == (set() if wish else {b"31"})


def test_without_the_extra_it_says_how_to_get_it() -> None:
    """One line; where nobody has a terminal either, this comes first."""
    script = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'textual' else find(name, *more)\n"
        "sys.argv = ['cachedoctor', 'browse']\n"
        "from cachedoctor.__main__ import main; main()"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "`pip install 'model-cache-doctor[browse]'`" in done.stderr


@pytest.mark.heavy
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_an_end_in_the_middle_of_a_fetch_leaves_terminal_and_cache_whole(
    home: Path, number: signal.Signals
) -> None:
    """The screen ends while bytes come in; the next look finds what was there before."""
    base = "Systran/faster-whisper-base"
    with Hub() as hub:
        hub.add(base, worlds.whisper_files())
        hold = hub.hold("model.bin", 100)
        before = fingerprint(home)
        terminal = Terminal("--env", f"HF_ENDPOINT={hub.url}", columns=100)
        terminal.shows("no models here")
        terminal.type("n")
        terminal.shows("ENGINE:SIZE")
        terminal.type("faster-whisper:base\r")
        terminal.shows("Cancel", "Fetch")
        terminal.type("\t\r")
        assert hold.reached.wait(_ENDS_S)
        os.kill(terminal.screen, number)
        assert terminal.ended() == 128 + number
        terminal.read(lambda: terminal.whole)
        terminal.close()
        hold.set()
    assert not worlds.hub_of(home).exists()
    assert {name for name in fingerprint(home) if "cachedoctor" not in name} == set(before)
    killed = number == signal.SIGKILL  # the others had the time to give it up
    assert cachedoctor("scan", "--json").codes == (["CD417"] if killed else [])
    assert cachedoctor("undo").code == 0
    assert cachedoctor("scan", "--json").codes == []
