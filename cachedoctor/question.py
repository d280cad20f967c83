"""What a look was asked: one value from the command line to the second look after a repair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock


class Question(NamedTuple):
    """Where to look, for what, and how closely; any field left out means everything."""

    host: Host
    engines: tuple[str, ...] = ()
    models: tuple[str, ...] = ()  # of these engines
    size: str | None = None  # if the models were given by size
    paths: tuple[str, ...] = ()  # limit to these paths
    lock: Lock | None = None  # limit to these models, with exactly these bytes
    codes: tuple[str, ...] = ()  # findings to report however minor they are
    only: frozenset[str] | None = None  # the only repositories, folders or files to list
    deep: bool = False  # read every byte that has a digest
    fresh: bool = False  # even if remembered as right
    max_age_s: int | None = None  # or if last read longer ago

    def again(self) -> Question:
        """Return the question for a second look, which does not read again what was just read."""
        return self._replace(deep=False, fresh=False, only=None)


def of_one(text: str, *, example: str = "faster-whisper:small") -> tuple[str, str]:
    """Split `ENGINE:SIZE` or `ENGINE:MODEL` into the engine and the rest.

    Raises `UsageError`, with an example, for any other text; does not look the names up.
    """
    engine, colon, what = text.partition(":")
    if not (engine and colon and what):
        raise UsageError(f"`{text}` is not ENGINE:SIZE or ENGINE:MODEL", hint=f"`{example}`")
    return engine, what
