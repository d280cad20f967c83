"""Choose what to cure, and say what it would take: the plan of a fix, without touching anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import disk, engines, fetch, locking, readiness, staging
from cachedoctor.errors import RepairError
from cachedoctor.findings import Finding, Proof, Repair, Safety, SetAside, Severity
from cachedoctor.repairs import folder, hub, single
from cachedoctor.vocabulary import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cachedoctor.catalog import Model
    from cachedoctor.doctor import Report
    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.staging import Network
    from cachedoctor.vocabulary import Claim

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
    free = [disk.free_bytes(disk.folder_above(f.repair.root)) for f in cures if f.repair]
    return Plan(tuple(cures), tuple(by_hand), unfinished, min(free, default=None))


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
        model = engine.table.row(locked.name)
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


def _gone(path: str, taken: Collection[object]) -> bool:
    """Say whether what is at `path` is set aside by an earlier repair, alone or with its folder."""
    aside = [step.path for step in taken if isinstance(step, SetAside)]
    return any(path == other or path.startswith(other + "/") for other in aside)


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
