"""Look at a host, plan what cures it, apply the plan: `scan`, `plan`, `apply`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, rules
from cachedoctor.ledger import Ledger, Measured
from cachedoctor.survey import look
from cachedoctor.vocabulary import (
    SILENT,
    Finding,
    Severity,
    State,
    Status,
    Survey,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.journal import Run
    from cachedoctor.vocabulary import (
        Artifact,
        Entry,
        Progress,
    )

_INCOMPLETE = frozenset(
    ("CD101", "CD102", "CD103", "CD104", "CD105", "CD106", "CD404", "CD408", "CD413", "CD421")
)


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
    engines: tuple[str, ...] = ()  # as asked for
    models: tuple[str, ...] = ()

    def of(self, entry: Entry) -> tuple[Finding, ...]:
        """Return the findings about one entry."""
        return tuple(finding for finding in self.findings if entry.id in finding.entries)


def scan(
    host: Host,
    names: Sequence[str] = (),
    *,
    models: Sequence[str] = (),
    deep: bool = False,
    only: frozenset[str] | None = None,
    cure_notes: bool = True,
    progress: Progress = SILENT,
) -> Report:
    """Look at what the engines called `names`, or all of them, keep on `host`.

    `models` narrows the answer to these of their models; `deep` reads every byte that has a digest
    and remembers it; `only` narrows the look itself to these repositories, folders or files.
    Without `cure_notes` nobody asks how waste would be set aside, which takes time.
    Changes nothing in a cache and needs no network. Raises `UsageError` for an unknown engine.
    """
    began = time.perf_counter()
    asked = [engines.find(name) for name in names]
    survey = look(host, [engines.find(name) for name in names or engines.names()], only)
    entries = tuple(e for e in survey.entries if not asked or _asked(e, names, models))
    measured = _remembered(host, entries)
    if deep:
        measured.update(_measure(host, entries, progress))
    seen = rules.Examination(
        survey,
        host,
        measured,
        deep=deep,
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
        tuple(names),
        tuple(models),
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


def run_folders(host: Host, survey: Survey) -> tuple[str, ...]:
    """Name the folders in which fixes of this host keep their journals."""
    beside = (os.path.join(os.path.dirname(r.path), ".cachedoctor") for r in survey.roots)
    return tuple(dict.fromkeys((os.path.join(host.state, "runs"), *beside)))


def concerns(run: Run, host: Host, survey: Survey) -> bool:
    """Say whether a run changed something of this host: journals of several homes lie together."""
    home = os.path.realpath(host.home).rstrip("/") + "/"
    roots = {root.path for root in survey.roots}
    return any(repair.root in roots or repair.root.startswith(home) for repair in run.repairs)


def _judge(
    seen: rules.Examination, entries: Sequence[Entry], layouts: set[str], *, cure_notes: bool
) -> list[Finding]:
    """Apply every rule, keep one code for one fault, and attach the repairs."""
    by_code = {rule.code: rule for rule in rules.every()}
    found = [finding for rule in by_code.values() for finding in _applied(rule, seen, entries)]
    order = {entry.id: number for number, entry in enumerate(entries)}
    kept = [
        finding
        for finding in rules.settle(found)
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
    if "CD109" in codes:
        return Status.IN_PROGRESS
    if errors - _INCOMPLETE - {"CD401", "CD402", "CD403", "CD418"}:
        return Status.UNKNOWN if errors == {"CD108"} else Status.CORRUPT
    if errors or codes & _INCOMPLETE:
        return Status.INCOMPLETE
    if "CD406" in codes or crashed:
        return Status.UNKNOWN
    if entry.claims and all(a.state is State.MISSING for a in entry.artifacts):
        return Status.ABSENT  # only asked for, or downloaded to another folder
    known = entry.claims or set(entry.promises) & {artifact.name for artifact in entry.artifacts}
    return Status.READY if known and entry.artifacts else Status.UNKNOWN


def _checked(entry: Entry, seen: rules.Examination) -> Checked:
    """Count by what each file was judged: a digest, its form or length, or nothing."""
    digest = structure = none = 0
    for artifact in entry.artifacts:
        if artifact.state is not State.PRESENT:
            continue
        if seen.measured(artifact) is not None:
            digest += 1
        elif artifact.format or artifact.expected_bytes is not None:
            structure += 1
        else:
            none += 1
    return Checked(digest, structure, none)


def _unique(entries: Iterable[Entry]) -> dict[str, list[Artifact]]:
    """Return by physical file the artifacts whose content could be proven."""
    files: dict[str, list[Artifact]] = {}
    for entry in entries:
        for artifact in entry.artifacts:
            if artifact.digest and artifact.state is State.PRESENT and not artifact.bundle:
                files.setdefault(artifact.file, []).append(artifact)
    return files


def _remembered(host: Host, entries: Iterable[Entry]) -> dict[str, dict[str, str]]:
    """Return the digests that earlier deep looks measured and that still hold."""
    ledger = Ledger(host.state)
    if not ledger.exists:
        return {}
    files = _unique(entries)
    return ledger.recall((path, a[0].stamp) for path, a in files.items() if a[0].stamp)


def _measure(host: Host, entries: Iterable[Entry], progress: Progress) -> dict[str, dict[str, str]]:
    """Read every file that has a digest, and remember what it held."""
    from cachedoctor import digest

    files = _unique(entries)
    work = [
        digest.Work(
            path,
            artifacts[0].size_bytes,
            frozenset(a.digest.algorithm for a in artifacts if a.digest),
        )
        for path, artifacts in files.items()
    ]
    measured = {}
    done: list[Measured] = []
    began_ns = time.time_ns()
    progress.start("reading", sum(item.size_bytes for item in work))
    try:
        for item, digests in digest.of_many(work, progress):
            stamp = files[item.path][0].stamp
            if isinstance(digests, dict) and stamp:
                measured[item.path] = digests
                done.append(Measured(item.path, stamp, digests, began_ns))
    finally:  # Ctrl-C keeps what was read
        progress.finish()
        Ledger(host.state).remember(done)
    return measured


def _unfinished(host: Host, survey: Survey) -> tuple[tuple[str, str], ...]:
    """Return the folder of each fix without an end, and what it was doing."""
    folders = [folder for folder in run_folders(host, survey) if os.path.isdir(folder)]
    if not folders:
        return ()
    from cachedoctor import journal

    return tuple(
        (
            run.folder,
            f"the fix {run.id} was interrupted; `cachedoctor fix` finishes it, "
            f"`cachedoctor undo {run.id}` takes it back",
        )
        for run in journal.unfinished(folders)
        if concerns(run, host, survey)
    )
