"""Look at a host, plan what cures it, apply the plan: `scan`, `plan`, `apply`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, rules, verification
from cachedoctor.findings import Finding, Severity
from cachedoctor.locators import inside
from cachedoctor.rules import precedence
from cachedoctor.survey import look
from cachedoctor.vocabulary import SILENT, State, Status, Survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.journal import Run
    from cachedoctor.lockfile import Lock
    from cachedoctor.staging import Network
    from cachedoctor.vocabulary import Entry, Progress

_INCOMPLETE = frozenset(
    ("CD101", "CD102", "CD103", "CD104", "CD105", "CD106", "CD404", "CD408", "CD413", "CD421")
)
_INCOMPLETE_WARNINGS = frozenset(("CD106", "CD413"))
_NOT_OF_BYTES = frozenset(("CD108", "CD207"))


class Checked(NamedTuple):
    """How many files of an entry were judged by what."""

    digest: int = 0
    structure: int = 0
    none: int = 0


class Report(NamedTuple):
    """What a look at a host found."""

    host: Host
    survey: Survey
    entries: tuple[Entry, ...]  # those asked for
    findings: tuple[Finding, ...]  # gravest first within an entry
    statuses: Mapping[str, Status]
    checked: Mapping[str, Checked]
    seconds: float
    deep: bool = False
    contents: verification.Contents = verification.Contents()
    unanswered: tuple[tuple[str, str], ...] = ()  # repositories that the hub said nothing of, why
    engines: tuple[str, ...] = ()  # as asked for
    models: tuple[str, ...] = ()
    lock: Lock | None = None

    def of(self, entry: Entry) -> tuple[Finding, ...]:
        """Return the findings about one entry."""
        return tuple(finding for finding in self.findings if entry.id in finding.entries)


def scan(
    host: Host,
    names: Sequence[str] = (),
    *,
    models: Sequence[str] = (),
    paths: Sequence[str] = (),
    deep: bool = False,
    fresh: bool = False,
    max_age_s: int | None = None,
    network: Network | None = None,
    only: frozenset[str] | None = None,
    lock: Lock | None = None,
    cure_notes: bool = True,
    bridges: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Report:
    """Look at what the engines called `names`, or all of them, keep on `host`.

    `lock` narrows the answer to the models of a lock file and demands exactly their bytes, `models`
    to these of the engines' models; `deep` reads every byte that has a digest
    and remembers it: what is remembered as right is read again only with `fresh`, or when that is
    longer ago than `max_age_s`. With a `network` the hub is asked about files of which nothing here
    tells what they must be. `paths` narrows the answer to what lies there, `only` the look
    itself to these repositories, folders or files.
    Without `cure_notes` nobody asks how waste would be set aside, which takes time. `bridges` are
    programs, by engine, that load each bundle to see whether this Mac can run it.
    Changes nothing in a cache, and without `network` needs none. Raises `UsageError` for an unknown
    engine.
    """
    began = time.perf_counter()
    asked = [engines.find(name) for name in names]
    survey = look(host, [engines.find(name) for name in names or engines.names()], only, lock)
    places = [os.path.realpath(path) for path in paths]

    def chosen(survey: Survey) -> tuple[Entry, ...]:
        return tuple(
            entry
            for entry in survey.entries
            if (not asked or _asked(entry, names, models))
            and _within(entry, places)
            and (lock is None or lock.of(entry) is not None)
        )

    entries = chosen(survey)
    unanswered: tuple[tuple[str, str], ...] = ()
    if network is not None:
        from cachedoctor import listing

        survey, unanswered = listing.ask(survey, {entry.id for entry in entries}, network)
        entries = chosen(survey)
    if deep:
        contents = verification.read(
            host, entries, fresh=fresh, max_age_s=max_age_s, progress=progress
        )
    else:
        contents = verification.recalled(host, entries)
    unloadable: Mapping[str, str] = {}
    if bridges:
        from cachedoctor import loading

        unloadable = loading.refused(host, entries, bridges, progress)
    seen = rules.Examination(
        survey,
        host,
        contents.digests,
        deep=deep,
        unloadable=unloadable,
        unfinished=_unfinished(host, survey),
        published=published,
    )
    layouts = {name for engine in asked for name in engine.locators}
    findings = _judge(seen, entries, layouts, cure_notes=cure_notes)
    about: dict[str, list[Finding]] = {}
    for finding in findings:
        for key in finding.entries:
            about.setdefault(key, []).append(finding)
    crashed = any(finding.code == "CD000" for finding in findings)
    statuses = {e.id: _status(e, about.get(e.id, ()), crashed=crashed) for e in entries}
    checked = {entry.id: _checked(entry, seen) for entry in entries}
    seconds = time.perf_counter() - began
    return Report(
        host,
        survey,
        entries,
        tuple(findings),
        statuses,
        checked,
        seconds,
        deep,
        contents,
        unanswered,
        tuple(names),
        tuple(models),
        lock,
    )


def published() -> dict[str, str]:
    """Return the model's name by digest, of every file that a table knows; reads all tables."""
    found: dict[str, str] = {}
    for engine in map(engines.find, engines.names()):
        for model in engine.table.models.values():
            known = [digest for _, digest in model.published.values()]
            known += [n.digest for files in model.sets for n in files.requirements if n.digest]
            found.update({d.hex: f"{engine.name}'s `{model.name}`" for d in known})
    return found


def _asked(entry: Entry, names: Sequence[str], models: Sequence[str]) -> bool:
    return any(
        claim.engine in names and (not models or claim.model in models) for claim in entry.claims
    )


def _within(entry: Entry, places: Sequence[str]) -> bool:
    """Say whether an entry has to do with one of these places, or any if there are none."""
    return not places or any(
        inside(entry.path, place) or inside(place, entry.path) or _holds(entry, place)
        for place in places
    )


def _holds(entry: Entry, place: str) -> bool:
    return any(inside(file, place) for file in entry.sizes)


def run_folders(host: Host, survey: Survey) -> tuple[str, ...]:
    """Name the folders in which fixes of this host keep their journals."""
    around = (place for r in survey.roots for place in (os.path.dirname(r.path), r.path))
    folders = (os.path.join(place, ".cachedoctor") for place in around)
    return tuple(dict.fromkeys((os.path.join(host.state, "runs"), *folders)))


def concerns(run: Run, host: Host, survey: Survey) -> bool:
    """Say whether a run changed something of this host: journals of several homes lie together."""
    home = os.path.realpath(host.home).rstrip("/") + "/"
    roots = {root.path for root in survey.roots}
    changed = (os.path.realpath(repair.root) for repair in run.repairs)
    return any(root in roots or root.startswith(home) for root in changed)


def _judge(
    seen: rules.Examination, entries: Sequence[Entry], layouts: set[str], *, cure_notes: bool
) -> list[Finding]:
    """Apply every rule, keep one code for one fault, and attach the repairs."""
    by_code = {rule.code: rule for rule in rules.every()}
    worth = [entry for entry in entries if entry.notable or entry.claims or entry.retired]
    found = [finding for rule in by_code.values() for finding in _applied(rule, seen, worth)]
    order = {entry.id: number for number, entry in enumerate(entries)}
    kept = [
        finding
        for finding in precedence.settle(found)
        if any(entry in order for entry in finding.entries)
        or (not finding.entries and (not layouts or finding.locator in (None, *layouts)))
    ]

    def place(finding: Finding) -> tuple[int, int, str, str]:
        first = min((order.get(e, len(order)) for e in finding.entries), default=len(order))
        return first, finding.severity.rank, finding.code, finding.path

    return [
        finding._replace(repair=by_code[finding.code].cure(finding, seen))
        if cure_notes or finding.severity is not Severity.NOTE
        else finding
        for finding in sorted(kept, key=place)
    ]


def _applied(
    rule: rules.Rule, seen: rules.Examination, entries: Sequence[Entry]
) -> Iterator[Finding]:
    """Apply one rule to all that it is about; one that crashes becomes a finding of its own."""
    try:
        if isinstance(rule, rules.EntryRule):
            for entry in entries:
                yield from rule.check(entry, seen)
        elif isinstance(rule, rules.RootRule):
            for root in seen.survey.roots:
                yield from rule.check(root, seen)
        elif isinstance(rule, rules.SurveyRule):
            yield from rule.check(seen)
    except Exception as error:  # noqa: BLE001 - the one broad except: a bug in a rule is a finding
        from cachedoctor.rules.ourselves import RuleCrashed

        yield RuleCrashed.report(rule.code, error, seen.host.home)


def _status(entry: Entry, mine: Sequence[Finding], *, crashed: bool) -> Status:
    """Return what an engine would meet; the gravest finding decides."""
    codes = {finding.code for finding in mine}
    errors = {finding.code for finding in mine if finding.severity is Severity.ERROR}
    by_shape = bool(entry.claims) and all(c.known_by == "shape" for c in entry.claims)
    warned = {finding.code for finding in mine if finding.severity is Severity.WARNING}
    lacking = warned & (_INCOMPLETE if by_shape else _INCOMPLETE_WARNINGS)
    if "CD109" in codes:
        return Status.IN_PROGRESS
    if errors - _INCOMPLETE - {"CD401", "CD402", "CD403", "CD418"}:
        return Status.UNKNOWN if errors <= _NOT_OF_BYTES else Status.CORRUPT
    if errors or lacking:
        return Status.INCOMPLETE
    if "CD406" in codes or crashed:
        return Status.UNKNOWN
    if entry.claims and all(a.state is State.MISSING for a in entry.artifacts):
        return Status.ABSENT  # only asked for, or downloaded to another folder
    files = entry.artifacts
    known = (
        entry.claims
        or (not isinstance(files, tuple) and files.promised)
        or any(artifact.name in entry.promises for artifact in entry.notable)
    )
    return Status.READY if known and entry.artifacts else Status.UNKNOWN


def _checked(entry: Entry, seen: rules.Examination) -> Checked:
    """Count by what each file was judged: a digest, its form or length, or nothing."""
    digest = structure = none = 0
    if not isinstance(entry.artifacts, tuple):
        digest = entry.artifacts.proven()
        rest = len(entry.artifacts) - len(entry.notable) - digest
        structure = min(rest, entry.artifacts.promised)
        none = rest - structure
    for artifact in entry.notable:
        if artifact.state is not State.PRESENT:
            continue
        if seen.measured(artifact) is not None:
            digest += 1
        elif artifact.format or artifact.expected_bytes is not None:
            structure += 1
        else:
            none += 1
    return Checked(digest, structure, none)


def _unfinished(host: Host, survey: Survey) -> tuple[tuple[str, str], ...]:
    """Return the folder of each fix without an end, and what it was doing."""
    folders = [folder for folder in run_folders(host, survey) if os.path.isdir(folder)]
    if not folders:
        return ()
    from cachedoctor import journal

    return tuple(
        (
            run.folder,
            f"the fix {run.id} was interrupted; `cachedoctor fix{host.options}` finishes it, "
            f"`cachedoctor undo {run.id}{host.options}` takes it back",
        )
        for run in journal.unfinished(folders)
        if concerns(run, host, survey)
    )
