"""Commands, times, paths and places as the page writes them."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

from cachedoctor import locators

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cachedoctor.report.page.readings import Model


class Ask:
    """Make the commands that a page prints.

    Commands about a look made now are this host's own; commands about a saved answer are for its
    machine.
    """

    def __init__(self, command: Callable[..., str] | None, live: frozenset[str]) -> None:
        """Store what makes this host's commands, and the names of machines looked at just now."""
        self._command, self._live = command, live

    def __call__(self, machine: str, *words: str) -> str:
        """Return a command that can be pasted."""
        if self._command is not None and self.here(machine):
            return self._command(*words)
        return shlex.join(("cachedoctor", *words))

    def here(self, machine: str) -> bool:
        """Return whether a machine is the one where the page is made, so that its text is ours."""
        return machine in self._live


def moment(when_s: float | None) -> str:
    """Return a time as people write it, in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when_s)) if when_s is not None else ""


def short(path: str, home: str) -> str:
    """Return a path with a machine's home as `~`."""
    if home and path.startswith(home.rstrip("/") + "/"):
        return "~" + path[len(home.rstrip("/")) :]
    return path


def place(model: Model, homes: Mapping[str, str]) -> str:
    """Return in words where a model is."""
    if model.apps:
        return f"{model.apps[0]}'s folder"
    known = model.locator in locators.names()
    words = (locators.find(model.locator).title if known else "") or model.locator
    return words or short(model.root, homes.get(model.machine, ""))
