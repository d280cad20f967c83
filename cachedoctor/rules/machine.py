"""Rules about the machine: 409, 411, and 6xx, which no scan reports."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import catalog
from cachedoctor.findings import Severity, Subject
from cachedoctor.host import TRUE, config_folder
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
    """An older hub client would damage this cache by deleting from it.

    Since huggingface_hub 1.32 the repositories of a cache can share a store, and this cache has
    one. Older versions can read it, but when they delete a revision, every repository loses the
    shared payload. Checked for each Python that you name with `--python`.

    Upgrade huggingface_hub in that environment, or do not delete with it (`hf cache rm`,
    `delete_revisions()`).
    Source: huggingface_hub 0.36.2 and 1.28.0, tried on such a cache; pull request 4600.
    """

    code = "CD409"
    slug = "mixed-client-hazard"
    severity = Severity.WARNING
    warns = True

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Check the version in each Python named with `--python`."""
        pythons = seen.host.pythons.items()
        for engine, python in ((name, path) for name, path in pythons if package_of(name)):
            version = installed.release(python, _HUB)
            if version and installed.before(version, _SHARED_SINCE) and _has_store(root.path):
                message = f"{_HUB} {version} of {engine} deletes shared files along with a revision"
                yield self.about(root.path, (), message, engines=(engine,), root=root)


class EnvironmentTrap(SurveyRule):
    """An environment variable does not do what it seems to.

    An empty `HF_HUB_CACHE` or `HF_HOME` means the current folder. `HF_XET_CACHE` does not expand a
    `~`, nor does openai-whisper in `XDG_CACHE_HOME`, although the hub's client does.
    `HF_HUB_OFFLINE=y` does not mean offline, and `HF_HUB_OFFLINE=0` overrides
    `TRANSFORMERS_OFFLINE=1`. `TRANSFORMERS_CACHE` works only in transformers before 5. `HF_HOME` is
    the folder above the cache, which is called `hub`: if it names the cache itself, the cache looks
    empty. A note tells of a variable that points to a cache without models while the usual one has
    some.

    Also reported is a `cachedoctor.toml` that has no effect: `[engines]` and `keep` do not count in
    a project's (a note), and your own is not read if it is a link, a pipe or another user's; then
    nothing is changed.

    Set the variable as the message says, before the program starts: all of them are read at import.
    Source: huggingface_hub 2.4.0 `constants.py`; openai-whisper 20250625 `__init__.py`;
    transformers 5.23.0 `utils/hub.py`.
    """

    code = "CD411"
    slug = "environment-trap"
    severity = Severity.WARNING
    warns = True
    said = True

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report each variable of the host that is a trap."""
        for path, message, layouts in _traps(seen.host):
            subjects = tuple(Subject(layout=name) for name in layouts)
            yield self.about(path, (), message, subjects=subjects)
        for path, message in _left_behind(seen.host):
            hub = (Subject(layout=hub_cache.LOCATOR.name),)
            yield self.about(path, (), message, subjects=hub, severity=Severity.NOTE)
        cache = seen.host.environment.get("XDG_CACHE_HOME", "")
        if cache.startswith("~"):  # the hub's client expands it
            where = seen.host.absolute(cache)
            message = (
                "`XDG_CACHE_HOME` has a `~` that openai-whisper does not expand, "
                f"so it uses `{where}`; write the full path"
            )
            yield self.about(where, (), message, engines=("openai-whisper",))
        if seen.host.refused:
            yield self.about(config_folder(), (), seen.host.refused)
        for path, message in seen.host.passed_over:
            yield self.about(path, (), message, severity=Severity.NOTE)


class EngineNotInstalled(Rule):
    """The engine is not installed in the interpreter.

    Reported by `preflight` and `bench` for an interpreter named with `--python ENGINE=PATH`;
    nothing is imported or run to find out. If none is named, `bench` checks the interpreter that
    runs cachedoctor.

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
    Reported by `preflight` and `bench`.

    Source: FluidInference/FluidAudio and argmaxinc/argmax-oss-swift `Package.swift`.
    """

    code = "CD602"
    slug = "wrong-platform"
    status = None  # no file can help
    blocks = True
    word = "blocked"


class NoSpace(Rule):
    """There is not enough free space for the download.

    Reported by `preflight` for a model that is not whole. What earlier fixes set aside still takes
    up space.

    `cachedoctor quarantine empty` frees that; `cachedoctor scan -v` lists waste.
    """

    code = "CD603"
    slug = "no-space"
    status = None  # no file can help
    blocks = True
    word = "blocked"
    manual = ("make-room", "cachedoctor", "quarantine", "empty")


class ClientTooOld(Rule):
    """The engine's version of huggingface_hub cannot read this cache.

    Before 0.8 the cache was flat, so such a client downloads everything again.
    Reported by `preflight` for an interpreter named with `--python ENGINE=PATH`.

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
    """Return why `engine` cannot run here, whatever is on disk: a code and a reason, or `None`.

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
    if package is None:  # what was named is a bridge
        return None
    if installed.release(python, package) is None:
        return EngineNotInstalled.code, f"`{python}` has no {package}"
    version = installed.release(python, _HUB)
    if version and installed.before(version, _HUB_SINCE):
        return ClientTooOld.code, f"{_HUB} {version} in `{python}` cannot read this cache"
    return None


def lacks_space(
    path: str | None, repair: Repair | None, models: Sequence[Model], name: str | None
) -> tuple[str, str] | None:
    """Return that there is no space to fetch a model: a code and a reason, or `None`."""
    needed = repair.fetch_bytes + repair.copy_bytes if repair else 0
    if repair is None:
        needed = next((model.bytes for model in models if model.name == name), 0)
    folder = disk.folder_above(os.path.abspath(path or "/"))  # HOME may be relative
    free = disk.free_bytes(folder)
    if needed <= free:
        return None
    return NoSpace.code, f"{size(needed)} needed, {size(free)} free at `{folder}`"


def package_of(engine: str) -> str | None:
    """Return the Python package that provides an engine; `None` for one linked into apps."""
    return catalog.read(engine).package or None


def _has_store(hub: str) -> bool:
    """Return whether repositories share payloads; a narrowed look does not list the store."""
    try:
        return bool(quietly.names(os.path.join(hub, "blobs")))
    except OSError:
        return False


def _misplaced(host: Host) -> Iterator[tuple[str, str]]:
    """Yield variables set to a folder that belongs in another variable.

    The cache is `HF_HOME/hub`: if `HF_HOME` names the cache itself, clients look one folder too
    deep; if `HF_HUB_CACHE` names the folder above, one too high.
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


def _left_behind(host: Host) -> Iterator[tuple[str, str]]:
    """Yield the variable that moved the cache to where no model is, away from models."""
    usual = os.path.join(host.home, ".cache", "huggingface", "hub")
    if host.hub_cache == usual or _is_hub(host.hub_cache) or not _is_hub(usual):
        return
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    name = next((name for name in names if host.environment.get(name)), "")
    if name and not any(_misplaced(host)):
        message = f"`{name}` points to a cache without models; there are some in `{usual}`"
        yield host.hub_cache, message


def _is_hub(path: str) -> bool:
    """Return whether a folder holds repositories like a hub cache."""
    try:
        return any(name.startswith("models--") for name in quietly.names(path))
    except OSError:
        return False


def _traps(host: Host) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield each trap's place, what is wrong, and the layouts whose places it moves."""
    env, hub = host.environment, (hub_cache.LOCATOR.name,)
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        if env.get(name) == "":
            where = host.absolute(host.hub_cache)
            yield where, f"`{name}` is empty, so the cache is `{where}`; unset it", hub
    if env.get("HF_XET_CACHE", "").startswith("~"):
        where = host.absolute(env["HF_XET_CACHE"])
        message = f"`HF_XET_CACHE` has a `~` that is not expanded, so the cache is `{where}`"
        yield where, f"{message}; write the full path", hub
    offline, other = env.get("HF_HUB_OFFLINE", ""), env.get("TRANSFORMERS_OFFLINE", "")
    if offline.lower() in ("y", "t"):
        where = host.absolute(host.hub_home)
        yield where, f"`HF_HUB_OFFLINE={offline}` does not mean offline; write 1", hub
    elif offline and not host.hub_offline and other.upper() in TRUE:
        yield (
            host.absolute(host.hub_home),
            f"`HF_HUB_OFFLINE={offline}` overrides `TRANSFORMERS_OFFLINE={other}`: not offline",
            hub,
        )
    for where, message in _misplaced(host):
        yield where, message, hub
    if "TRANSFORMERS_CACHE" in env and "HF_HUB_CACHE" not in env:
        where = host.absolute(host.expand(env["TRANSFORMERS_CACHE"]))
        if where != host.hub_cache:
            yield (
                where,
                "`TRANSFORMERS_CACHE` works only in transformers before 5; write `HF_HUB_CACHE`",
                hub,
            )
