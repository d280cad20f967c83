"""The terminal: whether one is there to draw on, and a parent that leaves it as it was.

A program that draws takes a terminal over: no echo, another screen, no cursor. Killed, it cannot
give that back. So the screen is a child, and what waits for it remembers how the terminal was.
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
_PATIENCE_S = 12  # for a step that is being taken
_KEPT_ON = (signal.SIGTERM, signal.SIGHUP)
# What was switched on goes off: the other screen, the mouse, focus, pasting, sizes, keys; then the
# cursor, the breaking of lines and plain letters come back.
_WHOLE = (
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l\x1b[?1004l\x1b[?2004l"
    "\x1b[?2048l\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?7h\x1b[0m"
)


def obstacle(environment: Mapping[str, str]) -> str:
    """Return why nothing can be drawn here, or nothing."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return "there is no terminal to draw on"
    if not sys.stderr.isatty():  # to which textual draws
        return "standard error leads elsewhere, so there is no terminal to draw on"
    if environment.get("TERM") == "dumb":
        return "this terminal cannot draw: `TERM` is `dumb`"
    with contextlib.suppress(OSError):
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
        if 0 < columns < LEAST[0] or 0 < rows < LEAST[1]:
            least = f"at least {LEAST[0]} by {LEAST[1]}"
            return f"the terminal is too small: {columns} columns by {rows} rows, {least} needed"
    return ""


def parent() -> int | None:
    """Return the pipe that says when the waiting parent is gone; `None` where nobody waits yet."""
    found = os.environ.pop(_PARENT, "")
    return int(found) if found.isdecimal() else None


def run(command: Sequence[str]) -> int:
    """Run a command that draws, and leave the terminal as it was, however that ended.

    Returns its exit code, or 128 and the signal that ended it. Signals to end are passed on.
    """
    before = termios.tcgetattr(sys.stdin.fileno())
    reader, writer = os.pipe()
    environment = {**os.environ, _PARENT: str(reader)}
    if not environment.get("NO_COLOR"):  # textual asks whether it is there, not what it says
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
    for number in (signal.SIGINT, signal.SIGQUIT):  # both got it; the screen says what it means
        signal.signal(number, signal.SIG_IGN)
    code = process.wait()
    signal.alarm(0)
    os.close(writer)
    if code < 0:
        _mend(before)
    return code if code >= 0 else 128 - code


def _mend(before: list[object]) -> None:
    """Make a terminal whole that its program left as it was when it died."""
    with contextlib.suppress(OSError, termios.error):  # it may be gone as well
        os.write(sys.stderr.fileno(), _WHOLE.encode())
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)  # type: ignore[arg-type]
