"""Run in a Python of its own: what a call costs inside a running process, as JSON.

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


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def scan(home: str, rounds: int, *, remembered: bool) -> list[tuple[float, float]]:
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
        mine = seconds(lambda: scanning.scan(host, cure_notes=False))
        pairs.append((mine, seconds(lambda: scan_cache_dir(hub))))
    return pairs[1:]


def preflight(home: str, rounds: int) -> list[tuple[float, float]]:
    """Time the import with the first preflight, and the fastest after that."""
    began = time.perf_counter()
    import cachedoctor

    host = cachedoctor.Host.look(home=home)

    def ask() -> None:
        if not cachedoctor.preflight("faster-whisper", model="tiny.en", host=host).ready:
            raise RuntimeError("not ready")

    ask()
    first = time.perf_counter() - began
    return [(first, min(seconds(ask) for _ in range(rounds + 1)))]


if __name__ == "__main__":
    what, home, rounds = sys.argv[1:]
    if what == "preflight":
        found = preflight(home, int(rounds))
    else:
        found = scan(home, int(rounds), remembered=what == "again")
    print(json.dumps(found))
