"""Tell by names what lies at a path, where nobody said which layout it has."""

from __future__ import annotations

import os

from cachedoctor.locators import BOOKS, At, is_litter
from cachedoctor.looking import quietly
from cachedoctor.vocabulary import BUNDLES, WEIGHTS

_MODEL = (*WEIGHTS, ".nemo", ".gguf")
_KINDS = ("models", "datasets", "spaces", "kernels")
_ARGMAX = "argmaxinc"  # whose repositories the Swift Hub client downloads
_COREML = "whisperkit-coreml"


def is_repository(name: str) -> bool:
    """Return whether a folder has the name that the hub client gives a repository."""
    kind, separator, rest = name.partition("--")
    return bool(separator and rest) and kind in _KINDS


def is_checkpoint(name: str) -> bool:
    """Return whether a file has the name of one of OpenAI's checkpoints."""
    return name.endswith(".pt")


def is_ggml(name: str) -> bool:
    """Return whether a file has the name of a model of whisper.cpp's."""
    return name.startswith("ggml-") and name.endswith(".bin")


def is_part(path: str) -> bool:
    """Return whether a file is weights of a model that is a folder, or lies beside its config."""
    folder, name = os.path.split(path)
    if is_checkpoint(name) or is_ggml(name):
        return False
    return name.endswith(_MODEL) or os.path.isfile(os.path.join(folder, "config.json"))


def is_model(folder: str) -> bool:
    """Return whether a folder is a model itself, by the names in it."""
    inside = names(folder)
    if any(name.startswith("ggml-") or is_checkpoint(name) for name in inside):
        return "config.json" in inside
    if any(name.endswith(_MODEL) for name in inside):
        return True
    return os.path.isdir(os.path.join(folder, BOOKS))


def names(folder: str) -> list[str]:
    """Return the names in a folder without litter, none where it cannot be listed."""
    try:
        return [name for name in quietly.names(folder) if not is_litter(name)]
    except OSError:
        return []


def has_bundles(folder: str) -> bool:
    """Return whether a folder holds bundles."""
    return any(name.endswith(BUNDLES) for name in names(folder))


def folders(folder: str) -> list[str]:
    """Return the paths of the folders in a folder, but for hidden ones."""
    paths = (f"{folder}/{name}" for name in names(folder) if not name.startswith("."))
    return [path for path in paths if os.path.isdir(path)]


def around_bundle(path: str, *, by_swift: bool) -> At | None:
    """Return the root of the bundle that `path` is or lies in, outside the hub cache.

    With `by_swift` the Swift Hub's, else anybody else's.
    """
    parts = path.split("/")
    if any(map(is_repository, parts)):
        return None
    for at, part in enumerate(parts):
        if part.endswith(BUNDLES):
            return _of_bundles("/".join(parts[:at]), by_swift=by_swift)
    return None


def with_bundles(folder: str, *, by_swift: bool) -> At | None:
    """Return the root that a folder with bundles in it, or up to two below it, is or lies in."""
    if has_bundles(folder):
        return _of_bundles(folder, by_swift=by_swift)
    below = folders(folder)
    if is_model(folder) or not below:
        return None
    if any(map(has_bundles, below)):
        return _of_bundles(below[0], by_swift=by_swift, every=True)
    deeper = [f"{one}/{name}" for one in below for name in names(one)]
    swift = any(os.path.isdir(f"{one}/{BOOKS}") for one in deeper)
    swift = swift or any(os.path.basename(one) == _ARGMAX for one in below)
    if any(map(has_bundles, deeper)):
        return At(folder) if swift is by_swift else None
    return At(folder) if by_swift and any(names(f"{one}/{_COREML}") for one in below) else None


def _of_bundles(folder: str, *, by_swift: bool, every: bool = False) -> At | None:
    """Return the root in which a folder of bundles lies: two above in the Swift Hub's layout."""
    above = os.path.dirname(folder)
    noted = [one for one in (folder, above) if os.path.isdir(os.path.join(one, BOOKS))]
    named = os.path.basename(os.path.dirname(above)) == _ARGMAX or "whisperkit" in above
    if bool(noted or named) is not by_swift:
        return None
    if by_swift:
        return At(os.path.dirname(os.path.dirname(noted[0] if noted else above)))
    return At(above, None if every else frozenset((os.path.basename(folder),)))
