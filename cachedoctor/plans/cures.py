"""Plan a fix: choose what to cure and what that takes, without touching anything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, locators, locking, repairs, rules
from cachedoctor.doctor import readiness
from cachedoctor.errors import RepairError
from cachedoctor.findings import (
    Finding,
    Proof,
    Repair,
    Safety,
    SetAside,
    Severity,
    Subject,
)
from cachedoctor.plans import permission
from cachedoctor.plans.unfinished import Unfinished, each_once, interrupted
from cachedoctor.repairs import folder, hub, single
from cachedoctor.rules.present import MissingFile
from cachedoctor.rules.refs import RefDangling
from cachedoctor.system import disk
from cachedoctor.system.network import allowed
from cachedoctor.vocabulary import Entry

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.engines import Engine
    from cachedoctor.engines.catalog import Model
    from cachedoctor.findings import Readiness
    from cachedoctor.host import Host
    from cachedoctor.system.fetch import Hub
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Claim

_AS_TOLD = 1.05  # times the announced download: up to here, nobody is asked again


class Plan(NamedTuple):
    """What a fix would do: findings with the repairs that cure them, in order."""

    cures: tuple[Finding, ...]  # in the order of repair
    by_hand: tuple[Finding, ...] = ()  # findings without a repair, or that only you can cure
    unfinished: tuple[Unfinished, ...] = ()  # earlier, interrupted fixes, which go first
    free_bytes: int | None = None  # free space on the fullest file system concerned
    report: Report | None = None  # the look that it was made from
    network: Network | None = None  # what carrying it out may use

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """Return the repairs of the current findings only."""
        return tuple(finding.repair for finding in self.cures if finding.repair)

    @property
    def everything(self) -> tuple[Repair, ...]:
        """Return what is left of interrupted repairs, followed by the current ones."""
        return (*(repair for item in self.unfinished for repair in item.repairs), *self.repairs)

    @property
    def fetch_bytes(self) -> int:
        """Return how many bytes a fix would download, as far as that is known."""
        return sum(repair.fetch_bytes for repair in each_once(self.unfinished, self.cures))

    @property
    def fetch_bytes_known(self) -> bool:
        """Return whether `fetch_bytes` is complete: some lengths are known only afterwards."""
        return all(one.fetch_bytes_known for one in each_once(self.unfinished, self.cures))

    @property
    def copy_bytes(self) -> int:
        """Return how many bytes a fix would copy."""
        return sum(repair.copy_bytes for repair in each_once(self.unfinished, self.cures))

    @property
    def fetches(self) -> bool:
        """Return whether anything is downloaded."""
        return any(repair.safety is Safety.FETCHES for repair in self.everything)


def plan(
    report: Report,
    *,
    codes: Collection[str] = (),
    waste: bool = False,
    faults: bool = True,
    absent: Sequence[Finding] = (),
    network: Network | None = None,
    ask: bool = True,
) -> Plan:
    """Choose what of `report` to cure: errors and warnings, or just these `codes`.

    Notes are cured only by code, or with `waste`, and never by a download; without `faults`,
    nothing else is cured. `absent` are models that were asked for by name. Asks the hub for the
    commit and files of a whole model, if one has to be fetched and `network` allows it; raises
    `FetchError` if the hub cannot be asked. Without `ask`, that is left to `resolved`.
    """
    wanted = (f for f in report.findings if _wanted(f, codes, waste=waste, faults=faults))
    chosen = [*absent, *wanted]
    chosen.sort(key=lambda finding: rules.find(finding.code).cure_order)
    cures: list[Finding] = []
    by_hand = []
    taken: set[object] = set()
    for finding in chosen:
        repair = finding.repair
        if rules.find(finding.code).a_run:
            continue
        if repair is None or repair.safety is Safety.MANUAL:
            by_hand.append(finding)
            continue
        moved = {step for step in repair.steps if isinstance(step, SetAside)}
        claims = tuple(claim[:2] for entry in finding.made_from for claim in entry.claims)
        mark = repair.steps or (repair.kind, repair.root, claims)
        if mark in taken or (moved and all(_is_set_aside(step.path, taken) for step in moved)):
            continue
        if report.host.platform == "windows":  # only ever examined from elsewhere
            by_hand.append(finding._replace(repair=None))
            continue
        barred = permission.needed_first(repair, report.host)
        if barred is not None:
            by_hand.append(finding._replace(repair=barred))
            continue
        if network and network.offline and repair.safety is Safety.FETCHES:
            by_hand.append(finding)
            continue
        taken.update((mark, *moved))
        cures.append(finding)
    if network and ask:
        cures = _resolved(cures, report, network)
    unfinished = interrupted(report, cures)
    free = [disk.free_bytes(disk.folder_above(f.repair.root)) for f in cures if f.repair]
    lowest = min(free, default=None)
    return Plan(
        cures=tuple(cures),
        by_hand=tuple(by_hand),
        unfinished=unfinished,
        free_bytes=lowest,
        report=report,
        network=network,
    )


def resolved(plan: Plan) -> Plan:
    """Fill in the commit and files of each whole model that the plan left open.

    Asks the hub, and raises `FetchError` if it cannot be asked.
    """
    report, network = plan.report, plan.network
    if report is None or network is None:
        return plan
    return plan._replace(cures=tuple(_resolved(plan.cures, report, network)))


def dearer(plan: Plan, told_bytes: int) -> bool:
    """Return whether a plan costs so much more than announced that it must be confirmed again."""
    return plan.fetch_bytes > told_bytes * _AS_TOLD


def absent_model(
    report: Report, engine: str, *, size: str | None, model: str | None
) -> tuple[Finding, ...]:
    """Return the finding that a requested model is missing altogether, if that is the case."""
    found = engines.find(engine)
    models = readiness.answers(found, size=size, model=model)
    answer = readiness.ready(found, report, models, size)
    if readiness.is_unled(answer):
        return _no_branch(answer, report)
    if not readiness.is_absent(answer):  # it may exist out of sight, which has its own finding
        return ()
    return (_absent(found, models[0], report),)


def absent_locked(report: Report) -> tuple[Finding, ...]:
    """Return a finding for each model of the lock file that is missing or not as locked."""
    found = []
    for locked in report.lock.models if report.lock else ():
        engine = engines.find(locked.engine)
        model = engine.table.row(locked.name)
        answer = readiness.ready(engine, report, (model,))
        if readiness.is_absent(answer):
            found.append(_absent(engine, model, report))
        elif readiness.is_unled(answer):
            found += _no_branch(answer, report)
    return tuple(found)


def _absent(engine: Engine, model: Model, report: Report) -> Finding:
    """Return the finding that a model is missing, with the repair that fetches it."""
    path, root, claim = wanted_model(engine, model, report.host)
    locked = report.lock.find(engine.name, model.name) if report.lock else None
    layout = engine.locators[0]
    inside = os.path.join(os.path.realpath(root), os.path.relpath(path, root))
    if os.path.lexists(path) and os.path.realpath(path) != inside:
        raise RepairError(
            f"`{path}` is a link; nothing is written through it", hint="put a folder in its place"
        )
    if locators.find(layout).single_file:
        if locked:
            claim = locked.demanded(claim)
        repair = single.whole_file(claim, path, root, report.survey)
    else:
        copied = None
        if locators.find(layout).has_revisions and not locked:
            copied = repairs.from_copies(claim, path, root, report.survey)
        repair = copied or hub.fetch_claim(claim, root, model.bytes)
    at = f" at {locked.revision[:12]}" if locked and locked.revision else ""
    entry = Entry(
        id="", locator=layout, root=root, path=path, name="", artifacts=(), claims=(claim,)
    )
    return Finding(
        code=MissingFile.code,
        slug=MissingFile.slug,
        severity=MissingFile.severity,
        path=path,
        message=f"{engine.name} {model.name}{at} is missing",
        entries=(),
        engines=(engine.name,),
        locator=layout,
        repair=repair,
        subjects=(Subject(entry),),
    )


def _is_set_aside(path: str, taken: Collection[object]) -> bool:
    """Return whether an earlier repair sets `path` aside, alone or with a folder above it."""
    while path and path != "/":
        if SetAside(path) in taken:
            return True
        path = os.path.dirname(path)
    return False


def _wanted(finding: Finding, codes: Collection[str], *, waste: bool, faults: bool) -> bool:
    if codes:
        return finding.code in codes
    if finding.severity is Severity.NOTE:
        cured = finding.repair is not None and finding.repair.safety is Safety.SAFE
        return waste and cured and rules.find(finding.code).waste
    return faults


def _resolved(cures: Sequence[Finding], report: Report, network: Network) -> list[Finding]:
    """Complete the repairs that fetch a whole model with what the hub says of it."""
    with network.hub() as hub:
        return [
            finding._replace(repair=_whole_model(finding, finding.repair, report, network, hub))
            if finding.repair and finding.repair.deferred
            else finding
            for finding in cures
        ]


def _whole_model(
    finding: Finding, repair: Repair, report: Report, network: Network, asked: Hub
) -> Repair:
    """Ask the hub for a model's commit and files, and return the repair that fetches them."""
    entry = next(entry for entry in finding.made_from if entry.claims)
    claim = entry.claims[0]
    allowed(network)
    locked = report.lock.find(claim.engine, claim.model) if report.lock else None
    revision = (locked.revision if locked else "") or claim.marker[1] or "main"
    listing = asked.listing(claim.repository, revision)
    if locked and (why := locking.differs(listing.files, locked, claim.prefix)):
        where = locked.said_by
        raise RepairError(
            f"{claim.repository} at {revision[:12]} is not as {where} requires: {why}"
        )
    files = [(f.path, Proof("", f.bytes, f.digest)) for f in listing.files]
    layout = locators.of(entry)
    if layout.has_revisions:
        path = entry.path.split("/snapshots/")[0]
        return hub.whole_model(claim, path, repair.root, listing.commit, files)
    tokenizer = None
    if claim.tokenizer:
        other = asked.listing(claim.tokenizer, "main")
        promised = [(f.path, Proof("", f.bytes, f.digest)) for f in other.files]
        tokenizer = folder.Remote(other.commit, promised)
    model = folder.Remote(listing.commit, files)
    return folder.whole_folder(
        claim, finding.path, repair.root, model, tokenizer, noted=layout.keeps_notes
    )


def wanted_model(engine: Engine, model: Model, host: Host) -> tuple[str, str, Claim]:
    """Return where a missing model belongs: its path, its root, and the claim to it."""
    path = engine.home(model, host)
    name = next((n for n in engine.places(model) if path.endswith(f"/{n}")), "")
    name = name or os.path.basename(path)
    root = path[: -len(name) - 1]
    entry = Entry(id="", locator=engine.locators[0], root=root, path=path, name=name, artifacts=())
    return path, root, engine.claimed(model, entry, host)


def _no_branch(answer: Readiness, report: Report) -> tuple[Finding, ...]:
    """Return the finding that no `main` points to a whole revision that was asked for by name."""
    entry = next(entry for entry in report.entries if entry.id == answer.entry)
    if any(rules.find(finding.code).by_commit for finding in report.of(entry)):
        return ()
    ref = os.path.join(entry.path.partition("/snapshots/")[0], "refs", "main")
    message = f"no branch `main` points to {(entry.revision or '')[:12]}"
    return (
        Finding(
            code=RefDangling.code,
            slug=RefDangling.slug,
            severity=RefDangling.severity,
            path=ref,
            message=message,
            entries=(entry.id,),
            engines=entry.engines,
            locator=entry.locator,
            repair=hub.write_main(entry),
            subjects=(Subject(entry),),
        ),
    )
