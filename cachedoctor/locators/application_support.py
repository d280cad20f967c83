"""Folders of compiled Core ML bundles below Application Support.

```
~/Library/Application Support/FluidAudio/Models/
└── parakeet-tdt-0.6b-v3/                 up to FluidAudio 0.13.2: parakeet-tdt-0.6b-v3-coreml
    ├── Encoder.mlmodelc/
    │   ├── coremldata.bin  model.mil  metadata.json  analytics/coremldata.bin
    │   └── weights/weight.bin            weight.bin.partial[.etag] while 0.15.5 and later download
    └── parakeet_vocab.json
```

Some models lie one folder deeper (`parakeet-eou-streaming/160ms`). No locks in any version.
Source: FluidInference/FluidAudio `Shared/MLModelConfigurationUtils.swift`, `ModelNames.swift`,
`Shared/Download/FileDownloader.swift`, v0.1.0 to v0.15.6.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.locators import entry_id, look, reason, stamp_of
from cachedoctor.vocabulary import Artifact, Entry, Root, Stamp, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host

PARTIAL = (".partial", ".partial.etag", ".download")
_BUNDLES = (".mlmodelc", ".mlpackage")
_DEEPEST = 3  # folders below the root in which a model may lie


class Leftover(NamedTuple):
    """One partial download inside an entry."""

    path: str
    stamp: Stamp


class FolderListing(NamedTuple):
    """The folders of one root, with the partials in each entry by its id."""

    partials: dict[str, tuple[Leftover, ...]]


class ApplicationSupport:
    """One folder a model, one bundle a network."""

    name = "application-support"

    def roots(self, host: Host) -> Iterator[str]:
        """Name FluidAudio's folder; there is none but on a Mac."""
        if host.platform == "darwin":
            yield os.path.join(host.home, "Library", "Application Support", "FluidAudio", "Models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every model folder, or only the folders `wanted`."""
        entries = []
        partials = {}
        for folder in _models(path, wanted):
            name = folder[len(path) + 1 :]
            key = entry_id(self.name, path, name)
            artifacts, leftovers = _contents(folder, path)
            entries.append(Entry(key, self.name, path, folder, name, artifacts))
            if leftovers:
                partials[key] = leftovers
        return Root(self.name, path, tuple(entries), FolderListing(partials))

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return the artifact of a file or bundle that a folder lacks."""
        path = os.path.join(entry.path, name)
        return Artifact(name, path, path, State.MISSING, bundle=name.endswith(_BUNDLES))


LOCATOR = ApplicationSupport()


def _models(root: str, wanted: frozenset[str] | None) -> Iterator[str]:
    """Go through the folders that hold bundles or files, the first one met on the way down."""
    stack = [(root, 0)]
    while stack:
        folder, depth = stack.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        except OSError:
            if folder == root:
                raise
            yield folder
            continue
        below = [entry for entry in entries if _is_folder(entry)]
        holds = any(entry.name.endswith(_BUNDLES) for entry in below) or len(below) < len(entries)
        name = folder[len(root) + 1 :]
        if depth and (holds or not below):
            if wanted is None or name in wanted:
                yield folder
        elif depth < _DEEPEST:
            stack.extend((entry.path, depth + 1) for entry in below)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _contents(folder: str, root: str) -> tuple[tuple[Artifact, ...], tuple[Leftover, ...]]:
    """List the files of a model folder, each bundle before its files."""
    artifacts: list[Artifact] = []
    leftovers: list[Leftover] = []
    sizes: dict[str, int] = {}
    bundles: dict[str, Stamp] = {}
    stack = [folder]
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
            if _is_folder(entry):
                stack.append(entry.path)
                if name.endswith(_BUNDLES):
                    bundles[name] = stamp_of(entry.stat(follow_symlinks=False))
                    sizes[name] = 0
                continue
            found = look(entry.path, root)
            size = found.stamp.size_bytes if found.stamp else 0
            if name.endswith(PARTIAL) and found.stamp:
                leftovers.append(Leftover(entry.path, found.stamp))
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


def _bundle_of(name: str) -> str:
    """Return the bundle that the file `name` lies in, or empty."""
    parts = name.split("/")
    for length, part in enumerate(parts[:-1], 1):
        if part.endswith(_BUNDLES):
            return "/".join(parts[:length])
    return ""
