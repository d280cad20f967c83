"""Run many commands, each in its own process, without starting Python for each.

One server imports the package once and forks for every command: the child has its own environment,
folder, arguments and streams, and ends as a process does, by exit code or signal.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import importlib
import io
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import traceback
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_REQUEST_BYTES = 1 << 20
_PROGRAM = """#!{python} -IS
import array, json, os, socket, sys
ended, told = os.pipe()
request = {{"arguments": sys.argv[1:], "environment": dict(os.environ), "cwd": os.getcwd()}}
fds = array.array("i", [1, 2, told])
with socket.socket(fileno={channel}) as channel:
    given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
    channel.sendmsg([json.dumps({{**request, "synced": False}}).encode()], given)
os.close(told)
sys.exit(int(os.read(ended, 9)))
"""
_OWN = ("PYTHON", "LC_", "LANG", "LD_")  # what Python itself reads when it starts


class Server(NamedTuple):
    """The forking process, as its client sees it."""

    channel: socket.socket
    started: dict[str, str]  # what Python read

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Return whether Python would start the same way with this environment."""
        return _heeded(environment) == self.started

    def run(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        synced: bool,
        timeout_s: float,
    ) -> tuple[int, bytes, bytes]:
        """Run a command; return its code, negative for a signal, and what it wrote."""
        pipes = [os.pipe() for _ in range(3)]
        self._ask(arguments, environment, [end for _, end in pipes], synced=synced)
        for _, end in pipes:
            os.close(end)
        output, errors, status = _read_all([end for end, _ in pipes], timeout_s)
        return int(status), output, errors

    def at_terminal(
        self, arguments: tuple[str, ...], environment: Mapping[str, str], terminal: int
    ) -> int:
        """Start a command at a terminal of its own; return where its code is told when it ends."""
        ended, told = os.pipe()
        self._ask(arguments, environment, [terminal, terminal, told], synced=False, led=True)
        os.close(told)
        return ended

    def _ask(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        fds: list[int],
        **how: bool,
    ) -> None:
        request = {"arguments": arguments, "environment": dict(environment), "cwd": os.getcwd()}
        socket.send_fds(self.channel, [json.dumps({**request, **how}).encode()], fds)

    def program(self, place: str) -> None:
        """Put a program in `place` that has this server run it; who runs it passes on the channel.

        It ends with the command's code.
        """
        with open(place, "w") as file:
            file.write(_PROGRAM.format(python=sys.executable, channel=self.channel.fileno()))
        os.chmod(place, 0o755)


@functools.cache
def server(parent: int, **more: str) -> Server:
    """Return this process's server, or the one that was started with more variables."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in (ours, its):
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST_BYTES)
    subprocess.Popen(
        [sys.executable, "-m", "tests.support.forking", str(its.fileno())],
        pass_fds=[its.fileno()],
        cwd=os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
        env={**os.environ, **more},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ).returncode = 0  # it ends by itself, with its client
    its.close()
    atexit.register(ours.close)
    return Server(ours, _heeded({**os.environ, **more}))


def _heeded(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_OWN)}


def _read_all(ends: list[int], timeout_s: float) -> list[bytes]:
    """Read pipes to their ends."""
    found = dict.fromkeys(ends, b"")
    limit = time.monotonic() + timeout_s
    with selectors.DefaultSelector() as waiting:
        for end in ends:
            waiting.register(end, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0.0, limit - time.monotonic()))
            if not ready:
                raise TimeoutError(f"no end after {timeout_s} s")
            for key, _ in ready:
                chunk = os.read(key.fd, 1 << 16)
                found[key.fd] += chunk
                if not chunk:
                    waiting.unregister(key.fd)
                    os.close(key.fd)
    return [found[end] for end in ends]


def _serve(channel: socket.socket) -> None:
    """Fork for every request, until the client is gone."""
    import cachedoctor
    from cachedoctor import engines, rules

    for module in pkgutil.walk_packages(cachedoctor.__path__, "cachedoctor."):
        if not module.name.endswith(("__main__", ".hub_client")) and ".runners" not in module.name:
            importlib.import_module(module.name)
    rules.every()
    for engine in engines.names():
        assert engines.find(engine).table
    told: dict[int, int] = {}  # where to report the end of each command
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as waiting:
        waiting.register(channel, selectors.EVENT_READ)
        waiting.register(woken, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not channel:
                    os.read(woken, 1 << 10)
                    _tell(told)
                    continue
                data, fds, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, 3)
                if not data:
                    return
                child = os.fork()
                if child == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for fd in (channel.fileno(), waiting.fileno(), woken, waker, fds[2]):
                        os.close(fd)
                    for fd in told.values():
                        os.close(fd)
                    _become(json.loads(data), *fds[:2])
                told[child] = fds[2]
                for fd in fds[:2]:
                    os.close(fd)


def _tell(told: dict[int, int]) -> None:
    """Report how each command that has ended did so."""
    while told:
        child, ended = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        status = told.pop(child)
        with contextlib.suppress(BrokenPipeError):  # who asked has given up
            os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
        os.close(status)


def _become(request: dict[str, object], output: int, errors: int) -> None:
    """Become the command."""
    from cachedoctor import cli

    code = 1
    try:
        led = request.get("led")  # or its Ctrl-C would reach nobody
        given = os.dup(output) if led else os.open(os.devnull, os.O_RDONLY)
        for fd, place in ((given, 0), (output, 1), (errors, 2)):
            os.dup2(fd, place)
            os.close(fd)
        if led:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)))
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(2, "w", closefd=False)),
            errors="backslashreplace",
            line_buffering=True,
        )
        environment = request["environment"]
        assert isinstance(environment, dict)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None
        time.tzset()
        os.chdir(str(request["cwd"]))
        if not request["synced"]:
            os.fsync = lambda fd: None
        arguments = request["arguments"]
        assert isinstance(arguments, list)
        sys.argv = ["cachedoctor", *arguments]
        cli.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
