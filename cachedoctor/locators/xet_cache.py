"""What hf_xet keeps to speed up later downloads.

```
<xet>/                                     HF_XET_CACHE, HF_HOME/xet; `~` is not expanded
├── <server>/chunk_cache/                  off by default since hf_xet 1.2
├── <server>/shard_cache/                  up to 4 GB; shards expire after some weeks
├── <server>/staging/
└── logs/
```

No hub command counts or clears it.
Source: huggingface_hub 2.4.0 `constants.py`, its Xet documentation;
huggingface/huggingface_hub issue 4777.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import Leaving, Leavings, LeavingsListing, Leftover, stamp_of
from cachedoctor.locators._contents import folders, weight
from cachedoctor.vocabulary import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host


_KINDS = ("chunk_cache", "shard_cache", "staging")


class XetCache(Leavings):
    """Parts of files, no models."""

    name = "xet-cache"
    leaves = Leaving.PIECES

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the folder that hf_xet uses."""
        own = host.environment.get("HF_XET_CACHE")
        yield host.absolute(own if own is not None else os.path.join(host.hub_home, "xet"))

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """Return the size of each server's caches; anything else there is a log or not hf_xet's."""
        found = []
        for server in folders(path) if wanted is None else ():
            for kind in _KINDS:
                cache = os.path.join(server.path, kind)
                if os.path.isdir(cache) and not os.path.islink(cache):
                    stamp = stamp_of(os.stat(cache))
                    found.append(Leftover(cache, stamp, bytes=weight(cache)))
        return Root(locator=self.name, path=path, entries=(), listing=LeavingsListing(tuple(found)))


LOCATOR = XetCache()
