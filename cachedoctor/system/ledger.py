"""Remembered digests: the measured content of each path, valid while its stamp stays the same.

A row is written after a file was read to its end, and is valid for one device, inode, size, mtime
and ctime. A file that changed within one clock tick of being read is not remembered, because a
later change could leave the same stamp (git's rule for racily clean entries).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from typing import TYPE_CHECKING

from cachedoctor.looking import mounts
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.vocabulary import Stamp

_SCHEMA = 2
_GRAIN_NS = 20_000_000  # two ticks of a kernel that updates timestamps 100 times a second
_COARSE_GRAIN_NS = 2_000_000_000  # for file systems that keep whole seconds


class Measured(NamedTuple):
    """The digests of one file and its stamp when reading began."""

    path: str
    stamp: Stamp
    digests: Mapping[str, str]
    began_ns: int


# A path, the five numbers of a stamp, an algorithm, a hex digest, seconds of the clock.
Written = tuple[object, ...]
# A folder, a name in it, the five numbers of a stamp, an algorithm, a hex digest.
Remembered = tuple[str, str, tuple[int, ...], str, str]


class Ledger:
    """The digests that this user's earlier runs measured."""

    def __init__(self, folder: str) -> None:
        """Remember the state folder; open or create nothing until it is needed."""
        self._folder = folder
        self._path = os.path.join(folder, "ledger.sqlite")
        self._held: sqlite3.Connection | None = None
        self._keeps = False

    @property
    def exists(self) -> bool:
        """Return whether anything was ever remembered; only possible on a local disk.

        SQLite's write-ahead log uses shared memory, which other machines do not see.
        """
        return os.path.exists(self._path) and mounts.is_local(self._path)

    @contextlib.contextmanager
    def kept_open(self) -> Iterator[None]:
        """Open the file once for all calls in the block; closing it costs more than many rows."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False
            self._close()

    def recall(self, folders: Iterable[str], *, since_s: int = 0) -> Iterator[Remembered]:
        """Yield what is remembered of the files in each folder, measured since `since_s`.

        The caller must compare the stamps. An unreadable ledger counts as empty.
        """
        if not self.exists:
            return
        import sqlite3

        with contextlib.suppress(sqlite3.Error), self._open() as database:
            query = "SELECT * FROM digests WHERE path >= ? AND path < ? AND checked_s >= ?"
            for folder in folders:
                start = os.fsencode(folder) + b"/"
                cut = len(start)
                for path, *stamp, algorithm, value, _ in database.execute(
                    query,
                    (start, start[:-1] + b"0", since_s),  # the byte after a slash
                ):
                    if b"/" not in path[cut:]:
                        name = os.fsdecode(path[cut:])
                        yield folder, name, tuple(stamp), algorithm, value

    def remember(self, measured: Iterable[Measured]) -> int:
        """Record the content of files, except those that changed within the clock's grain.

        Returns the number of rows. A corrupt ledger is started afresh; one that cannot be written
        is left alone.
        """
        return self.keep(list(written(measured)))

    def keep(self, rows: Sequence[Written]) -> int:
        """Write rows down as `rows_of` makes them, in the same way."""
        if not rows or not mounts.is_local(self._folder):
            return 0
        import sqlite3

        try:
            self._write(rows)
        except sqlite3.OperationalError:  # locked by another process, disk full, or read-only
            pass
        except sqlite3.DatabaseError:
            from cachedoctor.system import disk

            with contextlib.suppress(sqlite3.Error, OSError):
                disk.remove_tree(self._path)
                self._write(rows)
        except OSError:
            pass
        return len(rows)

    def forget_gone(self, written: int = -1) -> None:
        """Delete the rows of files that no longer exist, with one listing per folder.

        If it holds only the `written` rows from just now, there is nothing to check.
        """
        if not self.exists:
            return
        import sqlite3

        with contextlib.suppress(sqlite3.Error, OSError), self._open() as database, database:
            if database.execute("SELECT count(*) FROM digests").fetchone() == (written,):
                return
            paths = (row[0] for row in database.execute("SELECT DISTINCT path FROM digests"))
            gone: list[tuple[bytes]] = []
            for folder, mine in itertools.groupby(paths, key=os.path.dirname):
                there = _names(folder)
                gone += [(path,) for path in mine if os.path.basename(path) not in there]
            database.executemany("DELETE FROM digests WHERE path = ?", gone)

    def _write(self, rows: Sequence[Written]) -> None:
        # rows of the same file in another algorithm stay: its stamp tells whether they still hold
        with self._open() as database, database:
            database.executemany(
                "INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._held is None:
                self._held = self._connected()
            yield self._held
        except BaseException:
            self._close()
            raise
        finally:
            if not self._keeps:
                self._close()

    def _close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _connected(self) -> sqlite3.Connection:
        import sqlite3

        from cachedoctor.system import own

        own.make_folder(self._folder)
        fresh = not self.exists
        if fresh:
            own.keep_reserve(self._folder)
        database = sqlite3.connect(self._path, timeout=5)
        if fresh:
            with contextlib.suppress(OSError):
                own.hand_over(self._path)
        try:
            # a row lost in a crash is measured again; none is ever half-written
            database.execute("PRAGMA synchronous = NORMAL")
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _SCHEMA:
                database.executescript(
                    "PRAGMA journal_mode = WAL; DROP TABLE IF EXISTS digests;"
                    "CREATE TABLE digests (path BLOB, device INT, inode INT, size INT,"
                    " mtime_ns INT, ctime_ns INT, algorithm TEXT, hex TEXT, checked_s INT,"
                    " PRIMARY KEY (path, algorithm)) WITHOUT ROWID;"
                    f"PRAGMA user_version = {_SCHEMA};"
                )
        except BaseException:
            database.close()
            raise
        return database


def rows_of(
    folder: str, algorithm: str, files: Iterable[tuple[str, Stamp, str]], began_ns: int
) -> Iterator[Written]:
    """Yield the rows of files of one folder that are called as a digest is: name, stamp, digest."""
    start, now_s = os.fsencode(folder) + b"/", int(time.time())
    long_ago_ns = began_ns - _COARSE_GRAIN_NS
    for name, stamp, value in files:
        if max(stamp.mtime_ns, stamp.ctime_ns) <= long_ago_ns or not _racy(stamp, began_ns):
            yield (start + name.encode(), *stamp, algorithm, value, now_s)


def _racy(stamp: Stamp, began_ns: int) -> bool:
    """Return whether a later change could leave the same stamp as when the file was read."""
    _, _, _, changed_ns, status_ns = stamp
    grain = _GRAIN_NS if changed_ns % 1_000_000_000 else _COARSE_GRAIN_NS
    return began_ns - max(changed_ns, status_ns) < grain


def written(measured: Iterable[Measured]) -> Iterator[Written]:
    """Yield the rows of files, one for each digest; none of one that just changed."""
    now_s = int(time.time())
    for path, stamp, digests, began_ns in measured:
        if not _racy(stamp, began_ns):
            raw = os.fsencode(path)
            for algorithm, value in digests.items():
                yield (raw, *stamp, algorithm, value, now_s)


def _names(folder: bytes) -> frozenset[bytes]:
    try:
        return frozenset(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
