"""Sizes and ages as people write them."""

from __future__ import annotations

import re

from cachedoctor.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?B|)", re.IGNORECASE)
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w|mo|y)")
_DAY_S = 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": _DAY_S, "w": 7 * _DAY_S, "mo": 30 * _DAY_S}
_SECONDS["y"] = 365 * _DAY_S


def size_of(text: str) -> int:
    """Parse a number of bytes: `G` and `GiB` are 2³⁰, `GB` is 10⁹; raises `UsageError`."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"not a size: `{text}`", hint="write 20G, 500MiB or 3GB")
    power = "KMGT".index(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * (1000 if found[3].upper() == "B" else 1024) ** power)


def seconds_of(text: str, what: str = "an age", like: str = "90d, 12h, 6w, 3mo or 1y") -> float:
    """Parse an age such as `90d`, `6w`, `3mo`; raises `UsageError` for anything else."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"not {what}: `{text}`", hint=f"write {like}")
    return float(found[1]) * _SECONDS[found[2]]
