"""Who holds a file right now: a client with a lock, or a process with an open file handle.

Asking changes nothing; taking a lock creates the lock file if missing, as the client does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from typing import TYPE_CHECKING

from cachedoctor.errors import LockHeldError, RepairError
from cachedoctor.looking import mounts, quietly

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator


@contextlib.contextmanager
def hold_lock(path: str) -> Iterator[None]:
    """Hold a lock file while the body runs, creating the file if it is missing.

    Uses the same kind of lock as the hub client. Raises `LockHeldError` if somebody else holds it,
    `RepairError` if the file system does not support locks.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    with contextlib.ExitStack() as held:
        try:
            descriptor = os.open(path, flags, 0o664)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(
                f"somebody else holds `{path}`", hint="wait until it is done, then try again"
            ) from error
        except OSError as error:
            raise RepairError(f"`{path}` cannot be locked: {error.strerror}") from error
        yield


def lock_held(path: str) -> bool | None:
    """Return whether somebody holds a lock file, or `None` if that cannot be known.

    It is unknown if the file is missing or unreadable, and on a network file system, which can
    grant a lock to everybody. Tries a shared lock on a read-only descriptor and releases it at
    once.
    """
    try:
        descriptor = quietly.opener(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False if mounts.is_local(path) else None


class Open:
    """Which files other processes have open, looked up once, because it examines every process.

    Linux: one pass over `/proc/*/fd`, which shows our own processes; root sees everybody's.
    macOS: `lsof`.
    """

    def __init__(self) -> None:
        """Start without asking anything."""
        self._keys: frozenset[tuple[int, int]] | None = None
        self._expected: set[str] = set()
        self._answers: dict[str, bool] = {}

    def expect(self, paths: Iterable[str]) -> None:
        """Note paths that will be asked about, so that one query covers them all."""
        self._expected.update(paths)

    def of(self, paths: Collection[str]) -> set[str] | None:
        """Return which of these files are open elsewhere, or `None` if the system does not say."""
        if not paths:
            return set()
        if sys.platform == "darwin":
            return self._from_lsof(paths)
        if self._keys is None:
            self._keys = _opened()
        if self._keys is None:
            return None
        from cachedoctor.system import disk  # with what writes, which no start needs

        found = ((path, disk.stamp(path)) for path in paths)
        return {path for path, stamp in found if stamp and stamp[:2] in self._keys}

    def _from_lsof(self, paths: Collection[str]) -> set[str] | None:
        fresh = {*paths, *self._expected} - self._answers.keys()
        if fresh:
            seen = _lsof(fresh)
            if seen is None:
                return None
            self._answers.update((path, path in seen) for path in fresh)
            self._expected.clear()
        return {path for path in paths if self._answers[path]}


def _opened() -> frozenset[tuple[int, int]] | None:
    """Return device and inode of every file that other processes have open."""
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    own = str(os.getpid())
    seen: set[tuple[int, int]] = set()
    for process in processes:
        if process == own:
            continue
        folder = f"/proc/{process}/fd"
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    status = os.stat(f"{folder}/{name}")
                    seen.add((status.st_dev, status.st_ino))
    return frozenset(seen)


def _lsof(paths: Collection[str]) -> set[str] | None:
    import subprocess

    command = ["/usr/sbin/lsof", "-F", "pn", "--", *paths]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    own = os.getpid()
    process = own
    seen = set()
    for line in os.fsdecode(shown.stdout).splitlines():
        if line.startswith("p"):
            process = int(line[1:])
        elif line.startswith("n") and process != own and line[1:] in paths:
            seen.add(line[1:])
    return seen
