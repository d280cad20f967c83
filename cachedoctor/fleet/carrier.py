"""Lines to all machines at once, answers as they arrive; the child behind it runs Ansible."""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from importlib.util import find_spec
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.fleet import single_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_NEEDED = ("ansible", "ansible_runner", "jsonschema")
_SPARE_S = 15.0  # for Ansible to start and to end, on top of the machines' own time
_CONNECT_S = 10  # Ansible's own
_ENOUGH_FORKS = 64
_WHICH = "which machines"


class Fleet(NamedTuple):
    """Which machines, and how to reach them; all other settings of Ansible are the user's.

    `timeout_s` is for one machine's answer; `forks` machines are asked at a time.
    """

    inventory: str
    limit: str = ""
    forks: int = _ENOUGH_FORKS
    timeout_s: int = 60
    options: tuple[str, ...] = ()  # passed on to Ansible itself
    environment: Mapping[str, str] = {}  # of the process


class Reply(NamedTuple):
    """What Ansible says about one machine: `ok`, `failed`, `gone`, or nothing: `silent`."""

    host: str
    kind: str
    output: str = ""
    errors: str = ""
    message: str = ""
    timed_out: bool = False
    too_long: bool = False
    seconds: float = 0.0


class Errand(NamedTuple):
    """What to do on the machines: one line for all or one for each, or Ansible tasks.

    `script` is a file to send to each machine and run there with the line as its argument.
    """

    line: str = ""
    lines: Mapping[str, str] = {}  # if machines differ; machines not in it are left out
    script: str = ""
    tasks: tuple[Mapping[str, object], ...] = ()  # in place of lines
    variables: Mapping[str, str] = {}


def require() -> None:
    """Raise `UsageError` if the extra is not installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"`{missing[0]}` is not installed, which a fleet needs",
            hint="`pip install 'model-cache-doctor[fleet]'`",
        )


def carry(
    fleet: Fleet, errand: Errand, hear: Callable[[Reply], None] = lambda reply: None
) -> dict[str, Reply]:
    """Run an errand on every machine and return each outcome; `hear` is called as they arrive.

    Raises `CannotLookError` if Ansible cannot read the inventory, `UsageError` if the inventory
    names no machine. However this ends, none of its processes is left on this machine.
    """
    require()
    if not os.path.exists(fleet.inventory) and "," not in fleet.inventory:
        raise CannotLookError(f"no inventory at `{fleet.inventory}`")
    replies: dict[str, Reply] = {}
    names: list[str] = []
    begun = time.monotonic()
    ending: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="cachedoctor-fleet-") as folder:
        for body in _talk(fleet, errand, folder, names):
            kind = body["event"]
            if kind == "machines":
                names += body["names"]
            elif kind == "end":
                ending = body
            elif body["host"] not in replies or kind != "ok":
                reply = _reply(body, time.monotonic() - begun)
                replies[reply.host] = reply
                hear(reply)
    if not names and not replies:
        raise _no_machine(fleet, ending)
    for name in names:
        if name not in replies and (not errand.lines or name in errand.lines):
            replies[name] = Reply(name, "silent", seconds=time.monotonic() - begun)
            hear(replies[name])
    return replies


def _reply(body: Mapping[str, Any], seconds: float) -> Reply:
    given = {name: body[name] for name in ("output", "errors", "message", "timed_out", "too_long")}
    return Reply(str(body["host"]), str(body["event"]), seconds=seconds, **given)


def _no_machine(fleet: Fleet, ending: Mapping[str, Any]) -> Exception:
    said = " ".join(str(ending.get("said", "")).split())[-600:]
    if ending.get("code", 1):
        return CannotLookError(f"Ansible cannot use `{fleet.inventory}`: {said}")
    return UsageError(
        f"`{fleet.inventory}` names no machine" + (f" for `{fleet.limit}`" if fleet.limit else "")
    )


def _talk(
    fleet: Fleet, errand: Errand, folder: str, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield the child's lines until it ends, or until the time of every machine is over."""
    child = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor.fleet.keeper"],
        env={**fleet.environment, "PATH": _path(fleet.environment)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    errors: list[bytes] = []
    threads = (
        threading.Thread(target=_listen, args=(child.stdout, lines.put), daemon=True),
        threading.Thread(target=_listen, args=(child.stderr, errors.append), daemon=True),
    )
    for thread in threads:
        thread.start()
    try:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(_request(fleet, errand, folder)).encode() + b"\n")
            child.stdin.flush()
        limit = time.monotonic() + fleet.timeout_s + _SPARE_S * 2
        ended = False
        while (left := limit - time.monotonic()) > 0:
            try:
                line = lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                break
            body = json.loads(line)
            ended = ended or body["event"] == "end"
            yield body
            if body["event"] == "machines":  # in rounds of `forks` machines
                rounds = max(1, math.ceil(len(names) / fleet.forks))
                limit = time.monotonic() + fleet.timeout_s * rounds + _SPARE_S
        if not ended and child.poll() not in (None, 0):
            said = b"".join(filter(None, errors)).decode(errors="replace").strip()
            yield {"event": "end", "code": 1, "said": said[-2000:]}
    finally:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        try:
            child.wait(_SPARE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        for thread in threads:
            thread.join(1)


def _path(environment: Mapping[str, str]) -> str:
    """Return where to look for Ansible first: beside the Python that has it."""
    beside = os.path.dirname(sys.executable)
    return os.pathsep.join((beside, environment.get("PATH", os.defpath)))


def _listen(pipe: IO[bytes], put: Callable[[bytes | None], None]) -> None:
    with contextlib.suppress(ValueError, OSError), pipe:
        while line := pipe.readline():
            put(line)
    put(None)


def _request(fleet: Fleet, errand: Errand, folder: str) -> dict[str, object]:
    """Write the playbook and return the request for the child."""
    path = os.path.join(folder, "play.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(_playbook(fleet, errand))
    inventory = fleet.inventory
    if os.path.exists(inventory):
        inventory = os.path.abspath(inventory)
    connect = str(min(_CONNECT_S, max(1, fleet.timeout_s // 2)))  # leaves time to report a failure
    environment = {
        "ANSIBLE_SSH_USETTY": "False",  # a tty mixes errors and answers, and adds \r
        "ANSIBLE_TIMEOUT": fleet.environment.get("ANSIBLE_TIMEOUT", connect),
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
    }
    if errand.script:
        environment["ANSIBLE_REMOTE_TMP"] = f"~/{single_file.FOLDER}"
    return {
        "folder": folder,
        "playbook": path,
        "inventory": inventory,
        "limit": fleet.limit,
        "forks": fleet.forks,
        "cmdline": " ".join(fleet.options),
        "environment": environment,
    }


def _playbook(fleet: Fleet, errand: Errand) -> str:
    """Return the play; our words are `!unsafe`, so that Ansible never expands a `{{` in them."""
    name = "{{ cachedoctor_lines[inventory_hostname] | default(cachedoctor_line) }}"
    here = "inventory_hostname in cachedoctor_lines or not cachedoctor_lines"
    if errand.tasks:
        tasks = [{**task, "when": here} for task in errand.tasks]
    else:
        does = (
            {"ansible.builtin.script": {"cmd": f"{errand.script} {name}", "executable": "/bin/sh"}}
            if errand.script
            else {"ansible.builtin.raw": name}
        )
        tasks = [{"name": "ask", **does, "when": here}]
    tasks = [{**task, "timeout": fleet.timeout_s} for task in tasks]
    first = {
        "name": _WHICH,
        "ansible.builtin.debug": {"msg": "{{ ansible_play_hosts_all }}"},
        "run_once": True,
    }
    lines = ["- hosts: all", "  gather_facts: false", "  vars:"]
    lines.append(f"    cachedoctor_line: !unsafe {json.dumps(errand.line)}")
    lines.append("    cachedoctor_lines:" + ("" if errand.lines else " {}"))
    for host, line in errand.lines.items():
        lines.append(f"      {json.dumps(host)}: !unsafe {json.dumps(line)}")
    for key, value in errand.variables.items():
        lines.append(f"    {key}: !unsafe {json.dumps(value)}")
    lines.append("  tasks:")
    lines += [f"    - {json.dumps(task)}" for task in (first, *tasks)]
    return "\n".join(lines) + "\n"
