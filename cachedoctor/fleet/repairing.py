"""The plans of all machines, applied as shown after one question, and taken back.

What is done where is recorded here before it is done, in the state folder of the running user:
`fleet/<run>.jsonl`, one line for the fleet and one for each machine that answered.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.fleet import asking
from cachedoctor.fleet.carrier import Fleet
from cachedoctor.fleet.judging import Answer, State
from cachedoctor.looking import untrusted
from cachedoctor.system import disk, own
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cachedoctor.fleet.asking import Means

_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")  # as `Run.create` does; a host may lie
_RECORD_BYTES = 8 << 20


class Record(NamedTuple):
    """A fix of a fleet: where, and which runs of it each machine has."""

    id: str
    fleet: Fleet
    tool: str
    runs: Mapping[str, tuple[str, ...]]
    unknown: tuple[str, ...]  # machines that were asked and have not answered


def changes(answers: Sequence[Answer]) -> dict[str, Answer]:
    """Return the machines whose plan changes something."""
    found = {}
    for answer in answers:
        plan = (answer.document or {}).get("plan") if answer.state.answered else None
        if plan and (plan.get("cures") or plan.get("unfinished")):
            found[answer.host] = answer
    return found


def apply(
    fleet: Fleet,
    means: Means,
    words: Sequence[str],
    planned: Sequence[Answer],
    state: str,
    *,
    lock: str = "",
) -> tuple[str, list[Answer]]:
    """Apply on each machine the plan that it showed, and no other.

    Returns the name of this run, and the answers of all machines.
    """
    wanted: dict[str, Sequence[str]] = {}
    for host, answer in changes(planned).items():
        wanted[host] = [*words, *accepting(answer)]
    name = begin(fleet, means.tool, tuple(wanted), state)

    def note(answer: Answer) -> None:
        add(name, answer, state)

    done = asking.ask(fleet, means, "fix", wanted, lock=lock, hear=note)
    by_host = {answer.host: answer for answer in done}
    return name, [by_host.get(answer.host, answer) for answer in planned]


def accepting(planned: Answer) -> tuple[str, ...]:
    """Return the options that apply the plan that a machine showed, and no other."""
    digest = (planned.document or {})["plan"].get("digest")
    return ("--accept", str(digest)) if digest else ("--yes",)


def begin(fleet: Fleet, tool: str, hosts: Sequence[str], state: str) -> str:
    """Record that these machines are about to change, and return the name of the record."""
    own.make_folder(os.path.join(state, "fleet"))
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(2).hex()}"
    inventory = fleet.inventory
    if os.path.exists(inventory):
        inventory = os.path.abspath(inventory)
    head = {"inventory": inventory, "options": fleet.options, "tool": tool, "hosts": hosts}
    own.write(_path(name, state), json.dumps(head).encode() + b"\n")
    return name


def add(name: str, answer: Answer, state: str, *, command: str = "fix") -> None:
    """Record what a machine did."""
    run = (answer.document or {}).get("run") or {}
    ids = [each for each in run.get("ids", []) if _RUN.fullmatch(str(each))]
    line = {"host": answer.host, "state": answer.state.value, "command": command, "ids": ids}
    disk.append(_path(name, state), json.dumps(line).encode() + b"\n")


def undo(
    name: str, means: Means, state: str, environment: Mapping[str, str], timeout_s: int
) -> tuple[list[Answer], tuple[str, ...]]:
    """Take back what a run of a fleet did, machine by machine, the last first.

    Returns the answers, and the machines whose outcome is unknown. Raises `UsageError` if there is
    no such run.
    """
    record = read(name, state)
    fleet = record.fleet._replace(environment=environment, timeout_s=timeout_s)
    means = means._replace(tool=record.tool)
    found: dict[str, Answer] = {}
    for turn in range(max(map(len, record.runs.values()), default=0)):
        words = {
            host: [tuple(reversed(ids))[turn]]
            for host, ids in record.runs.items()
            if turn < len(ids) and (host not in found or found[host].state is State.HEALTHY)
        }
        if words:
            answers = asking.ask(fleet, means, "undo", words)
            found.update({answer.host: answer for answer in answers})
    return list(found.values()), record.unknown


def read(name: str, state: str) -> Record:
    """Read what a run of a fleet did; raises `UsageError` if there is no such run."""
    folder = os.path.join(state, "fleet")
    known = [each.removesuffix(".jsonl") for each in _names(folder)]
    if name not in known:
        raise UsageError(
            f"no run of a fleet `{name}`{nearest(name, known)}",
            hint=f"there are {', '.join(sorted(known)[-3:])}" if known else "",
        )
    try:
        text = untrusted.read(_path(name, state), _RECORD_BYTES).decode()
        head, *lines = map(json.loads, text.splitlines())
        runs = {line["host"]: tuple(line["ids"]) for line in lines if line["ids"]}
        heard = {line["host"] for line in lines if line["state"] in ("healthy", "findings")}
        fleet = Fleet(head["inventory"], options=tuple(head["options"]))
        silent = tuple(host for host in head["hosts"] if host not in heard | runs.keys())
        return Record(name, fleet, head["tool"], runs, silent)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CannotLookError(f"`{_path(name, state)}` cannot be read: {error}") from error


def _path(name: str, state: str) -> str:
    return os.path.join(state, "fleet", f"{name}.jsonl")


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".jsonl")]
    except FileNotFoundError:
        return []
