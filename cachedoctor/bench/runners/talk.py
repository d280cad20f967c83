"""Run one engine's script for `cachedoctor bench`: a JSON object a line in, one a line out.

Started by path as `python talk.py <engine>.py` in any Python from 3.9 that has the engine; standard
library only. The engine's script says `PACKAGES`, and has `bring`, `load` and `transcribe`, each
of which this times with the engine's own process clock. What engines print goes to stderr.
No name is looked up and no connection made: the process refuses it.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import runpy
import sys
import threading
import time
import wave
from importlib.metadata import PackageNotFoundError, version
from typing import Any


class OfflineError(OSError):
    """Refuse the network to an engine."""


def main() -> None:
    """Answer requests until standard input ends, which also ends an engine at work."""
    sys.path.pop(0)  # this folder: its scripts are called like the engines
    sys.addaudithook(refuse_network)
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    sys.argv[:] = sys.argv[1:]
    engine = runpy.run_path(sys.argv[0], run_name="engine")
    work = Work(engine)
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        try:
            answer = getattr(work, request.pop("do"))(**request)
            answer["peak_bytes"] = peak_bytes()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is an answer
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Take requests from standard input; its end is the end, whatever the engine does."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(1)


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise where something looks up a name or connects to another machine."""
    if event == "socket.getaddrinfo" or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        raise OfflineError("a benchmark needs no network, and this engine asked for it")


class Work:
    """What may be asked: import the engine, load a model, transcribe a clip."""

    def __init__(self, engine: dict[str, Any]) -> None:
        """Take what the engine's script defines."""
        self.engine = engine
        self.model: Any = None
        self.samples: Any = None

    def bring(self, threads: int) -> dict[str, object]:
        """Import the engine, and say which versions it is made of."""
        began = time.perf_counter()
        self.engine["bring"](threads)
        seconds = time.perf_counter() - began
        versions = {"python": sys.version.split()[0]}
        for name in self.engine["PACKAGES"]:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:  # it may have come without a record of its own
                continue
        return {"seconds": seconds, "versions": versions}

    def load(self, path: str, threads: int, language: str | None) -> dict[str, object]:
        """Load the model at a path; `settings` is how."""
        began = time.perf_counter()
        self.model, settings = self.engine["load"](path, threads, language)
        return {"seconds": time.perf_counter() - began, "settings": settings}

    def transcribe(self, clip: str) -> dict[str, object]:
        """Transcribe a WAV of 16 kHz, one channel and 16 bits; reading it is not timed."""
        if self.samples is None:
            self.samples = read(clip)
        gc.collect()
        began = time.perf_counter()
        text = self.engine["transcribe"](self.model, self.samples)
        return {"seconds": time.perf_counter() - began, "text": " ".join(text.split())}


def peak_bytes() -> int | None:
    """Return the most that this process and those it waited for held, where only it can tell.

    Linux counts in another unit, and what the parent held before it started this.
    """
    if sys.platform != "darwin":
        return None
    import resource

    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_maxrss for who in whose)


def read(clip: str) -> Any:
    """Return the samples of a clip as numpy's float32, from -1 to 1."""
    import numpy

    with wave.open(clip) as file:
        data = file.readframes(file.getnframes())
    return numpy.frombuffer(data, "<i2").astype("float32") / 32768


if __name__ == "__main__":
    main()
