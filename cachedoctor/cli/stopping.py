"""What a command says when it ends early: what is safe, and what continues next time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachedoctor.errors import CacheDoctorError

if TYPE_CHECKING:
    from cachedoctor.host import Host

_OF_NO_HOME = ("engines", "explain", "demo", "completion", "schema")
_COMMAND = re.compile(r"`cachedoctor ([a-z]+)([^`]*)`")


class StoppedError(CacheDoctorError):
    """Report that somebody pressed Ctrl-C."""

    exit_code = 130


def stopped(host: Host, command: str, *, changes: bool) -> CacheDoctorError:
    """Return what Ctrl-C left: nothing, remembered digests, or a fix that can continue."""
    if not changes:
        kept = "; what was read whole is remembered" if command == "verify" else ""
        return StoppedError("interrupted", hint=f"nothing was changed{kept}")
    from cachedoctor.runs import applying
    from cachedoctor.system.logbook import OPEN

    if not any(found.state in OPEN for found in applying.runs(host)):
        return StoppedError("interrupted", hint="nothing was changed")
    return StoppedError(
        "interrupted",
        hint=f"every file is whole, either old or new; `{host.command('fix')}` continues, "
        f"`{host.command('undo')}` takes it back",
    )


def repeated(error: CacheDoctorError, host: Host) -> None:
    """Make the commands in an error's hint ask about the same home (law 13)."""

    def again(match: re.Match[str]) -> str:
        name, rest = match.groups()
        if name in _OF_NO_HOME or not host.options or host.options in rest:
            return match[0]
        return f"`cachedoctor {name}{rest}{host.options}`"

    error.hint = _COMMAND.sub(again, error.hint)
