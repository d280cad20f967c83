"""Answer a question: look at a host, judge what is there, and return the `Report`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cachedoctor import engines, rules
from cachedoctor.doctor import contents as verification
from cachedoctor.doctor import judging, named, traces
from cachedoctor.doctor.survey import look
from cachedoctor.findings import Finding, Severity
from cachedoctor.locators import inside
from cachedoctor.question import Question
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import SILENT, Status, Survey

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cachedoctor.doctor.core_ml import Asked
    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Entry, Progress


class Gathered(NamedTuple):
    """What several processes have listed and read, merged."""

    survey: Survey
    contents: verification.Contents


class Report(NamedTuple):
    """The result of a look at a host."""

    question: Question  # what was asked
    survey: Survey  # all places looked at, judged or not
    entries: tuple[Entry, ...]  # the entries that were asked for
    findings: tuple[Finding, ...]  # the most severe first within an entry
    statuses: Mapping[str, Status]  # status by entry id
    checked: Mapping[str, judging.Checked]  # how the files were checked, by entry id
    seconds: float  # how long the look took
    contents: verification.Contents = verification.Contents()  # what files held, if read
    unanswered: tuple[tuple[str, str], ...] = ()  # repository and why the hub did not answer
    by_entry: Mapping[str, tuple[Finding, ...]] = {}  # findings by entry id
    core_ml: Asked | None = None  # what Core ML said about each bundle, if asked
    hiding: tuple[Finding, ...] = ()  # about places that cannot be read

    def __repr__(self) -> str:
        """Return one line, for debuggers that print values holding a report."""
        counted = f"{len(self.entries)} entries, {len(self.findings)} findings"
        return f"<Report of {self.host.home}: {counted}>"

    @property
    def host(self) -> Host:
        """Return the host that was looked at."""
        return self.question.host

    @property
    def engines(self) -> tuple[str, ...]:
        """Return the engines that were asked about; empty means all."""
        return self.question.engines

    @property
    def lock(self) -> Lock | None:
        """Return the lock file that was asked about."""
        return self.question.lock

    def of(self, entry: Entry) -> tuple[Finding, ...]:
        """Return the findings about one entry."""
        return self.by_entry.get(entry.id, ())


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
    cure_notes: bool | Collection[str] = True,
    bridges: Mapping[str, str] | None = None,
    codes: Collection[str] = (),
    progress: Progress = SILENT,
) -> Report:
    """Look at the models that the engines called `names`, or all engines, keep on `host`.

    `models` narrows the answer to these models of the engines; `lock` to the models of a lock file,
    and demands exactly their bytes; `paths` to these paths. `only` narrows the look itself to these
    repositories, folders or files.
    `deep` reads every file that has a digest and remembers the result: a file remembered as right
    is read again only with `fresh`, or if that is longer ago than `max_age_s`. With a `network`,
    the hub is asked about files without local evidence.
    Without `cure_notes`, notes get no repairs, which saves time; a set of codes gives them to these
    notes only. `bridges` are programs, by engine, that load each bundle to see whether this Mac can
    run it; for an engine without one the report says that it was not asked. `codes` are reported
    even if what they find is small.
    Changes nothing in a cache, and goes online only with `network`. Raises `UsageError` for an
    unknown engine.
    """
    question = Question(
        host,
        tuple(names),
        models=tuple(models),
        paths=tuple(paths),
        lock=lock,
        codes=tuple(codes),
        only=only,
        deep=deep,
        fresh=fresh,
        max_age_s=max_age_s,
    )
    return answer(
        question, network=network, cure_notes=cure_notes, bridges=bridges, progress=progress
    )


def answer(
    question: Question,
    *,
    network: Network | None = None,
    cure_notes: bool | Collection[str] = True,
    bridges: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
    gathered: Gathered | None = None,
) -> Report:
    """Answer a question: like `scan`, but with a `Question` already made.

    What other processes have `gathered` is judged as if this one had looked.
    If only certain repositories are to be read, they are looked at alone first. The rest of the
    host is looked at only if one of them needs a cure: it offers sources for repairs, but no
    evidence about their files.
    """
    only = None if network or bridges or gathered else named.repositories(question)
    if only is not None:
        report = answer(question._replace(only=only), cure_notes=cure_notes, progress=progress)
        if not any(cure_notes or f.severity is not Severity.NOTE for f in report.findings):
            return report._replace(question=question)
    asked = question._replace(fresh=question.fresh and only is None)  # the first look read it all
    report = _answered(asked, network, bridges, progress, gathered, cure_notes=cure_notes)
    return report._replace(question=report.question._replace(fresh=question.fresh))


def _answered(
    question: Question,
    network: Network | None,
    bridges: Mapping[str, str] | None,
    progress: Progress,
    gathered: Gathered | None,
    *,
    cure_notes: bool | Collection[str],
) -> Report:
    began = time.perf_counter()
    question = placed(question)
    host = question.host
    survey = gathered.survey if gathered else _survey(question)
    unanswered: tuple[tuple[str, str], ...] = ()
    if network is not None:
        from cachedoctor.doctor import hub_digests

        asked = {entry.id for entry in chosen(question, survey)}
        survey, unanswered = hub_digests.ask(survey, asked, network)
    entries = chosen(question, survey)
    contents = gathered.contents if gathered else _contents(question, entries, progress)
    core_ml: Asked | None = None
    if bridges is not None:
        from cachedoctor.doctor import core_ml as loading

        core_ml = loading.ask(host, entries, bridges, progress)
    seen = rules.Examination(
        survey,
        host,
        contents.digests,
        deep=question.deep,
        unloadable=core_ml.refused if core_ml else None,
        unfinished=traces.unfinished(host, survey),
        beside=traces.beside(survey),
        published=engines.published,
        codes=frozenset(question.codes),
    )
    findings = _judged(question, seen, entries, cure_notes=cure_notes)
    by_entry = _by_entry(findings)
    crashed = any(rules.find(finding.code).undermines for finding in findings)
    statuses = {
        e.id: judging.status_of(e, by_entry.get(e.id, ()), crashed=crashed) for e in entries
    }
    checked = {entry.id: judging.checked(entry, seen) for entry in entries}
    seconds = time.perf_counter() - began
    return Report(
        question=question,
        survey=survey,
        entries=entries,
        findings=tuple(findings),
        statuses=statuses,
        checked=checked,
        seconds=seconds,
        contents=contents,
        unanswered=unanswered,
        by_entry=by_entry,
        core_ml=core_ml,
        hiding=tuple(
            f for f in findings if f.shows in judging.HIDING and f.severity is not Severity.NOTE
        ),
    )


def _survey(question: Question) -> Survey:
    return look(question.host, looked_for(question), question.only, question.lock)


def _judged(
    question: Question,
    seen: rules.Examination,
    entries: Sequence[Entry],
    *,
    cure_notes: bool | Collection[str],
) -> list[Finding]:
    """Return the findings about what was asked for, with their repairs."""
    names = question.engines
    layouts = {layout for name in names for layout in engines.find(name).locators}
    asked = bool(question.models) or question.lock is not None
    found = judging.judge(seen, entries, layouts, names, cure_notes=cure_notes, asked=asked)
    return _limited_to(_places(question), found, entries)


def _by_entry(findings: Sequence[Finding]) -> dict[str, tuple[Finding, ...]]:
    about: dict[str, list[Finding]] = {}
    for finding in findings:
        for key in finding.entries:
            about.setdefault(key, []).append(finding)
    return {key: tuple(mine) for key, mine in about.items()}


def _contents(
    question: Question, entries: Sequence[Entry], progress: Progress
) -> verification.Contents:
    if not question.deep:
        return verification.recalled(question.host, entries)
    from cachedoctor.doctor import reading

    narrowed = question.engines or question.paths or question.lock or question.only
    return reading.read(
        question.host,
        entries,
        fresh=question.fresh,
        max_age_s=question.max_age_s,
        whole=not narrowed,
        progress=progress,
    )


def placed(question: Question) -> Question:
    """Return the question with the places that contain its named paths added to its host."""
    if not question.paths:
        return question
    return question._replace(host=named.with_paths(question.host, question.paths))


def looked_for(question: Question) -> list[Engine]:
    """Return the engines of a question, or all if it names none."""
    return [engines.find(name) for name in question.engines or engines.names()]


def chosen(question: Question, survey: Survey) -> tuple[Entry, ...]:
    """Return the entries that the question asks about."""
    places = _places(question)
    return tuple(
        entry
        for entry in survey.entries
        if (not question.engines or _asked(entry, question.engines, question.models))
        and _within(entry, places)
        and (question.lock is None or question.lock.of(entry) is not None)
    )


def _places(question: Question) -> list[str]:
    return [os.path.realpath(question.host.absolute(path)) for path in question.paths]


def _asked(entry: Entry, names: Sequence[str], models: Sequence[str]) -> bool:
    return any(
        claim.engine in names and (not models or claim.model in models) for claim in entry.claims
    )


def _within(entry: Entry, places: Sequence[str]) -> bool:
    """Return whether an entry is in, around, or has files in one of `places`; true if empty."""
    return not places or any(
        inside(entry.path, place) or inside(place, entry.path) or _holds(entry, place)
        for place in places
    )


def _limited_to(
    places: Sequence[str], findings: list[Finding], entries: Sequence[Entry]
) -> list[Finding]:
    """Drop findings outside `places`; raises `CannotLookError` if a place holds no known model."""
    if places:
        findings = [f for f in findings if f.entries or any(_overlap(f.path, p) for p in places)]
    for place in places:
        if not any(_within(entry, (place,)) for entry in entries) and not findings:
            raise named.unknown(place)
    return findings


def _overlap(path: str, place: str) -> bool:
    return inside(path, place) or inside(place, path)


def _holds(entry: Entry, place: str) -> bool:
    return any(inside(file, place) for file in entry.sizes)


def look_around(host: Host) -> Survey:
    """Survey every place of this host where engines look for models, without judging it."""
    return look(host, [engines.find(name) for name in engines.names()])
