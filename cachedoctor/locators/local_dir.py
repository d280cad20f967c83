"""Folders that the Python hub client downloaded to with `local_dir`.

```
<root>/                                    <project>/mlx_models, or one added by the user
├── tiny/                                  one folder per model
│   ├── config.json  weights.npz
│   └── .cache/huggingface/
│       ├── download/<path>.metadata       three lines: commit, etag, time
│       ├── download/<path>.lock           held while a client downloads
│       ├── download/<base64>.<etag>[.<8 hex>].incomplete
│       └── trees/<commit>.json            since 1.22
└── ../.cache/huggingface/download/mlx_models/<model>/   if `local_dir` was the parent folder
```

The client trusts metadata only for files that have not changed since it was written.
Source: huggingface_hub 2.4.0 `_local_folder.py`; lightning-whisper-mlx 0.0.10 `lightning.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import BOOKS, At, FolderListing, ModelFolders, entry_id
from cachedoctor.locators._contents import (
    Books,
    books,
    contents,
    folders,
    lost_folders,
    promised,
)
from cachedoctor.locators._recognised import folders as folders_in
from cachedoctor.locators._recognised import has_bundles, is_model, is_part
from cachedoctor.vocabulary import Entry, Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.locators import Leftover, Metadata


class LocalDir(ModelFolders):
    """A folder of model folders, or a single model folder."""

    name = "local-dir"
    followed = True
    moved_by = "run the engine where {to} is"
    title = "downloaded to a folder"
    keeps_notes = True
    compares_times = True
    mixes_variants = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield lightning-whisper-mlx's folder, relative to wherever the engine is run."""
        yield host.here("mlx_models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every model folder, or only the folders `wanted`."""
        entries: list[Entry] = []
        partials: dict[str, tuple[Leftover, ...]] = {}
        metadata: dict[str, dict[str, Metadata]] = {}
        locks: dict[str, tuple[str, ...]] = {}
        closed: dict[str, tuple[tuple[str, str], ...]] = {}
        lost = {os.path.basename(a.path): a for a in lost_folders(path)}
        names = [*(entry.name for entry in folders(path)), *lost]
        whole = os.path.isdir(os.path.join(path, BOOKS)) or os.path.isfile(f"{path}/config.json")
        if whole or (wanted and title_of(path) in wanted):
            names = [""]
        for name in names:
            folder = os.path.join(path, name) if name else path
            title = name or title_of(path)
            if wanted is not None and title not in wanted:
                continue
            key = entry_id(self.name, path, title)
            artifacts, left = contents(folder, path)
            artifacts = (lost[name],) if name in lost else artifacts
            own, above = books(folder), _above(path, name)
            written = {**above.metadata, **own.metadata}
            entries.append(
                Entry(
                    id=key,
                    locator=self.name,
                    root=path,
                    path=folder,
                    name=title,
                    artifacts=promised(artifacts, written),
                )
            )
            partials[key] = (*left, *own.partials, *above.partials)
            locks[key] = (*own.locks, *above.locks)
            closed[key] = (*own.closed, *above.closed)
            metadata[key] = written
        listing = FolderListing(partials, metadata, locks, closed)
        return Root(locator=self.name, path=path, entries=tuple(entries), listing=listing)

    def at(self, path: str) -> At | None:
        """Return the folder at or around `path` that is a model or contains models."""
        if os.path.isfile(path):
            folder = os.path.dirname(path)
            return At(folder, frozenset((title_of(folder),))) if is_part(path) else None
        if has_bundles(path):
            return None
        if is_model(path):
            return At(path, frozenset((title_of(path),)))
        return At(path) if any(map(is_model, folders_in(path))) else None


LOCATOR = LocalDir()


def title_of(folder: str) -> str:
    """Return the title of a root that is itself a model."""
    return os.path.basename(folder)


def _above(root: str, name: str) -> Books:
    """Read the metadata in the root's parent folder, written there when that was `local_dir`."""
    if not name:
        return Books({}, (), ())
    prefix = f"{os.path.basename(root)}/{name}"
    found = books(os.path.dirname(root), prefix)
    skip = len(prefix) + 1
    return found._replace(
        metadata={file[skip:]: known for file, known in found.metadata.items()},
        partials=tuple(left._replace(name=left.name[skip:]) for left in found.partials),
    )
