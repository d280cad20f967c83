"""What commands answer with `--json`, as a page of tables generated from the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cachedoctor.report import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """\
With `--json` every command except `completion`, `demo` and `schema` prints one object, even when
an error ends it; the exit code is the same as without. `cachedoctor schema COMMAND` prints the JSON
Schema (2020-12) of one answer, `cachedoctor schema` that of all.

- Within a schema number, keys are added and never renamed or removed; ignore keys you do not know.
- Values in *italics* are the ones known now; there may be more.
- Sizes are integers in bytes, times seconds, paths absolute. Bytes of a path that are not UTF-8 are
  shown as `\\xNN`; `path_bytes` beside `path` then has the whole path in base64."""


def lines() -> Iterator[str]:
    """Yield the page: the answers, then the parts they share."""
    parts = schema.whole()["$defs"]
    answers = schema.names()
    yield from _INTRODUCTION.splitlines()
    for name in answers:
        title = "An error" if name == schema.ERROR else f"cachedoctor {name.replace('-', ' ')}"
        yield from _section(title, parts[name])
    for name, part in parts.items():
        if name not in answers:
            yield from _section(name, part)


def _section(title: str, part: schema.Schema) -> Iterator[str]:
    yield from ("", f"## {title}", "", f"{part['description']}.")
    begins = [_link(each) for each in part.get("allOf", ())]
    if begins:
        yield from ("", f"Begins with {' and '.join(begins)}.")
    for number, form in enumerate(part.get("anyOf", [part])):
        if number:
            yield from ("", "Or:")
        yield from ("", "| key | is | |", "|---|---|---|", *_rows(form, ""))


def _rows(part: schema.Schema, lead: str) -> Iterator[str]:
    """Yield the keys of an object, and those of objects inside it that have no name."""
    for key, value in part.get("properties", {}).items():
        known = ", ".join(f"*{each}*" for each in value.get("examples", ()))
        optional = "" if key in part.get("required", ()) else "may be missing"
        told = "; ".join(filter(None, (optional, value.get("description", ""), known)))
        yield f"| `{lead}{key}` | {_type(value)} | {told} |"
        below = f"{lead}{key}"
        if "items" in value:
            yield from _rows(value["items"], f"{below}[].")
        elif isinstance(value.get("additionalProperties"), dict):
            yield from _rows(value["additionalProperties"], f"{below}.*.")
        else:
            yield from _rows(value, f"{below}.")


def _type(value: schema.Schema) -> str:
    """Return the description of a value."""
    if "$ref" in value:
        return _link(value)
    if "const" in value:
        return f"`{value['const']}`"
    if "anyOf" in value:
        return " or ".join(_type(each) for each in value["anyOf"])
    kinds: Any = value.get("type", "anything")
    if kinds == "array":
        return f"list of {_type(value['items'])}"
    if "additionalProperties" in value:
        return f"map to {_type(value['additionalProperties'])}"
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _link(value: schema.Schema) -> str:
    name = value["$ref"].rpartition("/")[2]
    anchor = f"cachedoctor-{name}" if name in schema.names() else name
    if name == schema.ERROR:
        anchor = "an-error"
    return f"[{name}](#{anchor})"
