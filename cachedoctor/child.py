"""Child processes: one request in, one answer out, and an end that always comes.

A child leads a process group of its own, which is ended as a whole. Its standard input stays open
for as long as we live: a child that reads to its end there learns of our death.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OUTPUT_LIMIT_BYTES = 16 << 20
_POLL_S = 0.2
_GRACE_S = 3.0


class Result(NamedTuple):
    """How a child ended; death by a signal is a result like any other."""

    code: int
    output: bytes
    errors: bytes  # the last part, when there was much
    signal: int | None
    timed_out: bool


def run(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str],
    request: bytes = b"",
    timeout_s: float | None = None,
    on_poll: Callable[[], None] | None = None,
) -> Result:
    """Run a program with `request` on its standard input, and wait for its end.

    `on_poll` is called five times a second. When it raises, or on Ctrl-C, the child ends first.
    """
    process = subprocess.Popen(
        list(arguments),
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise RuntimeError("pipes were asked for")
    output, errors = bytearray(), bytearray()
    readers = [
        threading.Thread(target=_drain, args=(process.stdout, output, False), daemon=True),
        threading.Thread(target=_drain, args=(process.stderr, errors, True), daemon=True),
    ]
    for reader in readers:
        reader.start()
    timed_out = False
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(request)
            process.stdin.flush()
        timed_out = _wait(process, timeout_s, on_poll)
    finally:
        _end(process)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        for reader in readers:
            reader.join(_GRACE_S)
        process.stdout.close()
        process.stderr.close()
    code = process.returncode
    return Result(code, bytes(output), bytes(errors), -code if code < 0 else None, timed_out)


def _wait(
    process: subprocess.Popen[bytes],
    timeout_s: float | None,
    on_poll: Callable[[], None] | None,
) -> bool:
    """Wait for the end; returns whether the time ran out first."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        try:
            process.wait(_POLL_S)
        except subprocess.TimeoutExpired:
            if on_poll is not None:
                on_poll()
            if deadline is not None and time.monotonic() > deadline:
                return True
        else:
            return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, first politely."""
    if process.poll() is None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
                return


def _drain(pipe: IO[bytes], kept: bytearray, tail: bool) -> None:
    """Read a pipe to its end, keeping the first bytes or the last."""
    with contextlib.suppress(ValueError, OSError):
        while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
            if tail:
                kept += chunk
                del kept[:-OUTPUT_LIMIT_BYTES]
            else:
                kept += chunk[: OUTPUT_LIMIT_BYTES - len(kept)]
