"""Serialise a survey to JSON, so that another process can rebuild the same values.

A value is a scalar, or a list that begins with its kind: `t`uple, `l`ist, `f`rozenset,
`d`ictionary, `b`ytes, `=` for a value written before, else the name of one of our own types.
No other type can be named, so reading a foreign file builds values and runs no code.
"""

from __future__ import annotations

import base64
import binascii
import enum
import importlib
import re
from typing import Any, Protocol, cast

from cachedoctor.errors import UsageError

_OURS = re.compile(r"((?:vocabulary|locators)(?:\.\w+)?|doctor\.contents):(\w+)")
_SCALARS = (str, int, float, bool, type(None))


class Columns(Protocol):
    """A value stored in columns, because it has very many rows."""

    def columns(self) -> tuple[object, ...]:
        """Return the columns that the value is made of."""
        ...


class Writer:
    """Turn values into JSON."""

    def __init__(self) -> None:
        """Start with no values written."""
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []  # keeps each `id` from being reused for another value

    def write(self, value: object) -> object:
        """Return a value as JSON."""
        if isinstance(value, enum.Enum):
            return [_name(type(value)), value.name]
        if isinstance(value, _SCALARS):
            return value
        if isinstance(value, bytes):
            return ["b", base64.b64encode(value).decode()]
        if isinstance(value, list):
            return ["l", *map(self.write, value)]
        if isinstance(value, frozenset):
            return ["f", *map(self.write, sorted(value))]
        if isinstance(value, dict):
            return ["d", *(self.write(part) for pair in value.items() for part in pair)]
        if type(value) is tuple:
            return ["t", *map(self.write, value)]
        if id(value) in self._numbers:
            return ["=", self._numbers[id(value)]]
        fields = value if isinstance(value, tuple) else cast("Columns", value).columns()
        found = [_name(type(value)), *map(self.write, fields)]
        self._numbers[id(value)] = len(self._alive)
        self._alive.append(value)
        return found


class Reader:
    """Rebuild the values that a `Writer` wrote."""

    def __init__(self) -> None:
        """Start with no values read."""
        self._made: list[object] = []
        self._types: dict[str, Any] = {}

    def read(self, value: object) -> Any:
        """Return the value in the JSON; raises `UsageError` if no `Writer` wrote it."""
        try:
            return self._read(value)
        except (TypeError, ValueError, LookupError, AttributeError, binascii.Error) as error:
            raise UsageError(f"it holds no values of ours: {error}") from error

    def _read(self, value: object) -> Any:
        if not isinstance(value, list):
            return value
        kind, *parts = value
        match kind:
            case "b":
                return base64.b64decode(parts[0], validate=True)
            case "l":
                return [self._read(part) for part in parts]
            case "f":
                return frozenset(map(self._read, parts))
            case "t":
                return tuple(map(self._read, parts))
            case "d":
                read = map(self._read, parts)
                return dict(zip(read, read, strict=True))
            case "=":
                return self._made[parts[0]]
            case _:
                pass
        made = self._type(kind)
        if issubclass(made, enum.Enum):
            return made[parts[0]]
        found = (made if issubclass(made, tuple) else made.of_columns)(*map(self._read, parts))
        self._made.append(found)
        return found

    def _type(self, name: str) -> Any:
        if name not in self._types:
            module, found = _OURS.fullmatch(name).groups()  # type: ignore[union-attr]
            made = getattr(importlib.import_module(f"cachedoctor.{module}"), found)
            plain = isinstance(made, type) and (
                issubclass(made, enum.Enum | tuple) or hasattr(made, "of_columns")
            )
            if not plain:
                raise ValueError(f"no type `{name}`")
            self._types[name] = made
        return self._types[name]


def _name(kind: type) -> str:
    return f"{kind.__module__.removeprefix('cachedoctor.')}:{kind.__qualname__}"
