"""Named tuples that are cheap to define, for the values on the start-up path.

`typing.NamedTuple` compiles every field's annotation, which nobody reads at run time. For the sixty
values of a `preflight` that takes a tenth of it. To a type checker both are the same.
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        """Turns each class whose base is `NamedTuple` into a named tuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            """Take the fields from the annotations, and keep everything else in the class."""
            fields = body.get("__annotations__", {})
            defaults = [body.pop(field) for field in tuple(body) if field in fields]
            made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            made.__new__.__annotations__ = fields
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})
