"""What is sent to a machine, and how its answer is told from what else a login says.

One line for any login shell, so everything is in `/bin/sh -c '…'`. The answer stands between two
marks that only this run knows, so a banner before it or a word after it does not matter, and one
that was cut off has no second mark.
"""

from __future__ import annotations

import re
import secrets
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = "$HOME/.local/bin:/opt/homebrew/bin:/usr/local/bin"  # where no login shell has been

_GONE = 'trap "rm -f $at; exit 1" HUP INT TERM PIPE; '  # a caller that is gone, at any moment


class Said(NamedTuple):
    """What came from a machine: nothing of ours, no program, or an answer with its exit code."""

    begun: bool
    missing: str  # what is not there; empty where all is
    code: int | None  # `None` where the answer was cut off
    text: str


def mark() -> str:
    """Return what the answers of one run are marked with."""
    return f"cachedoctor-{secrets.token_hex(8)}"


def command(
    words: Sequence[str], *, tool: str, marked: str, deadline_s: int, lock: str = ""
) -> str:
    """Return the line that runs the machine's own `cachedoctor`.

    `lock` is the text of a lock file: it lies in a temporary file there for as long as that runs.
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
    """Return a script for `sh` as one line for any login shell, which succeeds."""
    return f"/bin/sh -c {shlex.quote(script + '; exit 0')}"


def heard(output: str, marked: str) -> Said:
    """Return what of a machine's output is the answer."""
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
    """Return a text on one line, as `printf %b` reads it; no login shell makes anything of it."""
    return text.replace("\\", "\\0134").replace("\n", "\\n").replace("!", "\\0041")


def expanded(path: str) -> str:
    """Return a path quoted for `sh`; a `~` at its beginning is the machine's own."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)
