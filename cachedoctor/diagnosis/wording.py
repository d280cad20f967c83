"""Refine a diagnosis with details in the error text: a number, the first bytes, a path, lengths."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cachedoctor.rules.access import InProgress
from cachedoctor.rules.content import SizeMismatch
from cachedoctor.rules.present import DanglingLink, HollowBundle, MissingTokenizer
from cachedoctor.rules.refs import MalformedRef, RefDangling, RefEmpty
from cachedoctor.rules.waste import LeftoverPartial, LeftoverProbe, StaleLock
from cachedoctor.rules.wellformed import Hole, MalformedHeader, TrailingBytes, WrongMagic

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_CODES = 3
_NEWEST_FORMAT = 64  # up to here a number is a format's version, beyond it misread text
_WRONG, _NEWER = (WrongMagic.code,), (MalformedHeader.code,)
# The first bytes of what gets saved in place of a model.
_BEGINS = (
    ("vers", "a Git LFS pointer", _WRONG),
    ("<", "a web page or an XML error body", _WRONG),
    ("PK", "a zip archive", _WRONG),
    ("GGUF", "a GGUF file", _WRONG),
    ("lmgg", "a GGML file", _WRONG),
    ("ggm", "a GGML file", _WRONG),
    ("{", "a JSON text", _WRONG),
    ("Entr", "an error text (`Entry not found`)", _WRONG),
    ("Inva", "an error text (`Invalid …`)", _WRONG),
    ("Acce", "an error text (`Access …`)", _WRONG),
    ("Not ", "an error text (`Not found`)", _WRONG),
    ("v", "a Git LFS pointer", _WRONG),
    ("E", "an error text", _WRONG),
    ("N", "an error text", _WRONG),
    ("\0", "zeros, as of a file that was laid out and never written", (Hole.code, WrongMagic.code)),
)
# The most likely codes by a part of the path that an error names.
_PLACES = (
    ("._", (LeftoverProbe.code,)),
    ("/refs/", (MalformedRef.code, RefDangling.code)),
    (".incomplete", (LeftoverPartial.code, InProgress.code)),
    (".lock", (StaleLock.code, InProgress.code)),
    ("tokenizer", (MissingTokenizer.code,)),
    ("vocab.json", (MissingTokenizer.code,)),
    ("merges.txt", (MissingTokenizer.code,)),
    (".mlmodelc", (HollowBundle.code,)),
    ("/blobs/", (DanglingLink.code,)),
    ("/snapshots/'", (RefEmpty.code,)),
)


def read(
    cause: str, codes: tuple[str, ...], said: Mapping[str, str | None]
) -> tuple[str, tuple[str, ...]]:
    """Return the cause and at most three codes, refined by the details `said` in the error."""
    number = said.get("number")
    begins = _as_text(int(number)) if number else said.get("key") or said.get("last") or ""
    if number and int(number) <= _NEWEST_FORMAT and int(number):
        cause, codes = f"{cause}: the number is a newer version's", _joined(_NEWER, codes)
    elif begins:
        what, first = _met(begins)
        shown = f"the number is `{begins}`, " if number else ""
        if what:
            cause, codes = f"{cause}: {shown}{what}", _joined(first, codes)
    path = said.get("path") or ""
    if path:
        codes = _joined(_of_path(path), codes)
        if path.rstrip("/").endswith("/snapshots"):
            cause, codes = (
                f"{cause}; `snapshots/` itself: `refs/main` is empty",
                (RefEmpty.code, *codes),
            )
    got, want = said.get("got"), said.get("want")
    if got and want and got.isdigit() and want.isdigit() and int(got) > int(want):
        codes = _joined((TrailingBytes.code, SizeMismatch.code) if int(want) > 1000 else (), codes)
    return cause, codes[:MOST_CODES]


def _met(begins: str) -> tuple[str, tuple[str, ...]]:
    """Return what kind of content begins like this, and its codes."""
    text = begins.replace("\\x00", "\0").replace("\\0", "\0")
    return next(((what, codes) for head, what, codes in _BEGINS if text.startswith(head)), ("", ()))


def _as_text(number: int) -> str:
    """Return the bytes that a number was read from, if they are text or zeros."""
    if number == 0:
        return "\0"
    length = 4 if number < 1 << 32 else 8
    data = struct.pack("<Q", number & (1 << 64) - 1)[:length]
    text = data.decode("latin-1")
    return text if all(" " <= char <= "~" or char in "\n\r\t" for char in text) else ""


def _of_path(path: str) -> tuple[str, ...]:
    name = path.rpartition("/")[2]
    if name.startswith("._"):
        return (LeftoverProbe.code,)
    return next((codes for part, codes in _PLACES[1:] if part in path), ())


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
