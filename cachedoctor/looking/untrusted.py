"""Read files that somebody else may have made: without waiting, following or trusting a length.

Whatever lies in a cache or beside it may be a pipe, a device, a link to a secret, gigabytes of
nothing or JSON a hundred thousand levels deep. Everything here raises one of two things only:
`OSError` where a file cannot be read, `ValueError` where it cannot be understood; both say why in
words (`OSError.strerror`, and `str` of the `ValueError`).
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

DEPTH = 64  # levels: a tokenizer's deepest is 9
MOST = (1 << 63) - 1  # no file has more bytes
_MOST_BRACKETS = 1 << 21  # a manifest of 100,000 files has as many
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
    """Report that something else lies where a regular file should."""


def open_regular(path: str, *, follow: bool = False, dir_fd: int | None = None) -> io.FileIO:
    """Open a regular file to be read, unbuffered; raises `OSError` for anything else at once.

    `follow` is for a model's own files, which are links in a hub cache. The access time stays as
    it is where the system allows it. Nothing is opened that a look shows to be no file: opening
    alone starts some devices.
    """
    descriptor, _ = _opened(path, follow=follow, dir_fd=dir_fd)
    try:
        return io.FileIO(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def first_hole(path: str) -> int:
    """Return where a file that was just seen to be regular has its first hole, or ends.

    Raises `OSError`, also where the file system does not know. The blocks that a file takes are no
    answer: those that were laid out and never written are holes, too.
    """
    descriptor, _ = _opened(path, follow=True, seen=True)
    try:
        return os.lseek(descriptor, 0, os.SEEK_HOLE)
    finally:
        os.close(descriptor)


def read(path: str, limit_bytes: int, *, follow: bool = False, seen: bool = False) -> bytes:
    """Return the whole content of a regular file; `seen` says that one was just seen there.

    Raises `OSError`, and `ValueError` for more than `limit_bytes`, before they are read.
    """
    descriptor, status = _opened(path, follow=follow, seen=seen)
    try:
        return _rest(descriptor, status.st_size, limit_bytes)
    finally:
        os.close(descriptor)


def read_open(file: io.FileIO, limit_bytes: int) -> bytes:
    """Return the rest of an open file; raises as `read`."""
    return _rest(file.fileno(), os.fstat(file.fileno()).st_size, limit_bytes)


def _rest(descriptor: int, size_bytes: int, limit_bytes: int) -> bytes:
    """Read to the end, which is where the file now has it, however long it was said to be."""
    if size_bytes > limit_bytes:
        raise ValueError(f"it has more than {limit_bytes} bytes")
    first = os.read(descriptor, min(size_bytes + 1, 1 << 20))
    if len(first) == size_bytes:  # one more was asked for: it has not grown
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
    """Open a regular file and nothing else; return its descriptor, and what it is.

    One that was `seen` to be regular is not looked at a second time before it is opened.
    """
    try:
        if not seen:
            _require_regular(os.stat(path, dir_fd=dir_fd, follow_symlinks=follow), path)
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        descriptor = quietly.opener(path, flags, dir_fd)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", path) from error
    try:
        status = os.fstat(descriptor)
        _require_regular(status, path)  # it may be another one by now
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def read_json(
    path: str, limit_bytes: int, *, follow: bool = False, depth: int = DEPTH, seen: bool = False
) -> Any:
    """Return what a file of JSON says; every field's type is still to be checked.

    Raises `OSError`, and `ValueError` for what is no JSON, too long or too deep.
    """
    return parse_json(read(path, limit_bytes, follow=follow, seen=seen), depth=depth)


def parse_json(data: bytes | str, *, depth: int = DEPTH) -> Any:
    """Return what JSON says; raises nothing but `ValueError`."""
    import json

    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > _MOST_BRACKETS:  # each takes twenty times its room
        raise ValueError("it has more brackets than anything real")
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except MemoryError as error:
        raise ValueError("it does not fit into memory") from error
    except ValueError as error:
        raise ValueError("it is no JSON") from error
    if brackets > depth:  # else no two of them need be in one another
        _require_shallow(said, depth)
    return said


def read_toml(path: str, limit_bytes: int, *, depth: int = DEPTH) -> tuple[dict[str, Any], str]:
    """Return what a file of TOML says, and its text; raises as `read_json`."""
    return parse_toml(read(path, limit_bytes), depth=depth)


def parse_toml(data: bytes, *, depth: int = DEPTH) -> tuple[dict[str, Any], str]:
    """Return what TOML says, and its text; raises nothing but `ValueError`, which says the line."""
    import tomllib

    try:
        text = data.decode()
        if re.search(_DOTTED, text):  # tomllib's memory grows with the square of a dotted key
            raise ValueError("it is nested too deeply")
        said = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"no UTF-8 in line {line}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except MemoryError as error:
        raise ValueError("it does not fit into memory") from error
    _require_shallow(said, depth)
    return said, text


def count(value: object, most: int = MOST) -> int | None:
    """Return a field that counts something, or `None` where it is no sane whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    return None


def text(value: object, longest: int = 4096) -> str | None:
    """Return a field that is a text that can be a path or be printed, or `None`."""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        return None
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return None
    return value


def below(name: object) -> bool:
    """Say whether a name from elsewhere is a path that leads to a place below its folder."""
    return isinstance(name, str) and _below(name)


@lru_cache(maxsize=4096)  # a cache has the same few names in every manifest
def _below(name: str) -> bool:
    checked = text(name)
    if not checked:
        return False
    parts = checked.split("/")
    return _NO_FILES.isdisjoint(parts) and max(map(len, parts)) <= _LONGEST_PART


def changed(path: str) -> OSError:
    """Return the error that a file became another one while it was read."""
    return OSError(errno.ESTALE, "it changed while it was read", path)


def _require_regular(status: os.stat_result, path: str) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for is_kind, number, why in _KINDS:
        if is_kind(status.st_mode):
            raise NotRegularError(number, why, path)
    raise NotRegularError(errno.EINVAL, "it is a device, not a file", path)


def _require_shallow(said: object, depth: int) -> None:
    """Raise for what is nested deeper than anything real: later code may recurse."""
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
