"""What a name on the command line means: an entry's id, `engine:model`, a repository or a path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import engines
from cachedoctor.errors import UsageError
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.plans.kept import means
from cachedoctor.text import printable
from cachedoctor.vocabulary import Status, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.vocabulary import Entry


def resolve(names: Sequence[str], report: Report) -> tuple[Entry, ...]:
    """Return the entries that these names mean, each once.

    A repository or an engine's model means all its revisions. Raises `UsageError` for an ambiguous
    name, with the ids it fits, and for an unknown name, with the nearest.
    """
    found: dict[str, Entry] = {}
    for name in names:
        for entry in _entries_named(name, report):
            found[entry.id] = entry
    return tuple(found.values())


def matching(name: str, report: Report) -> tuple[Entry, ...]:
    """Return all entries that a name means; it may be an engine's. Raises `UsageError` for none."""
    there = _existing(report)
    if name in engines.names():
        found = tuple(entry for entry in there if name in entry.engines)
    else:
        found = tuple(entry for entry in there if _fits(name, entry, report))
    if not found:
        raise _unknown(name, report)
    return found


def _entries_named(name: str, report: Report) -> tuple[Entry, ...]:
    found = [entry for entry in _existing(report) if _fits(name, entry, report)]
    place = _path(name, report)
    itself = place and os.path.join(
        os.path.realpath(os.path.dirname(place)), os.path.basename(place)
    )
    exact = [e for e in found if name in (e.id, printable(e.id)) or e.path == itself]
    if exact:
        return tuple(exact)
    if not found:
        raise _unknown(name, report)
    places = {repository_folder(entry) for entry in found}
    if len(places) > 1:
        listed = ", ".join(f"`{entry.id}` in `{report.host.short(entry.path)}`" for entry in found)
        raise UsageError(
            f"`{name}` fits {len(places)} things: {listed}", hint="name one by its id or its path"
        )
    return tuple(found)


def _fits(name: str, entry: Entry, report: Report) -> bool:
    place = _path(name, report)
    if place is not None:
        real = os.path.realpath(place)
        return entry.path in (place, real) or repository_folder(entry) in (place, real)
    prefix, colon, model = name.partition(":")
    if colon and prefix in engines.names():
        if model in engines.find(prefix).table.sizes and model not in (
            claim.model for claim in entry.claims if claim.engine == prefix
        ):
            return False  # several models answer a size, and what is removed must be named
        return means(name, entry)
    return means(name, entry) or name == os.path.basename(repository_folder(entry))


def _path(name: str, report: Report) -> str | None:
    """Return the path that a name stands for, or `None` if it is not a path."""
    if name == "~" or name.startswith("~/"):
        return os.path.normpath(report.host.home + name[1:])
    if name.startswith(("/", "./", "../")):
        return os.path.normpath(os.path.join(report.host.cwd, name))
    return None


def _existing(report: Report) -> list[Entry]:
    return [e for e in report.entries if report.statuses[e.id] is not Status.ABSENT]


def _unknown(name: str, report: Report) -> UsageError:
    known = [entry.id for entry in report.entries]
    known += [f"{claim.engine}:{claim.model}" for e in report.entries for claim in e.claims]
    known += [entry.name for entry in report.entries]
    engine, colon, model = name.partition(":")
    if name in engines.names():
        names = dict.fromkeys(each for each in known if each.startswith(f"{name}:"))
        models = f"its models here: {', '.join(f'`{each}`' for each in names)}" if names else ""
        return UsageError(
            f"`{name}` is an engine, not a model", hint=models or f"no model of {name} is here"
        )
    if colon and engine in engines.names():
        table = engines.find(engine).table
        if model in table.sizes:
            answers = " or ".join(f"`{engine}:{each}`" for each in table.sizes[model])
            return UsageError(f"`{name}` is a size, not a model; name {answers}")
        known = [each for each in known if each.startswith(f"{engine}:")] or known
    hint = f"`{report.host.command('list')}` names everything"
    if report.hiding:
        unseen = ", ".join(f"`{finding.path}`" for finding in report.hiding)
        hint = f"it may be in a place that could not be read: {unseen}"
    return UsageError(
        f"nothing here is called `{name}`{nearest(name, list(dict.fromkeys(known)))}", hint=hint
    )
