"""What is sent to a machine, and how its answer is told apart from other output of a login.

One line for any login shell, so everything is in `/bin/sh -c '…'`. The answer is between two marks
that only this run knows, so a banner before it or a word after it does not matter, and an answer
that was cut off has no second mark.
"""

from __future__ import annotations

import re
import secrets
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = "$HOME/.local/bin:/opt/homebrew/bin:/usr/local/bin"  # a login shell would add these

_GONE = 'trap "rm -f $at; exit 1" HUP INT TERM PIPE; '  # in case the caller is gone at any moment


class Said(NamedTuple):
    """What came from a machine: nothing of ours, no program, or an answer with its exit code."""

    begun: bool
    missing: str  # what is missing; empty if nothing is
    code: int | None  # `None` if the answer was cut off
    text: str


def mark() -> str:
    """Return the mark for the answers of one run."""
    return f"cachedoctor-{secrets.token_hex(8)}"


def command(
    words: Sequence[str], *, tool: str, marked: str, deadline_s: int, lock: str = ""
) -> str:
    """Return the line that runs the machine's own `cachedoctor`.

    `lock` is the text of a lock file: it is in a temporary file there while that runs.
    """
    run = f'"$tool" {shlex.join([*words, "--deadline", f"{deadline_s}s"])}'
    before = after = ""
    if lock:
        before = f"at=$(mktemp) || exit 1; {_GONE}printf %b {shlex.quote(plain(lock))} >$at; "
        run += " --lock $at"
        after = "rm -f $at; "
    return wrapped(
        f"PATH=$PATH:{PLACES}; tool={expanded(tool)}; "
        f'if command -v "$tool" >/dev/null 2>&1; then {before}'
        f"echo; echo {marked} begin; {run} </dev/null; code=$?; {after}"
        f"echo; echo {marked} end $code; else echo; echo {marked} missing cachedoctor; fi"
    )


def wrapped(script: str) -> str:
    """Return a script for `sh` as one line for any login shell, which always succeeds."""
    return f"/bin/sh -c {shlex.quote(script + '; exit 0')}"


def heard(output: str, marked: str) -> Said:
    """Return the part of a machine's output that is the answer."""
    output = output.replace("\r\n", "\n")
    if found := re.search(rf"^{marked} missing (.*)$", output, re.MULTILINE):
        return Said(True, found[1], None, "")
    begun = re.search(rf"^{marked} begin\n", output, re.MULTILINE)
    if begun is None:
        return Said(False, "", None, output)
    ended = re.search(rf"^{marked} end (\d+)$", output[begun.end() :], re.MULTILINE)
    if ended is None:
        return Said(True, "", None, output[begun.end() :])
    return Said(True, "", int(ended[1]), output[begun.end() : begun.end() + ended.start()])


def plain(text: str) -> str:
    """Return a text on one line, for `printf %b`; no login shell expands anything in it."""
    return text.replace("\\", "\\0134").replace("\n", "\\n").replace("!", "\\0041")


def expanded(path: str) -> str:
    """Return a path quoted for `sh`; a `~` at its beginning is the machine's own."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
