"""Run child processes: one request and one answer, or a dialogue; an end is guaranteed.

A child leads its own process group, which is ended as a whole. Its standard input stays open as
long as we live, so a child that reads it to the end notices our death.
"""

from __future__ import annotations

import contextlib
import os
import queue
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
_LAST_WORDS_S = 0.5  # to drain the pipes after all their writers are gone


class Result(NamedTuple):
    """How a child ended; death by a signal is an ordinary result."""

    code: int
    output: bytes
    errors: bytes  # only the last part, if long
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
    """Run a program with `request` on its standard input, and wait for it to end.

    `on_poll` is called five times a second. If it raises, or on Ctrl-C, the child ends first.
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
        _leave(readers)
    code = process.returncode
    return Result(code, bytes(output), bytes(errors), -code if code < 0 else None, timed_out)


class Silence(NamedTuple):
    """Why a dialogue got no answer: a timeout, or the child ended, perhaps by a signal."""

    timed_out: bool
    code: int | None
    signal: int | None


class Talk:
    """A child that answers each line on its standard input with a line on its standard output."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the child; raises `OSError` if the program does not exist."""
        self._process = subprocess.Popen(
            list(arguments),
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        if None in (self._process.stdin, self._process.stdout, self._process.stderr):
            raise RuntimeError("pipes were asked for")
        self._ended = False
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = bytearray()
        readers = (
            (self._listen, ()),
            (_drain, (self._process.stderr, self._errors, True)),
        )
        self._readers = [
            threading.Thread(target=target, args=given, daemon=True) for target, given in readers
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Return the process id of the child, which is also its group id."""
        return self._process.pid

    @property
    def errors(self) -> bytes:
        """Return the last part of its standard error."""
        return bytes(self._errors)

    def ask(
        self, request: bytes, timeout_s: float | None, on_poll: Callable[[], None] | None = None
    ) -> bytes | Silence:
        """Send one line and wait for one; `on_poll` is called five times a second meanwhile.

        A child that does not answer in time, or exits instead, is ended with its whole group.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        while True:
            rest = _POLL_S if deadline is None else min(_POLL_S, deadline - time.monotonic())
            try:
                line = self._lines.get(timeout=max(rest, 0.001))
            except queue.Empty:
                if on_poll is not None:
                    on_poll()
                if self._process.poll() is not None:  # its children can hold the pipe forever
                    self._lines.put(None)
                if deadline is None or time.monotonic() < deadline:
                    continue
                self.end()
                return Silence(True, None, None)
            if line is not None:
                return line
            with contextlib.suppress(subprocess.TimeoutExpired):  # it closed its output early
                self._process.wait(_GRACE_S)
            code = self._process.poll()
            self.end()
            return Silence(False, code, -code if code is not None and code < 0 else None)

    def end(self) -> None:
        """End the child and its group; has no effect on one that has ended."""
        if self._ended:
            return
        self._ended = True
        _end(self._process)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._process.stdin.close()
        _leave(self._readers)

    def _listen(self) -> None:
        """Pass on each line, then the end of the child, and close the pipe."""
        pipe = self._process.stdout
        assert pipe is not None
        with contextlib.suppress(ValueError, OSError), pipe:
            while line := pipe.readline(OUTPUT_LIMIT_BYTES):
                self._lines.put(line)
        self._lines.put(None)


def _wait(
    process: subprocess.Popen[bytes],
    timeout_s: float | None,
    on_poll: Callable[[], None] | None,
) -> bool:
    """Wait for the end; returns whether it timed out."""
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
    """End the whole group, politely first; kill what the leader left behind at once.

    A group keeps its number while any process is in it, so the number cannot be reused.
    """
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)


def _leave(readers: Sequence[threading.Thread]) -> None:
    """Wait briefly for the readers, and abandon a pipe that a process outside the group holds open.

    Closing a pipe that is being read would block as long as its reader, perhaps forever. Each
    reader closes its own pipe once that process ends.
    """
    deadline = time.monotonic() + _LAST_WORDS_S
    for reader in readers:
        reader.join(max(0.0, deadline - time.monotonic()))


def _drain(pipe: IO[bytes], kept: bytearray, tail: bool) -> None:
    """Read a pipe to its end, keeping only the first or the last bytes, and close it."""
    with contextlib.suppress(ValueError, OSError), pipe:
        while chunk := pipe.read1(65536):  # type: ignore[attr-defined]
            if tail:
                kept += chunk
                del kept[:-OUTPUT_LIMIT_BYTES]
            else:
                kept += chunk[: OUTPUT_LIMIT_BYTES - len(kept)]
