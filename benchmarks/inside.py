"""Measure what a call costs inside a running process, in a separate Python; prints JSON.

python inside.py first | again | preflight HOME ROUNDS
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


Cost = tuple[float, float]  # wall time and CPU time, in seconds


def cost(call: Callable[[], object]) -> Cost:
    """Time one call."""
    gc.collect()
    began = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def scan(home: str, rounds: int, *, remembered: bool) -> list[tuple[Cost, Cost]]:
    """Time a scan against `scan_cache_dir()` of the same cache, in turn."""
    from huggingface_hub import scan_cache_dir

    from cachedoctor.doctor import scanning
    from cachedoctor.host import Host

    host = Host.look(home=home)
    hub = host.hub_cache
    pairs = []
    for _ in range(rounds + 1):
        if not remembered:
            shutil.rmtree(os.environ["XDG_STATE_HOME"], ignore_errors=True)
        mine = cost(lambda: scanning.scan(host, cure_notes=False))
        pairs.append((mine, cost(lambda: scan_cache_dir(hub))))
    return pairs[1:]


def preflight(home: str, rounds: int) -> list[tuple[Cost, Cost]]:
    """Time the import with the first preflight, and the fastest after that."""
    began = time.perf_counter(), time.process_time()
    import cachedoctor

    host = cachedoctor.Host.look(home=home)

    def ask() -> None:
        if not cachedoctor.preflight("faster-whisper", model="tiny.en", host=host).ready:
            raise RuntimeError("not ready")

    ask()
    first = time.perf_counter() - began[0], time.process_time() - began[1]
    return [(first, min(cost(ask) for _ in range(rounds + 1)))]


if __name__ == "__main__":
    what, home, rounds = sys.argv[1:]
    if what == "preflight":
        found = preflight(home, int(rounds))
    else:
        found = scan(home, int(rounds), remembered=what == "again")
    print(json.dumps(found))
