"""What hf_xet keeps to download faster the next time.

```
<xet>/                                     HF_XET_CACHE, HF_HOME/xet; `~` is not expanded
├── <server>/chunk_cache/                  off by default since hf_xet 1.2
├── <server>/shard_cache/                  up to 4 GB; shards expire after some weeks
├── <server>/staging/
└── logs/
```

No command of the hub's counts or clears it.
Source: huggingface_hub 2.4.0 `constants.py`, its documentation of Xet; huggingface/huggingface_hub
issue 4777.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import LeavingsListing, Leftover, stamp_of
from cachedoctor.locators._contents import weight
from cachedoctor.vocabulary import Artifact, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


class XetCache:
    """Pieces of files, no models."""

    name = "xet-cache"

    def roots(self, host: Host) -> Iterator[str]:
        """Name the folder that hf_xet uses."""
        own = host.environment.get("HF_XET_CACHE")
        yield host.absolute(own if own is not None else os.path.join(host.hub_home, "xet"))

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """Weigh what is in it."""
        found: tuple[Leftover, ...] = ()
        if wanted is None:
            found = (Leftover(path, stamp_of(os.stat(path)), bytes=weight(path)),)
        return Root(self.name, path, (), LeavingsListing(found))

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return an artifact that is not there: nothing is expected here."""
        return Artifact(name, entry.path, entry.path, State.MISSING)


LOCATOR = XetCache()
