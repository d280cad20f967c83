"""Tell other tools before they start whether an engine would load a model now, offline."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING

from cachedoctor import engines, rules
from cachedoctor.config import Place
from cachedoctor.doctor import readiness, scanning
from cachedoctor.errors import UsageError
from cachedoctor.findings import Safety, Severity
from cachedoctor.host import Host
from cachedoctor.locators import named_path
from cachedoctor.rules import machine
from cachedoctor.rules.consistent import ShadowedName
from cachedoctor.system import usage
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cachedoctor.doctor.judging import Checked
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.engines import Engine
    from cachedoctor.findings import Finding, Readiness, Repair
    from cachedoctor.lockfile import Lock
    from cachedoctor.plans.cures import Plan
    from cachedoctor.system.watching import Cancel, Moment
    from cachedoctor.vocabulary import Entry

NOTHING_ELSE = frozenset(("\0",))  # no place lists a name like this


class Verdict(NamedTuple):
    """Ready with its path, or the reason why not and the cure."""

    engine: str  # the engine asked about
    size: str | None  # the size asked for, or none
    model: str | None  # the model that answers, as the engine names it
    ready: bool  # whether the engine would load it now, offline; also `bool(verdict)`
    path: str | None  # where it is, or would be
    revision: str | None  # the commit, in a hub cache
    code: str | None  # code of the finding in the way, or none
    why: str | None  # what is wrong, for people
    repair: Repair | None  # the cure, if it is a repair
    checked: Checked | None = None  # how its files were judged; none without an entry
    lock: str | None = None  # the lock file that was asked for
    warnings: tuple[Finding, ...] = ()  # what would trip the engine although the files are right
    by: str = "name"  # `name`, or `path` if it cannot be loaded by name
    others: tuple[str, ...] = ()  # models of the size asked for that are ready but do not answer it
    options: str = ""  # options that a command repeats to mean the same home

    def __bool__(self) -> bool:
        """Return whether the engine would load the model now."""
        return self.ready

    @property
    def cure(self) -> str:
        """Return the command that makes it ready, or an empty string."""
        found = self._cure()
        ours = found.startswith("cachedoctor ") and not found.endswith(self.options)
        return found + self.options if ours else found

    def _cure(self) -> str:
        if self.by == "path" or str(self.model)[:1] == "/":
            return ""  # intact but needs its path, or a path, which has no known source
        if self.lock:
            return f"cachedoctor fix --lock {shlex.quote(self.lock)}"
        if self.blocked:
            words = rules.policy(self.code).manual[1:]
            package = machine.package_of(self.engine) or ""
            return " ".join(words).replace("{package}", package)
        if self.repair is not None and self.repair.safety is Safety.MANUAL:
            return self.repair.describe
        if self.unseen:  # nothing may be fetched for it
            return ""
        question = ("--size", self.size) if self.size else ("--model", str(self.model))
        return f"cachedoctor fix {shlex.join((self.engine, *question))}"

    @property
    def absent(self) -> bool:
        """Return whether the model has no entry, not even a broken one."""
        return self.checked is None and rules.policy(self.code).absent

    @property
    def blocked(self) -> bool:
        """Return whether the machine itself keeps the engine from running, so no file can help."""
        return rules.policy(self.code).blocks

    @property
    def unseen(self) -> bool:
        """Return whether the model could be there unseen, so nothing may be fetched."""
        return rules.policy(self.code).unseen


def preflight(
    engine: str,
    *,
    size: str | None = None,
    model: str | os.PathLike[str] | None = None,
    lock: Lock | str | os.PathLike[str] | None = None,
    host: Host | None = None,
    revision: str | None = None,
) -> Verdict:
    """Return whether `engine` would load the model of a size, or a named model, right now.

    `model` is the engine's own word: a name, an alias, a repository, a path. The verdict's `by`
    says whether the engine finds it by that name or must be given the path. With a `revision`,
    only that commit or branch counts.

    With a `lock`, either parsed or a path, the model must be at the locked revision, with the
    locked lengths, and with the locked digests as far as they are remembered: `verify` reads them.

    Looks only in that model's places: stat calls, headers and remembered digests, no network and no
    imports beyond the standard library. An ordinary "no" is a verdict, never an exception.
    Raises `UsageError` for an unknown engine, size or model.
    """
    if (size is None) == (model is None):
        raise UsageError("name either a size or a model", hint="`--size small` or `--model tiny`")
    model = None if model is None else os.fspath(model)
    lock = locked_by(lock)
    here = host or Host.look()
    found = engines.find(engine)
    version = here.engine_versions.get(engine, "")
    try:
        models = readiness.answers(found, size=size, model=model, version=version)
    except UsageError:
        named = model is not None and lock is None
        unlisted = _unlisted(found, model or "", here) if named else None
        if unlisted is None:
            raise
        return unlisted
    if model and "/" in model and model == models[0].repository and not found.takes_repositories:
        word = models[0].name
        raise UsageError(f"no model `{model}` for {engine}: it calls it `{word}`")
    places = frozenset(place for m in models for place in found.places(m))
    report = scanning.scan(here, [engine], only=places, lock=lock, cure_notes=False)
    answer = readiness.ready(found, report, models, size, revision)
    if not answer.ready:  # look at everything now: the cure can be in another place
        report = scanning.scan(here, [engine], lock=lock, cure_notes=False)
        answer = readiness.ready(found, report, models, size, revision)
    row = next((each for each in models if each.name == answer.model), models[0])
    before = found.instead(row, model or row.name, here) if lock is None else ""
    if before and (answer.by == "name" or not answer.ready):
        shadow = _at_path(found, before, here, size, model)
        if shadow.ready:
            return shadow._replace(by="name", model=row.name)
        why = f"`{before}` is loaded in its place: {shadow.why}"
        answer = answer._replace(ready=False, code=ShadowedName.code, why=why, entry=None)
    locked = lock.find(engine, models[0].name) if lock else None
    if locked and answer.entry is None and locked.revision:
        answer = answer._replace(why=f"missing at the locked revision {locked.revision[:12]}")
    entry = next((e for e in report.entries if e.id == answer.entry), None)
    if entry is not None:
        usage.remember(here.state, usage.ASKED, (entry.path,), time.time())
    finding = None if answer.ready else _cause(report, entry, answer)
    repair = finding.repair if finding else None
    answer = _on_machine(answer, found, here)
    if not (answer.ready or rules.policy(answer.code).blocks or rules.policy(answer.code).unseen):
        no_room = machine.lacks_space(answer.path, repair, models, answer.model)
        answer = _refused(answer, no_room)
    return Verdict(
        engine=engine,
        size=size,
        model=answer.model,
        ready=answer.ready,
        path=answer.path,
        revision=entry.revision if entry else None,
        code=answer.code,
        why=answer.why,
        repair=repair,
        checked=report.checked[entry.id] if entry else None,
        lock=lock.path if lock else None,
        warnings=tuple(f for f in report.findings if _concerns(f, found, entry)),
        by=answer.by if answer.ready else "name",
        others=readiness.others(found, report, size) if readiness.is_absent(answer) else (),
        options=here.options,
    )


def _unlisted(engine: Engine, word: str, host: Host) -> Verdict | None:
    """Return the verdict on what is loaded for a word that names no model, if anything is."""
    given = host.expand(word)
    there = engine.instead(None, word, host) or (given if os.path.isabs(given) else "")
    if not there:
        return None
    verdict = _at_path(engine, there, host, None, word)
    return verdict._replace(by="name") if there != host.absolute(given) else verdict


def _on_machine(answer: Readiness, engine: Engine, host: Host) -> Readiness:
    """Return the answer, or that the engine cannot run here whatever is on disk."""
    return _refused(answer, machine.obstacle(engine.name, engine.table.platforms, host))


def _refused(answer: Readiness, why: tuple[str, str] | None) -> Readiness:
    return answer if why is None else answer._replace(ready=False, code=why[0], why=why[1])


def _cause(report: Report, entry: Entry | None, answer: Readiness) -> Finding | None:
    """Return the finding behind an answer, if there is one."""
    if entry is not None:
        return next((f for f in report.of(entry) if f.code == answer.code), None)
    if readiness.is_absent(answer):
        return None
    same = (f for f in report.findings if (f.code, f.path) == (answer.code, answer.path))
    return next(same, None)


def with_path(host: Host, engine: str, path: str) -> Host:
    """Return the host with one more place: the single model at a path given to an engine."""
    real = os.path.realpath(path)
    if os.path.basename(os.path.dirname(path)) == "snapshots":
        real = path  # a snapshot's symlinks point to its own repository
    place = Place(kind=named_path.LOCATOR.name, path=real, engine=engine, said_by="--model")
    return host._replace(places=(*host.places, place))


def _at_path(engine: Engine, path: str, host: Host, size: str | None, model: str | None) -> Verdict:
    """Return whether the engine would load the files at a path."""
    look = with_path(host, engine.name, path)
    report = scanning.scan(look, [engine.name], only=NOTHING_ELSE, cure_notes=False)
    answer = _on_machine(readiness.at_path(engine, report, path), engine, host)
    entry = next((e for e in report.entries if e.id == answer.entry), None)
    return Verdict(
        engine=engine.name,
        size=size,
        model=(answer.model or model) if answer.ready else path,
        ready=answer.ready,
        path=answer.path,
        revision=None,
        code=answer.code,
        why=answer.why,
        repair=None,
        checked=report.checked[entry.id] if entry else None,
        warnings=tuple(_of_path(f, path) for f in report.findings if _concerns(f, engine, entry)),
        by="path",
        options=host.options,
    )


def _of_path(finding: Finding, path: str) -> Finding:
    """Return a warning about a model at a path with the command that looks there."""
    from cachedoctor import repairs

    return finding._replace(repair=repairs.manual("look-deeper", "cachedoctor", "verify", path))


def _concerns(finding: Finding, engine: Engine, entry: Entry | None) -> bool:
    """Return whether a finding concerns this model, or the libraries its engine uses.

    Or unreadable containers of apps, which could hold the model too.
    """
    if finding.severity is Severity.ERROR or not rules.find(finding.code).warns:
        return False
    if finding.entries:
        return entry is not None and entry.id in finding.entries
    layouts = {subject.layout for subject in finding.subjects}
    return engine.name in finding.engines or not layouts.isdisjoint(engine.locators)


def ensure(
    engine: str,
    *,
    allow: Callable[[Plan], bool],
    size: str | None = None,
    model: str | os.PathLike[str] | None = None,
    lock: Lock | str | os.PathLike[str] | None = None,
    host: Host | None = None,
    offline: bool = False,
    mirrors: Mapping[str, str] | None = None,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Verdict:
    """Make a model ready: ask like `preflight`, repair or fetch what is missing, and ask again.

    `allow` is called with the plan before anything is changed or fetched; what it refuses is not
    done. If the tables state the cost, `allow` comes before any network use, and again only if the
    real cost is a twentieth higher; otherwise the hub is first asked what the model contains.

    On an empty machine the whole model is fetched, at the locked commit or at one resolved first.
    `mirrors` holds URLs for `hub` and `openai`; `offline` uses only what is on this disk.

    `progress` is called with a `Moment`, from one thread at a time, and must not raise. Once
    `cancel` is set, `CancelledError` is raised at the next opportunity with nothing changed, except
    that the last steps, which only rename, are finished once begun.

    Raises `UsageError` like `preflight`, and `RepairError`, with the cache as it was, if a repair
    fails: `FetchError` if a download failed, `LockHeldError` if another fix is running.
    """
    from cachedoctor.plans import cures, readying
    from cachedoctor.runs import applying
    from cachedoctor.system.network import Network
    from cachedoctor.system.watching import Watched

    model = None if model is None else os.fspath(model)
    lock = locked_by(lock)
    here = host or Host.look()
    here.require_own_configuration()
    verdict = preflight(engine, size=size, model=model, lock=lock, host=here)
    if verdict.ready or verdict.blocked or verdict.unseen:
        return verdict  # no file can help, or nobody knows whether one is needed
    network = Network.of(here, offline=offline, mirrors=mirrors)
    if str(verdict.model)[:1] == "/":
        return verdict  # a path has no known source
    plan, report = readying.plan(engine, network, size=size, model=model, lock=lock)
    if not (plan.cures or plan.unfinished):
        return verdict
    told = plan.fetch_bytes if plan.fetch_bytes_known else None
    if told is not None and not allow(plan):
        return verdict
    Watched(cancel=cancel).advance(0)
    plan = cures.resolved(plan)
    if (told is None or cures.dearer(plan, told)) and not allow(plan):
        return verdict
    total = plan.fetch_bytes + plan.copy_bytes if plan.fetch_bytes_known else None
    watched = Watched(progress, cancel, total)
    applying.apply(plan, report, network._replace(progress=watched))
    return preflight(engine, size=size, model=model, lock=lock, host=here)


def locked_by(lock: Lock | str | os.PathLike[str] | None) -> Lock | None:
    """Return a lock file, reading it if it was given by path."""
    if isinstance(lock, (str, os.PathLike)):
        from cachedoctor import locking

        return locking.read(os.fspath(lock))
    return lock
