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
from cachedoctor.locators import BOOKS, hub_cache, local_dir
from cachedoctor.looking import quietly
from cachedoctor.vocabulary import BUNDLES, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.host import Host
    from cachedoctor.question import Question

_MODEL = (*WEIGHTS, ".nemo", ".gguf")
_SAID_BY = "the command line"
_HINT = "say which layout it has: `[[locator]]`, `kind` and `path` in `cachedoctor.toml`"

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
        raise CannotLookError(f"`{path}` is not here: `{way.gone}` leads to `{way.aim}`")
    if not way.there:
        raise CannotLookError(f"nothing is at `{path}`")
    if not quietly.may(way.real, os.R_OK):
        raise CannotLookError(f"`{path}` cannot be read", hint="run as the user that it belongs to")


def unknown(path: str) -> CannotLookError:
    """Return the error for a `path` that holds no known model or part of one."""
    return CannotLookError(f"nothing that is known as a model is at `{path}`", hint=_HINT)


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
        cache = _cache_around(real)
        kind, _, name = real[len(cache) :].lstrip("/").partition("/")[0].partition("--")
        if not cache or kind != "models":
            return None
        found.add(name)
    return frozenset(found) or None


def layouts_at(path: str) -> tuple[Found, ...]:
    """Return the layouts that contain `path`, or that it contains; its links are resolved."""
    cache = _cache_around(path)
    if cache:
        return (("hub-cache", cache, None),)
    bundle = _bundle_around(path)
    if bundle:
        folder = os.path.dirname(bundle)
        return (_bundles(folder),)
    if os.path.isfile(path):
        return tuple(_of_file(path))
    return tuple(_of_folder(path))


def _cache_around(path: str) -> str:
    """Return the hub cache that contains `path`, or an empty string."""
    parts = path.split("/")
    for at, part in enumerate(parts):
        if hub_cache.is_repository(part):
            return "/".join(parts[:at]) or "/"
    return ""


def _bundle_around(path: str) -> str:
    parts = path.split("/")
    for at, part in enumerate(parts, 1):
        if part.endswith(BUNDLES):
            return "/".join(parts[:at])
    return ""


def _bundles(folder: str) -> Found:
    """Return the layout of a folder that holds bundles: the Swift Hub's where notes say so."""
    above = os.path.dirname(folder)
    for repository in (folder, above):
        if os.path.isdir(os.path.join(repository, BOOKS)):
            return "documents", os.path.dirname(os.path.dirname(repository)), None
    if os.path.basename(os.path.dirname(above)) == "argmaxinc" or "whisperkit" in above:
        return "documents", os.path.dirname(os.path.dirname(above)), None
    return "application-support", above, frozenset((os.path.basename(folder),))


def _of_file(path: str) -> Iterator[Found]:
    folder, name = os.path.split(path)
    if name.endswith(".pt"):
        yield "openai-cdn", folder, frozenset((name,))
    elif name.startswith("ggml-") and name.endswith(".bin"):
        yield "ggml-folder", folder, frozenset((name,))
    elif name.endswith(_MODEL) or os.path.isfile(os.path.join(folder, "config.json")):
        yield "local-dir", folder, frozenset((local_dir.title_of(folder),))


def _of_folder(path: str) -> Iterator[Found]:
    """Yield the layouts of a folder, or of the folders below it."""
    for cache in (path, f"{path}/hub", f"{path}/huggingface/hub", f"{path}/.cache/huggingface/hub"):
        if any(map(hub_cache.is_repository, _names(cache))):
            yield "hub-cache", cache, None
            return
    names = _names(path)
    if any(name.endswith(".pt") for name in names):
        yield "openai-cdn", path, None
    if any(name.startswith("ggml-") and name.endswith(".bin") for name in names):
        yield "ggml-folder", path, None
    if any(name.endswith(BUNDLES) for name in names):
        yield _bundles(path)
        return
    if _is_model(path, names):
        yield "local-dir", path, frozenset((local_dir.title_of(path),))
        return
    below = [f"{path}/{name}" for name in names if not name.startswith(".")]
    folders = [folder for folder in below if os.path.isdir(folder)]
    deeper = [(folder, _names(folder)) for folder in folders]
    if any(_is_model(folder, inner) for folder, inner in deeper):
        yield "local-dir", path, None
    if any(name.endswith(BUNDLES) for _, inner in deeper for name in inner):
        kind, root, _ = _bundles(folders[0])
        yield kind, root, None
    elif any(_holds_bundles(f"{folder}/{name}") for folder, inner in deeper for name in inner):
        swift = any(os.path.isdir(f"{folder}/{name}/{BOOKS}") for folder, i in deeper for name in i)
        known = swift or any(os.path.basename(folder) == "argmaxinc" for folder in folders)
        yield ("documents" if known else "application-support"), path, None
    elif any(_names(f"{folder}/whisperkit-coreml") for folder in folders):
        yield "documents", path, None


def _holds_bundles(folder: str) -> bool:
    return any(name.endswith(BUNDLES) for name in _names(folder))


def _is_model(folder: str, names: Sequence[str]) -> bool:
    """Return whether a folder with these names is itself a model."""
    if any(name.startswith("ggml-") or name.endswith(".pt") for name in names):
        return "config.json" in names
    return any(n.endswith(_MODEL) for n in names) or os.path.isdir(os.path.join(folder, BOOKS))


def _names(folder: str) -> list[str]:
    try:
        return [name for name in quietly.names(folder) if not locators.is_litter(name)]
    except OSError:
        return []
