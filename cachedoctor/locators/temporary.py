"""Downloads that Apple's network framework left in the temporary folder.

```
$TMPDIR/CFNetworkDownload_<6>.tmp          FluidAudio 0.7.12 to 0.15.4, WhisperKit up to 0.14.1
```

The name reveals neither the program nor the intended file.
Source: FluidInference/FluidAudio `ModelHub.swift` v0.7.12 to v0.15.4;
huggingface/swift-transformers 0.1.17 `Downloader.swift`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cachedoctor.locators import Leaving, Leavings, LeavingsListing, Leftover, stamp_of
from cachedoctor.looking import quietly
from cachedoctor.vocabulary import Root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.host import Host


class Temporary(Leavings):
    """Loose files of unknown origin, no models."""

    name = "temporary"
    leaves = Leaving.DOWNLOADS

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the temporary folder; for another home, only if `--env TMPDIR=…` gives it."""
        if host.platform == "darwin" and (not host.named or "TMPDIR" in host.environment):
            yield host.temporary

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List the downloads."""
        found = []
        for entry in quietly.listed(path):
            if entry.name.startswith("CFNetworkDownload_") and entry.name.endswith(".tmp"):
                with contextlib.suppress(OSError):  # deleted since the listing
                    stamp = stamp_of(entry.stat())
                    if entry.file:
                        found.append(Leftover(entry.path, stamp, bytes=stamp.size_bytes))
        return Root(locator=self.name, path=path, entries=(), listing=LeavingsListing(tuple(found)))


LOCATOR = Temporary()
