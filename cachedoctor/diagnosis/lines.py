"""Read the lines of a log: in any encoding, of any length, and however they were passed on.

An error text reaches us quoted, escaped, coloured or wrapped; the number of its line stays.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PIECE_BYTES = 1 << 16  # a line is searched in pieces of this length: some logs have no line breaks
_OVERLAP_BYTES = 1 << 10  # so that no match is cut in two
_BATCH_BYTES = 1 << 18
# How quoting changes the same words: in JSON, in HTML, by typography, in a terminal.
_WRITTEN = (
    (b"\\\\", b"\\"),
    (b"\\\\", b"\\"),
    (b'\\"', b'"'),
    (b"\\'", b"'"),
    (b"\\/", b"/"),
    (b"\\u0027", b"'"),
    (b"\\u0022", b'"'),
    (b"\\u003c", b"<"),
    (b"\\u2019", b"'"),
    (b"&quot;", b'"'),
    (b"&#34;", b'"'),
    (b"&#39;", b"'"),
    (b"&#x27;", b"'"),
    (b"&lt;", b"<"),
    (b"&gt;", b">"),
    (b"&amp;", b"&"),
    ("\u2019".encode(), b"'"),
    ("\u2018".encode(), b"'"),
    ("\u201c".encode(), b'"'),
    ("\u201d".encode(), b'"'),
    ("\u00a0".encode(), b" "),
    ("\u202f".encode(), b" "),
)
_COLOUR = re.compile(rb"\x1b\[[\d;]*[A-Za-z]")
# What surrounds a line wrapped by a terminal, a mail or a traceback's frame.
_FRAME = b" \t\r>|" + "\u2502\u2503\u2551".encode()
_MOST_WRAPPED = 5  # lines that one line was wrapped into
_UTF_16 = ((codecs.BOM_UTF16_LE, 3), (codecs.BOM_UTF16_BE, 2))  # and where the zeros start


def batches(lines: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield batches of about a hundred thousand bytes, with the number of the first line."""
    first, batch, size = 1, list[bytes](), 0
    for number, line in enumerate(lines, 1):
        batch.append(line.rstrip(b"\n"))
        size += len(line)
        if size > _BATCH_BYTES:
            yield first, batch
            first, batch, size = number + 1, [], 0
    yield first, batch


def pieces(data: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the lines of `data`, long ones in overlapping pieces."""
    rest = b""
    for block in _decoded(data):
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        while len(rest) > _PIECE_BYTES:
            yield rest[:_PIECE_BYTES]
            rest = rest[_PIECE_BYTES - _OVERLAP_BYTES :]
    if rest:
        yield rest


def plain(text: bytes) -> bytes:
    """Return `text` without quoting, escapes and colours; the number of lines stays."""
    for written, said in _WRITTEN:
        if written in text:
            text = text.replace(written, said)
    return _COLOUR.sub(b"", text) if b"\x1b" in text else text


def plain_pattern(pattern: str) -> str:
    """Return a pattern for `plain` texts, in which all quotation marks are straight."""
    for curly, straight in ("\u2019'", "\u2018'", '\u201c"', '\u201d"'):
        pattern = pattern.replace(curly, straight)
    return pattern


def unwrapped(lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the number of each line, and the text that it forms with the lines after it.

    Each comes twice: joined with spaces, and joined without, for words that were cut.
    """
    bare = [line.strip(_FRAME) for line in lines]
    for first, line in enumerate(bare):
        if line:
            together = bare[first : first + _MOST_WRAPPED]
            yield first, b" ".join(together)
            yield first, b"".join(together)


def _decoded(data: Iterable[bytes]) -> Iterator[bytes]:
    """Yield `data` as it is, or decoded from UTF-16, in which PowerShell saves output."""
    blocks = iter(data)
    start = next(blocks, b"")
    if not any(
        start.startswith(bom) and start[at : at + 7 : 2] == b"\0" * 4 for bom, at in _UTF_16
    ):
        yield start
        yield from blocks
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    yield decoder.decode(start).encode("utf-8", "replace")
    for block in blocks:
        yield decoder.decode(block).encode("utf-8", "replace")
