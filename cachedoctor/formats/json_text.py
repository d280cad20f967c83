"""JSON in a text file: configurations, vocabularies, tokenizers, indexes.

An object or an array, as every known engine requires; none uses a bare string or number.

Source: RFC 8259
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.formats import _json

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format


def parse(file: BinaryIO, size_bytes: int) -> None:
    """Parse the whole text, up to 64 MiB; raises `FormatError`.

    No stricter than Python's own parser, which most engines use: NaN and duplicate names pass, a
    byte order mark does not.
    """
    _json.parsed(file, size_bytes)


FORMAT: Format = _json.JsonText()
