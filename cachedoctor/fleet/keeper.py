"""The child that runs Ansible: a request on its standard input, a JSON line for each answer.

It is a separate program so that nothing outlives the caller: whoever started it keeps its standard
input open, and when that ends, by an answer, by Ctrl-C or by SIGKILL, every process below this one
ends too. Ansible's workers lead sessions of their own, so no group holds them all.

    python -m cachedoctor.fleet.keeper < request

Source: ansible-runner 2.4.3 `interface.py`, `runner.py`; ansible-core 2.19
`executor/process/worker.py`, `_detach`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 16 << 20  # characters of one machine's answer
MEMORY = 1 << 30  # bytes of any Ansible process, which holds an answer a dozen times
_ANSWERS = {"runner_on_ok": "ok", "runner_on_failed": "failed", "runner_on_unreachable": "gone"}
_PR_SET_CHILD_SUBREAPER = 36  # Source: linux/prctl.h


def main() -> None:
    """Run the request, and end everything when nobody waits any longer."""
    adopt_orphans()
    bound_memory()
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_until_alone, daemon=True).start()
    try:
        code, said = play(request)
        tell({"event": "end", "code": code, "said": said[-4000:]})
    finally:
        end_all()


def tell(body: dict[str, Any]) -> None:
    """Write one line; other code notices a reader that is gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(body) + "\n")
        sys.stdout.flush()


def play(request: dict[str, Any]) -> tuple[int, str]:
    """Run a playbook on an inventory; return Ansible's exit code and its last words."""
    from ansible_runner.interface import init_runner

    runner = init_runner(
        private_data_dir=request["folder"],
        playbook=request["playbook"],
        inventory=request["inventory"],
        limit=request["limit"] or None,
        forks=request["forks"],
        cmdline=request["cmdline"] or None,
        envvars=request["environment"],
        event_handler=_hear,
        quiet=True,
    )
    environment = runner.config.env
    if "ANSIBLE_HOST_KEY_CHECKING" not in os.environ:  # which ansible-runner would turn off
        environment.pop("ANSIBLE_HOST_KEY_CHECKING", None)
    runner.config.cwd = os.getcwd()  # for the user's `ansible.cfg`
    runner.run()
    with runner.stdout as said:
        return int(runner.rc), said.read()


def _hear(event: dict[str, Any]) -> bool:
    """Pass an answer on; nothing of it is kept on disk."""
    data = event.get("event_data") or {}
    kind = event.get("event", "")
    result = data.get("res") or {}
    if kind in _ANSWERS and data.get("task") == "which machines":
        tell({"event": "machines", "names": result.get("msg")})
    elif kind in _ANSWERS:
        whole = result.get("stdout") or ""
        tell(
            {
                "event": _ANSWERS[kind],
                "host": data.get("remote_addr") or data.get("host"),
                "task": data.get("task"),
                "output": whole[:LIMIT],
                "too_long": len(whole) > LIMIT,
                "errors": str(result.get("stderr") or "")[-4000:],
                "message": str(result.get("msg") or "")[:4000],
                "timed_out": "timedout" in result,
            }
        )
    return False


def adopt_orphans() -> None:
    """Adopt the children of dead workers, so that they can be found; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def bound_memory() -> None:
    """Limit memory, so that a machine that answers without end kills only its worker; Linux only.

    Ansible collects a whole answer before anybody can tell that it is too long.
    """
    if sys.platform == "linux":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        soft = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
        resource.setrlimit(resource.RLIMIT_AS, (soft, most))


def _until_alone() -> None:
    """Read until the caller is gone, then end."""
    while sys.stdin.readline():
        pass
    end_all()
    os._exit(1)


def end_all() -> None:
    """End every process below this one: first politely, then by force."""
    for number, wait_s in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 0.2), (signal.SIGKILL, 0.2)):
        below = list(_below(os.getpid()))
        if not below:
            return
        for process in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)
        limit = time.monotonic() + wait_s
        while time.monotonic() < limit and any(_below(os.getpid())):
            time.sleep(0.05)


def _below(root: int) -> Iterator[int]:
    """Yield the ids of all living descendants."""
    children: dict[int, list[int]] = {}
    for process, parent in _processes():
        children.setdefault(parent, []).append(process)
    waiting = list(children.get(root, []))
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process, [])


def _processes() -> Iterator[tuple[int, int]]:
    """Yield each living process and its parent."""
    if sys.platform == "linux":
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    yield int(name), int(parent)
        return
    with subprocess.Popen(["/bin/ps", "-axo", "pid=,ppid=,stat="], stdout=subprocess.PIPE) as ps:
        lines = ps.communicate()[0].splitlines()
    for line in lines:
        number, parent, state = line.split()[:3]
        if not state.startswith(b"Z") and int(number) != ps.pid:
            yield int(number), int(parent)


if __name__ == "__main__":
    main()
