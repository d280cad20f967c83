"""The terminal: whether there is one to draw on, and a parent that restores it.

A program that draws takes over the terminal: no echo, another screen, no cursor. When killed, it
cannot undo that. So the screen is a child, and the parent that waits for it remembers the state of
the terminal.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

LEAST = (60, 12)  # columns and rows
_PARENT = "_CACHEDOCTOR_SCREEN_OF"  # a pipe that ends when the parent does
_PATIENCE_S = 12  # for a step in progress
_KEPT_ON = (signal.SIGTERM, signal.SIGHUP)
# Turns off what was turned on: the other screen, the mouse, focus, pasting, sizes, keys; then
# restores the cursor, line breaking and plain letters.
_WHOLE = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l\x1b[?2004l"
    "\x1b[?2048l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?7h\x1b[0m"
)


def obstacle(environment: Mapping[str, str]) -> str:
    """Return why nothing can be drawn here, or nothing."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return "there is no terminal to draw on"
    if not sys.stderr.isatty():  # where textual draws
        return "standard error is redirected, so there is no terminal to draw on"
    if environment.get("TERM") == "dumb":
        return "this terminal cannot draw: `TERM` is `dumb`"
    with contextlib.suppress(OSError):
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        if 0 < columns < LEAST[0] or 0 < rows < LEAST[1]:
            least = f"at least {LEAST[0]} by {LEAST[1]}"
            return f"the terminal is too small: {columns} columns by {rows} rows, {least} needed"
    return ""


def parent() -> int | None:
    """Return the pipe that ends when the waiting parent does; `None` if there is no parent yet."""
    found = os.environ.pop(_PARENT, "")
    return int(found) if found.isdecimal() else None


def run(command: Sequence[str]) -> int:
    """Run a command that draws, and leave the terminal as it was, however the command ended.

    Returns its exit code, or 128 plus the signal that ended it. Termination signals are passed on.
    """
    before = termios.tcgetattr(sys.stdin.fileno())
    reader, writer = os.pipe()
    environment = {**os.environ, _PARENT: str(reader)}
    if not environment.get("NO_COLOR"):  # textual asks whether it is set, not to what
        environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, env=environment, pass_fds=(reader,))
    os.close(reader)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)
        signal.alarm(_PATIENCE_S)

    def end(_number: int, _frame: FrameType | None) -> None:
        process.kill()

    for number in _KEPT_ON:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGALRM, end)
    for number in (signal.SIGINT, signal.SIGQUIT):  # the screen got it too, and acts on it
        signal.signal(number, signal.SIG_IGN)
    code = process.wait()
    signal.alarm(0)
    os.close(writer)
    if code < 0:
        _restore(before)
    return code if code >= 0 else 128 - code


def _restore(before: list[object]) -> None:
    """Restore a terminal whose program died without doing so."""
    with contextlib.suppress(OSError, termios.error):  # it may be gone as well
        os.write(sys.stderr.fileno(), _WHOLE.encode())
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)  # type: ignore[arg-type]
