"""Run in a Python of its own: what a call costs inside a running process, as JSON.

python inside.py scan | preflight | verify HOME ROUNDS
"""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def scan(home: str, rounds: int) -> list[tuple[float, float]]:
    """Time a scan against `scan_cache_dir()` of the same cache, in turn."""
    from huggingface_hub import scan_cache_dir

    from cachedoctor.doctor import scanning
    from cachedoctor.host import Host

    host = Host.look(home=home)
    hub = host.hub_cache
    return [
        (
            seconds(lambda: scanning.scan(host, cure_notes=False)),
            seconds(lambda: scan_cache_dir(hub)),
        )
        for _ in range(rounds + 1)
    ][1:]


def preflight(home: str, rounds: int) -> list[tuple[float, float]]:
    """Time every preflight after the first, against nothing: the second number is 5 ms."""
    import cachedoctor

    def ask() -> None:
        if not cachedoctor.preflight("faster-whisper", model="tiny.en").ready:
            raise RuntimeError("not ready")

    return [(seconds(ask), 0.005) for _ in range(rounds + 1)][1:]


def verify(home: str, rounds: int) -> list[tuple[float, float]]:
    """Time a second verify against one that reads everything."""
    from cachedoctor.doctor import scanning
    from cachedoctor.host import Host

    host = Host.look(home=home)
    scanning.scan(host, deep=True)
    return [
        (
            seconds(lambda: scanning.scan(host, deep=True)),
            seconds(lambda: scanning.scan(host, deep=True, fresh=True)),
        )
        for _ in range(rounds)
    ]


if __name__ == "__main__":
    what, home, rounds = sys.argv[1:]
    print(
        json.dumps(
            {"scan": scan, "preflight": preflight, "verify": verify}[what](home, int(rounds))
        )
    )
