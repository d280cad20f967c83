"""Saved answers of `--json` → documents of machines; all of it is foreign input.

A machine's name is what the user says (`mac-01=FILE`), what a fleet's inventory says, or the file's
name without the date and the command: `mac-01-scan-2026-11-20.json` belongs to `mac-01`.
"""

from __future__ import annotations

import calendar
import os
import re
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.looking import untrusted
from cachedoctor.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Body = dict[str, Any]

_MOST_BYTES = 512 << 20
_SCHEMA = 1
_DATE = re.compile(
    r"(?<!\d)(20\d\d)-?([01]\d)-?([0-3]\d)"
    r"(?:[T_ -]?([0-2]\d)[:.-]?([0-5]\d)(?:[:.-]?[0-5]\d)?Z?)?(?!\d)"
)
_NO_NAMES = (  # in a file's name: the command, and the date
    *("scan", "list", "verify", "preflight", "bench", "fleet", "report", "cachedoctor"),
    *("before", "after", "old", "new", "then", "now", "earlier", "later", "yesterday", "today"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)
_NAMED = re.compile(r"([\w.@-]{1,64})=(.+)", re.DOTALL)
_SAID = ("entries", "bench", "verdict", "verdicts", "hosts", "error")  # every answer has one


class Document(NamedTuple):
    """What one machine answered to one command."""

    machine: str  # its name; empty if nothing gives one
    when_s: float | None
    body: Body  # every text in it can be shown
    state: str = ""  # for a machine of a fleet
    why: str = ""  # why there is no answer
    home: bool = False  # made now, of the home that printed commands mean


def read(words: Sequence[str]) -> list[Document]:
    """Read the named files, `-` for standard input, each alone or as `MACHINE=FILE`.

    Raises `CannotLookError` for what cannot be read, `UsageError` for anything but our answers.
    """
    apart = len({os.path.dirname(word) for word in words}) > 1  # one folder per machine
    return [document for word in words for document in _read(word, folders=apart)]


def of_look(body: Mapping[str, object], when_s: float) -> Document:
    """Return a look made now as the document it would be."""
    return Document(machine="", when_s=when_s, body=_cleaned(body), home=True)


def _read(word: str, *, folders: bool) -> Iterator[Document]:
    named = None if os.path.exists(word) else _NAMED.fullmatch(word)
    path = named[2] if named else word
    shown = printable(path)
    try:
        data, when_s = _bytes(path)
        body = untrusted.parse_json(data)
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotLookError(f"`{shown}` cannot be read: {why}") from error
    except ValueError as error:
        raise UsageError(f"not a cachedoctor answer: `{shown}`: {error}", hint=_HINT) from error
    if why := _refused(body):
        raise UsageError(f"not a cachedoctor answer: `{shown}`: {why}", hint=_HINT)
    told = os.path.basename(path).rpartition(".")[0] or os.path.basename(path)
    folder = os.path.basename(os.path.dirname(path)) if folders else ""
    known = named[1] if named else _name_of(told) or _name_of(folder)
    yield from _of_machines(_cleaned(body), known, _date_of(told) or when_s)


_HINT = "`cachedoctor scan --json > scan.json` writes one; so do list, verify, bench and fleet"


def _bytes(path: str) -> tuple[bytes, float]:
    if path == "-":
        return sys.stdin.buffer.read(_MOST_BYTES), time.time()
    data = untrusted.read(path, _MOST_BYTES, follow=True)
    return data, os.stat(path).st_mtime


def _refused(body: object) -> str:
    """Return why JSON is not an answer that a page can show, or nothing."""
    if not isinstance(body, dict):
        return "it is not an object"
    tool = body.get("tool")
    if not isinstance(tool, dict) or tool.get("name") != "cachedoctor":
        return "it does not say that it is one"
    if body.get("schema") != _SCHEMA:
        return f"its schema is {printable(str(body.get('schema')))[:20]}, not {_SCHEMA}"
    if not any(key in body for key in _SAID):
        return "it says nothing about models, engines or machines"
    return ""


def _of_machines(body: Body, name: str, when_s: float) -> Iterator[Document]:
    """Yield a document for each machine of a fleet, or the only one."""
    hosts = body.get("hosts")
    if not isinstance(hosts, dict):
        yield Document(machine=name, when_s=when_s, body=body)
        return
    for machine, said in hosts.items():
        answer = said if isinstance(said, dict) else {}
        own = answer.get("document")
        whole = own if isinstance(own, dict) and not _refused(own) else {}
        state, why = untrusted.text(answer.get("state")), untrusted.text(answer.get("why"))
        yield Document(
            machine=machine,
            when_s=when_s,
            body=whole,
            state=state or "no-answer",
            why=why or "",
        )


def _cleaned(value: Any) -> Any:
    """Return JSON whose texts, keys included, can be shown and encoded."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _cleaned(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(each) for each in value]
    return value


def _name_of(text: str) -> str:
    """Return the machine that a file is named after."""
    parts = re.split(r"[-_. ]+", _DATE.sub("", text))
    while parts and (parts[-1].lower() in _NO_NAMES or not parts[-1]):
        parts.pop()
    while parts and (parts[0].lower() in _NO_NAMES or not parts[0]):
        parts.pop(0)
    plain = _DATE.sub("", text)
    if not parts:
        return ""
    start = plain.index(parts[0])
    return printable(plain[start : plain.rindex(parts[-1]) + len(parts[-1])])


def _date_of(text: str) -> float | None:
    """Return the time that a file is named after, as UTC."""
    found = _DATE.search(text)
    if found is None:
        return None
    year, month, day, hour, minute = (int(part or 0) for part in found.groups())
    return float(calendar.timegm((year, month, day, hour, minute, 0, 0, 0, 0)))
