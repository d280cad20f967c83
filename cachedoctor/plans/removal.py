"""Choose what to remove with a model: everything that only it uses, nothing that others need.

Afterwards it must look to the client and the app as if the model had never been there: branches,
locks, notes and folders that would be empty go with it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import engines, rules
from cachedoctor.doctor import readiness
from cachedoctor.findings import SetAside
from cachedoctor.locators import inside, is_litter
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.looking import quietly
from cachedoctor.plans import belongings
from cachedoctor.plans.changes import Change, Choice, Spared
from cachedoctor.repairs import built
from cachedoctor.system import moves, open_files
from cachedoctor.text import size
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Guard
    from cachedoctor.plans.holdings import Holdings
    from cachedoctor.vocabulary import Artifact, Entry

_MARKS = frozenset((".gitignore", "CACHEDIR.TAG"))  # put by a client beside its notes
_CLOSED = (State.UNREADABLE, State.EVICTED)


def remove(holdings: Holdings, entries: Sequence[Entry], *, even_kept: bool = False) -> Change:
    """Return the change that sets named models aside, one choice for each place.

    Models that are in use, unreadable or linked from elsewhere are spared; so are kept ones, unless
    `even_kept`. Raises `UsageError` if it is not known what must be kept.
    """
    holdings.roots.require()
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(repository_folder(entry), []).append(entry)
    going = {entry.id for entry in entries}
    choices: list[Choice] = []
    spared: list[Spared] = []
    for mine in groups.values():
        keepers = tuple(dict.fromkeys(w for e in mine for w in holdings.of(e.id).kept_by))
        why = obstacle(holdings, mine, going)
        if not why and keepers and not even_kept:
            why = f"kept: {'; '.join(keepers)}; `--kept` removes it anyway"
        if why:
            spared.append(spare(holdings, mine, why, named=True))
        else:
            chosen = choose(holdings, mine, "named", choices)
            if why := shut(chosen):
                spared.append(spare(holdings, mine, why, named=True))
                continue
            choices.append(chosen._replace(needed_by=keepers))
    return Change(
        verb="remove", choices=tuple(with_losses(holdings.report, choices)), spared=tuple(spared)
    )


def choose(
    holdings: Holdings, mine: Sequence[Entry], reason: str, before: Sequence[Choice] = ()
) -> Choice:
    """Return the choice that sets the entries `mine` of one place aside, after those `before`."""
    report = holdings.report
    gone = {step.path for choice in before for step in choice.repair.steps}
    where = (mine[0].locator, mine[0].root)
    root = next(root for root in report.survey.roots if (root.locator, root.path) == where)
    paths = folded(tuple(dict.fromkeys(belongings.of(root, mine, gone))), root.path)
    held = _freed(holdings, mine, paths)
    above = root.path if all(path != root.path for path in paths) else os.path.dirname(root.path)
    above = next((path for path in _above(above) if all(inside(p, path) for p in paths)), above)
    first = mine[0]
    steps = tuple(SetAside(path) for path in paths)
    repair = built("set-model-aside", f"set {_title(mine)} aside", above, (), steps, held)
    repair = repair._replace(guards=tuple(map(_with_contents, repair.guards)))
    costs = [holdings.of(entry.id).refetch_bytes for entry in mine]
    refetch = None if None in costs else sum(cost or 0 for cost in costs)
    return Choice(
        title=_title(mine),
        path=repository_folder(first) if len(mine) > 1 else first.path,
        reason=reason,
        bytes=held,
        repair=repair,
        entries=tuple(entry.id for entry in mine),
        refetch_bytes=refetch,
    )


def _with_contents(guard: Guard) -> Guard:
    """Return a guard that also covers a folder's contents: a download may continue in it."""
    folder = os.path.isdir(guard.path) and not os.path.islink(guard.path)
    return guard._replace(tree=moves.stamps_of(guard.path)) if folder else guard


def spare(holdings: Holdings, mine: Sequence[Entry], why: str, *, named: bool = False) -> Spared:
    """Return the entries `mine` of one place as spared, for the reason `why`."""
    total = sum(holdings.of(entry.id).own_bytes for entry in mine)
    ids = tuple(entry.id for entry in mine)
    return Spared(
        title=_title(mine),
        path=repository_folder(mine[0]),
        why=why,
        bytes=total,
        entries=ids,
        named=named,
    )


def shut(choice: Choice) -> str:
    """Return why this user may not move what a choice sets aside, or an empty string."""
    for step in choice.repair.steps:
        folder = os.path.isdir(step.path) and not os.path.islink(step.path)
        for place in (os.path.dirname(step.path), *((step.path,) if folder else ())):
            if not quietly.can_access(place, os.W_OK | os.X_OK):
                return f"you may not write in `{place}`"
    return ""


def obstacle(holdings: Holdings, mine: Sequence[Entry], going: Iterable[str]) -> str:
    """Return why the entries `mine` of one place cannot be removed, or an empty string."""
    report = holdings.report
    ids = {entry.id for entry in mine}
    for entry in mine:
        if report.statuses[entry.id] is Status.IN_PROGRESS:
            return "somebody is downloading it right now"
        closed = next((a for a in entry.notable if a.state in _CLOSED), None)
        if closed is not None:
            words = "is in iCloud" if closed.state is State.EVICTED else "cannot be read"
            return f"`{closed.name or os.path.basename(closed.path)}` {words}"
        if any(rules.find(finding.code).closed for finding in report.of(entry)):
            return "a part of it cannot be read"
    users = [name for key in ids for name in holdings.of(key).programs]
    users = users or _using(mine)
    if users:
        return f"in use by {', '.join(dict.fromkeys(users))}"
    return _linked(report, mine, set(going) | ids)


def with_losses(report: Report, choices: Iterable[Choice]) -> Iterator[Choice]:
    """Add to each choice the engines and sizes that lose their model, or get another one."""
    gone: set[str] = set()
    chosen = list(choices)
    left = _without(report, {key for choice in chosen for key in choice.entries})
    for choice in chosen:
        before = _without(report, gone)
        gone.update(choice.entries)
        losses = _losses(before, _without(report, gone), choice)
        yield choice._replace(then=(*losses, *_holes(report, left, choice)))


def folded(paths: Sequence[str], root: str) -> tuple[str, ...]:
    """Replace paths by their folder, if it would be empty without them.

    The root itself and the hub's own folders always stay; an operating system's litter counts as
    nothing.
    """
    found = set(paths)
    stops = {root, os.path.join(root, ".locks"), os.path.join(root, "blobs")}
    while True:
        parents = {os.path.dirname(path) for path in found} - stops
        for parent in sorted(parents, key=len, reverse=True):
            if inside(parent, root) and _would_be_empty(parent, found):
                found = {path for path in found if not path.startswith(parent + "/")} | {parent}
                break
        else:
            return tuple(p for p in sorted(found) if not _covered(p, found))


def _would_be_empty(folder: str, going: set[str]) -> bool:
    try:
        names = quietly.names(folder)
    except OSError:
        return False
    marks = _MARKS if os.path.basename(folder) == "huggingface" else frozenset()
    return all(
        os.path.join(folder, name) in going or name in marks or is_litter(name) for name in names
    )


def _covered(path: str, found: set[str]) -> bool:
    return any(above in found for above in _above(os.path.dirname(path)))


def _above(path: str) -> Iterator[str]:
    while True:
        yield path
        parent = os.path.dirname(path)
        if parent == path:
            return
        path = parent


def _title(mine: Sequence[Entry]) -> str:
    first = mine[0]
    if len(mine) > 1:
        return f"{first.title} ({len(mine)} revisions)"
    detached = first.revision and not first.refs
    return f"{first.title}@{(first.revision or '')[:12]}" if detached else first.title


def _freed(holdings: Holdings, mine: Sequence[Entry], paths: Sequence[str]) -> int:
    """Return how many bytes these paths free: each inode once, none that has other names."""
    seen: dict[tuple[int, int], list[int]] = {}
    for path in paths:
        for file in _files(path):
            status = os.lstat(file)
            row = seen.setdefault((status.st_dev, status.st_ino), [status.st_size, 0])
            row[1] += 1
            row.append(status.st_nlink)
    whole = sum(row[0] for row in seen.values() if row[1] >= row[2])
    cloned = sum(
        holdings.of(entry.id).size_bytes - holdings.of(entry.id).own_bytes
        for entry in mine
        if not holdings.of(entry.id).exact
    )
    return max(0, whole - cloned)


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path) or os.path.islink(path):
        yield path
        return
    yield from quietly.files(path)


def _using(mine: Sequence[Entry]) -> list[str]:
    """Return the programs that have any file of these entries open, small files included."""
    files = {file for entry in mine for file in entry.sizes}
    return sorted({name for names in (open_files.programs(files) or {}).values() for name in names})


def _linked(report: Report, mine: Sequence[Entry], going: set[str]) -> str:
    """Return which remaining entry of another place links to these, or an empty string."""
    place = repository_folder(mine[0])
    own = {path for entry in mine for path in (entry.path, repository_folder(entry))}
    for other in report.survey.entries:
        if other.id in going or repository_folder(other) == place or other.path in own:
            continue
        for artifact in other.notable:
            there = artifact.outside or artifact.file
            if any(inside(there, path) for path in own) and _is_apart(artifact, mine):
                return f"`{report.host.short(artifact.path)}` links to it"
    return ""


def _is_apart(artifact: Artifact, mine: Sequence[Entry]) -> bool:
    """Return whether an artifact's path is not also the path of one in `mine`."""
    return all(artifact.path != other.path for entry in mine for other in entry.notable)


def _without(report: Report, gone: set[str]) -> Report:
    """Return the report without these entries and their statuses, which readiness asks for."""
    return report._replace(
        entries=tuple(e for e in report.entries if e.id not in gone),
        statuses={key: status for key, status in report.statuses.items() if key not in gone},
    )


def _losses(before: Report, after: Report, choice: Choice) -> Iterator[str]:
    claims = [c for e in before.entries if e.id in choice.entries for c in e.claims]
    for engine, sizes in dict.fromkeys((c.engine, c.sizes) for c in claims):
        found = engines.find(engine)
        for each in sizes:
            answers = found.table.answers(each)
            was = readiness.ready(found, before, answers, each)
            now = readiness.ready(found, after, answers, each)
            if was.ready and was.entry in choice.entries:
                if now.ready:
                    yield f"{engine} loads {now.model} for size {each}"
                else:
                    yield f"{engine} has no model for size {each}"


def _holes(before: Report, after: Report, choice: Choice) -> Iterator[str]:
    """Yield the models of other places that lose a file, a tokenizer's say, with a choice."""
    going = [entry for entry in before.entries if entry.id in choice.entries]
    places = {repository_folder(entry) for entry in going}
    for other in after.entries:
        if not other.claims or repository_folder(other) in places:
            continue
        for artifact in other.notable:
            if any(inside(artifact.file, place) for place in places):
                yield f"{other.title} has no `{artifact.name}`"
                break


def cost(choice: Choice) -> str:
    """Return in words what it costs to fetch a choice again."""
    if choice.waste:
        return "–"
    return "no known source" if choice.refetch_bytes is None else size(choice.refetch_bytes)
