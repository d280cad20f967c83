"""The questions that Python can ask, like the command line; none of them changes anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import diagnosis, engines, locators, lockfile, locking
from cachedoctor.doctor import contents, readiness, scanning
from cachedoctor.errors import CacheDoctorError, CannotLookError, UsageError
from cachedoctor.findings import Severity
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.question import Question, of_one
from cachedoctor.system.network import Network
from cachedoctor.system.watching import Watched
from cachedoctor.verdict import locked_by
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cachedoctor.diagnosis import Diagnosis
    from cachedoctor.doctor.contents import FileVerdict
    from cachedoctor.doctor.scanning import Report
    from cachedoctor.lockfile import Lock, LockedModel
    from cachedoctor.system.watching import Cancel, Moment


class Verification(NamedTuple):
    """The verdict on every file, by the best evidence there is; true if nothing is wrong."""

    report: Report  # the look, with the findings from what was read
    files: tuple[FileVerdict, ...]  # each physical file once

    def __bool__(self) -> bool:
        """Return whether no file is wrong or unreadable and no finding is an error."""
        errors = any(f.severity is Severity.ERROR for f in self.report.findings)
        return not self.wrong and not errors

    @property
    def proven(self) -> tuple[FileVerdict, ...]:
        """Return the files whose content is right."""
        return tuple(file for file in self.files if file.proven)

    @property
    def wrong(self) -> tuple[FileVerdict, ...]:
        """Return the files whose content is wrong, or that cannot be read."""
        return tuple(file for file in self.files if file.wrong)

    @property
    def unproven(self) -> tuple[FileVerdict, ...]:
        """Return the files without evidence to check them against."""
        return tuple(file for file in self.files if file.unproven)


class Locking(NamedTuple):
    """The exact bytes of models, as in a lock file."""

    models: tuple[LockedModel, ...]  # in the order of the questions
    unproven: tuple[str, ...] = ()  # files locked as they are, without evidence

    @property
    def text(self) -> str:
        """Return the lock file, to be written as `models.lock`."""
        models = {(one.engine, one.name): one for one in self.models}
        return lockfile.text(models.values(), f"cachedoctor {VERSION}")


def scan(
    *names: str,
    host: Host | None = None,
    models: Sequence[str] = (),
    paths: Sequence[str] = (),
    lock: Lock | str | os.PathLike[str] | None = None,
) -> Report:
    """Look at the models of the engines called `names`, or of all: what is there, what is wrong.

    `models` narrows the answer to these models of the engines, `paths` to these paths, and `lock`
    to the models of a lock file, and demands exactly their bytes. Reads names, sizes and headers;
    changes nothing and needs no network. Raises `UsageError` for an unknown engine.
    """
    here = host or Host.look()
    return scanning.scan(here, names, models=models, paths=paths, lock=locked_by(lock))


def verify(
    *names: str,
    host: Host | None = None,
    models: Sequence[str] = (),
    paths: Sequence[str] = (),
    lock: Lock | str | os.PathLike[str] | None = None,
    fresh: bool = False,
    max_age_s: int | None = None,
    online: bool = False,
    mirrors: Mapping[str, str] | None = None,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Verification:
    """Read every file, check it against its evidence, and remember the result.

    Narrowed like `scan`. A file remembered as right is read again only with `fresh`, or if that is
    longer ago than `max_age_s`. With `online`, the hub is asked about files without local evidence.
    Once `cancel` is set, raises `CancelledError`; what was read by then stays remembered.
    `progress` is as in `ensure`.
    """
    here = host or Host.look()
    question = Question(
        here,
        names,
        models=tuple(models),
        paths=tuple(paths),
        lock=locked_by(lock),
        deep=True,
        fresh=fresh,
        max_age_s=max_age_s,
    )
    report = scanning.answer(
        question,
        network=Network.of(here, mirrors=mirrors) if online else None,
        cure_notes=False,
        progress=Watched(progress, cancel),
    )
    if report.lock:
        report = report._replace(findings=(*cures.absent_locked(report), *report.findings))
    return Verification(report, tuple(sorted(contents.verdicts(report.entries, report.contents))))


def lock(
    *questions: str,
    host: Host | None = None,
    online: bool = False,
    mirrors: Mapping[str, str] | None = None,
    progress: Callable[[Moment], None] | None = None,
    cancel: Cancel | None = None,
) -> Locking:
    """Return the exact bytes of models that are ready here; reads and proves every byte.

    A question is `engine:size` or `engine:model`. With `online`, a model that is not here is locked
    by the hub's listing of the newest commit. Raises `UsageError` for an invalid question and
    `CannotLookError` for a model that is not ready.
    """
    here = host or Host.look()
    network = Network.of(here, mirrors=mirrors) if online else None
    found = []
    for question in questions:
        engine, what = of_one(question)
        watched = Watched(progress, cancel)
        found.append(locking.lock(here, engine, what, network=network, progress=watched))
    unproven = tuple(name for one in found for name in one.unproven)
    return Locking(tuple(one.model for one in found), unproven)


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """Read a lock file, to use it in many questions.

    Raises `CannotLookError` if it cannot be read, and `UsageError`, with the line, if it is
    invalid.
    """
    return locking.read(os.fspath(path))


def where(
    engine: str,
    *,
    size: str | None = None,
    model: str | os.PathLike[str] | None = None,
    host: Host | None = None,
) -> str:
    """Return the path that an engine would load, whole or not, or where it keeps its models.

    With a size or a model, raises `CacheDoctorError` if it is missing, and `CannotLookError` if
    its place cannot be read.
    """
    model = None if model is None else os.fspath(model)
    return located(host or Host.look(), engine, size=size, model=model)[0]


def located(host: Host, name: str, *, size: str | None, model: str | None) -> list[str]:
    """Return the path of a model; without a size or model, each place with the engine's models."""
    engine = engines.find(name)
    version = host.engine_versions.get(name, "")
    try:
        models = readiness.answers(engine, size=size, model=model, version=version)
    except UsageError:  # a path is a word too, and its own answer
        if model is None or not engine.instead(None, model, host):
            raise
        return [engine.instead(None, model, host)]
    report = scanning.scan(host, [name], cure_notes=False)
    if size or model:
        answer = readiness.ready(engine, report, models, size)
        if answer.entry is None and not readiness.is_absent(answer):
            raise CannotLookError(
                f"{name} {answer.model} cannot be looked for: {answer.why} (`{answer.path}`)",
                hint=f"`{host.command('scan', name)}` says more",
            )
        if answer.entry is None:
            question = ("--size", size) if size else ("--model", model or "")
            only = readiness.only(readiness.others(engine, report, size))
            raise CacheDoctorError(
                f"{name} {answer.model} is missing{only}; it would be at `{answer.path}`",
                hint=f"`{host.command('fix', name, *question)}` fetches it",
            )
        return [answer.path or ""]
    usual = os.path.dirname(engine.home(models[0], host))
    resolved = os.path.realpath(usual)
    there = [
        resolved if locators.inside(entry.path, resolved) else entry.root
        for entry in report.entries
        if name in entry.engines
    ]
    return list(dict.fromkeys(there)) or [usual]


def diagnose(text: str, *, host: Host | None = None) -> Diagnosis:
    """Explain an engine's error text or log, and check whether the caches have that fault."""
    lines = text.encode("utf-8", "surrogateescape").splitlines()
    return diagnosis.diagnose(host or Host.look(), diagnosis.recognise(diagnosis.pieces(lines)))
