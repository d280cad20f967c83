"""Read files that somebody else wrote: without blocking, following or trusting a length.

Anything in or beside a cache can be a pipe, a device, a symlink to a secret, gigabytes of zeros or
JSON a hundred thousand levels deep. Everything here raises only `OSError` for a file that cannot be
read and `ValueError` for one that cannot be parsed; both state the reason in words
(`OSError.strerror`, and `str` of the `ValueError`).
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from functools import lru_cache
from typing import Any

from cachedoctor.looking import quietly

DEPTH = 64  # levels; a tokenizer needs 9 at most
MOST = (1 << 63) - 1  # no file is larger
_MOST_BRACKETS = 1 << 21  # a manifest of 100,000 files has this many
_DOTTED = r"""(?<![\w"'-])(?>[\w"'-]+[ \t]*\.[ \t]*){64}"""
_NO_FILES = frozenset(("", ".", ".."))
_LONGEST_PART = 255
_KINDS = (
    (stat.S_ISDIR, errno.EISDIR, "it is a folder, not a file"),
    (stat.S_ISLNK, errno.ELOOP, "it is a link, which is not followed"),
    (stat.S_ISFIFO, errno.EINVAL, "it is a pipe, not a file"),
    (stat.S_ISSOCK, errno.EINVAL, "it is a socket, not a file"),
)


class NotRegularError(OSError):
    """Report that something other than a regular file is at a path."""


def open_regular(path: str, *, follow: bool = False, dir_fd: int | None = None) -> io.FileIO:
    """Open a regular file for reading, unbuffered; raises `OSError` at once for anything else.

    `follow` is for a model's own files, which are symlinks in a hub cache. Preserves the access
    time where the system allows it. Checks with stat before opening, because opening alone starts
    some devices.
    """
    descriptor, _ = _opened(path, follow=follow, dir_fd=dir_fd)
    try:
        return io.FileIO(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def first_hole(path: str) -> int:
    """Return the offset of the first hole of a file just seen to be regular, or its end.

    Raises `OSError`, also where the file system cannot tell. Counting the allocated blocks is not
    enough: blocks that were allocated and never written are holes too.
    """
    descriptor, _ = _opened(path, follow=True, seen=True)
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE)
    finally:
        os.close(descriptor)


def read(path: str, limit_bytes: int, *, follow: bool = False, seen: bool = False) -> bytes:
    """Return the whole content of a regular file; `seen` means that it was just found to be one.

    Raises `OSError`, or `ValueError` before reading if there are more than `limit_bytes`.
    """
    descriptor, status = _opened(path, follow=follow, seen=seen)
    try:
        return _rest(descriptor, status.st_size, limit_bytes)
    finally:
        os.close(descriptor)


def read_open(file: io.FileIO, limit_bytes: int) -> bytes:
    """Return the rest of an open file; raises like `read`."""
    return _rest(file.fileno(), os.fstat(file.fileno()).st_size, limit_bytes)


def _rest(descriptor: int, size_bytes: int, limit_bytes: int) -> bytes:
    """Read to the actual end of the file, whatever length was reported."""
    if size_bytes > limit_bytes:
        raise ValueError(f"it has more than {limit_bytes} bytes")
    first = os.read(descriptor, min(size_bytes + 1, 1 << 20))
    if len(first) == size_bytes:  # asked for one byte more, so it has not grown
        return first
    pieces = [first]
    left = limit_bytes + 1 - len(first)
    while left > 0 and (piece := os.read(descriptor, min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        raise ValueError(f"it has more than {limit_bytes} bytes")
    return b"".join(pieces)


def _opened(
    path: str, *, follow: bool, dir_fd: int | None = None, seen: bool = False
) -> tuple[int, os.stat_result]:
    """Open a regular file and nothing else; return its descriptor and stat result.

    A file that was just `seen` to be regular is not checked a second time before opening.
    """
    try:
        if not seen:
            _require_regular(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow), path)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = quietly.opener(path, flags, dir_fd)
    except ValueError as error:  # a NUL or a lone surrogate
        raise OSError(errno.EINVAL, "no file can have that name", path) from error
    try:
        status = os.fstat(descriptor)
        _require_regular(status, path)  # it could have been replaced since
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def read_json(
    path: str, limit_bytes: int, *, follow: bool = False, depth: int = DEPTH, seen: bool = False
) -> Any:
    """Return the content of a JSON file; the caller must still check every field's type.

    Raises `OSError`, or `ValueError` for content that is not JSON, too long or too deep.
    """
    return parse_json(read(path, limit_bytes, follow=follow, seen=seen), depth=depth)


def parse_json(data: bytes | str, *, depth: int = DEPTH) -> Any:
    """Return the parsed JSON; raises only `ValueError`."""
    import json

    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > _MOST_BRACKETS:  # parsed, each takes twenty times its size
        raise ValueError("it has too many brackets")
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except MemoryError as error:
        raise ValueError("it does not fit in memory") from error
    except ValueError as error:
        raise ValueError("it is not JSON") from error
    if brackets > depth:  # fewer brackets cannot nest too deeply
        _require_shallow(said, depth)
    return said


def read_toml(path: str, limit_bytes: int, *, depth: int = DEPTH) -> tuple[dict[str, Any], str]:
    """Return the content of a TOML file and its text; raises like `read_json`."""
    return parse_toml(read(path, limit_bytes), depth=depth)


def parse_toml(data: bytes, *, depth: int = DEPTH) -> tuple[dict[str, Any], str]:
    """Return the parsed TOML and its text; raises only `ValueError`, which names the line."""
    import tomllib

    try:
        text = data.decode()
        if re.search(_DOTTED, text):  # tomllib's memory grows with the square of its length
            raise ValueError("it is nested too deeply")
        said = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"invalid UTF-8 in line {line}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except MemoryError as error:
        raise ValueError("it does not fit in memory") from error
    _require_shallow(said, depth)
    return said, text


def count(value: object, most: int = MOST) -> int | None:
    """Return a field that is a count, or `None` if it is not a sensible whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    return None


def text(value: object, longest: int = 4096) -> str | None:
    """Return a field that is text usable as a path or for printing, or `None`."""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        return None
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    return value


def below(name: object) -> bool:
    """Return whether an untrusted name is a relative path that stays below its folder."""
    return isinstance(name, str) and _below(name)


@lru_cache(maxsize=4096)  # the same few names recur in every manifest of a cache
def _below(name: str) -> bool:
    checked = text(name)
    if not checked:
        return False
    parts = checked.split("/")
    return _NO_FILES.isdisjoint(parts) and max(map(len, parts)) <= _LONGEST_PART


def changed(path: str) -> OSError:
    """Return the error for a file that was replaced or modified while being read."""
    return OSError(errno.ESTALE, "it changed while being read", path)


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for is_kind, number, why in _KINDS:
        if is_kind(status.st_mode):
            raise NotRegularError(number, why, path)
    raise NotRegularError(errno.EINVAL, "it is a device, not a file", path)


def _require_shallow(said: object, depth: int) -> None:
    """Raise for anything nested deeper than real data: later code can recurse."""
    level = [said] if isinstance(said, (dict, list)) else []
    for _ in range(depth):
        level = [
            value
            for one in level
            for value in (one.values() if isinstance(one, dict) else one)
            if isinstance(value, (dict, list))
        ]
        if not level:
            return
    raise ValueError("it is nested too deeply")
