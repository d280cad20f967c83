"""When a model was last used: what we saw ourselves, and access times where they are reliable.

```
<state folder>/used.jsonl        one line per use: path, clock time in seconds, how it was seen
```

`ensure -- COMMAND` and `bench` count as uses, and so does a program that had a file open while we
looked. A `preflight` does not: it is recorded as *asked for*. Access times count only on a mount
known to keep them, and only if the file was read after it was written.
Source: mount(8) `relatime`; proc(5) `/proc/pid/mountinfo`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING

from cachedoctor.system import disk
from cachedoctor.values import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENSURE, BENCH, OPEN, ASKED, ACCESS = "ensure", "bench", "open", "asked", "access time"
_FILE = "used.jsonl"
_LIMIT_BYTES = 4 << 20  # beyond this, only the newest line of each path is kept
_KEEP_TIMES = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs"))
_SHARE_NOTHING = frozenset(("ext2", "ext3", "ext4", "tmpfs", "vfat", "exfat"))
_SETTLED_NS = 1_000_000_000  # a client also reads back some of what it writes


class Used(NamedTuple):
    """When a model was last used, and how that is known; `None` means unknown, not long ago."""

    when_s: float | None = None  # seconds since the epoch
    how: str = ""  # `ensure`, `bench`, an open file, …
    asked_s: float | None = None  # when a preflight last asked for it


UNKNOWN = Used()


def remember(state: str, how: str, paths: Iterable[str], now: float) -> None:
    """Record that models at these paths were used, or asked for; errors are ignored."""
    rows = [{"path": path, "when_s": round(now, 3), "how": how} for path in paths]
    text = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    if not text:
        return
    with contextlib.suppress(OSError):
        disk.make_folders(state)
        place = os.path.join(state, _FILE)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        opened = os.open(place, flags, 0o600)
        try:
            os.write(opened, text)
            long = os.fstat(opened).st_size > _LIMIT_BYTES
        finally:
            os.close(opened)
        if long:
            _shorten(state)


def recall(state: str) -> Mapping[str, Used]:
    """Return what is remembered, by path, skipping lines that cannot be parsed."""
    found: dict[str, Used] = {}
    for path, when_s, how in _lines(state):
        known = found.get(path, UNKNOWN)
        if how == ASKED:
            found[path] = known._replace(asked_s=max(when_s, known.asked_s or 0.0))
        elif when_s >= (known.when_s or 0.0):
            found[path] = known._replace(when_s=when_s, how=how)
    return found


def newest(first: Used, second: Used) -> Used:
    """Return the later of two uses, and the later of two requests."""
    later = max(first, second, key=lambda used: used.when_s or 0.0)
    asked = max(first.asked_s or 0.0, second.asked_s or 0.0)
    return later._replace(asked_s=asked or None)


class Mounts:
    """Which mounts keep access times, and on which of them files can share blocks."""

    def __init__(self, text: str) -> None:
        """Parse the text of `/proc/self/mountinfo`; empty on other systems."""
        self._mounts = dict(_mount(line) for line in text.splitlines() if " - " in line)
        self._folders: dict[str, _Mount] = {}

    @classmethod
    def look(cls) -> Mounts:
        """Ask the system; only Linux answers."""
        if sys.platform != "linux":
            return cls("")
        try:
            with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                return cls(file.read())
        except OSError:
            return cls("")

    def keep_times(self, path: str) -> bool:
        """Return whether access times of the resolved `path` are known to be kept."""
        return self._of(path).keeps_times

    def may_share(self, path: str) -> bool:
        """Return whether the file at the resolved `path` could share blocks with other files."""
        return self._of(path).kind not in _SHARE_NOTHING

    def _of(self, path: str) -> _Mount:
        """Return the mount of `path`, looked up once per folder unless `path` is a mount point."""
        if path in self._mounts:
            return self._mounts[path]
        folder = os.path.dirname(path)
        if folder not in self._folders:
            self._folders[folder] = self._above(folder)
        return self._folders[folder]

    def _above(self, folder: str) -> _Mount:
        while folder not in self._mounts:
            if folder in ("/", ""):
                return _Mount()
            folder = os.path.dirname(folder)
        return self._mounts[folder]

    def read_at(self, path: str) -> Used:
        """Return when a file was last read, if that is reliable."""
        if not self.keep_times(path):
            return UNKNOWN
        try:
            found = os.stat(path)
        except OSError:
            return UNKNOWN
        if found.st_atime_ns <= max(found.st_mtime_ns, found.st_ctime_ns) + _SETTLED_NS:
            return UNKNOWN  # not read since it was written, except by its writer
        return Used(found.st_atime_ns / 1e9, ACCESS)


class _Mount(NamedTuple):
    """The relevant properties of one mount."""

    kind: str = ""  # of its file system
    keeps_times: bool = False


def _mount(line: str) -> tuple[str, _Mount]:
    """Return a mount point, and what is known of its mount."""
    before, _, after = line.partition(" - ")
    fields, kind = before.split(" "), after.split(" ")[0]
    point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
    options = fields[5].split(",")
    keeps = kind in _KEEP_TIMES and "noatime" not in options and "ro" not in options
    return point, _Mount(kind, keeps)


def _lines(state: str) -> list[tuple[str, float, str]]:
    found = []
    try:
        with open(os.path.join(state, _FILE), "rb") as file:
            raw = file.read(4 * _LIMIT_BYTES).splitlines()
    except OSError:
        return []
    for line in raw:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            found.append((str(row["path"]), float(row["when_s"]), str(row["how"])))
    return found


def _shorten(state: str) -> None:
    """Keep the newest line of each path and kind; lines appended meanwhile can be lost."""
    newest_of = {(path, how): when_s for path, when_s, how in _lines(state)}
    rows = [
        {"path": path, "when_s": when_s, "how": how} for (path, how), when_s in newest_of.items()
    ]
    fresh = os.path.join(state, f"{_FILE}.{os.getpid()}")
    disk.write(fresh, b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    disk.remove_tree(os.path.join(state, _FILE))
    disk.rename(fresh, os.path.join(state, _FILE))
