"""The Swift Hub's folders, where WhisperKit keeps its models.

```
<base>/models/                             ~/Documents/huggingface, an app's own, a container's
├── argmaxinc/whisperkit-coreml/
│   ├── .cache/huggingface/download/       since swift-transformers 0.1.18
│   │   └── <variant>/<path>.metadata      three lines; <path>.<etag>.incomplete while downloading
│   ├── config.json                        which model suits which chip
│   └── openai_whisper-small/              one folder per variant
│       ├── AudioEncoder.mlmodelc/  TextDecoder.mlmodelc/  MelSpectrogram.mlmodelc/
│       └── config.json  generation_config.json
└── openai/whisper-small/                  the tokenizer, a repository of its own
```

Each repository is a folder that a client downloaded to; its subfolders are separate models unless
it contains bundles itself. No version uses locks.
Source: argmaxinc/argmax-oss-swift 1.0.0 `External/Hub/HubApi.swift`, `Downloader.swift`;
huggingface/swift-transformers 0.1.8 to 1.1.6; apps' folders: their issues.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import BOOKS, At, FolderListing, ModelFolders, entry_id, is_litter, reason
from cachedoctor.locators._contents import (
    books,
    contents,
    folders,
    is_folder,
    lost_folders,
    promised,
)
from cachedoctor.locators._recognised import around_bundle, with_bundles
from cachedoctor.looking import quietly
from cachedoctor.system import apps
from cachedoctor.vocabulary import BUNDLES, Artifact, Entry, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.locators import Leftover, Metadata

_BASE = "Documents/huggingface"  # other bases, set by apps, are rows of `apps.toml`


class Documents(ModelFolders):
    """One folder per repository, inside a folder for its organisation."""

    name = "documents"
    moved_by = "choose {to} in the app, or pass it as `downloadBase`"
    title = "Documents"
    keeps_notes = True
    demands_notes = True
    gets_stuck = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the default base, those set by apps and sandboxed ones; nothing except on a Mac."""
        for home in host.homes:
            yield os.path.join(home, _BASE, "models")
        yield from (place.path for place in apps.places(host, self.name, apps.Shape.BASE))

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every model folder, or only the folders `wanted`."""
        entries: list[Entry] = []
        partials: dict[str, tuple[Leftover, ...]] = {}
        metadata: dict[str, dict[str, Metadata]] = {}
        closed: dict[str, tuple[tuple[str, str], ...]] = {}
        for organisation in folders(path):
            if organisation.name == "models":  # another base nested in this one
                continue
            try:
                repositories = list(folders(organisation.path))
            except OSError as error:
                entries.append(_closed(path, organisation, reason(error)))
                continue
            entries.extend(_lost(path, organisation.path))
            for repository in repositories:
                for name, only in _models(repository.path):
                    title = repository.path[len(path) + 1 :] + (f"/{name}" if name else "")
                    if wanted is not None and title not in wanted:
                        continue
                    folder = os.path.join(path, title)
                    key = entry_id(self.name, path, title)
                    artifacts, left = contents(folder, path, only)
                    lost = [a for a in lost_folders(repository.path) if a.path == folder]
                    written, downloads, shut = _books(repository.path, name, only)
                    artifacts = tuple(lost) or promised(artifacts, written)
                    entries.append(
                        Entry(
                            id=key,
                            locator=self.name,
                            root=path,
                            path=folder,
                            name=title,
                            artifacts=artifacts,
                        )
                    )
                    partials[key] = (*left, *downloads)
                    metadata[key] = written
                    closed[key] = shut
        entries.extend(_lost(path, path))
        listing = FolderListing(partials, metadata, closed=closed)
        return Root(locator=self.name, path=path, entries=tuple(entries), listing=listing)

    def around(self, path: str) -> At | None:
        """Return the root of the bundle that `path` is or lies in."""
        return around_bundle(path, by_swift=True)

    def at(self, path: str) -> At | None:
        """Return the root that a folder of bundles is, holds or lies in."""
        return with_bundles(path, by_swift=True)


LOCATOR = Documents()


def _models(repository: str) -> list[tuple[str, list[str] | None]]:
    """Return the subfolders of a repository that are models, and the files to list in each."""
    try:
        entries = [e for e in quietly.listed(repository) if not is_litter(e.name)]
        gone = [artifact.path.rpartition("/")[2] for artifact in lost_folders(repository)]
    except OSError:
        return [("", None)]
    below = {e.name for e in entries if is_folder(e) and e.name != ".cache"} | set(gone)
    bundles = any(name.endswith(BUNDLES) for name in below)
    variants = sorted({*below, *_begun(repository)})
    loose = [e.name for e in entries if e.name not in below and e.name != ".cache"]
    if not (variants or loose):
        return []  # only metadata is left of a deleted model
    if bundles or not variants:
        return [("", None)]
    own: list[tuple[str, list[str] | None]] = [("", loose)] if loose else []
    return own + [(name, None) for name in variants if not name.startswith(".")]


def _begun(repository: str) -> list[str]:
    """Return the variants whose download has begun without any file arriving yet.

    A variant with metadata but no partials was deleted.
    """
    try:
        noted = [entry.name for entry in folders(os.path.join(repository, BOOKS))]
    except OSError:
        return []
    return [name for name in noted if books(repository, name).partials]


def _books(
    repository: str, name: str, only: list[str] | None
) -> tuple[dict[str, Metadata], tuple[Leftover, ...], tuple[tuple[str, str], ...]]:
    """Read the client's metadata for one model, with names relative to the model's folder."""
    written, downloads, _, closed = books(repository, name)
    skip = len(name) + 1 if name else 0
    mine = {file[skip:]: known for file, known in written.items() if only is None or file in only}
    left = tuple(
        left._replace(name=left.name[skip:])
        for left in downloads
        if only is None or "/" not in left.name
    )
    return mine, left, closed


def _lost(root: str, folder: str) -> Iterator[Entry]:
    """Yield an entry for each thing in `folder` that replaced a folder."""
    for artifact in lost_folders(folder):
        title = artifact.path[len(root) + 1 :]
        key = entry_id("documents", root, title)
        yield Entry(
            id=key,
            locator="documents",
            root=root,
            path=artifact.path,
            name=title,
            artifacts=(artifact,),
        )


def _closed(root: str, folder: quietly.Listed, why: str) -> Entry:
    """Return an entry for a folder that cannot be listed."""
    blind = Artifact(
        name="", path=folder.path, file=folder.path, state=State.UNREADABLE, detail=why
    )
    key = entry_id("documents", root, folder.name)
    return Entry(
        id=key,
        locator="documents",
        root=root,
        path=folder.path,
        name=folder.name,
        artifacts=(blind,),
    )
