"""Ask Core ML, through the bridges, whether it loads the bundles that are whole.

A bundle that loads may still have wrong bytes, and one that does not may be undamaged; but only
loading it tells whether this Mac can run it. A bridge's own failure is never blamed on a model.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.doctor import bridge
from cachedoctor.text import plural
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry, Progress

_TIMEOUT_S = 1800.0  # the first load after a macOS update compiles everything again
# Signals that a bad bundle can cause; SIGKILL and SIGTERM come from somewhere else.
_CRASHES = frozenset(
    (
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGABRT,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGFPE,
    )
)
_ALIKE = 2  # this many bundles refused in the same words, and none loaded: not the models' fault


class Unasked(NamedTuple):
    """Bundles that Core ML could not be asked about, and why: an engine's, or one folder's."""

    engine: str
    path: str  # empty for all of the engine's bundles
    why: str


class Asked(NamedTuple):
    """Core ML's answers."""

    loaded: int = 0  # bundles
    refused: Mapping[str, str] = {}  # the reason, by the path of a bundle or of a file beside it
    unasked: tuple[Unasked, ...] = ()
    alike: str = ""  # the reason, if it was the same for every bundle
    alike_count: int = 0

    def lines(self, host: Host) -> Iterator[str]:
        """Yield lines that say what Core ML was asked, and what it could not be asked."""
        if self.loaded or self.refused:
            refused = f", refused {len(self.refused)}" if self.refused else ""
            yield f"Core ML: loaded {plural(self.loaded, 'bundle')}{refused}"
        if self.alike:
            yield (
                f"Core ML: refused all {self.alike_count} bundles alike, so the models are not to "
                f"blame: {self.alike}"
            )
            yield "  `CACHEDOCTOR_BRIDGE_SANDBOX=off` asks it without the bridges' sandbox"
        for engine, path, why in self.unasked:
            yield f"Core ML: not asked about {host.short(path) if path else engine}: {why}"
        if not (self.loaded or self.refused or self.alike or self.unasked):
            yield "Core ML: not asked: no bundle of an engine is here"


def programs(host: Host) -> Mapping[str, str]:
    """Return the bridge to use by engine, on a Mac: the one named with `--python`, or ours."""
    if host.platform != "darwin":
        return {}
    found = {name: host.pythons.get(name) or bridge.find(name) for name in bridge.programs()}
    return {name: program for name, program in found.items() if program}


def ask(
    host: Host,
    entries: Iterable[Entry],
    programs: Mapping[str, str],
    progress: Progress = SILENT,
) -> Asked:
    """Load each bundle of these entries through Core ML, and return the answers.

    Takes as long as loading each model. If a bridge cannot start, or does not answer, its entries
    are reported as not asked about.
    """
    wanted: dict[str, list[Entry]] = {}
    for entry in entries:
        for name in bridge.programs():
            if name in entry.engines and os.path.isdir(entry.path):
                wanted.setdefault(name, []).append(entry)
    if not wanted:
        return Asked()
    found = _Found()
    progress.start("Loading through Core ML", None)
    try:
        for engine, mine in wanted.items():
            health = _health(host, engine, programs)
            if not health.linked:
                found.unasked.append(Unasked(engine, "", health.why or health.unlinked))
                continue
            for entry in mine:
                model = next((c.model for c in entry.claims if c.engine == engine), "")
                named = ["--model", model] if model in health.models else []
                _check([programs[engine], *named], engine, entry, host, found)
    finally:
        progress.finish()
    return found.settled()


class _Found:
    """The answers so far."""

    def __init__(self) -> None:
        self.loaded = 0
        self.by_core_ml: dict[str, tuple[str, str]] = {}  # by path: the bundle's name, the reason
        self.beside: dict[str, str] = {}
        self.unasked: list[Unasked] = []

    def settled(self) -> Asked:
        """Return all answers; a reason shared by every bundle is given once."""
        said = {text.replace(name, "…") for name, text in self.by_core_ml.values()}
        if not self.loaded and len(self.by_core_ml) >= _ALIKE and len(said) == 1:
            count = len(self.by_core_ml)
            return Asked(0, self.beside, tuple(self.unasked), said.pop(), count)
        refused = {
            path: f"Core ML refuses it: {text}" for path, (_, text) in self.by_core_ml.items()
        }
        return Asked(self.loaded, {**refused, **self.beside}, tuple(self.unasked))


def _health(host: Host, engine: str, programs: Mapping[str, str]) -> bridge.Health:
    """Return whether an engine's bridge can ask Core ML, or why not."""
    if host.platform != "darwin":
        return bridge.Health("only a Mac has it")
    if engine not in programs:
        return bridge.Health(bridge.absence(engine))
    given = bridge.environment(host.environment, host.home)
    return bridge.examine(programs[engine], environment=given)


def _check(named: list[str], engine: str, entry: Entry, host: Host, found: _Found) -> None:
    """Load one model's bundles together; if the bridge crashes, load them one at a time."""
    program, *model = named
    command = ["check", "--model-dir", entry.path, *model]

    def asked(*more: str) -> dict[str, Any]:
        return bridge.ask(
            program,
            [*command, *more],
            environment=bridge.environment(host.environment, host.home),
            timeout_s=_TIMEOUT_S,
        )

    try:
        _read(asked(), entry, found)
    except bridge.SilentError as error:
        if error.silence.signal not in _CRASHES:
            found.unasked.append(Unasked(engine, entry.path, f"the bridge {error.reason}"))
            return
        crashes = [_crashes(name, entry, asked, found) for name in _bundles(entry)]
        if not any(crashes):
            why = f"the bridge {error.reason}, but for no bundle on its own"
            found.unasked.append(Unasked(engine, entry.path, why))
    except bridge.BridgeError as error:  # already reported by structure, or not reportable here
        found.unasked.append(Unasked(engine, entry.path, error.message))


def _bundles(entry: Entry) -> Iterator[str]:
    for artifact in entry.notable:
        if artifact.bundle and os.path.isdir(artifact.file):
            yield artifact.name


def _crashes(name: str, entry: Entry, asked: Any, found: _Found) -> bool:
    """Load one bundle alone, and return whether that crashed the bridge."""
    try:
        _read(asked("--bundle", name), entry, found)
    except bridge.SilentError as error:
        found.beside[os.path.join(entry.path, name)] = (
            f"loading it failed: the bridge {error.reason}"
        )
        return True
    except bridge.BridgeError:
        return False
    return False


def _read(said: dict[str, Any], entry: Entry, found: _Found) -> None:
    """Record an answer to `check`; faults of form are skipped, because the rules report them."""
    try:
        for each in said["bundles"]:
            path = os.path.join(entry.path, each["bundle"])
            if each["ok"]:
                found.loaded += 1
            elif each["fault"] is None:
                name = os.path.basename(each["bundle"])
                found.by_core_ml[path] = (name, each["message"])
        for each in said.get("files", ()):
            if not each["ok"] and each["fault"] is None:
                found.beside[os.path.join(entry.path, each["file"])] = each["message"]
    except (AttributeError, KeyError, TypeError) as error:
        raise bridge.BridgeError("garbled", "the bridge gave an invalid answer") from error
