"""One command on all machines, and the state of each."""

from __future__ import annotations

import contextlib
import shlex
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import UsageError
from cachedoctor.fleet import carrier, judging, line, single_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cachedoctor.fleet.carrier import Fleet
    from cachedoctor.fleet.judging import Answer

_LONGEST = 90_000  # bytes of a lock file, which travels on a command line


class Means(NamedTuple):
    """How to call a machine's `cachedoctor`: its own by name or path, or one that we send."""

    tool: str = "cachedoctor"
    pushed: str = ""  # our own file, for machines without it
    deadline_s: int = 60


@contextlib.contextmanager
def pushed(wanted: bool) -> Iterator[str]:
    """Make the file to send to each machine, and keep it while it is needed."""
    if not wanted:
        yield ""
        return
    with single_file.made() as path:
        yield path


def ask(
    fleet: Fleet,
    means: Means,
    command: str,
    words: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    lock: str = "",
    hear: Callable[[Answer], None] = lambda answer: None,
) -> list[Answer]:
    """Run `command` with `words` on all machines, or on each named one with words of its own.

    `lock` is the text of a lock file. `hear` is called with each answer as it arrives.
    """
    if len(lock.encode()) > _LONGEST:
        raise UsageError(
            "the lock file is too long for a fleet", hint="lock fewer models at a time"
        )
    marked = line.mark()

    def said(more: Sequence[str]) -> str:
        asked = [command, *more, "--json"]
        if means.pushed:
            ending = ["--deadline", f"{means.deadline_s}s"]
            if command == "fix":
                ending.append("--offline")  # a command that fetches is never sent
            return shlex.join([marked, line.plain(lock), *asked, *ending])
        return line.command(
            asked, tool=means.tool, marked=marked, deadline_s=means.deadline_s, lock=lock
        )

    if isinstance(words, dict):
        lines = {host: said(more) for host, more in words.items()}
        errand = carrier.Errand(lines=lines, script=means.pushed)
    else:
        errand = carrier.Errand(said(tuple(words)), script=means.pushed)

    def judged(reply: carrier.Reply) -> Answer:
        return judging.judge(reply, command, marked, fleet.timeout_s)

    replies = carrier.carry(fleet, errand, lambda reply: hear(judged(reply)))
    return [judged(reply) for reply in replies.values()]
