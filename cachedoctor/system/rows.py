"""Many small files of one folder, read in a row: one digest each, with as few calls as can be."""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.looking import quietly
from cachedoctor.system import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cachedoctor.vocabulary import Progress

MOST_BYTES = digest.SMALL_BYTES  # of a file in a row
_AT_ONCE_FILES, _AT_ONCE_BYTES = 128, 4 << 20  # which a thread reads without being asked again
_BEGUN: dict[str, Callable[[int], hashlib._Hash]] = {
    digest.SHA256: lambda _: hashlib.sha256(),
    digest.GIT_SHA1: lambda size: hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False),
}


class Row(NamedTuple):
    """Small files of one folder, of which the same digest is wanted."""

    folder: str
    algorithm: str
    files: Sequence[tuple[str, int]]  # name and length of each

    @property
    def size_bytes(self) -> int:
        """Return how long they are together."""
        return sum(size for _, size in self.files)


class FoundRow(NamedTuple):
    """A row, and the digest of each of its files, or why it could not be read."""

    row: Row
    digests: Sequence[str | OSError]


def pieces(rows: Iterable[Row], progress: Progress) -> Iterator[Callable[[], list[FoundRow]]]:
    """Yield the reading of these rows, some in each piece of work."""
    some: list[Row] = []
    for row in map(_short, rows):
        for each in row:
            some.append(each)
            if _is_enough(some):
                yield partial(_read, some, progress)
                some = []
    if some:
        yield partial(_read, some, progress)


def _short(row: Row) -> Iterator[Row]:
    """Yield a row in parts that are not too much for one piece of work."""
    at = size = 0
    for end, (_, length) in enumerate(row.files, 1):
        size += length
        if end - at == _AT_ONCE_FILES or size >= _AT_ONCE_BYTES:
            yield row._replace(files=row.files[at:end])
            at, size = end, 0
    if at < len(row.files):
        yield row._replace(files=row.files[at:])


def _is_enough(some: Sequence[Row]) -> bool:
    files = sum(len(row.files) for row in some)
    return files >= _AT_ONCE_FILES or sum(row.size_bytes for row in some) >= _AT_ONCE_BYTES


def _read(rows: Sequence[Row], progress: Progress) -> list[FoundRow]:
    found = [FoundRow(row, [_digest(row, *file) for file in row.files]) for row in rows]
    progress.advance(sum(row.size_bytes for row in rows))
    return found


def _digest(row: Row, name: str, size: int) -> str | OSError:
    """Return the digest of a file that was regular, and as long, when it was listed.

    One that is another by now is read as any other is.
    """
    with contextlib.suppress(OSError):
        descriptor = quietly.opener(f"{row.folder}/{name}", digest.READ)
        try:
            content = os.read(descriptor, size + 1)
        finally:
            os.close(descriptor)
        if len(content) == size:
            state = _BEGUN[row.algorithm](size)
            state.update(content)
            return state.hexdigest()
    item = digest.Work(row.folder, name, size, frozenset((row.algorithm,)))
    found = digest.of_work(item)
    return found if isinstance(found, OSError) else found[row.algorithm]
