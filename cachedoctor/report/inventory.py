"""The catalogue, places and this machine, as text and as data; looks only at what exists."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.config import NAME
from cachedoctor.doctor import bridge
from cachedoctor.host import config_folder
from cachedoctor.report.folding import Folding
from cachedoctor.system import disk
from cachedoctor.text import plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.engines import Engine
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import FileSet

Json = dict[str, object]

_VARIABLE = re.compile(
    "HF_|XDG_|HUGGING_?FACE_|HUGGINGFACE_|TRANSFORMERS_(OFFLINE|CACHE)$"
    "|(PARAKEET_CACHE_DIR|REGISTRY_URL|TMPDIR)$"
)
_HUB_FILE = re.compile(
    "https://huggingface[.]co/(?P<repository>[^/]+/[^/]+)/resolve/[^/]+/(?P<file>.+)"
)
_SECRET = re.compile("TOKEN|KEY|SECRET|PASS")
_LOGIN = re.compile(r"(?<=//)[^/@\s]*@")
_MOVES_HUB = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


def engines_lines(chosen: Sequence[Engine], host: Host) -> Iterator[str]:
    """Yield the engines: where each looks first, and the models that answer each size."""
    for engine in chosen:
        table = engine.table
        where = f"{', '.join(engine.locators)}; {', '.join(table.platforms)}"
        yield f"{engine.name}: {plural(len(table.models), 'model')}; {where}"
        yield f"  in {printable(host.short(_place(engine, host)))}"
        if len(set(table.sizes.values())) == 1:
            yield f"  every size  {', '.join(next(iter(table.sizes.values())))}"
            continue
        for each, names in table.sizes.items():
            yield f"  {each:<10}  {', '.join(names)}"
    yield "`cachedoctor engines ENGINE` lists an engine's models"


def models_lines(engine: Engine, host: Host) -> Iterator[str]:
    """Yield one engine's models: name, approximate size, and source."""
    table = engine.table
    yield f"{engine.name}, as of version {', '.join(table.versions)}"
    yield f"in {printable(host.short(_place(engine, host)))}"
    width = max(map(len, (*table.models, *table.aliases)))
    for model in table.models.values():
        yield f"  {model.name:<{width}}  {_about(model):>10}  {_origin(model)}"
        former, until = model.former
        if former:
            yield f"  {'':<{width}}  {'':>10}  to {until} {former}"
        if len(model.sets) > 1:
            for files in model.sets:
                folder = f" in {files.folder}" if files.folder else ""
                yield f"  {'':<{width}}  {'':>10}  {_span(files)}{folder}"
    for alias, name in table.aliases.items():
        yield f"  {alias:<{width}}  = {name}"
    yield Folding(f"source: {table.source}")


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
                    "sets": [
                        {
                            "since": files.since or None,
                            "until": files.until or None,
                            "folder": files.folder or None,
                            "files": [
                                {"any": list(need.names), "optional": need.optional}
                                for need in files.requirements
                            ],
                        }
                        for files in model.sets
                    ],
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
        "hub_cache_moved_by": _hub_moved_by(host),
        "variables": _variables(host),
        "places": [
            {"locator": name, "path": printable(path), "exists": os.path.lexists(path)}
            for name, path in _places(host)
        ],
        "free_bytes": disk.free_bytes(disk.folder_above(host.home)),
        "bridges": {name: bridge.find(name) for name in bridge.programs()},
        "bridge_tests": {name: health_json(health) for name, health in _bridges(host)},
    }


def health_json(health: bridge.Health) -> Json:
    """Return the state of a bridge as data."""
    return {
        "works": not health.why,
        "why": health.why or health.unlinked or None,
        "version": health.version or None,
        "engine_version": health.engine_version or None,
        "linked": health.linked,
    }


def info_lines(host: Host) -> Iterator[str]:
    """Yield the same as text; of the places, only those that exist."""
    moved = _hub_moved_by(host)
    yield f"cachedoctor {VERSION}, Python {sys.version.split()[0]} at {sys.executable}"
    for name, value in (
        ("home", f"{host.home} on {host.platform}"),
        ("project", host.project or "none"),
        ("state", host.state),
        ("configuration", os.path.join(config_folder(), NAME)),
        ("hub cache", host.hub_cache + (f" (${moved})" if moved else "")),
        ("offline", "yes" if host.hub_offline else "no"),
        ("free", size(disk.free_bytes(disk.folder_above(host.home)))),
        *_bridge_lines(host),
        *((f"${name}", value) for name, value in _variables(host).items()),
        *((name, host.short(path)) for name, path in _places(host) if os.path.lexists(path)),
    ):
        yield f"{name:<20} {printable(value)}"


def _bridges(host: Host) -> Iterator[tuple[str, bridge.Health]]:
    """Ask each installed bridge what it is."""
    for name in bridge.programs():
        program = bridge.find(name)
        if program is not None:
            given = bridge.environment(host.environment, host.home)
            yield name, bridge.examine(program, environment=given)


def _bridge_lines(host: Host) -> Iterator[tuple[str, str]]:
    health = dict(_bridges(host))
    for name, label in bridge.programs().items():
        found = health.get(name)
        if found is None:
            yield label, bridge.absence(name).replace(f"no `{label}` beside cachedoctor", "none")
        elif found.why:
            yield label, f"does not work: {found.why}"
        else:
            rest = f"; {found.unlinked}" if found.unlinked else ""
            versions = f"{found.version}, for {name} {found.engine_version}"
            yield label, f"works: {versions}{rest} ({bridge.find(name)})"


def _variables(host: Host) -> dict[str, str]:
    """Return the variables that move something; for tokens and logins, only that they are set."""
    return {
        name: "set" if _SECRET.search(name) else _LOGIN.sub("…@", printable(value))
        for name, value in sorted(host.environment.items())
        if _VARIABLE.match(name)
    }


def _hub_moved_by(host: Host) -> str | None:
    return next((name for name in _MOVES_HUB if name in host.environment), None)


def _places(host: Host) -> Iterator[tuple[str, str]]:
    for name in locators.names():
        added = (place.path for place in host.places if place.kind == name)
        for path in dict.fromkeys((*locators.find(name).roots(host), *added)):
            yield name, path


def _about(model: Model) -> str:
    return size(model.download_bytes) if model.download_bytes else ""


def _place(engine: Engine, host: Host) -> str:
    """Return the folder that holds the engine's models unless something else is set."""
    return os.path.dirname(engine.home(next(iter(engine.table.models.values())), host))


def _span(files: FileSet) -> str:
    if files.since and files.until:
        return files.since if files.since == files.until else f"{files.since} to {files.until}"
    return f"to {files.until}" if files.until else f"{files.since or 'all'} and later"


def _origin(model: Model) -> str:
    hub = _HUB_FILE.match(model.url)
    if hub:
        return f"{hub['repository']} {hub['file']}"
    return f"{model.repository} {model.prefix}".strip() or model.url
