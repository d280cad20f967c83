"""What a fetch may use, and whether fetching is allowed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import FetchError, UsageError
from cachedoctor.system import fetch
from cachedoctor.text import masked
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress


class Network(NamedTuple):
    """What a fetch may use: nothing, or the examined environment's hub and these mirrors."""

    host: Host
    offline: bool = False
    mirrors: fetch.Mirrors = fetch.Mirrors()
    progress: Progress = SILENT

    @classmethod
    def of(
        cls,
        host: Host,
        *,
        offline: bool = False,
        mirrors: Mapping[str, str] | None = None,
        progress: Progress = SILENT,
    ) -> Network:
        """Parse what a fetch may use; mirrors are given for `hub` and `openai`.

        Raises `UsageError` for another name, or for something that is not an address.
        """
        for name, url in (mirrors or {}).items():
            if name not in fetch.Mirrors._fields:
                raise UsageError(f"no mirror for `{name}`", hint="there are `hub` and `openai`")
            if not url.startswith(("http://", "https://")):
                raise UsageError(f"not an address: `{masked(url)}`", hint="write https://…")
        return cls(host, offline, fetch.Mirrors(**(mirrors or {})), progress)

    def hub(self, scratch: str = "") -> fetch.Hub:
        """Return the hub, to be used in a `with`; what its client caches goes below `scratch`."""
        return fetch.Hub(self.host, self.mirrors, scratch or os.path.join(self.host.state, ".hub"))


def allowed(network: Network) -> None:
    """Raise `FetchError` when the options or the examined environment forbid the network."""
    if network.offline:
        raise FetchError("a download is needed, and `--offline` forbids it")
    if network.host.hub_offline:
        raise FetchError("a download is needed, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
