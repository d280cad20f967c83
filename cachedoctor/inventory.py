"""The catalogue, places and this machine, as text and as data; looks only at what exists."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from cachedoctor import disk, locators
from cachedoctor.config import NAME
from cachedoctor.host import config_folder
from cachedoctor.report import plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.catalog import Model
    from cachedoctor.engines import Engine
    from cachedoctor.host import Host

Json = dict[str, object]

_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_XET_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "TRANSFORMERS_CACHE",
    "HF_HUB_DISABLE_SYMLINKS",
    "HF_HUB_DISABLE_SHARED_BLOBS",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CONFIG_HOME",
    "PARAKEET_CACHE_DIR",
    "REGISTRY_URL",
    "TMPDIR",
)


def engines_lines(chosen: Sequence[Engine]) -> Iterator[str]:
    """Go through the engines with the models that answer each size."""
    for engine in chosen:
        table = engine.table
        where = f"{', '.join(engine.locators)}; {' and '.join(table.platforms)}"
        yield f"{engine.name}: {plural(len(table.models), 'model')}; {where}"
        for each, names in table.sizes.items():
            yield f"  {each:<7} {', '.join(names)}"
    yield "`cachedoctor engines ENGINE` lists an engine's models"


def models_lines(engine: Engine, host: Host) -> Iterator[str]:
    """Go through one engine's models: name, about how much, and where it comes from."""
    table = engine.table
    yield f"{engine.name}: versions {', '.join(table.versions)}"
    width = max(map(len, (*table.models, *table.aliases)))
    for model in table.models.values():
        yield f"  {model.name:<{width}}  {_about(model):>10}  {_origin(model)}"
    for alias, name in table.aliases.items():
        yield f"  {alias:<{width}}  = {name}"
    first = next(iter(table.models.values()))
    yield f"the first of them is looked for at {printable(host.short(engine.home(first, host)))}"


def engines_json(chosen: Sequence[Engine], host: Host) -> list[Json]:
    """Return engines and their models as data."""
    return [
        {
            "name": engine.name,
            "locators": list(engine.locators),
            "platforms": list(engine.table.platforms),
            "versions": list(engine.table.versions),
            "source": engine.table.source,
            "sizes": {each: list(names) for each, names in engine.table.sizes.items()},
            "aliases": dict(engine.table.aliases),
            "models": [
                {
                    "name": model.name,
                    "sizes": list(model.sizes),
                    "repository": model.repository or None,
                    "url": model.url or None,
                    "bytes": model.bytes or None,
                    "path": printable(engine.home(model, host)),
                }
                for model in engine.table.models.values()
            ],
        }
        for engine in chosen
    ]


def info_json(host: Host) -> Json:
    """Return what a bug report needs; a token's value never leaves this machine."""
    return {
        "python": sys.version.split()[0],
        "executable": sys.executable,
        "temporary": printable(host.temporary),
        "state": printable(host.state),
        "configuration": os.path.join(config_folder(), NAME),
        "engine_versions": dict(host.engine_versions),
        "offline": host.hub_offline,
        "hub_cache": printable(host.hub_cache),
        "variables": _variables(host),
        "places": [
            {"locator": name, "path": printable(path), "exists": os.path.lexists(path)}
            for name, path in _places(host)
        ],
        "free_bytes": disk.free_bytes(host.home),
    }


def info_lines(host: Host) -> Iterator[str]:
    """Go through the same as text, of the places those that exist."""
    yield f"cachedoctor {VERSION}, Python {sys.version.split()[0]} at {sys.executable}"
    for name, value in (
        ("home", f"{host.home} on {host.platform}"),
        ("project", host.project or "none"),
        ("state", host.state),
        ("configuration", os.path.join(config_folder(), NAME)),
        ("hub cache", host.hub_cache),
        ("offline", "yes" if host.hub_offline else "no"),
        ("free", size(disk.free_bytes(host.home))),
        *((f"${name}", value) for name, value in _variables(host).items()),
        *((name, host.short(path)) for name, path in _places(host) if os.path.lexists(path)),
    ):
        yield f"{name:<20} {printable(value)}"


def _variables(host: Host) -> dict[str, str]:
    return {
        name: "set" if "TOKEN" in name else printable(host.environment[name])
        for name in _VARIABLES
        if name in host.environment
    }


def _places(host: Host) -> Iterator[tuple[str, str]]:
    for name in locators.names():
        added = (place.path for place in host.places if place.kind == name)
        for path in dict.fromkeys((*locators.find(name).roots(host), *added)):
            yield name, path


def _about(model: Model) -> str:
    known = model.bytes or sum(length for length, _ in model.published.values())
    return size(known) if known else ""


def _origin(model: Model) -> str:
    return f"{model.repository} {model.prefix}".strip() or model.url
