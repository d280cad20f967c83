"""safetensors: `model.safetensors` and `weights.safetensors` of transformers and MLX.

    u64 N             little-endian
    N bytes           UTF-8 JSON beginning with `{`, padded with spaces:
                      {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets"}}
    data              the tensors one after another, without gaps, to the end of the file

Source: huggingface/safetensors README.md#format, safetensors/src/tensor.rs:read_metadata
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Window, foreign, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO, NoReturn

    from cachedoctor.vocabulary import Format

_KIND = "a safetensors file"
_METADATA = "__metadata__"
# The hub client rejects longer headers, although the format allows 100 MB:
# huggingface/huggingface_hub constants.py:SAFETENSORS_MAX_HEADER_LENGTH
_LONGEST_HEADER_BYTES = 25_000_000
_MOST_BITS = 1 << 64
_BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


class _Span(NamedTuple):
    """The position of a tensor's data, relative to the end of the header."""

    begin: int
    end: int
    name: str


class Safetensors:
    """Reads the header and checks that its tensors fill the file."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the tensors fill the file without gaps, to its end.

        Reads only the header, about a hundred bytes per tensor.
        """
        window = Window(file, size_bytes, HEAD_BYTES)
        header_bytes = _header_bytes(window)
        header = _parsed(window.read(8, header_bytes))
        metadata = _metadata(header)
        spans = sorted(_span(name, value) for name, value in header.items() if name != _METADATA)
        if not spans:
            raise FormatError(Fault.STUB, "holds no tensors", measured=size_bytes)
        length_bytes = 8 + header_bytes + _contiguous_bytes(spans)
        if size_bytes < length_bytes:
            message = f"ends before its {len(spans)} tensors do"
            raise FormatError(Fault.TRUNCATED, message, measured=size_bytes, expected=length_bytes)
        if size_bytes > length_bytes:
            message = f"goes on after its {len(spans)} tensors"
            raise FormatError(Fault.TRAILING, message, measured=size_bytes, expected=length_bytes)
        details: dict[str, int | str] = {"tensors": len(spans), "header_bytes": header_bytes}
        if "format" in metadata:
            details["format"] = metadata["format"]
        return Reading(length_bytes, details)


def shapes(file: BinaryIO, size_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor; raises `FormatError`."""
    window = Window(file, size_bytes, HEAD_BYTES)
    header = _parsed(window.read(8, _header_bytes(window)))
    return {
        name: tuple(value["shape"])
        for name, value in header.items()
        if name != _METADATA and isinstance(value, dict) and _are_sizes(value.get("shape"))
    }


def _header_bytes(window: Window) -> int:
    head = window.read(0, HEAD_BYTES)
    if not head:
        raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
    if len(head) < 9:
        raise FormatError(Fault.TRUNCATED, "ends inside its header", measured=len(head))
    if head[8:9] != b"{" or foreign(head):
        raise wrong_magic(head, _KIND, window.size_bytes)
    header_bytes = int.from_bytes(head[:8], "little")
    if header_bytes > _LONGEST_HEADER_BYTES:
        _malformed(f"claims a header of {header_bytes} bytes, more than {_LONGEST_HEADER_BYTES}")
    if 8 + header_bytes > window.size_bytes:
        message = "ends inside its header"
        raise FormatError(Fault.TRUNCATED, message, measured=window.size_bytes)
    return header_bytes


def _parsed(header: bytes) -> Mapping[str, object]:
    """Parse the header, which is an object because it begins with a brace."""
    try:
        parsed: dict[str, object] = json.loads(
            header.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except RecursionError:
        _malformed("has a header that is nested too deeply")
    except ValueError as error:
        _malformed(f"has a header that is not JSON: {_reason(error)}")
    return parsed


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at byte {8 + len(error.doc[: error.pos].encode())}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {8 + error.start}"
    return str(error)


def _metadata(header: Mapping[str, object]) -> dict[str, str]:
    metadata = header.get(_METADATA)
    if metadata is None:  # MLX writes `null` for no metadata, and every reader accepts it
        return {}
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        _malformed(f"has a `{_METADATA}` that is not a map of strings")
    return metadata


def _span(name: str, value: object) -> _Span:
    shown = f"tensor `{name:.80}`"
    if not isinstance(value, dict) or not value.keys() >= {"dtype", "shape", "data_offsets"}:
        _malformed(f"describes {shown} without dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        _malformed(f"has dtype `{dtype!s:.32}` for {shown}, which is unknown")
    if not _are_sizes(shape) or not _are_sizes(offsets) or len(offsets) != 2:
        _malformed(f"has no integers for shape and data_offsets of {shown}")
    bits = _BITS[dtype]
    for dimension in shape:
        bits *= dimension
        if bits >= _MOST_BITS:
            _malformed(f"has a shape for {shown} that no file can hold")
    begin, end = offsets
    if bits % 8 or end - begin != bits // 8:
        _malformed(f"gives {shown} {end - begin} bytes but its shape needs {bits / 8:g}")
    return _Span(begin, end, name)


def _are_sizes(values: object) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < _MOST_BITS for value in values
    )


def _contiguous_bytes(spans: list[_Span]) -> int:
    at = 0
    for span in spans:
        if span.begin != at:
            relation = "overlaps" if span.begin < at else "leaves a hole to"
            _malformed(f"has tensor `{span.name:.80}` at {span.begin}, which {relation} byte {at}")
        at = span.end
    return at


def _malformed(message: str) -> NoReturn:
    raise FormatError(Fault.MALFORMED, message)


FORMAT: Format = Safetensors()
