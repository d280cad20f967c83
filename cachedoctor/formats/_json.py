"""What both kinds of JSON share: the look at both ends, and the parsing of all.

Source: RFC 8259
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Window, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_KIND = "a JSON object or array"
_BOM = b"\xef\xbb\xbf"
_CLOSING = {b"{": b"}", b"[": b"]"}
_MOST_PARSED_BYTES = 64 << 20


class JsonText:
    """Looks at the first and the last byte that is not blank; `parsed` reads the rest."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the text begins and ends as an object or an array.

        Reads the first and the last 512 bytes. Not every truncation shows there: an inner bracket
        may come to lie at the end.
        """
        window = Window(file, size_bytes, HEAD_BYTES)
        head = window.read(0, HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
        text = head.removeprefix(_BOM).lstrip()
        if not text and len(head) == size_bytes:
            raise FormatError(Fault.TRUNCATED, "is blank", measured=size_bytes)
        opening = text[:1]
        if opening not in _CLOSING:
            raise wrong_magic(head, _KIND, size_bytes)
        last = window.read(max(0, size_bytes - HEAD_BYTES), HEAD_BYTES).rstrip()[-1:]
        if last == b"\0":
            raise FormatError(Fault.MALFORMED, "ends in NUL bytes")
        if last != _CLOSING[opening]:
            message = f"ends without its closing `{_CLOSING[opening].decode()}`"
            raise FormatError(Fault.TRUNCATED, message, measured=size_bytes)
        return Reading(size_bytes, {"kind": "object" if opening == b"{" else "array"})


def parsed(
    file: BinaryIO,
    size_bytes: int,
    *,
    number: Callable[[str], float] | None = None,
    constant: Callable[[str], object] | None = None,
) -> bytes:
    """Parse the whole text, up to 64 MiB, and return it; raises `FormatError`.

    `number` and `constant` read what has a point or is NaN. A byte order mark does not pass.
    """
    JsonText().read(file, size_bytes)
    if size_bytes > _MOST_PARSED_BYTES:
        message = f"is longer than the {_MOST_PARSED_BYTES >> 20} MiB allowed for JSON here"
        raise FormatError(Fault.MALFORMED, message, measured=size_bytes)
    data = Window(file, size_bytes).read(0, size_bytes)
    if len(data) < size_bytes:
        raise FormatError(Fault.TRUNCATED, "became shorter", measured=len(data))
    if data.startswith(_BOM):
        raise FormatError(Fault.MALFORMED, "begins with a byte order mark")
    try:
        json.loads(data.decode(), parse_float=number, parse_constant=constant)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
        message = f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        fault, measured = (Fault.TRUNCATED, size_bytes) if cut else (Fault.MALFORMED, None)
        raise FormatError(fault, message, measured=measured) from None
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 at byte {error.start}"
        raise FormatError(Fault.MALFORMED, message) from None
    except RecursionError:
        raise FormatError(Fault.MALFORMED, "is nested too deeply") from None
    except ValueError:
        message = "has a number with more digits than a parser accepts"
        raise FormatError(Fault.MALFORMED, message) from None
    return data
