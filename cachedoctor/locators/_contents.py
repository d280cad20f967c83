"""What lies in a model's folder, and what clients that download to folders leave beside it.

```
<folder>/.cache/huggingface/download/<path>.metadata              commit, etag, time: a line each
<folder>/.cache/huggingface/download/<path>.<etag>.incomplete     the Swift client's partial
<folder>/.cache/huggingface/download/<dirs>/<base64>.<etag>[.<8 hex>].incomplete      Python's
```

Source: huggingface_hub 2.4.0 `_local_folder.py`; argmaxinc/argmax-oss-swift 1.0.0
`Sources/ArgmaxCore/External/Hub/HubApi.swift`, `Downloader.swift`.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import untrusted
from cachedoctor.locators import BOOKS, Leftover, Metadata, digest_of, look, reason, stamp_of
from cachedoctor.vocabulary import Artifact, Evidence, Stamp, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BUNDLES = (".mlmodelc", ".mlpackage")
_PARTIAL = (".partial", ".partial.etag", ".download", ".downloading")
_INCOMPLETE = re.compile(r"(.+)\.([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")
_METADATA_LIMIT_BYTES = 4096


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether a directory entry is a folder itself: a link may lead anywhere."""
    return entry.is_dir(follow_symlinks=False)


def folders(path: str) -> Iterator[os.DirEntry[str]]:
    """Go through the folders in `path` that are not hidden; raises `OSError`."""
    with os.scandir(path) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    return (entry for entry in entries if is_folder(entry) and not entry.name.startswith("."))


def contents(
    folder: str, root: str, names: Iterable[str] | None = None
) -> tuple[tuple[Artifact, ...], tuple[Leftover, ...]]:
    """List the files of a model folder, each bundle before its files, and partials apart.

    `names` are the only ones to list directly below `folder`. The clients' own folder is passed
    over.
    """
    artifacts: list[Artifact] = []
    leftovers: list[Leftover] = []
    sizes: dict[str, int] = {}
    bundles: dict[str, Stamp] = {}
    stack = [folder]
    only = None if names is None else set(names)
    while stack:
        here = stack.pop()
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            name = here[len(folder) + 1 :]
            artifacts.append(Artifact(name, here, here, State.UNREADABLE, detail=reason(error)))
            continue
        for entry in entries:
            name = entry.path[len(folder) + 1 :]
            if only is not None and here == folder and name not in only:
                continue
            if is_folder(entry):
                if name == ".cache":
                    continue
                stack.append(entry.path)
                if name.endswith(BUNDLES):
                    bundles[name] = stamp_of(entry.stat(follow_symlinks=False))
                    sizes[name] = 0
                continue
            found = look(entry.path, root)
            size = found.stamp.size_bytes if found.stamp else 0
            ending = next((end for end in _PARTIAL if name.endswith(end)), "")
            if ending and found.stamp:
                whole = name.removesuffix(ending)
                leftovers.append(Leftover(entry.path, found.stamp, whole, bytes=size))
                continue
            owner = _bundle_of(name)
            if owner in sizes:
                sizes[owner] += size
            artifacts.append(
                Artifact(
                    name,
                    entry.path,
                    found.file,
                    found.state,
                    found.stamp,
                    size,
                    detail=found.detail,
                )
            )
    for name, stamp in bundles.items():
        path = os.path.join(folder, name)
        artifacts.append(Artifact(name, path, path, State.PRESENT, stamp, sizes[name], bundle=True))
    return tuple(sorted(artifacts)), tuple(leftovers)


def weight(folder: str) -> int:
    """Return how many bytes are in `folder`; what cannot be listed weighs nothing."""
    total = 0
    stack = [folder]
    while stack:
        try:
            with os.scandir(stack.pop()) as listing:
                for entry in listing:
                    if is_folder(entry):
                        stack.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


class Books(NamedTuple):
    """What a client keeps about the files that it downloaded to one folder."""

    metadata: dict[str, Metadata]
    partials: tuple[Leftover, ...]
    locks: tuple[str, ...]


def books(folder: str, below: str = "") -> Books:
    """Read what a client wrote down of the files below `folder`, and list its partials and locks.

    Names are relative to `folder`; `below` narrows the reading to one folder in it.
    """
    start = os.path.join(folder, BOOKS)
    found: dict[str, Metadata] = {}
    leftovers: list[Leftover] = []
    locks: list[str] = []
    stack = [os.path.join(start, below) if below else start]
    while stack:
        try:
            with os.scandir(stack.pop()) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            name = entry.path[len(start) + 1 :]
            partial = _INCOMPLETE.fullmatch(name)
            if is_folder(entry):
                stack.append(entry.path)
            elif not entry.is_file(follow_symlinks=False):
                continue
            elif name.endswith(".lock"):
                locks.append(entry.path)
            elif name.endswith(".metadata"):
                whole = name.removesuffix(".metadata")
                found[whole] = _metadata(entry.path)
            elif partial:
                stamp = stamp_of(entry.stat(follow_symlinks=False))
                digest = digest_of(partial[2])
                leftovers.append(
                    Leftover(entry.path, stamp, partial[1], digest, bytes=stamp.size_bytes)
                )
    return Books(found, tuple(leftovers), tuple(locks))


def promised(
    artifacts: Iterable[Artifact], metadata: Mapping[str, Metadata]
) -> tuple[Artifact, ...]:
    """Add to each file the digest that its client wrote down."""
    return tuple(
        artifact._replace(digest=digest, evidence=Evidence.METADATA)
        if artifact.name in metadata
        and (digest := digest_of(metadata[artifact.name].etag)) is not None
        else artifact
        for artifact in artifacts
    )


def _metadata(path: str) -> Metadata:
    try:
        with untrusted.open_regular(path) as file:
            text = file.read(_METADATA_LIMIT_BYTES).decode("utf-8", "replace")
        commit, etag, time_s = text.splitlines()[:3]
        if math.isfinite(written_s := float(time_s)):
            return Metadata(path, commit, etag, written_s)
        return Metadata(path, "", "", 0.0, f"it was written at `{time_s}`, which is no time")
    except ValueError:
        return Metadata(path, "", "", 0.0, "it is not three lines: commit, etag, time")
    except OSError as error:
        return Metadata(path, "", "", 0.0, reason(error))


def _bundle_of(name: str) -> str:
    """Return the bundle that the file `name` lies in, or empty."""
    parts = name.split("/")
    for length, part in enumerate(parts[:-1], 1):
        if part.endswith(BUNDLES):
            return "/".join(parts[:length])
    return ""
