"""Resolve a path step by step: each folder, each symlink, and whatever stands in for one.

A folder that cannot be entered hides everything below it, and so does a symlink, mount or Finder
alias whose target is offline. Neither means that nothing is there.

Sources: macOS `XSym` files, as SMB stores symlinks (`mount_smbfs`); Cygwin's `!<symlink>`;
Interix's `IntxLNK`; zip and servers without symlinks keep the bare target; Finder bookmarks start
with `book`.
"""

from __future__ import annotations

import errno
import os
import re
import stat

from cachedoctor.looking import quietly, untrusted
from cachedoctor.values import NamedTuple

_TEXT_LIMIT_BYTES = 1067  # of a text that stands in for a symlink; `XSym` is padded to it
_ALIAS_LIMIT_BYTES = 1 << 20  # of an alias with its own icon
_HEAD_BYTES = 16
_MOST_LINKS = 40
_AWAY = frozenset(
    (errno.ENOTCONN, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENODEV, errno.ENXIO)
)
_ABSENT = (errno.ENOENT, errno.ENAMETOOLONG)
_TARGET = r"(?:\.{0,2}/|[^/\s:*?\"<>|{}\[\],]+/)[^\0-\x1f\x7f]*"
_VOLUME = (
    r"/Volumes/[^/]+|/media/[^/]+/[^/]+|/run/media/[^/]+/[^/]+|/mnt/[^/]+"
    r"|/[A-Z]:|/UNC/[^/]+/[^/]+"  # a drive or share of a Windows home that is not mounted here
)


class Stand(NamedTuple):
    """A small file found in place of a symlink or folder."""

    kind: str  # `alias` or `text`
    target: str  # empty if the file does not say

    @property
    def is_text(self) -> bool:
        """Return whether it was a symlink and is a text now, not an alias or a broken link."""
        return self.kind == "text"


class Way(NamedTuple):
    """How far a path can be resolved."""

    real: str  # free of symlinks, as far as known
    there: bool = False
    closed: str = ""  # the folder that cannot be entered; `why` holds the reason
    why: str = ""
    gone: str = ""  # the symlink, alias or mount whose target is missing
    text: str = ""  # a former symlink, now a small text file
    aim: str = ""  # where `gone` or `text` points

    @property
    def barred(self) -> bool:
        """Return whether something could be there that cannot be seen."""
        return bool(self.closed or self.gone or self.text)


class Ways:
    """Resolved paths, remembered so that no folder is checked twice."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[str, Way] = {}

    def to(self, path: str, links: int = 0) -> Way:
        """Resolve `path`, which must be absolute, as the system would."""
        known = self._known.get(path)
        if known is None:
            for one in reversed(self._unknown(path)):  # from the top: a path can be very deep
                known = self._known[one] = self._go(one, links)
        assert known is not None
        return known

    def _unknown(self, path: str) -> list[str]:
        """Return `path` and the folders above it that are not resolved yet, upwards."""
        found = [path]
        above, name = _split(path)
        while name and above not in self._known:
            found.append(above)
            above, name = _split(above)
        return found

    def _go(self, path: str, links: int) -> Way:
        above, name = _split(path)
        if not name:
            return Way("/", there=True)
        way = self.to(above, links)
        if not way.there:
            return way if way.barred else way._replace(real=os.path.join(way.real, name))
        if name == ".":  # the last component must be a folder
            return way if os.path.isdir(way.real) else self._no_folder(way.real)
        here = os.path.dirname(way.real) if name == ".." else os.path.join(way.real, name)
        try:
            mode = os.lstat(here).st_mode
            if stat.S_ISLNK(mode):
                return self._follow(here, os.readlink(here), links)
        except NotADirectoryError:
            return self._no_folder(way.real)
        except OSError as error:
            if error.errno in _ABSENT:
                return Way(here)
            if error.errno in _AWAY:
                return Way(here, gone=here, aim=here)
            return Way(here, closed=way.real, why=error.strerror or str(error))
        return Way(here, there=True)

    def _follow(self, link: str, target: str, links: int) -> Way:
        if links >= _MOST_LINKS:
            return Way(link, closed=link, why="a symlink loop")
        aim = os.path.join(os.path.dirname(link), target)
        way = self._go(aim, links + 1)
        if way.there or way.barred:
            return way
        return Way(link, gone=link, aim=target)

    def _no_folder(self, path: str) -> Way:
        """Describe what is at `path` in place of a folder."""
        found = stands_in(path)
        if found is None:
            return Way(path, closed=path, why="a file is in place of the folder")
        if found.is_text:
            return Way(path, text=path, aim=found.target)
        return Way(path, gone=path, aim="a Finder alias")


def _split(path: str) -> tuple[str, str]:
    """Return the folder that holds `path`, and its name, which is empty for the root."""
    return os.path.split(path.rstrip("/") or "/")


def stands_in(path: str, status: os.stat_result | None = None) -> Stand | None:
    """Return what a small file found in place of a symlink or folder stands for.

    Reads a few bytes of files that are short enough; `None` for all others.
    """
    try:
        status = status or os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not 2 < status.st_size <= _ALIAS_LIMIT_BYTES:
            return None
        with untrusted.open_regular(path) as file:
            head = file.read(_HEAD_BYTES)
            if head.startswith(b"book\0\0\0\0"):
                return Stand("alias", "")
            if status.st_size > _TEXT_LIMIT_BYTES:
                return None
            target = _target(head + file.read(_TEXT_LIMIT_BYTES))
    except OSError:
        return None
    return Stand("text", target) if target else None


def _target(content: bytes) -> str:
    """Return the target of a symlink saved as these bytes, or an empty string."""
    if content.startswith(b"XSym\n"):
        lines = content.split(b"\n")
        return os.fsdecode(lines[3]) if len(lines) > 3 else ""
    if content.startswith(b"!<symlink>"):
        rest = content[10:]
        wide = rest[:2] in (b"\xff\xfe", b"\xfe\xff")
        return (rest.decode("utf-16", "replace") if wide else os.fsdecode(rest)).rstrip("\0")
    if content.startswith(b"IntxLNK\1"):
        return content[8:].decode("utf-16-le", "replace").rstrip("\0")
    if b"\0" in content:
        return ""
    text = os.fsdecode(content)
    return text if re.fullmatch(_TARGET, text) and not text.endswith("/") else ""


def volume_gone(path: str) -> str:
    """Return the volume that `path` is on if that volume is missing, else an empty string."""
    found = re.match(_VOLUME, path)
    if found is None or path == found[0]:
        return ""
    volume = found[0]
    try:
        empty = not quietly.names(volume)
    except FileNotFoundError:
        return volume
    except OSError:
        return ""
    return volume if empty and not os.path.ismount(volume) else ""
