"""Moments, paths and places as the page says them; names that are far too long are cut."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cachedoctor import locators

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.report.page.readings import Model


def moment(when_s: float | None) -> str:
    """Return a moment as a person writes it, in this machine's time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when_s)) if when_s is not None else ""


def short(path: str, home: str) -> str:
    """Return a path with a machine's home as `~`."""
    if home and path.startswith(home.rstrip("/") + "/"):
        return "~" + path[len(home.rstrip("/")) :]
    return path


def place(model: Model, homes: Mapping[str, str]) -> str:
    """Return in words where a model lies."""
    if model.apps:
        return f"{model.apps[0]}'s folder"
    known = model.locator in locators.names()
    words = (locators.find(model.locator).title if known else "") or model.locator
    return words or short(model.root, homes.get(model.machine, ""))
