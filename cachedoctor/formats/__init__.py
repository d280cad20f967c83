"""What bytes mean: one module a format, each telling from the header how long its file must be.

A module holds `FORMAT: Format` or, for a folder that counts as one thing, `BUNDLE: Bundle`.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Bundle, Format


def names() -> tuple[str, ...]:
    """Name every format and bundle: the modules of this folder."""
    return tuple(
        sorted(
            entry.name[:-3]
            for entry in os.scandir(__path__[0])
            if entry.name.endswith(".py") and not entry.name.startswith("_")
        )
    )


def find(name: str) -> Format:
    """Return the format called `name`."""
    format_: Format = importlib.import_module(f"{__name__}.{name}").FORMAT
    return format_


def find_bundle(name: str) -> Bundle:
    """Return the bundle called `name`."""
    bundle: Bundle = importlib.import_module(f"{__name__}.{name}").BUNDLE
    return bundle
