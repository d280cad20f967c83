"""Dask clusters for tests: a scheduler and workers as separate processes, over loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_OPTIONS = ("--no-dashboard",)
_START_S = 60.0


class Cluster:
    """A scheduler, and workers that come and go."""

    def __init__(self, folder: Path) -> None:
        """Start a scheduler without workers; their output goes to `folder`."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._file = folder / "scheduler.json"
        self._workers: list[subprocess.Popen[bytes]] = []
        self._scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")

    def __enter__(self) -> Cluster:
        """Start the cluster."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all its processes."""
        for process in (*self._workers, self._scheduler):
            process.kill()
            process.wait()

    @property
    def address(self) -> str:
        """Return where the scheduler listens, once it does."""
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self._file.exists() and (text := self._file.read_text()):
                return str(json.loads(text)["address"])
            time.sleep(0.05)
        raise AssertionError(f"no scheduler: {(self._folder / 'scheduler.txt').read_text()}")

    def add(self) -> int:
        """Start a worker with one thread; return its number."""
        self._workers.append(self._start("worker", "--nthreads", "1", "--no-nanny"))
        return len(self._workers) - 1

    def kill(self, worker: int | None = None) -> None:
        """Kill a worker, or the scheduler, without asking it first."""
        process = self._scheduler if worker is None else self._workers[worker]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def cpu_s(self) -> float:
        """Return the processor time that its processes have used."""
        taken = 0
        for process in (*self._workers, self._scheduler):
            text = Path(f"/proc/{process.pid}/stat").read_text()
            taken += sum(map(int, text.rpartition(")")[2].split()[11:15]))
        return taken / os.sysconf("SC_CLK_TCK")

    def _start(self, kind: str, *options: str) -> subprocess.Popen[bytes]:
        said = (self._folder / f"{kind}.txt").open("ab")
        command = (sys.executable, "-m", "dask", kind, "--scheduler-file", str(self._file))
        with said:
            return subprocess.Popen(
                (*command, *_OPTIONS, *options), cwd=self._folder, stdout=said, stderr=said
            )
