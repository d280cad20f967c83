"""Named tuples that take a start little: what the values on the way of a `preflight` are.

`typing.NamedTuple` compiles the annotation of each field, which nobody reads while we run. For the
sixty values of a `preflight` that is a tenth of it. To a type checker the two are the same.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        """Makes a named tuple of each class whose base is `NamedTuple`."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            """Take the fields from the annotations, and whatever else the class has."""
            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in tuple(body) if field in fields]
            made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            made.__new__.__annotations__ = fields
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
