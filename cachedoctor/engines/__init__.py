"""What each engine would load: one module an engine, resolving names and places with its table.

A module holds `ENGINE: Engine`. An engine knows the locators it uses and no rule.
"""

from __future__ import annotations

import importlib
import os
from functools import cache, cached_property
from typing import TYPE_CHECKING, Protocol

from cachedoctor import catalog
from cachedoctor.errors import UsageError
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from cachedoctor.catalog import Model, Table
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


class Engine(Protocol):
    """One program that loads models."""

    name: str
    locators: tuple[str, ...]

    @property
    def table(self) -> Table:
        """The engine's models, read from the catalogue when first asked for."""
        ...

    def places(self, model: Model) -> tuple[str, ...]:
        """Name the repositories, folders or files in which `model` may lie, the newest first."""
        ...

    def claim(self, entry: Entry, host: Host) -> Claim | None:
        """Say which model of this engine `entry` is, or `None`."""
        ...

    def home(self, model: Model, host: Host) -> str:
        """Return the path at which the engine would look for `model` first."""
        ...


class CatalogEngine:
    """What all engines share: a table in the catalogue, and a claim made of one of its rows."""

    name: str
    locators: tuple[str, ...]

    @cached_property
    def table(self) -> Table:
        """The engine's models, read from the catalogue when first asked for."""
        return catalog.read(self.name)

    def claim(self, entry: Entry, host: Host) -> Claim | None:
        """Say which model of this engine `entry` is, or `None`."""
        model = self.model_at(entry, host) if entry.locator in self.locators else None
        if model is None:
            return None
        return self.table.claim(model, host.engine_versions.get(self.name, ""))

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model that this engine would find in `entry`."""
        raise NotImplementedError


@cache
def names() -> tuple[str, ...]:
    """Name every engine: the modules of this folder, with hyphens."""
    return tuple(
        sorted(
            entry.name[:-3].replace("_", "-")
            for entry in os.scandir(__path__[0])
            if entry.name.endswith(".py") and not entry.name.startswith("_")
        )
    )


def find(name: str) -> Engine:
    """Return the engine called `name`; raises `UsageError` with the nearest names."""
    known = names()
    if name not in known:
        raise UsageError(
            f"no engine `{name}`{nearest(name, known)}", hint=f"the engines are {', '.join(known)}"
        )
    engine: Engine = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").ENGINE
    return engine
