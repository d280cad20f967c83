"""What a fetch may use, and whether there may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import FetchError
from cachedoctor.system import fetch
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Progress


class Network(NamedTuple):
    """What a fetch may use: nothing, or the examined environment's hub and these mirrors."""

    host: Host
    offline: bool = False
    mirrors: fetch.Mirrors = fetch.Mirrors()
    progress: Progress = SILENT


def allowed(network: Network) -> None:
    """Raise `FetchError` when the options or the examined environment forbid the network."""
    if network.offline:
        raise FetchError("a download is needed, and `--offline` forbids it")
    if network.host.hub_offline:
        raise FetchError("a download is needed, and HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
