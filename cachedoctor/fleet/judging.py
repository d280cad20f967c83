"""An answer → the one state of a machine; what a machine says is foreign input."""

from __future__ import annotations

import enum
import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.fleet import line
from cachedoctor.looking import untrusted
from cachedoctor.report import schema
from cachedoctor.text import printable
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from cachedoctor.fleet.carrier import Reply

Document = dict[str, Any]

NEAR = 2  # minor versions, older or newer, whose answers are read
_DEPTH = 64  # nested brackets; answers have ten
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:[.\w+-]*)")
_INTERRUPTED = 130
_VIA_SSH = "Failed to connect to the host via ssh: "  # Ansible's words before the reason


class State(enum.StrEnum):
    """The state of a machine, worst first."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NO_TOOL = "no-tool"
    TOO_OLD = "too-old"
    NO_ANSWER = "no-answer"
    FAILED = "failed"
    FINDINGS = "findings"
    HEALTHY = "healthy"

    @property
    def answered(self) -> bool:
        """Return whether the machine answered the question."""
        return self in (State.FINDINGS, State.HEALTHY)


class Answer(NamedTuple):
    """One machine: its state, the reason if that is not an answer, and its own document."""

    host: str
    state: State
    why: str | None = None
    document: Document | None = None
    seconds: float = 0.0


def judge(reply: Reply, command: str, marked: str, timeout_s: int) -> Answer:
    """Return the state of the machine that sent a reply to `command`."""
    state, why, document = _state(reply, command, marked, timeout_s)
    said = None if why is None else printable(" ".join(why.split()))[:500]
    return Answer(reply.host, state, said, document, round(reply.seconds, 3))


def _state(
    reply: Reply, command: str, marked: str, timeout_s: int
) -> tuple[State, str | None, Document | None]:
    if reply.timed_out or reply.kind == "silent":
        return State.TIMEOUT, f"no answer after {timeout_s} s", None
    if reply.kind == "gone":
        why = reply.message.removeprefix("Task failed: ")
        return State.UNREACHABLE, why.removeprefix(_VIA_SSH) or "no reason given", None
    if reply.too_long:
        return State.NO_ANSWER, "the answer is too long", None
    said = line.heard(reply.output, marked)
    if said.missing:
        return State.NO_TOOL, f"no `{said.missing}`", None
    if not said.begun:
        last = (reply.errors or reply.output).strip()[-300:]
        why = f"it says {last!r}" if last else reply.message or "it says nothing"
        kind = State.FAILED if reply.kind == "failed" and not last else State.NO_ANSWER
        return kind, why, None
    if said.code is None:
        return State.NO_ANSWER, "the answer was cut off", None
    return _of_answer(said, command, reply.errors)


def _of_answer(
    said: line.Said, command: str, errors: str
) -> tuple[State, str | None, Document | None]:
    document = read(said.text)
    if document is None and said.code == _INTERRUPTED:
        return State.TIMEOUT, "it had to be stopped there", None
    if document is None:
        last = "; ".join(errors.strip().splitlines()[-2:]) or "the answer is not JSON"
        kind = State.FAILED if errors.strip() and said.code else State.NO_ANSWER
        return kind, f"exit code {said.code}: {last}", None
    distance = minors_apart(document)
    if distance is None:
        return State.NO_ANSWER, "the answer is not from cachedoctor", None
    version = document["tool"]["version"]
    if distance < -NEAR:
        return State.TOO_OLD, f"cachedoctor {version}, and this is {VERSION}", document
    if distance > NEAR or document.get("schema") != 1:
        return State.NO_ANSWER, f"cachedoctor {version} is too new for {VERSION}", None
    if isinstance(error := document.get("error"), dict):
        return _of_error(error, document, distance)
    if wrong := schema_violation(document, command, near=distance == 0):
        return State.NO_ANSWER, f"does not match the schema: {wrong}", None
    if said.code in (0, 1):
        return (State.HEALTHY if said.code == 0 else State.FINDINGS), None, document
    return State.FAILED, f"exit code {said.code}", document


def _of_error(
    error: Document, document: Document, distance: int
) -> tuple[State, str | None, Document | None]:
    if wrong := schema_violation(document, schema.ERROR, near=True):
        return State.NO_ANSWER, f"does not match the schema: {wrong}", None
    if error["exit_code"] == _INTERRUPTED:
        return State.TIMEOUT, error["message"], document
    if error["exit_code"] == 2 and distance < 0:  # an option that it does not know yet
        return (
            State.TOO_OLD,
            f"{error['message']} (cachedoctor {document['tool']['version']})",
            document,
        )
    return State.FAILED, error["message"], document


def read(text: str) -> Document | None:
    """Return the JSON object in a text, whatever is before it; `None` if there is none."""
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    try:
        found = untrusted.parse_json(text[start:].strip(), depth=_DEPTH)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def minors_apart(document: Document) -> int | None:
    """Return how many minor versions newer a document is; `None` if it is not ours."""
    tool = document.get("tool")
    if not isinstance(tool, dict) or tool.get("name") != "cachedoctor":
        return None
    theirs, ours = _VERSION.fullmatch(str(tool.get("version"))), _VERSION.fullmatch(VERSION)
    if theirs is None or ours is None:
        return None
    major = int(theirs[1]) - int(ours[1])
    return int(theirs[2]) - int(ours[2]) if major == 0 else major * 1000


def schema_violation(document: Document, command: str, *, near: bool) -> str:
    """Return what in a document violates the schema; empty if nothing does.

    Another version may leave out what this one says. For such a document only what it does say is
    checked, and that it answers this command.
    """
    from jsonschema.exceptions import best_match

    wrong = best_match(_validator(command, near).iter_errors(document))
    return "" if wrong is None else f"{wrong.json_path}: {wrong.message[-200:]}"


@cache
def _validator(command: str, near: bool) -> Any:
    from jsonschema import Draft202012Validator

    parts = schema.of(command)["$defs"]
    asked = {"$ref": f"#/$defs/{command}"}
    if near:
        return Draft202012Validator({**asked, "$defs": parts})
    main = parts[command]["required"][:1]
    return Draft202012Validator({**asked, "required": main, "$defs": _without_required(parts)})


def _without_required(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _without_required(each) for key, each in part.items() if key != "required"}
    return [_without_required(each) for each in part] if isinstance(part, list) else part
