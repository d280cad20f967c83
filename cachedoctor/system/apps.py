"""Apps that keep an engine's models in their own folders, found by table or by shape.

```
<home>/<folder in a row>
<home>/Library/Containers/<app>/Data/<the same>                      in a sandbox
<home>/Library/Application Support/<app>/{,models,Models,…}          by shape: one level below
<home>/Library/Group Containers/<group>/{,models,Models,…}
```

A shape is something only such models have: a folder `argmaxinc/whisperkit-coreml`, files named
`ggml-….bin`, folders with FluidAudio's names that contain compiled bundles.
"""

from __future__ import annotations

import enum
import os
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from cachedoctor.looking import quietly
from cachedoctor.system import shipped
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host

_KIT = "argmaxinc/whisperkit-coreml"
_BELOW = ("", "models", "Models", "whisper", "huggingface")  # where apps' folders hold a base
_FILES_BELOW = ("", "models", "Models", "WhisperModels", "whisper-models", "models/whisper")
_BUNDLES_BELOW = ("", "Models", "models", "Models/FluidAudio", "FluidAudio/Models", "FluidAudio")
_BUNDLES = (
    r"(?:parakeet|nemotron|silero-vad|speaker-diarization|sortformer|ls-eend|canary-1b|sensevoice"
    r"|paraformer|campplus|fsmn-vad|cohere-transcribe|phonon)(?:[-/].*)?$"
)
_MOST_APPS = 2000


class Shape(enum.Enum):
    """A name found only in one layout's folders, by which they can be recognised."""

    NONE = enum.auto()
    BASE = enum.auto()  # a client's base, with repositories below `models`
    FILES = enum.auto()
    BUNDLES = enum.auto()  # folders of compiled bundles


class App(NamedTuple):
    """One program."""

    name: str
    roots: tuple[tuple[str, str], ...]  # layout, and folder relative to the home
    source: str


class Place(NamedTuple):
    """One root of a layout and the app that owns it."""

    layout: str
    path: str
    app: str


@cache
def known() -> tuple[App, ...]:
    """Return the rows of `apps.toml`."""
    rows = shipped.rows("cachedoctor.engines", "apps")["app"]
    return tuple(
        App(row["name"], tuple((r["layout"], r["folder"]) for r in row["roots"]), row["source"])
        for row in rows
    )


@lru_cache(maxsize=8)
def _real_roots(homes: tuple[str, ...]) -> dict[str, str]:
    """Return the owner of each root in a row, by real path."""
    return {
        os.path.realpath(os.path.join(home, folder)): app.name
        for home in homes
        for app in known()
        for _, folder in app.roots
    }


def places(host: Host, layout: str, shape: Shape = Shape.NONE) -> Iterator[Place]:
    """Yield the existing roots of one layout that belong to apps on this host.

    Nothing except on a Mac, where these apps run.
    """
    if host.platform != "darwin":
        return
    seen = set()
    for place in (*_rows(host, layout, shape), *_shapes(host, layout, shape)):
        if place.path not in seen and os.path.isdir(place.path):
            seen.add(place.path)
            yield place


def is_model_folder(name: str) -> bool:
    """Return whether a folder is named like one of FluidAudio's."""
    return re.match(_BUNDLES, name) is not None


def is_shared(host: Host, path: str) -> bool:
    """Return whether a folder recognised only by shape also holds an app's other files."""
    above = [os.path.realpath(parent) for parent in _parents(host)]
    if path.endswith("/FluidAudio/Models"):
        return False
    return path not in _real_roots(host.homes) and any(
        path == os.path.join(parent, path[len(parent) + 1 :].partition("/")[0], below).rstrip("/")
        for parent in above
        if path.startswith(parent + "/")
        for below in _BUNDLES_BELOW
        if not below.startswith("FluidAudio/")
    )


def owner(host: Host, path: str) -> str:
    """Return the name of the app whose folder contains a path, or an empty string."""
    if host.platform != "darwin":
        return ""
    best = ("", "")
    for root, name in _real_roots(host.homes).items():
        if (path == root or path.startswith(root + "/")) and len(root) > len(best[0]):
            best = (root, name)
    return best[1] or _by_folder(host, path)


def _by_folder(host: Host, path: str) -> str:
    """Name an app after its folder below Application Support or its container."""
    for kind in ("Application Support", "Containers", "Group Containers", "Caches"):
        start = os.path.join(os.path.realpath(host.home), "Library", kind) + "/"
        if path.startswith(start):
            name = path[len(start) :].split("/", maxsplit=1)[0]
            shared = kind in ("Application Support", "Caches") and name in _SHARED
            return "" if shared or name.startswith("com.apple.") else name
    return ""


# shared by every program that links the framework, and by us
_SHARED = ("FluidAudio", "pywhispercpp", "WhisperKit", "huggingface", "cachedoctor")


def _rows(host: Host, layout: str, shape: Shape) -> Iterator[Place]:
    for app in known():
        for kind, folder in app.roots:
            if kind == layout:
                for home in host.homes:
                    path = os.path.join(home, folder)
                    below = os.path.join(path, "models") if shape is Shape.BASE else path
                    yield Place(layout, below, app.name)


def _shapes(host: Host, layout: str, shape: Shape) -> Iterator[Place]:
    """Search the apps' folders, one level deep, for names found only in this layout."""
    if shape is Shape.NONE:
        return
    below_, holds = _LOOKED_FOR[shape]
    for folder in _folders(host):
        there = _listing(folder)
        for below in below_:
            if below and below.partition("/")[0] not in there:
                continue
            path = os.path.join(folder, below)
            if (below or there) and holds(path):
                yield Place(layout, path, os.path.basename(folder))


def _parents(host: Host) -> tuple[str, ...]:
    """Return the folders in which apps keep theirs."""
    supports = [os.path.join(home, "Library", "Application Support") for home in host.homes]
    groups = os.path.join(host.home, "Library", "Group Containers")
    inner = (os.path.join(groups, g, "Library", "Application Support") for g in _names(groups))
    return (*supports, groups, *inner)


def _folders(host: Host) -> Iterator[str]:
    for parent in _parents(host):
        try:
            names = sorted(quietly.names(parent))[:_MOST_APPS]
        except OSError:
            continue
        for name in names:
            if not name.startswith("."):
                yield os.path.join(parent, name)


def _has_kit(path: str) -> bool:
    return os.path.isdir(os.path.join(path, _KIT))


def _has_ggml(path: str) -> bool:
    return any(name.startswith("ggml-") and name.endswith(".bin") for name in _listing(path))


def _has_bundles(path: str) -> bool:
    """Return whether a folder with one of these names, or a subfolder, holds compiled bundles."""
    for name in (name for name in _listing(path) if re.match(_BUNDLES, name)):
        folder = os.path.join(path, name)
        inner = _names(folder)
        below = [f"{one}/{each}" for one in inner for each in _names(os.path.join(folder, one))]
        if any(each.endswith(".mlmodelc") for each in (*inner, *below)):
            return True
    return False


def _names(path: str) -> list[str]:
    try:
        return sorted(quietly.names(path))
    except OSError:
        return []


def _listing(path: str) -> tuple[str, ...]:
    """Return the names in a folder, listing an unchanged one only once per process."""
    try:
        status = os.stat(path)
        return _listed(path, status.st_ino, status.st_mtime_ns)
    except OSError:
        return ()


@lru_cache(maxsize=8192)
def _listed(path: str, inode: int, mtime_ns: int) -> tuple[str, ...]:
    return tuple(sorted(quietly.names(path)))


_LOOKED_FOR = {
    Shape.BASE: (tuple(f"{below}/models".lstrip("/") for below in _BELOW), _has_kit),
    Shape.FILES: (_FILES_BELOW, _has_ggml),
    Shape.BUNDLES: (_BUNDLES_BELOW, _has_bundles),
}
