"""What was asked of a look: one value from the command line to the second look after a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock


class Question(NamedTuple):
    """Where to look, at what, and how closely; everything that is left out means all of it."""

    host: Host
    engines: tuple[str, ...] = ()
    models: tuple[str, ...] = ()  # of those engines
    size: str | None = None  # by which the models were named
    paths: tuple[str, ...] = ()  # what lies there
    lock: Lock | None = None  # exactly the bytes of these models
    codes: tuple[str, ...] = ()  # of these findings nothing is too little to be said
    only: frozenset[str] | None = None  # repositories, folders or files to list at all
    deep: bool = False  # read every byte that has a digest
    fresh: bool = False  # also what is remembered as right
    max_age_s: int | None = None  # or what was read longer ago

    def again(self) -> Question:
        """Return the question of a second look: what was just read is not read once more."""
        return self._replace(deep=False, fresh=False, only=None)


def of_one(text: str, *, example: str = "faster-whisper:small") -> tuple[str, str]:
    """Return the engine, and the size or model, of `ENGINE:SIZE` or `ENGINE:MODEL`.

    Raises `UsageError`, with an example, for what is neither; the names are not looked up.
    """
    engine, colon, what = text.partition(":")
    if not (engine and colon and what):
        raise UsageError(f"`{text}` is not ENGINE:SIZE or ENGINE:MODEL", hint=f"`{example}`")
    return engine, what
