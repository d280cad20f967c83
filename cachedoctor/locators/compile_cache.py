"""What Core ML compiled for this machine, and rebuilds when it is deleted.

```
~/Library/Caches/<app>/com.apple.e5rt.e5bundlecache/<build of macOS>/<hash>/
~/Library/Caches/com.apple.e5rt.e5bundlecache/<build of macOS>/
```

Keyed by path and configuration of the model, with one folder per system build; nothing deletes the
folders of earlier builds promptly. The first load after a deletion is slow again.
Source: argmaxinc/argmax-oss-swift 1.0.0 `Configurations.swift` `prewarm`, WhisperKit issues 7 and
300; apple/coremltools issue 2507.
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

_NAME = "com.apple.e5rt.e5bundlecache"


class CompileCache(Leavings):
    """One folder per app, no models."""

    name = "compile-cache"
    leaves = Leaving.COMPILED

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the user's cache folder; nothing except on a Mac."""
        for home in host.homes:
            yield os.path.join(home, "Library", "Caches")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the compile cache of each app, with its total size."""
        found = []
        if wanted is None:
            for place in (path, *(entry.path for entry in folders(path))):
                cache = os.path.join(place, _NAME)
                if os.path.isdir(cache) and not os.path.islink(cache):
                    stamp = stamp_of(os.stat(cache))
                    found.append(Leftover(cache, stamp, bytes=weight(cache)))
        return Root(locator=self.name, path=path, entries=(), listing=LeavingsListing(tuple(found)))


LOCATOR = CompileCache()
