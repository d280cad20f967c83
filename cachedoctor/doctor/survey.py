"""List the locators' roots, and let the engines claim the entries they would load."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING

from cachedoctor import engines, locators
from cachedoctor.doctor import claiming
from cachedoctor.errors import UsageError
from cachedoctor.locators import hub_cache
from cachedoctor.looking import quietly
from cachedoctor.system import apps
from cachedoctor.vocabulary import Root, Survey, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.locators import Layout, Share, Way, Ways
    from cachedoctor.lockfile import Lock


_NOWHERE = "/nowhere"
_MOVES = "HF_|HUGGINGFACE_|XDG_|TRANSFORMERS_|PARAKEET_|TORCH_|WHISPER_"


def look(
    host: Host,
    chosen: Sequence[Engine],
    only: frozenset[str] | None = None,
    lock: Lock | None = None,
    share: Share | None = None,
) -> Survey:
    """List every root of the layouts and let the `chosen` engines claim what they would load.

    Unless `only` narrows the look, every layout is listed, because one can repair another. The
    demands of `lock` override all other evidence.
    With a `share`, only that share is listed.
    Raises `UsageError` for an unknown layout in a configuration file.
    """
    kinds, ways = _kinds(host, chosen, only), locators.Ways()
    places = [(kind, *place) for kind in kinds for place in _places(kind, host, ways)]
    if share is not None:
        return _survey(_shared(places, host, chosen, lock, share), host)
    roots = claiming.with_siblings(
        [
            _read(locator, path, host, chosen, only, lock)
            if not way.barred
            else _unreadable_root(locator, path, way, chosen)
            for locator, path, way in places
        ]
    )
    return _survey(roots, host)


def joined(roots: Sequence[Sequence[Root]], host: Host) -> Survey:
    """Merge the roots that several processes each listed a share of into one survey."""
    shares: dict[tuple[str, str], list[Root]] = {}
    for root in (root for part in roots for root in part):
        shares.setdefault((root.locator, root.path), []).append(root)
    found = []
    for mine in shares.values():
        whole = mine[0]
        listings = [root.listing for root in mine if root.listing is not None]
        if len(mine) > 1 and listings:
            entries = {entry.id: entry for root in mine for entry in root.entries}
            # in the layout's own order: by folder, then by revision
            ordered = tuple(sorted(entries.values(), key=lambda entry: entry.path.split("/")))
            whole = whole._replace(entries=ordered, listing=locators.of(whole).joined(listings))
        found.append(whole)
    return _survey(claiming.with_siblings(found), host)


def _survey(roots: Iterable[Root], host: Host) -> Survey:
    if host.platform != "darwin":
        return Survey(tuple(roots), _around(host))
    return Survey(tuple(roots), _around(host), functools.partial(apps.owner, host))


def divided(host: Host, chosen: Sequence[Engine]) -> Iterator[tuple[Layout, str]]:
    """Yield the roots that can be divided among several processes."""
    ways = locators.Ways()
    for locator in _kinds(host, chosen, None):
        if locator.divided:
            for path, way in _places(locator, host, ways):
                if way.there and not way.barred:
                    yield locator, path


def _around(host: Host) -> tuple[str, ...]:
    return (os.path.join(host.home, "Downloads"),)


def _shared(
    places: Sequence[tuple[Layout, str, Way]],
    host: Host,
    chosen: Sequence[Engine],
    lock: Lock | None,
    share: Share,
) -> list[Root]:
    """List a share; the one with the rest also lists what proves files outside divided roots."""
    found: list[Root] = []
    for locator, path, way in places:
        if way.barred:
            if share.rest:
                found.append(_unreadable_root(locator, path, way, chosen))
        elif locator.divided:
            found.append(_read(locator, path, host, chosen, share, lock))
        elif share.rest:
            found.append(_read(locator, path, host, chosen, None, lock))
    whole = (root for root in found if not locators.of(root).divided)
    asked = frozenset(e.claims[0].repository for r in whole for e in r.entries if e.claims)
    told = [
        _read(locator, path, host, chosen, asked, lock)
        for locator, path, way in (places if asked else ())
        if locator.divided and not way.barred
    ]
    return claiming.with_siblings([*told, *found])[len(told) :]


def _kinds(host: Host, chosen: Sequence[Engine], only: frozenset[str] | None) -> list[Layout]:
    layouts = dict.fromkeys(name for engine in chosen for name in engine.locators)
    for name in {*host.engine_versions, *host.said_by} - {hub_cache.LIBRARY}:
        _known_engine(name, host.said_by.get(name, "--engine-version"))
    for place in host.places:
        _known_engine(place.engine, place.said_by)
        if place.kind not in locators.names():
            near = nearest(place.kind, locators.names())
            raise UsageError(f"{place.said_by}: no layout `{place.kind}`{near}")
        if not place.engine or any(place.engine == engine.name for engine in chosen):
            layouts.setdefault(place.kind)
    if only is None:
        layouts.update(dict.fromkeys(locators.names()))
    return [locators.find(name) for name in layouts]


def closed_named(host: Host, layouts: Collection[str]) -> tuple[str, str] | None:
    """Return the first named place of these layouts that cannot be read, and why.

    A place is named by a variable or a configuration file; the default places are not.
    """
    ways = locators.Ways()
    for locator in map(locators.find, layouts):
        named = _named(locator, host)
        for path, way in _places(locator, host, ways):
            if not {path, os.path.realpath(path)} & named:
                continue
            if way.closed:
                return way.closed, way.why
            try:
                quietly.names(way.real)
            except NotADirectoryError:
                continue
            except OSError as error:
                return way.real, locators.reason(error)
    return None


def _named(locator: Layout, host: Host) -> set[str]:
    """Return the roots that a variable or a configuration file names."""
    roots = set(locator.roots(host))
    found = {place.path for place in host.places if place.kind == locator.name}
    for name in host.environment:
        if re.match(_MOVES, name):
            other = host._replace(environment={**host.environment, name: _NOWHERE})
            found |= roots.difference(locator.roots(other))
    return found | set(map(os.path.realpath, found))


def _unreadable_root(locator: Layout, path: str, way: Way, chosen: Sequence[Engine]) -> Root:
    """Return a root that cannot be read, because of something on the way to it."""
    users = tuple(engine.name for engine in chosen if locator.name in engine.locators)
    return Root(
        locator=locator.name,
        path=path,
        entries=(),
        error=way.why,
        closed=way.closed,
        gone=way.gone,
        text=way.text,
        aim=way.aim,
        users=users,
    )


def _known_engine(name: str, said_by: str) -> None:
    known = engines.names()
    if name and name not in known:
        raise UsageError(f"{said_by}: no engine `{name}`{nearest(name, known)}")


def _places(locator: Layout, host: Host, ways: Ways) -> Iterator[tuple[str, Way]]:
    """Yield the roots that exist or may exist, each once, however many names point to it.

    A named place on a volume that is not mounted counts as gone, too.
    """
    seen = set()
    usual = set(locator.roots(host._replace(environment={}, places=())))
    added = (place.path for place in host.places if place.kind == locator.name)
    for path in (*locator.roots(host), *added):
        if host.platform == "windows":
            path = host.absolute(path)  # noqa: PLW2901 - as Windows spells it
        way = ways.to(path)
        if not (way.there or way.barred) and path not in usual:
            volume = locators.volume_gone(path)
            way = way._replace(gone=volume, aim=volume)
        if way.closed and locators.inside(host.cwd, way.closed) and not host.project:
            continue  # an engine started in this folder can still see into it
        mark = way.real if way.there else path
        if mark not in seen and (way.there or way.barred):
            seen.add(mark)
            yield (way.real if way.there else path), way


def _read(
    locator: Layout,
    path: str,
    host: Host,
    chosen: Sequence[Engine],
    only: frozenset[str] | Share | None,
    lock: Lock | None,
) -> Root:
    named = [p.only for p in host.places if (p.kind, p.path) == (locator.name, path)]
    if only is None and named and None not in named and path not in locator.roots(host):
        only = frozenset().union(*(names for names in named if names))
    try:
        if isinstance(only, locators.Share):
            mine = only.folders.get(path, frozenset())
            root = locator.share(path, host, mine, rest=only.rest)
        else:
            root = locator.read(path, host, only)
    except NotADirectoryError:
        return _unreadable_root(locator, path, locators.Ways().to(f"{path}/."), chosen)
    except FileNotFoundError:  # deleted since it was found
        return Root(locator=locator.name, path=path, entries=())
    except OSError as error:
        why = locators.reason(error)
        return _unreadable_root(locator, path, locators.Way(path, closed=path, why=why), chosen)
    users = [engine for engine in chosen if host.places or locator.name in engine.locators]
    entries = tuple(
        claiming.claimed(entry, users, host, locator, claiming.absent(root, entry))
        for entry in root.entries
    )
    if lock is not None:
        entries = tuple(claiming.locked(entry, lock, locator) for entry in entries)
    return root._replace(entries=entries)
