"""What Core ML compiled for this machine, which it makes again when it is gone.

```
~/Library/Caches/<app>/com.apple.e5rt.e5bundlecache/<build of macOS>/<hash>/
~/Library/Caches/com.apple.e5rt.e5bundlecache/<build of macOS>/
```

Kept by path and configuration of the model, one folder a build of the system; nothing removes those
of earlier builds at once. The first load after a removal is slow again.
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
    """One folder an app, no models."""

    name = "compile-cache"
    leaves = Leaving.COMPILED

    def roots(self, host: Host) -> Iterator[str]:
        """Name the folder of caches; there is none but on a Mac."""
        for home in host.homes:
            yield os.path.join(home, "Library", "Caches")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the compile cache of each app, with what all of it holds."""
        found = []
        if wanted is None:
            for place in (path, *(entry.path for entry in folders(path))):
                cache = os.path.join(place, _NAME)
                if os.path.isdir(cache) and not os.path.islink(cache):
                    stamp = stamp_of(os.stat(cache))
                    found.append(Leftover(cache, stamp, bytes=weight(cache)))
        return Root(locator=self.name, path=path, entries=(), listing=LeavingsListing(tuple(found)))


LOCATOR = CompileCache()
