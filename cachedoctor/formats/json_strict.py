"""JSON as C++ and Rust read it: to the letter of the standard, where Python is not.

No `NaN` or `Infinity`, no number beyond a double's range, no half of a surrogate pair. CTranslate2
reads its configuration so, and the tokenizers library its vocabulary.

Source: RFC 8259; nlohmann/json `lexer.hpp`; serde-rs/json `de.rs`, `read.rs`
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, NoReturn

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import _json

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(file: BinaryIO, size_bytes: int) -> None:
    """Parse the whole text, up to 64 MiB; raises `FormatError`."""
    data = _json.parsed(file, size_bytes, number=_number, constant=_no_constant)
    if _SURROGATE.search(data):  # hardly ever, so that it is parsed once more
        try:
            json.dumps(json.loads(data), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise FormatError(Fault.MALFORMED, "is not JSON: half of a surrogate pair") from None


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise FormatError(Fault.MALFORMED, f"is not JSON: `{text[:20]}` is beyond any number")
    return number


def _no_constant(name: str) -> NoReturn:
    raise FormatError(Fault.MALFORMED, f"is not JSON: `{name}` is not a number")


FORMAT: Format = _json.JsonText()
