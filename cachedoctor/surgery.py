"""Plan repairs and apply them: stage and prove everything, then take the steps, then look again."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import disk, doctor, engines, fetch, journal, locking, readiness, staging
from cachedoctor.errors import LockHeldError, RepairError, UsageError
from cachedoctor.findings import Finding, Proof, Put, Repair, Safety, SetAside, Severity
from cachedoctor.repairs import folder, hub, single
from cachedoctor.vocabulary import Entry, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cachedoctor.catalog import Model
    from cachedoctor.doctor import Report
    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.staging import Network
    from cachedoctor.vocabulary import Claim

_MARGIN_BYTES = 1 << 20  # for the journal, and what small files round up to
_NO_WASTE = ("CD109", "CD508")  # a download that is running, a model that may be pinned
_LAST = ("CD410", "CD502")  # after everything inside a folder is right; and waste


class Plan(NamedTuple):
    """What a fix would do: findings with the repairs that cure them, in the order of doing."""

    cures: tuple[Finding, ...]
    by_hand: tuple[Finding, ...] = ()  # no repair, or one that only a person can do
    unfinished: tuple[str, ...] = ()  # folders of earlier fixes without an end
    free_bytes: int | None = None  # on the fullest file system that would be written to

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Return the repairs alone."""
        return tuple(finding.repair for finding in self.cures if finding.repair)

    @property
    def fetch_bytes(self) -> int:
        """Return what a fix would download, as far as that is known."""
        return sum(repair.fetch_bytes for repair in self.repairs)

    @property
    def fetches(self) -> bool:
        """Say whether anything is downloaded."""
        return any(repair.safety is Safety.FETCHES for repair in self.repairs)


class Outcome(NamedTuple):
    """What an applied plan came to."""

    runs: tuple[str, ...]  # for `undo`
    report: Report  # a second look at the same engines
    left: tuple[Finding, ...]  # what was to be cured and is still there
    aside_bytes: int


def plan(
    report: Report,
    *,
    codes: Collection[str] = (),
    waste: bool = False,
    absent: Sequence[Finding] = (),
    network: Network | None = None,
) -> Plan:
    """Choose what of `report` to cure: errors and warnings, or just these `codes`.

    Notes only by code or with `waste`. `absent` are models that were asked for by name. Asks the
    hub which commit and files a whole model has, if one is to be fetched and `network` allows it;
    raises `FetchError` when it cannot be asked.
    """
    chosen = [*absent, *(f for f in report.findings if _wanted(f, codes, waste=waste))]
    chosen.sort(key=lambda f: (f.code in _LAST, _LAST.index(f.code) if f.code in _LAST else 0))
    cures: list[Finding] = []
    by_hand = []
    taken: set[object] = set()
    for finding in chosen:
        repair = finding.repair
        if finding.code == "CD417":
            continue
        if repair is None or repair.safety is Safety.MANUAL:
            by_hand.append(finding)
            continue
        moved = {step for step in repair.steps if isinstance(step, SetAside)}
        mark = repair.steps or (repair.kind, repair.describe)
        if mark in taken or (moved and all(_gone(step.path, taken) for step in moved)):
            continue
        if network and network.offline and repair.safety is Safety.FETCHES:
            by_hand.append(finding)
            continue
        taken.update((mark, *moved))
        if repair.kind == "fetch-model" and not repair.steps and network:
            repair = _resolved(finding, report, network)
        cures.append(finding._replace(repair=repair))
    unfinished = tuple(f.path for f in report.findings if f.code == "CD417")
    free = [disk.free_bytes(_above(f.repair.root)) for f in cures if f.repair]
    return Plan(tuple(cures), tuple(by_hand), unfinished, min(free, default=None))


def _gone(path: str, taken: Collection[object]) -> bool:
    """Say whether what is at `path` is set aside by an earlier repair, alone or with its folder."""
    aside = [step.path for step in taken if isinstance(step, SetAside)]
    return any(path == other or path.startswith(other + "/") for other in aside)


def absent_model(
    report: Report, engine: str, *, size: str | None, model: str | None
) -> tuple[Finding, ...]:
    """Return the finding that a model which was asked for is not there at all, if so."""
    found = engines.find(engine)
    models = readiness.answers(found, size=size, model=model)
    answer = readiness.ready(found, report, models, size)
    if answer.entry is not None:
        return _unbranched(answer.entry, report) if answer.code == "CD403" else ()
    return (_absence(found, models[0], report),)


def absent_locked(report: Report) -> tuple[Finding, ...]:
    """Return a finding for each model of the report's lock file that is not there as locked."""
    found = []
    for locked in report.lock.models if report.lock else ():
        engine = engines.find(locked.engine)
        model = engine.table.model(locked.name)
        answer = readiness.ready(engine, report, (model,))
        if answer.entry is None:
            found.append(_absence(engine, model, report))
        elif answer.code == "CD403":
            found += _unbranched(answer.entry, report)
    return tuple(found)


def _absence(engine: Engine, model: Model, report: Report) -> Finding:
    """Return the finding that a model is not there, with the repair that fetches it."""
    path, root, claim = _wanted_model(engine, model, report.host)
    locked = report.lock.find(engine.name, model.name) if report.lock else None
    layout = engine.locators[0]
    inside = os.path.join(os.path.realpath(root), os.path.relpath(path, root))
    if os.path.lexists(path) and os.path.realpath(path) != inside:
        raise RepairError(
            f"`{path}` is a link; nothing is written through it", hint="put a folder in its place"
        )
    if layout in single.LOCATORS:
        if locked:
            claim = locked.demanded(claim)
        need = claim.needs.requirements[0]
        copies = report.survey.digests.get(need.digest.hex, ()) if need.digest else ()
        repair = single.whole_file(claim, path, root, copies)
    else:
        repair = hub.fetch_claim(claim, root, model.bytes)
    at = f" at {locked.revision[:12]}" if locked and locked.revision else ""
    return Finding(
        "CD101",
        "missing-file",
        Severity.ERROR,
        path,
        f"{engine.name} {model.name}{at} is not there",
        (),
        (engine.name,),
        layout,
        repair=repair,
    )


def apply(plan: Plan, report: Report, network: Network) -> Outcome:
    """Cure what `plan` holds and look again; afterwards every cache is whole or as it was.

    First everything is staged and proven, on the file system where it will lie; a failure there
    raises `RepairError` and has changed nothing. Interrupted at any moment, the next `fix` finishes
    or `undo` takes back what was begun.
    """
    try:
        began = [_finish(folder, network) for folder in plan.unfinished]
        if began:  # what was to be cured may be cured by now, or lie elsewhere
            plan = _again(plan, report)
        began += _carry_out(plan.repairs, network)
    except OSError as error:
        where = error.filename2 or error.filename or report.host.home
        raise RepairError(
            f"`{where}` cannot be changed: {error.strerror or error}", hint="nothing was changed"
        ) from error
    again = doctor.scan(
        report.host,
        report.engines,
        models=report.models,
        lock=report.lock,
        progress=network.progress,
    )
    cured = {(finding.code, finding.path) for finding in plan.cures}
    left = tuple(f for f in again.findings if (f.code, f.path) in cured)
    left += tuple(f for f in absent_locked(again) if (f.code, f.path) in cured)
    aside = sum(repair.aside_bytes for repair in plan.repairs)
    return Outcome(tuple(began), again, left, aside)


def runs(host: Host) -> list[journal.Run]:
    """Return every run that changed something of `host`, the oldest first."""
    survey = doctor.scan(host).survey
    found = [
        run
        for folder in doctor.run_folders(host, survey)
        for run in journal.runs(folder)
        if doctor.concerns(run, host, survey)
    ]
    return sorted(found, key=lambda run: run.created_s)


def undoable(host: Host) -> list[journal.Run]:
    """Return every run that `undo` could take back, the oldest first."""
    return [run for run in runs(host) if run.state not in ("undone", "failed", "emptied")]


def undo(host: Host, name: str | None = None) -> tuple[journal.Run, ...]:
    """Take a run back, or where none is named all runs of the last fix that is not taken back yet.

    A fix has one run for each file system. Returns what was taken back. Raises `UsageError` for an
    unknown run, and `RepairError`, with nothing of that run changed, when a file is no longer what
    it had left.
    """
    known = undoable(host)
    names = [run.id for run in known]
    if name is not None and name not in names:
        raise UsageError(
            f"no fix `{name}` to take back{nearest(name, names)}",
            hint=f"there are {', '.join(names) or 'none'}",
        )
    last = known[-1].created_s if known else 0
    chosen = [r for r in known if r.id == name or (name is None and r.created_s == last)]
    for run in chosen:
        with _alone_in(os.path.dirname(run.folder)):
            run.undo([later for later in known if later.created_s > run.created_s])
    return tuple(chosen)


def kept(host: Host) -> list[journal.Kept]:
    """Return what fixes of `host` have set aside, the oldest first."""
    return [item for run in runs(host) for item in run.kept()]


def empty(host: Host, before_s: float) -> None:
    """Delete for good what ended fixes have set aside before a time, in seconds of the clock."""
    for run in runs(host):
        if run.state not in journal.OPEN and run.created_s <= before_s:
            with _alone_in(os.path.dirname(run.folder)):
                run.empty()


def _again(plan: Plan, report: Report) -> Plan:
    """Return what of an accepted plan is left after interrupted fixes were finished."""
    now = doctor.scan(
        report.host, report.engines, models=report.models, lock=report.lock, deep=report.deep
    )
    there = {(finding.code, finding.path): finding for finding in now.findings}
    known = {(finding.code, finding.path) for finding in report.findings}
    keys = [(finding.code, finding.path) for finding in plan.cures]
    absent = [f for f in plan.cures if (f.code, f.path) not in known]
    return Plan((*(there[key] for key in keys if key in there), *absent))


def _finish(folder: str, network: Network) -> str:
    """Take an interrupted fix, or an interrupted undo, to its end."""
    with _alone_in(os.path.dirname(folder)):
        run = journal.Run.open(folder)
        if run.state == "undoing":
            run.undo()
        elif run.state == "open":
            _operate(run, network)
    return run.id


def _carry_out(repairs_: Sequence[Repair], network: Network) -> list[str]:
    """Apply repairs, one run for each file system; if one fails, those before it are undone."""
    groups: dict[str, list[Repair]] = {}
    for repair in repairs_:
        folder = journal.runs_folder(repair.root, network.host.state)
        groups.setdefault(folder, []).append(repair)
    done: list[journal.Run] = []
    now = time.time()  # one for all, by which `undo` knows what belongs together
    for folder, group in groups.items():
        try:
            _room(folder, group)
            journal.prepare(folder)
            with _alone_in(folder):
                run = journal.Run.create(folder, group, now=now)
                _operate(run, network)
                done.append(run)
        except (RepairError, OSError):
            for earlier in reversed(done):
                earlier.undo()
            raise
    return [run.id for run in done]


@contextlib.contextmanager
def _alone_in(runs_folder: str) -> Iterator[None]:
    """Keep a second fix or undo out of a folder of runs."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(disk.hold_lock(journal.lock_file(runs_folder)))
        except LockHeldError as error:
            raise RepairError(
                "another fix or undo is running", hint="wait until it is done, then try again"
            ) from error
        yield


def _operate(run: journal.Run, network: Network) -> None:
    """Stage what a run still needs, then take its steps; on failure leave everything as it was."""
    try:
        for number, repair in enumerate(run.repairs):
            for need in repair.needs:
                if not run.placed(number, need.name):
                    path = run.staged_path(number, need.name)
                    staging.stage(need, path, network)
                    _like_before(repair, need.name, path)
    except (RepairError, OSError):
        if not run.begun:
            run.close("failed")
        raise
    try:
        with contextlib.ExitStack() as held:
            for lock in {lock for repair in run.repairs for lock in repair.locks}:
                if os.path.lexists(lock):  # a client that never came here has made none
                    held.enter_context(disk.hold_lock(lock))
            for number in range(len(run.repairs)):
                run.take(number)
        run.close("done")
    except (RepairError, OSError):
        run.undo()
        raise


def _like_before(repair: Repair, name: str, staged: str) -> None:
    """Give a staged file the mode of the file that it takes the place of, if that was readable."""
    for step in repair.steps:
        if isinstance(step, Put) and step.name == name and SetAside(step.path) in repair.steps:
            found = disk.mode_of(step.path)
            if found is not None and found & stat.S_IRUSR:
                disk.set_mode(staged, found)


def _wanted(finding: Finding, codes: Collection[str], *, waste: bool) -> bool:
    if codes:
        return finding.code in codes
    if finding.severity is Severity.NOTE:
        return waste and finding.repair is not None and finding.code not in _NO_WASTE
    return True


def _resolved(finding: Finding, report: Report, network: Network) -> Repair:
    """Ask the hub for the commit and files of a model, and fill in its fetch."""
    repair = finding.repair
    claim, entry = _claim_of(finding, report)
    staging.allowed(network)
    locked = report.lock.find(claim.engine, claim.model) if report.lock else None
    revision = (locked.revision if locked else "") or "main"
    listing = fetch.hub_listing(claim.repository, revision, network.host, network.mirrors)
    if locked and (why := locking.differs(listing.files, locked, claim.prefix)):
        where = locked.said_by
        raise RepairError(f"{claim.repository} at {revision[:12]} is not as {where} demands: {why}")
    root = repair.root if repair else ""
    files = [(f.path, Proof("", f.bytes, f.digest)) for f in listing.files]
    if finding.locator == "hub-cache":
        path = entry.path.split("/snapshots/")[0] if entry else finding.path
        return hub.whole_model(claim, path, root, listing.commit, files)
    tokenizer = None
    if claim.tokenizer:
        other = fetch.hub_listing(claim.tokenizer, "main", network.host, network.mirrors)
        promised = [(f.path, Proof("", f.bytes, f.digest)) for f in other.files]
        tokenizer = folder.Remote(other.commit, promised)
    model = folder.Remote(listing.commit, files)
    noted = finding.locator in ("documents", "local-dir")
    return folder.whole_folder(claim, finding.path, root, model, tokenizer, noted=noted)


def _claim_of(finding: Finding, report: Report) -> tuple[Claim, Entry | None]:
    for entry in report.survey.entries:
        if entry.id in finding.entries and entry.claims:
            return entry.claims[0], entry
    engine = engines.find(finding.engines[0])
    for model in engine.table.models.values():
        if engine.home(model, report.host) == finding.path:
            return _wanted_model(engine, model, report.host)[2], None
    raise LookupError(finding.path)


def _wanted_model(engine: Engine, model: Model, host: Host) -> tuple[str, str, Claim]:
    """Return where a model that is not there belongs: its path, its root, and the claim to it."""
    path = engine.home(model, host)
    name = next((n for n in engine.places(model) if path.endswith(f"/{n}")), "")
    name = name or os.path.basename(path)
    root = path[: -len(name) - 1]
    entry = Entry("", engine.locators[0], root, path, name, ())
    return path, root, engine.claimed(model, entry, host)


def _unbranched(key: str, report: Report) -> tuple[Finding, ...]:
    """Return the finding that no `main` leads to a whole revision which was asked for by name."""
    entry = next(entry for entry in report.entries if entry.id == key)
    if any(finding.code == "CD403" for finding in report.of(entry)):
        return ()
    ref = os.path.join(entry.path.partition("/snapshots/")[0], "refs", "main")
    message = f"no branch `main` leads to {(entry.revision or '')[:12]}"
    return (
        Finding(
            "CD403",
            "ref-dangling",
            Severity.ERROR,
            ref,
            message,
            (key,),
            entry.engines,
            entry.locator,
            repair=hub.write_main(entry),
        ),
    )


def _above(path: str) -> str:
    """Return the folder that is there, at or above `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _room(folder: str, group: Sequence[Repair]) -> None:
    """Refuse before anything is fetched when it would not fit."""
    above = _above(folder)
    needed = sum(repair.fetch_bytes + repair.copy_bytes for repair in group) + _MARGIN_BYTES
    free = disk.free_bytes(above)
    if needed > free:
        raise RepairError(
            f"no room: {needed} bytes are needed beside `{above}` and {free} are free",
            hint="`cachedoctor quarantine empty` frees what earlier fixes set aside",
        )
