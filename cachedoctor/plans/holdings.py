"""What the disk holds: every model of every engine, app and other program, and what it costs.

A holding is an entry with what a manager needs to know: how much removing it alone would free,
when it was last used, who needs it, and what it costs to fetch again.
"""

from __future__ import annotations

import os
import re
import time
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, rules
from cachedoctor.doctor import readiness
from cachedoctor.findings import Severity
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.looking import quietly
from cachedoctor.plans import kept
from cachedoctor.plans.shares import Shares, weights
from cachedoctor.system import apps, open_files, usage
from cachedoctor.vocabulary import WEIGHTY_BYTES, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding
    from cachedoctor.host import Host
    from cachedoctor.system.usage import Used
    from cachedoctor.vocabulary import Entry

_MOST_WATCHED = 4000  # files checked for programs that have them open


# Source: huggingface_hub 2.4.0 `utils/_validators.py` `REPO_ID_REGEX`.
_REPOSITORY = re.compile(r"([\w.-]+/)?[\w.-]{1,96}")


class Holding(NamedTuple):
    """One model at one place, as a manager sees it."""

    entry: Entry  # the model itself
    status: Status  # whether an engine would load it
    size_bytes: int  # each file counts once
    files: int  # number of files; each counts once
    own_bytes: int  # what removing it alone would free
    exact: bool  # false if blocks are shared with unknown files: a lower bound
    names: int  # number of names of its largest file, hard links and links alike
    used: Used  # when it was last used, as far as that is known
    modified_s: float | None  # when its newest file was modified
    needed_by: tuple[tuple[str, tuple[str, ...]], ...]  # engines, and the sizes it answers
    apps: tuple[str, ...]  # apps whose own folders it is in
    kept_by: tuple[str, ...]  # why nothing chooses it for removal
    programs: tuple[str, ...]  # programs that have it open now
    refetch_bytes: int | None  # its download size; `None` if no source is known
    known_by: str | None  # "name" or "shape"; `None` if no engine loads it
    superseded_by: str | None  # the commit that the branch points to now

    @property
    def pinned(self) -> bool:
        """Return whether it is a revision that somebody asked for by its commit."""
        return bool(self.entry.revision and not self.entry.refs and not self.superseded_by)

    part_of: tuple[str, ...] = ()  # engines that read some of its files with another model
    unseen: str = ""  # in one word why a part of it cannot be seen

    @property
    def id(self) -> str:
        """Return the entry's id."""
        return self.entry.id


class Holdings(NamedTuple):
    """Every model that was found, and the files that belong to none."""

    report: Report  # the look that it was made from
    models: tuple[Holding, ...]  # in the order of the look
    loose: tuple[Finding, ...]  # findings about files that belong to no model
    roots: kept.Roots  # lock files and `keep` that count here
    total_bytes: int  # size of all models; each file and shared block counts once
    exact: bool  # false if blocks are shared with an unknown file

    def of(self, entry_id: str) -> Holding:
        """Return the holding with this entry id."""
        return next(one for one in self.models if one.id == entry_id)


class Bearing(NamedTuple):
    """The part of a holding that costs next to nothing to find out."""

    size_bytes: int  # each file once
    files: int  # their number, each once
    own_bytes: int  # without what links and hard links share; only `models` knows about clones
    used: Used
    kept_by: tuple[str, ...]
    refetch_bytes: int | None


class Bearings(NamedTuple):
    """The bearings of all entries in a look."""

    of: Mapping[str, Bearing]  # by the id of an entry
    total_bytes: int  # of the entries, each file once


def bearings(report: Report) -> Bearings:
    """Return what is known without opening a file, by entry id, so that a `scan` can afford it.

    Blocks shared by clones, and programs that have a file open, are left to `models`.
    """
    sharing = Shares(report.entries, mounts=None)
    memory, mounts = usage.recall(report.host.state), usage.Mounts.look()
    roots = kept.roots(report.host)
    found = {
        entry.id: Bearing(
            size_bytes=size,
            files=sharing.files(entry),
            own_bytes=sharing.own(entry),
            used=_used(entry, memory, mounts),
            kept_by=roots.reasons(entry),
            refetch_bytes=refetch_bytes(entry, size),
        )
        for entry in report.entries
        for size in (sharing.size(entry),)
    }
    return Bearings(found, sharing.total)


def models(report: Report) -> Holdings:
    """Return the models that a look found, as a manager sees them."""
    host = report.host
    entries = [e for e in report.entries if report.statuses[e.id] is not Status.ABSENT]
    memory, mounts = usage.recall(host.state), usage.Mounts.look()
    sharing = Shares(entries, mounts=mounts)
    held_open = _programs(entries)
    if held_open:
        now = time.time()
        seen = [entry.path for entry in entries if entry.id in held_open]
        usage.remember(host.state, usage.OPEN, seen, now)
        memory = usage.recall(host.state)
    roots = kept.roots(host)
    answers, followed = _answers(report), _superseded(entries)
    parts = _parts(entries)
    found = tuple(
        Holding(
            entry=entry,
            status=report.statuses[entry.id],
            size_bytes=sharing.size(entry),
            files=sharing.files(entry),
            own_bytes=sharing.own(entry),
            exact=sharing.exact(entry),
            names=sharing.names(entry),
            used=_used(entry, memory, mounts),
            modified_s=_modified(entry),
            needed_by=answers.get(entry.id, ()),
            apps=apps_of(entry, host),
            kept_by=roots.reasons(entry),
            programs=held_open.get(entry.id, ()),
            refetch_bytes=refetch_bytes(entry, sharing.size(entry)),
            known_by=entry.claims[0].known_by if entry.claims else None,
            superseded_by=followed.get(entry.id),
            part_of=tuple(parts.get(entry.id, ())),
            unseen=_unseen(entry, report),
        )
        for entry in entries
    )
    loose = tuple(f for f in report.findings if f.bytes and _is_loose(rules.find(f.code)))
    return Holdings(
        report=report,
        models=found,
        loose=loose,
        roots=roots,
        total_bytes=sharing.total,
        exact=sharing.all_known,
    )


def _unseen(entry: Entry, report: Report) -> str:
    """Return the word for a finding that keeps a part of an entry from being seen, if any."""
    if report.statuses[entry.id] is not Status.UNKNOWN:
        return ""
    errors = (f for f in report.of(entry) if f.severity is Severity.ERROR)
    return next((rules.find(f.code).word for f in errors), "")


def _is_loose(rule: rules.Rule) -> bool:
    """Return whether a rule is about files beside models that count with none of them."""
    return bool(rule.litter) and not rule.in_a_model


def refetch_bytes(entry: Entry, size_bytes: int) -> int | None:
    """Return the size of fetching an entry again, or `None` if no source is known.

    A revision in a hub cache comes from its repository. A file or folder elsewhere comes from the
    source in its engine's table, if it can be what is published there. What is missing counts.
    """
    size_bytes += sum(
        max(0, a.expected_bytes - (a.size_bytes if a.state is State.PRESENT else 0))
        for a in entry.notable
        if a.expected_bytes is not None
    )
    if entry.revision is not None:
        return size_bytes if _REPOSITORY.fullmatch(entry.name) else None
    if not entry.claims or not (entry.claims[0].repository or entry.claims[0].url):
        return None
    weights = [a for a in entry.notable if a.size_bytes >= WEIGHTY_BYTES and not a.bundle]
    if any(a.expected_bytes not in (None, a.size_bytes) for a in weights):
        return None  # the user's own model, under a published name
    return size_bytes


def _parts(entries: Sequence[Entry]) -> Mapping[str, dict[str, None]]:
    """Return by entry id the engines that read its files, a tokenizer's say, for another entry."""
    unclaimed = {e.path: e.id for e in entries if not e.claims}
    unclaimed |= {repository_folder(e): e.id for e in entries if not e.claims}
    found: dict[str, dict[str, None]] = {}
    for entry in entries if unclaimed else ():
        for artifact in entry.notable if entry.claims else ():
            above = artifact.file
            while above not in unclaimed and above != os.path.dirname(above):
                above = os.path.dirname(above)
            if above in unclaimed:
                users = found.setdefault(unclaimed[above], {})
                users.update(dict.fromkeys(entry.engines))
    return found


def apps_of(entry: Entry, host: Host) -> tuple[str, ...]:
    """Return the app whose own folder an entry is in, if any."""
    name = apps.owner(host, entry.path)
    return (name,) if name else ()


def _superseded(entries: Sequence[Entry]) -> Mapping[str, str]:
    """Return the revision that superseded an entry, by entry id.

    The cache keeps no record of this. But a revision downloaded before the one that the branch
    leads to was superseded by it; one downloaded later was pinned.
    """
    mains = {repository_folder(e): e for e in entries if e.revision and "main" in e.refs}
    found = {}
    when = cache(made_s)
    for entry in entries:
        newer = mains.get(repository_folder(entry))
        if newer and newer.revision and entry.revision and not entry.refs:
            its = when(newer.path)
            if its is not None and _begun_before(entry.path, its):
                found[entry.id] = newer.revision
    return found


def made_s(path: str) -> float | None:
    """Return when a snapshot was downloaded: the time of its oldest link, which never changes."""
    try:
        return min(_link_times(path), default=None)
    except OSError:
        return None


def _begun_before(path: str, when_s: float) -> bool:
    """Return whether a snapshot was downloaded before `when_s`; usually the first link tells."""
    try:
        return any(made < when_s for made in _link_times(path))
    except OSError:
        return False


def _link_times(path: str) -> Iterator[float]:
    """Yield when each file or folder directly in a snapshot was made; raises `OSError`."""
    descriptor = quietly.open_folder(path)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                yield entry.stat(follow_symlinks=False).st_mtime
    finally:
        os.close(descriptor)


def _answers(report: Report) -> Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """Return the engines and sizes that each entry answers now, by entry id."""
    users = dict.fromkeys(name for entry in report.entries for name in entry.engines)
    found: dict[str, dict[str, list[str]]] = {}
    for name in users:
        engine = engines.find(name)
        for size in engine.table.sizes:
            answer = readiness.ready(engine, report, engine.table.answers(size), size)
            if answer.ready and answer.entry:
                found.setdefault(answer.entry, {}).setdefault(name, []).append(size)
    return {
        key: tuple((name, tuple(sizes)) for name, sizes in mine.items())
        for key, mine in found.items()
    }


def _used(entry: Entry, memory: Mapping[str, Used], mounts: usage.Mounts) -> Used:
    remembered = memory.get(entry.path, usage.UNKNOWN)
    largest = weights(entry)
    return usage.newest(remembered, mounts.read_at(largest.file)) if largest else remembered


def _modified(entry: Entry) -> float | None:
    times = [a.stamp.mtime_ns for a in entry.notable if a.stamp]
    return max(times) / 1e9 if times else None


def _programs(entries: Sequence[Entry]) -> Mapping[str, tuple[str, ...]]:
    """Return the programs that have a file of an entry open, by entry id."""
    files: dict[str, list[str]] = {}
    inodes: dict[str, tuple[int, int]] = {}
    for entry in entries:
        for artifact in entry.notable:
            if artifact.state is State.PRESENT and not artifact.bundle:
                files.setdefault(artifact.file, []).append(entry.id)
                if artifact.stamp:
                    inodes[artifact.file] = (artifact.stamp.device, artifact.stamp.inode)
    chosen = dict(list(files.items())[:_MOST_WATCHED])
    found: dict[str, list[str]] = {}
    for path, names in (open_files.programs(chosen, inodes) or {}).items():
        for key in chosen[path]:
            found.setdefault(key, []).extend(names)
    return {key: tuple(dict.fromkeys(names)) for key, names in found.items()}
