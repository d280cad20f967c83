"""One model at a path given by the user: a folder of files, or one file.

```
<path>/                  a folder, as passed to an engine
├── config.json  model.bin  tokenizer.json …
<path>                   or a file: ggml-tiny.bin, tiny.pt
```

A snapshot in a hub cache also qualifies; its symlinks point to the repository's blobs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import FolderListing, ModelFolders, entry_id, look
from cachedoctor.locators._contents import contents
from cachedoctor.vocabulary import Artifact, Entry, Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host


class NamedPath(ModelFolders):
    """The path itself; there is no default location."""

    name = "named-path"
    title = "named"
    named_only = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield nothing: only paths given by the user count."""
        return iter(())

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the one model, ignoring `wanted`."""
        title = os.path.basename(path)
        key = entry_id(self.name, os.path.dirname(path), title)
        root = path.split("/snapshots/", maxsplit=1)[0] if "/snapshots/" in path else path
        if os.path.isdir(path):
            artifacts, left = contents(path, root)
            entry = Entry(
                id=key, locator=self.name, root=path, path=path, name=title, artifacts=artifacts
            )
            return Root(
                locator=self.name,
                path=path,
                entries=(entry,),
                listing=FolderListing({key: left}, {}),
            )
        found = look(path, root)
        size = found.stamp.size_bytes if found.stamp else 0
        file = Artifact(
            name=title,
            path=path,
            file=found.file,
            state=found.state,
            stamp=found.stamp,
            size_bytes=size,
        )
        entry = Entry(
            id=key, locator=self.name, root=path, path=path, name=title, artifacts=(file,)
        )
        return Root(locator=self.name, path=path, entries=(entry,), listing=FolderListing({}, {}))

    def place(self, root: str, name: str) -> str:
        """Return the path itself, which is the model."""
        return root


LOCATOR = NamedPath()
