"""Run one engine's script for `cachedoctor bench`: one JSON object per line in, one per line out.

Started by path as `python talk.py <engine>.py`, in any Python from 3.9 on that has the engine; uses
only the standard library. The engine's script has `PACKAGES`, `bring`, `load` and `transcribe`; the
three functions are timed by this process's own clock. What engines print goes to stderr.
The process refuses to look up names and to connect to other machines.
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
    """Report that an engine asked for the network."""


def main() -> None:
    """Answer requests until standard input ends, which also ends an engine at work."""
    sys.path.pop(0)  # this folder, whose scripts have the names of engines
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
        except (Exception, SystemExit) as error:  # noqa: BLE001 - any exception is an answer
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def listen(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Queue requests from standard input; exit when it ends, whatever the engine is doing."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(1)


def refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise `OfflineError` if anything looks up a name or connects to another machine."""
    if event == "socket.getaddrinfo" or (
        event == "socket.connect" and isinstance(arguments[1], tuple)
    ):
        raise OfflineError("a benchmark runs offline, but this engine asked for the network")


class Work:
    """The requests: import the engine, load a model, transcribe a clip."""

    def __init__(self, engine: dict[str, Any]) -> None:
        """Keep what the engine's script defines."""
        self.engine = engine
        self.model: Any = None
        self.samples: Any = None

    def bring(self, threads: int) -> dict[str, object]:
        """Import the engine, and return the versions of its packages."""
        began = time.perf_counter()
        self.engine["bring"](threads)
        seconds = time.perf_counter() - began
        versions = {"python": sys.version.split()[0]}
        for name in self.engine["PACKAGES"]:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:  # installed without metadata
                continue
        return {"seconds": seconds, "versions": versions}

    def load(self, path: str, threads: int, language: str | None) -> dict[str, object]:
        """Load the model at a path, and return the settings used."""
        began = time.perf_counter()
        self.model, settings = self.engine["load"](path, threads, language)
        return {"seconds": time.perf_counter() - began, "settings": settings}

    def transcribe(self, clip: str) -> dict[str, object]:
        """Transcribe a 16 kHz, 16-bit mono WAV; reading it is not timed."""
        if self.samples is None:
            self.samples = read(clip)
        gc.collect()
        began = time.perf_counter()
        text = self.engine["transcribe"](self.model, self.samples)
        return {"seconds": time.perf_counter() - began, "text": " ".join(text.split())}


def peak_bytes() -> int | None:
    """Return the peak memory of this process and the children it waited for, on a Mac.

    Linux uses another unit, and includes what the parent held before it started this process; there
    the parent measures.
    """
    if sys.platform != "darwin":
        return None
    import resource

    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_maxrss for who in whose)


def read(clip: str) -> Any:
    """Return the samples of a clip as a float32 array, from -1 to 1."""
    import numpy

    with wave.open(clip) as file:
        data = file.readframes(file.getnframes())
    return numpy.frombuffer(data, "<i2").astype("float32") / 32768


if __name__ == "__main__":
    main()
