"""Recognise the layout at a path given by the user.

It can be a hub cache, or a repository, revision or file in one; a folder of compiled bundles, or a
folder of such folders; the Swift Hub's folders; a flat folder of models; one model's folder; or a
single file.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.config import Place
from cachedoctor.errors import CannotLookError
from cachedoctor.locators import hub_cache
from cachedoctor.looking import quietly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.host import Host
    from cachedoctor.question import Question

_SAID_BY = "the command line"
_HINT = "name its layout: `[[locator]]`, `kind` and `path` in `cachedoctor.toml`"

Found = tuple[str, str, frozenset[str] | None]  # a layout, its root, the only names to list there


def with_paths(host: Host, paths: Sequence[str]) -> Host:
    """Return `host` with the places that contain the named paths.

    Raises `CannotLookError` for a path that does not exist or cannot be read.
    """
    added = []
    for path in paths:
        full = host.absolute(path)
        require_readable(full)
        real = os.path.realpath(full)
        added += [
            Place(kind=kind, path=root, engine="", said_by=_SAID_BY, only=only, by_path=True)
            for kind, root, only in layouts_at(real)
        ]
    return host._replace(places=(*host.places, *dict.fromkeys(added)))


def require_readable(path: str) -> None:
    """Raise `CannotLookError` for a path that does not exist or cannot be read."""
    way = locators.Ways().to(path)
    if way.closed:
        raise CannotLookError(f"`{path}` cannot be read: `{way.closed}`: {way.why}")
    if way.gone:
        raise CannotLookError(f"`{path}` is missing: `{way.gone}` points to `{way.aim}`")
    if not way.there:
        raise CannotLookError(f"nothing is at `{path}`")
    if not quietly.can_access(way.real, os.R_OK):
        raise CannotLookError(f"`{path}` cannot be read", hint="run as the user that it belongs to")


def unknown(path: str) -> CannotLookError:
    """Return the error for a `path` that holds no known model or part of one."""
    return CannotLookError(f"no known model is at `{path}`", hint=_HINT)


def repositories(question: Question) -> frozenset[str] | None:
    """Return the repositories that contain all named paths, if the question reads contents.

    `None` if a path is outside a model's repository (a data set's name cannot narrow a look), or
    if the question is already narrowed.
    """
    if not question.deep or question.only or question.lock:
        return None
    found = set()
    for path in question.paths:
        real = os.path.realpath(question.host.absolute(path))
        cache = hub_cache.LOCATOR.around(real)
        below = real.removeprefix(cache.root).lstrip("/") if cache else ""
        kind, _, name = below.partition("/")[0].partition("--")
        if kind != "models":
            return None
        found.add(name)
    return frozenset(found) or None


def layouts_at(path: str) -> tuple[Found, ...]:
    """Return the layouts that contain `path`, or that it contains; its links are resolved."""
    layouts = [locators.find(name) for name in locators.names()]
    around = [(layout.name, layout.around(path)) for layout in layouts]
    if not any(found for _, found in around):
        around = [(layout.name, layout.at(path)) for layout in layouts]
    return tuple((name, *found) for name, found in around if found)
