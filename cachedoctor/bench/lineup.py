"""Choose which engines take part, with which model and path, and why the others do not."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines
from cachedoctor.bench.outcome import LeftOut
from cachedoctor.doctor import bridge, contents, readiness, scanning
from cachedoctor.engines import catalog
from cachedoctor.errors import UsageError
from cachedoctor.rules import machine
from cachedoctor.rules.machine import EngineNotInstalled
from cachedoctor.rules.present import MissingFile
from cachedoctor.verdict import NOTHING_ELSE, preflight, with_path
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.verdict import Verdict
    from cachedoctor.vocabulary import Entry, Progress


class Contender(NamedTuple):
    """An engine that is ready, and what it would load."""

    engine: str
    program: str  # the Python or the bridge that runs it
    package: str | None  # that provides it in a Python; `None` for a bridge
    model: str
    path: str
    revision: str | None
    files: tuple[str, ...]  # the physical files
    size_bytes: int
    digests: Mapping[str, str]


def contenders(
    host: Host,
    names: Sequence[str] = (),
    *,
    size: str | None = None,
    model: str | None = None,
    progress: Progress = SILENT,
) -> tuple[list[Contender], list[LeftOut]]:
    """Return the engines that are ready for a size or a model, and those that are left out.

    Reads every file that was not read before. Raises `UsageError` for an unknown engine or size,
    and for a model that no engine has.
    """
    asked = list(dict.fromkeys(engines.find(name).name for name in names or engines.names()))
    if model is not None:
        asked = _who_have(model, asked, host, named=bool(names))
    ready: list[Contender] = []
    left: list[LeftOut] = []
    for name in asked:
        found = _contender(name, host, size, model, progress)
        if isinstance(found, Contender):
            ready.append(found)
        else:
            left.append(found)
    return ready, left


def _who_have(model: str, names: Sequence[str], host: Host, *, named: bool) -> list[str]:
    """Return the engines that have a model of this name, or accept it as a path.

    For a repository that no table names, only those for which it is here. Raises `UsageError` if
    none does, or if one of the named engines does not.
    """
    kept: list[str] = []
    shaped: list[str] = []
    refused: UsageError | None = None
    for name in names:
        try:
            row = engines.find(name).table.row(model)
        except UsageError as error:
            if engines.find(name).instead(None, model, host):
                kept.append(name)
            refused = refused or error
        else:
            (kept if named or row.known_by == "name" else shaped).append(name)
    if not kept:
        kept = [name for name in shaped if preflight(name, model=model, host=host).checked]
        refused = refused or (UsageError("") if shaped and not kept else None)
    if refused is not None and (len(kept) < len(names) if named else not kept):
        if named:
            raise refused
        raise UsageError(
            f"no engine has a model `{model}`", hint="`cachedoctor engines ENGINE` lists them"
        )
    return kept


def _contender(
    name: str, host: Host, size: str | None, model: str | None, progress: Progress
) -> Contender | LeftOut:
    verdict = preflight(name, size=size, model=model, host=host)
    if not verdict.ready:
        return _refused(verdict)
    package = machine.package_of(name)
    program = host.pythons.get(name)
    if package is None:
        program = program or bridge.find(name)
        if program is None:
            why = bridge.absence(name)
            return LeftOut(
                engine=name,
                model=verdict.model,
                code=EngineNotInstalled.code,
                why=why,
                cure=bridge.INSTALL,
            )
    elif program is None:
        program = sys.executable
        if importlib.util.find_spec(catalog.read(name).module) is None:
            why = f"not installed here; `--python {name}=PATH` names where it is"
            return LeftOut(
                engine=name,
                model=verdict.model,
                code=EngineNotInstalled.code,
                why=why,
                cure=f"pip install {package}",
            )
    given = engines.find(name).instead(None, model, host) if model else ""
    if given and given != host.absolute(str(verdict.path)):
        given = ""  # a name that the engine knows
    return _proven(verdict, given, program, package, host, progress)


def _proven(
    verdict: Verdict, given: str, program: str, package: str | None, host: Host, progress: Progress
) -> Contender | LeftOut:
    """Check a model against its digests, because a load would not notice wrong bytes."""
    engine = engines.find(verdict.engine)
    if given:
        look = with_path(host, engine.name, given)
        report = scanning.scan(look, [engine.name], only=NOTHING_ELSE, deep=True, progress=progress)
        answer = readiness.at_path(engine, report, given)
    else:
        models = readiness.answers(engine, size=None, model=verdict.model)
        report = scanning.scan(
            host, [engine.name], paths=[str(verdict.path)], deep=True, progress=progress
        )
        answer = readiness.ready(engine, report, models)
    entry = next((e for e in report.entries if e.id == answer.entry), None)
    if not answer.ready or entry is None:
        return _refused(verdict._replace(ready=False, code=answer.code, why=answer.why))
    files = _files(entry)
    digests = {
        os.path.basename(name): f"{known.algorithm}:{known.measured}"
        for known in contents.verdicts((entry,), report.contents)
        if known.measured is not None
        for name in (known.links or (known.path,))[:1]
    }
    return Contender(
        engine=verdict.engine,
        program=program,
        package=package,
        model=str(verdict.model),
        path=str(verdict.path),
        revision=verdict.revision,
        files=tuple(files.values()),
        size_bytes=sum(os.path.getsize(file) for file in files.values()),
        digests=digests,
    )


def _files(entry: Entry) -> dict[str, str]:
    """Return the physical file behind each name, including those inside bundles."""
    found: dict[str, str] = {}
    for artifact in entry.artifacts:
        if artifact.state is not State.PRESENT:
            continue
        if os.path.isfile(artifact.file):
            found[artifact.name] = artifact.file
        for base, _, names in os.walk(artifact.file):
            for name in names:
                inner = os.path.join(base, name)
                found[f"{artifact.name}/{os.path.relpath(inner, artifact.file)}"] = inner
    return found


def _refused(verdict: Verdict) -> LeftOut:
    if verdict.absent:
        return LeftOut(
            engine=verdict.engine,
            model=verdict.model,
            code=MissingFile.code,
            why=f"no model{readiness.only(verdict.others)}",
            cure=verdict.cure,
        )
    why = verdict.why or "not ready"
    return LeftOut(
        engine=verdict.engine, model=verdict.model, code=verdict.code, why=why, cure=verdict.cure
    )
