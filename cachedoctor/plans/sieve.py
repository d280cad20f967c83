"""Filter and order a list of models: `used>90d`, `size>1G`, `engine=whisper.cpp`.

The filters of the hub's own command mean the same here: `accessed>7d`, `modified>30d`, `refs=main`,
`type=model`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cachedoctor.errors import UsageError
from cachedoctor.system.amounts import seconds_of, size_of
from cachedoctor.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cachedoctor.plans.holdings import Holding

    Test = Callable[[Holding], bool]

_WORDS = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(.*\S)\s*")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
KEYS = (
    "size", "own", "used", "accessed", "modified", "status", "engine", "app", "place", "name",
    "type", "refs", "kept", "known",
)  # fmt: skip
SORTS = ("size", "used", "name")


def test(words: str, now: float, place: Callable[[Holding], str]) -> Test:
    """Parse a filter into a test of holdings; raises `UsageError` for an invalid one.

    An unknown value matches no comparison: unknown is never "long unused".
    """
    found = _WORDS.fullmatch(words)
    if found is None:
        raise UsageError(f"no filter: `{words}`", hint="write `size>1G`, `used>90d`, `engine=NAME`")
    key, sign, value = found[1], found[2], found[3].strip("'\"")
    if key not in KEYS:
        raise UsageError(
            f"no filter `{key}`{nearest(key, KEYS)}", hint=f"there are {', '.join(KEYS)}"
        )
    compare = _ORDER[sign]
    if key in ("size", "own"):
        limit = size_of(value)
        return lambda one: compare(one.size_bytes if key == "size" else one.own_bytes, limit)
    if key in ("used", "accessed", "modified"):
        age = seconds_of(value)

        def older(one: Holding) -> bool:
            when = one.modified_s if key == "modified" else one.used.when_s
            return when is not None and compare(now - when, age)

        return older
    if sign not in ("=", "!="):
        raise UsageError(f"`{key}` is text: write `{key}={value}`")
    return lambda one: (value in _values(one, key, place)) is (sign == "=")


def ordered(found: Sequence[Holding], by: str) -> list[Holding]:
    """Return holdings in order: largest first, longest unused first, or by name.

    `:asc` and `:desc` set the direction, as in the hub's command. Raises `UsageError` for an
    unknown order.
    """
    key, _, turn = by.partition(":")
    key = {"accessed": "used"}.get(key, key)
    if key not in SORTS or turn not in ("", "asc", "desc"):
        raise UsageError(f"no order `{by}`{nearest(key, SORTS)}", hint="size, used or name")
    if key == "size":
        return sorted(found, key=lambda one: one.size_bytes, reverse=turn != "asc")
    if key == "name":
        return sorted(found, key=lambda one: (title(one), one.id), reverse=turn == "desc")
    known = [one for one in found if one.used.when_s is not None]
    unknown = [one for one in found if one.used.when_s is None]
    return sorted(known, key=lambda one: one.used.when_s or 0, reverse=turn == "desc") + unknown


def title(one: Holding) -> str:
    """Return the name people use for a model."""
    return one.entry.model or one.entry.name


def _values(one: Holding, key: str, place: Callable[[Holding], str]) -> tuple[str, ...]:
    """Return a holding's values for a key."""
    entry = one.entry
    kind = next((k for k in ("dataset", "space", "kernel") if f"/{k}s--" in entry.path), "model")
    words: dict[str, Any] = {
        "status": (one.status.value,),
        "engine": entry.engines,
        "app": one.apps,
        "place": (place(one), entry.locator, entry.root),
        "name": (entry.name, entry.model or "", entry.id),
        "type": (kind,),
        "refs": entry.refs,
        "kept": ("yes" if one.kept_by else "no",),
        "known": (one.known_by or "no",),
    }
    found: tuple[str, ...] = words[key]
    return found
