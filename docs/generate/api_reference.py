"""The page of everything that can be imported from Python, generated from the code."""

from __future__ import annotations

import enum
import inspect
import re
from typing import TYPE_CHECKING, Any

import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

MADE = "<!-- made by `python -m docs.generate docs`; do not edit -->"
WIDTH = 100
_FIELD = re.compile(r"^    (\w+): ([^=#\n]+?)(?: = ([^#\n]+?))?(?:  # (.*))?$", re.MULTILINE)
_MEMBER = re.compile(r'^    ([A-Z_]+) = "([^"]*)"(?:  # (.*))?$', re.MULTILINE)


def page() -> str:
    """Return the functions, what they take and what they return."""
    return "\n".join(_lines()) + "\n"


def prose(docstring: str | None) -> Iterator[str]:
    """Yield a docstring as Markdown; its source is a paragraph of its own."""
    last = ""
    for line in inspect.cleandoc(docstring or "").splitlines():
        if line.startswith("Source: ") and last:
            yield ""
        yield line
        last = line


def head(*titles: str) -> tuple[str, ...]:
    """Return the first lines of a table."""
    return "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"


def _lines() -> Iterator[str]:
    yield from ("# Python", "", MADE, "")
    yield from prose(cachedoctor.__doc__)
    yield from ("", "`import cachedoctor` imports nothing else; each name below, when it is used.")
    public = {name: getattr(cachedoctor, name) for name in cachedoctor.__all__}
    functions = {name: thing for name, thing in public.items() if inspect.isfunction(thing)}
    errors = {name for name, thing in public.items() if _is_error(thing)}
    values = {name for name, thing in public.items() if inspect.isclass(thing)} - errors
    for title, names in (("Functions", functions), ("Values", values), ("Errors", errors)):
        links = (f"[{name}](#{name.lower()})" for name in sorted(names, key=str.lower))
        yield from ("", f"{title}: {' · '.join(links)}")
    for names in (functions, values, errors):
        for name in sorted(names, key=str.lower):
            yield from _thing(f"cachedoctor.{name}", public[name])


def _is_error(thing: object) -> bool:
    return inspect.isclass(thing) and issubclass(thing, Exception)


def members(kind: type) -> dict[str, str]:
    """Return a named tuple's fields, or an enumeration's values, with their comments."""
    source = inspect.getsource(kind)
    if issubclass(kind, enum.Enum):
        return {value: comment for _, value, comment in _MEMBER.findall(source)}
    names = getattr(kind, "_fields", ())
    return {field: said for field, _, _, said in _FIELD.findall(source) if field in names}


def _thing(name: str, thing: Any) -> Iterator[str]:
    """Yield the section of a function, an enumeration or a class."""
    yield from ("", f"## {name.rpartition('.')[2]}", "")
    if inspect.isfunction(thing):
        yield from ("```python", *_signature(name, thing), "```", "")
    else:
        yield from (f"`{name}`", "")
    yield from prose(thing.__doc__)
    if isinstance(thing, enum.EnumType):
        yield from head("value", "")
        yield from (f"| `{value}` | {said} |" for value, said in members(thing).items())
    elif inspect.isclass(thing) and hasattr(thing, "_fields"):
        yield from head("field", "type", "")
        for field, kind, _, comment in _FIELD.findall(inspect.getsource(thing)):
            if field in thing._fields:
                shown = kind.replace("|", "\\|")
                yield f"| `{field}` | `{shown}` | {comment} |"
    if inspect.isclass(thing):
        parts: dict[str, Any] = dict(vars(thing))
        for member, value in parts.items():
            if member.startswith("_") or member in getattr(thing, "_fields", ()):
                continue
            plain = value.__func__ if isinstance(value, classmethod) else value
            about = (getattr(plain, "__doc__", None) or "").split("\n\n")[0]
            if isinstance(value, property):
                yield from ("", f"- `{member}`: {' '.join(about.split())}")
            elif inspect.isfunction(plain):
                shown = " ".join(line.strip() for line in _signature(member, plain))
                shown = shown.replace("( ", "(").replace(", )", ")")
                yield from ("", f"- `{shown}`: {' '.join(about.split())}")


class _Plain:
    """A default whose own representation would be an address in memory."""

    def __repr__(self) -> str:
        return "..."


def _is_object(parameter: inspect.Parameter) -> bool:
    return " object at 0x" in repr(parameter.default)


def _signature(name: str, function: Any) -> list[str]:
    """Return a call with its parameters, over several lines if it is long."""
    signature = inspect.signature(function)
    shown = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    shown = [p.replace(default=_Plain()) if _is_object(p) else p for p in shown]
    whole = f"{name}{signature.replace(parameters=shown)}".replace("'", "")
    if len(whole) <= WIDTH - 12:
        return [whole]
    lines, star = [f"{name}("], False
    for parameter in shown:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not star:
            star = True
            lines.append("    *,")
        lines.append(f"    {parameter},".replace("'", ""))
    return [*lines, f") -> {signature.return_annotation}".replace("'", "")]
