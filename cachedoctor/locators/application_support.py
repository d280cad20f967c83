"""Folders of compiled Core ML bundles below Application Support.

```
~/Library/Application Support/FluidAudio/Models/
~/Library/Containers/<app>/Data/Library/Application Support/FluidAudio/Models/      in a sandbox
└── parakeet-tdt-0.6b-v3/                 up to FluidAudio 0.13.2: parakeet-tdt-0.6b-v3-coreml
    ├── Encoder.mlmodelc/
    │   ├── coremldata.bin  model.mil  metadata.json  analytics/coremldata.bin
    │   └── weights/weight.bin            weight.bin.partial[.etag] while 0.15.5 and later download
    └── parakeet_vocab.json
~/.cache/fluidaudio/Models/               speech synthesis
<an app's folder>/Models/                 the same, recognised by folder names
```

Some models are one folder deeper (`parakeet-eou-streaming/160ms`). No version uses locks.
Source: FluidInference/FluidAudio `Shared/MLModelConfigurationUtils.swift`, `ModelNames.swift`,
`Shared/Download/FileDownloader.swift`, v0.1.0 to v0.15.6.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import At, FolderListing, ModelFolders, entry_id, is_litter
from cachedoctor.locators._contents import contents, is_folder, lost_folders
from cachedoctor.locators._recognised import around_bundle, with_bundles
from cachedoctor.looking import quietly
from cachedoctor.system import apps
from cachedoctor.vocabulary import BUNDLES, Artifact, Entry, Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host

_DEEPEST = 3  # levels below the root at which a model can be


class ApplicationSupport(ModelFolders):
    """One folder per model, one bundle per network."""

    name = "application-support"
    moved_by = "choose {to} in the app, if it has such a setting"
    title = "Application Support"

    def roots(self, host: Host) -> Iterator[str]:
        """Yield FluidAudio's own folder and those of sandboxed apps; nothing except on a Mac."""
        for home in host.homes:
            yield os.path.join(home, "Library", "Application Support", "FluidAudio", "Models")
            yield os.path.join(home, ".cache", "fluidaudio", "Models")
        yield from (place.path for place in apps.places(host, self.name, apps.Shape.BUNDLES))

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every model folder, or only the folders `wanted`."""
        entries = []
        partials = {}
        lost: dict[str, Artifact] = {}
        shared = host.platform == "darwin" and apps.is_shared(host, path)
        for folder in _models(path, wanted, lost):
            name = folder[len(path) + 1 :]
            if shared and not apps.is_model_folder(name):
                continue  # belongs to the app itself
            key = entry_id(self.name, path, name)
            artifacts, leftovers = contents(folder, path)
            if folder in lost:
                artifacts = (lost[folder],)
            entries.append(
                Entry(
                    id=key,
                    locator=self.name,
                    root=path,
                    path=folder,
                    name=name,
                    artifacts=artifacts,
                )
            )
            if leftovers:
                partials[key] = leftovers
        return Root(
            locator=self.name,
            path=path,
            entries=tuple(entries),
            listing=FolderListing(partials, {}),
        )

    def around(self, path: str) -> At | None:
        """Return the root of the bundle that `path` is or lies in."""
        return around_bundle(path, by_swift=False)

    def at(self, path: str) -> At | None:
        """Return the root that a folder of bundles is, holds or lies in."""
        return with_bundles(path, by_swift=False)


LOCATOR = ApplicationSupport()


def _models(root: str, wanted: frozenset[str] | None, lost: dict[str, Artifact]) -> Iterator[str]:
    """Yield each topmost folder that contains bundles or files.

    Anything that replaced a folder is yielded too, and recorded in `lost`.
    """
    stack = [(root, 0)]
    entered: set[str] = set()
    while stack:
        folder, depth = stack.pop()
        real = os.path.realpath(folder)
        if real in entered:
            continue
        entered.add(real)
        try:
            entries = [e for e in quietly.listed(folder)[::-1] if not is_litter(e.name)]
            gone = list(lost_folders(folder))
        except OSError:
            if folder == root:
                raise
            yield folder
            continue
        below = [entry for entry in entries if is_folder(entry)]
        lost.update((artifact.path, artifact) for artifact in gone)
        files = len(entries) - len(below) - len(gone)
        names = (*(entry.name for entry in below), *(artifact.path for artifact in gone))
        bundles = any(name.endswith(BUNDLES) for name in names)
        holds = bundles or files > 0
        name = folder[len(root) + 1 :]
        if depth and (holds or not (below or gone)):
            if wanted is None or name in wanted:
                yield folder
        elif depth < _DEEPEST:
            stack.extend((entry.path, depth + 1) for entry in below)
            yield from (
                artifact.path
                for artifact in gone
                if wanted is None or artifact.path[len(root) + 1 :] in wanted
            )
