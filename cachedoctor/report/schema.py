"""The JSON of every command, as JSON Schema 2020-12; `schema.json` holds all of it.

Keys are added within a schema number, so the schema allows unknown keys, and gives the values of an
enumeration as `examples`: what is valid today stays valid. The tests close both, so that nothing is
answered that the schema does not describe.
"""

from __future__ import annotations

import json
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any

from cachedoctor.errors import UsageError
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema = dict[str, Any]
ERROR = "error"
_LEAD = "#/$defs/"


@cache
def whole() -> Schema:
    """Return the schema of any answer: a definition per command, one for errors, their parts."""
    found: Schema = json.loads(pkgutil.get_data("cachedoctor.report", "schema.json") or b"")
    return found


def names() -> tuple[str, ...]:
    """Return the names of the answers, errors last; a subcommand's is `quarantine-list`."""
    return tuple(each["$ref"].removeprefix(_LEAD) for each in whole()["anyOf"])


def of(name: str) -> Schema:
    """Return the schema of one command's answer, errors included, with only what it needs.

    Raises `UsageError` for a name without a schema.
    """
    known = names()
    if name not in known:
        raise UsageError(
            f"no schema of `{name}`{nearest(name, known)}", hint=f"there are {', '.join(known)}"
        )
    document = whole()
    parts = document["$defs"]
    answers = dict.fromkeys((name, ERROR))
    needed = list(answers)
    for each in needed:  # grows while we walk it
        needed += dict.fromkeys(part for part in _references(parts[each]) if part not in needed)
    return {
        "$schema": document["$schema"],
        "$id": f"{document['$id']}:{name}",
        "title": parts[name]["description"],
        "anyOf": [{"$ref": _LEAD + each} for each in answers],
        "$defs": {each: part for each, part in parts.items() if each in needed},
    }


def _references(part: object) -> Iterator[str]:
    """Yield the names of the definitions that a part of a schema refers to."""
    if isinstance(part, dict):
        if isinstance(name := part.get("$ref"), str):
            yield name.removeprefix(_LEAD)
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
