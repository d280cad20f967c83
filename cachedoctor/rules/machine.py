"""Rules about the machine: 409, 411, and what `preflight` alone says: 6xx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import catalog
from cachedoctor.findings import Severity, Subject
from cachedoctor.host import config_folder
from cachedoctor.locators import hub_cache
from cachedoctor.looking import quietly
from cachedoctor.rules import Rule, SurveyRule
from cachedoctor.rules._kinds import HubRule
from cachedoctor.system import disk, installed
from cachedoctor.text import size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.engines.catalog import Model
    from cachedoctor.findings import Finding, Repair
    from cachedoctor.host import Host
    from cachedoctor.locators.hub_cache import HubListing
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Root

_SHARED_SINCE = "1.32.0"
_HUB_SINCE = "0.8.0"
_HUB = "huggingface_hub"


class MixedClientHazard(HubRule):
    """An older client that was named would harm this cache when it deletes.

    The cache has a store that its repositories share, since huggingface_hub 1.32. Older versions
    read it, and when they delete a revision they take the shared payload from every repository.

    Upgrade huggingface_hub in that environment, or do not delete with it: `hf cache rm`,
    `delete_revisions()`.
    Source: huggingface_hub 0.36.2 and 1.28.0, tried on such a cache; pull request 4600.
    """

    code = "CD409"
    slug = "mixed-client-hazard"
    severity = Severity.WARNING
    warns = True

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Compare the version in each Python that was named with `--python`."""
        pythons = seen.host.pythons.items()
        for engine, python in ((name, path) for name, path in pythons if package_of(name)):
            version = installed.release(python, _HUB)
            if version and installed.before(version, _SHARED_SINCE) and _has_store(root.path):
                message = f"{_HUB} {version} of {engine} takes shared files when it deletes"
                yield self.about(root.path, (), message, engines=(engine,), root=root)


class EnvironmentTrap(SurveyRule):
    """An environment variable does not do what it seems to.

    An empty `HF_HUB_CACHE` or `HF_HOME` is the current folder; `HF_XET_CACHE` keeps a `~` as it is,
    and openai-whisper that of `XDG_CACHE_HOME`, which the hub's client expands;
    `HF_HUB_OFFLINE=y` is not offline, and `HF_HUB_OFFLINE=0` outdoes
    `TRANSFORMERS_OFFLINE=1`; `TRANSFORMERS_CACHE` moves only transformers before 5. `HF_HOME` is
    the folder above the cache, which is called `hub`: named as the cache itself, it looks empty.
    The same is said of a `cachedoctor.toml`: a project's `[engines]` and `keep` do not count (a
    note), and one of your own that is a link, a pipe or somebody else's is not read; then nothing
    is changed.

    Set the variable as the message says, before the program starts: all are read at import.
    Source: huggingface_hub 2.4.0 `constants.py`; openai-whisper 20250625 `__init__.py`;
    transformers 5.23.0 `utils/hub.py`.
    """

    code = "CD411"
    slug = "environment-trap"
    severity = Severity.WARNING
    warns = True
    said = True

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report each variable of the host that is such a trap."""
        for path, message, layouts in _traps(seen.host):
            subjects = tuple(Subject(layout=name) for name in layouts)
            yield self.about(path, (), message, subjects=subjects)
        cache = seen.host.environment.get("XDG_CACHE_HOME", "")
        if cache.startswith("~"):  # the hub's client expands it
            where = seen.host.absolute(cache)
            message = (
                f"`XDG_CACHE_HOME` keeps its `~` for openai-whisper, which makes `{where}`; "
                "write the whole path"
            )
            yield self.about(where, (), message, engines=("openai-whisper",))
        if seen.host.refused:
            yield self.about(config_folder(), (), seen.host.refused)
        for path, message in seen.host.passed_over:
            yield self.about(path, (), message, severity=Severity.NOTE)


class EngineNotInstalled(Rule):
    """The interpreter that was named has no such engine.

    Said by `preflight` and `bench` for an interpreter that `--python ENGINE=PATH` names; nothing is
    imported or run to find out. Where none is named, `bench` says it of the interpreter that runs
    cachedoctor.

    Install the engine there.
    """

    code = "CD601"
    slug = "engine-not-installed"
    status = None  # no file can help
    blocks = True
    word = "blocked"
    manual = ("install", "pip", "install", "{package}")


class WrongPlatform(Rule):
    """The engine does not run on this system.

    WhisperKit and FluidAudio need macOS; their models can be examined and repaired anywhere.
    Said by `preflight` and `bench`.

    Source: FluidInference/FluidAudio and argmaxinc/argmax-oss-swift `Package.swift`.
    """

    code = "CD602"
    slug = "wrong-platform"
    status = None  # no file can help
    blocks = True
    word = "blocked"


class NoSpace(Rule):
    """There is not enough space for what would have to be downloaded.

    Said by `preflight` about a model that is not whole. What earlier fixes set aside still counts
    as used.

    `cachedoctor quarantine empty` frees that; `cachedoctor scan -v` lists waste.
    """

    code = "CD603"
    slug = "no-space"
    status = None  # no file can help
    blocks = True
    word = "blocked"
    manual = ("make-room", "cachedoctor", "quarantine", "empty")


class ClientTooOld(Rule):
    """The huggingface_hub beside the engine cannot read this cache.

    Before 0.8 the cache was flat, and such a client downloads everything again.
    Said by `preflight` for an interpreter that `--python ENGINE=PATH` names.

    Upgrade huggingface_hub there.
    Source: huggingface_hub 0.8.0 release notes.
    """

    code = "CD604"
    slug = "client-too-old"
    status = None  # no file can help
    blocks = True
    word = "blocked"
    manual = ("upgrade", "pip", "install", "--upgrade", "huggingface_hub")


def obstacle(engine: str, platforms: tuple[str, ...], host: Host) -> tuple[str, str] | None:
    """Return the code and the reason for which `engine` could not run here, whatever is on disk.

    Looks at names in the interpreter's folders; runs nothing.
    """
    if host.platform not in platforms:
        where = {"darwin": "macOS", "linux": "Linux", "windows": "Windows"}
        names = " or ".join(where[name] for name in platforms)
        return WrongPlatform.code, f"{engine} needs {names}"
    python = host.pythons.get(engine)
    if python is None:
        return None
    package = package_of(engine)
    if package is None:  # then what was named is a bridge
        return None
    if installed.release(python, package) is None:
        return EngineNotInstalled.code, f"`{python}` has no {package}"
    version = installed.release(python, _HUB)
    if version and installed.before(version, _HUB_SINCE):
        return ClientTooOld.code, f"{_HUB} {version} in `{python}` cannot read this cache"
    return None


def no_room(
    path: str | None, repair: Repair | None, models: Sequence[Model], name: str | None
) -> tuple[str, str] | None:
    """Return the code and the reason for which a model that is not whole could not be fetched."""
    needed = repair.fetch_bytes + repair.copy_bytes if repair else 0
    if repair is None:
        needed = next((model.bytes for model in models if model.name == name), 0)
    folder = disk.folder_above(os.path.abspath(path or "/"))  # HOME may be relative
    free = disk.free_bytes(folder)
    if needed <= free:
        return None
    return NoSpace.code, f"{size(needed)} is needed, and {size(free)} is free at `{folder}`"


def package_of(engine: str) -> str | None:
    """Return the Python package that is or brings an engine; `None` where programs are linked."""
    return catalog.read(engine).package or None


def _has_store(hub: str) -> bool:
    """Say whether repositories share payloads; a look at one repository does not list them."""
    try:
        return bool(quietly.names(os.path.join(hub, "blobs")))
    except OSError:
        return False


def _misplaced(host: Host) -> Iterator[tuple[str, str]]:
    """Yield variables that name the right folder for another variable.

    The cache is `HF_HOME/hub`: who names a cache itself has it looked for one folder too deep, and
    who names the folder above it one too high.
    """
    env = host.environment
    if env.get("HF_HOME") and not (env.get("HF_HUB_CACHE") or env.get("HUGGINGFACE_HUB_CACHE")):
        home = host.absolute(host.hub_home)
        if _is_hub(home) and not _is_hub(host.hub_cache):
            yield home, f"`HF_HOME` names a cache itself; write `HF_HUB_CACHE={home}`"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if env.get(name):
            cache = host.hub_cache
            inner = os.path.join(cache, "hub")
            if _is_hub(inner) and not _is_hub(cache):
                yield cache, f"`{name}` names the folder above a cache; write `{name}={inner}`"
            return
    if env.get("XDG_CACHE_HOME") and "HF_HOME" not in env:
        given = host.absolute(env["XDG_CACHE_HOME"])
        if (_is_hub(given) or _is_hub(f"{given}/hub")) and not _is_hub(host.hub_cache):
            name = "HF_HUB_CACHE" if _is_hub(given) else "HF_HOME"
            yield given, f"`XDG_CACHE_HOME` names the hub's own folder; write `{name}={given}`"


def _is_hub(path: str) -> bool:
    """Say whether a folder holds repositories as a hub cache does."""
    try:
        return any(name.startswith("models--") for name in quietly.names(path))
    except OSError:
        return False


def _traps(host: Host) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield for each trap a place, what is wrong, and the layouts whose places it moves."""
    env, hub = host.environment, (hub_cache.LOCATOR.name,)
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        if env.get(name) == "":
            where = host.absolute(host.hub_cache)
            yield where, f"`{name}` is empty, so the cache is `{where}`; unset it", hub
    if env.get("HF_XET_CACHE", "").startswith("~"):
        where = host.absolute(env["HF_XET_CACHE"])
        message = f"`HF_XET_CACHE` keeps its `~`, which makes `{where}`; write the whole path"
        yield where, message, hub
    offline, other = env.get("HF_HUB_OFFLINE", ""), env.get("TRANSFORMERS_OFFLINE", "")
    if offline.lower() in ("y", "t"):
        where = host.absolute(host.hub_home)
        yield where, f"`HF_HUB_OFFLINE={offline}` is not offline; write 1", hub
    elif offline and not host.hub_offline and other.upper() in ("1", "ON", "YES", "TRUE"):
        yield (
            host.absolute(host.hub_home),
            f"`HF_HUB_OFFLINE={offline}` outdoes `TRANSFORMERS_OFFLINE={other}`: not offline",
            hub,
        )
    for where, message in _misplaced(host):
        yield where, message, hub
    if "TRANSFORMERS_CACHE" in env and "HF_HUB_CACHE" not in env:
        where = host.absolute(host.expand(env["TRANSFORMERS_CACHE"]))
        if where != host.hub_cache:
            yield (
                where,
                "`TRANSFORMERS_CACHE` moves only transformers before 5; write `HF_HUB_CACHE`",
                hub,
            )
