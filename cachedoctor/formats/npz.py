r"""NumPy's `.npz`, used by MLX for weights: a zip archive of arrays.

    <name>.npy                   `\x93NUMPY`, u8 major, u8 minor, u16 or u32 length, header, data

MLX stores its arrays uncompressed; NumPy can compress them. A quantised weight has `.scales` and
`.biases` beside it.
Source: numpy/lib/format.py; ml-explore/mlx python/mlx/utils and mlx/io/load.cpp
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Window, wrong_magic
from cachedoctor.formats._zip import LOCAL, Member, data_offset, members, shown
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a NumPy archive"
_MAGIC = b"\x93NUMPY"
_EMPTY = b"PK\x05\x06"
_PACKED = (0, 8)  # stored, deflate
_SHAPE = re.compile(rb"'shape':\s*\(([0-9, ]*)\)")
_TYPE = re.compile(rb"'descr':\s*'[<>|=]?([a-zA-Z])(\d+)'")
_LONGEST_HEADER_BYTES = 4096
_HIGHEST_RANK = 32


class Npz:
    """Reads the directory at the end, and the header of each uncompressed array."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that every member is an array of the length its shape requires.

        Reads about 500 bytes per member. A truncated file has lost its directory, and with it the
        expected length.
        """
        head = Window(file, size_bytes).read(0, HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
        if len(head) < 4:
            raise FormatError(Fault.TRUNCATED, "ends inside its header", measured=len(head))
        if not head.startswith((LOCAL, _EMPTY)):
            raise wrong_magic(head, _KIND, size_bytes)
        found = members(file, size_bytes)
        if not found:
            raise FormatError(Fault.STUB, "holds no arrays", measured=size_bytes)
        window = Window(file, size_bytes)
        for member in found:
            _check(window, member)
        quantized = any(member.name.endswith(b".scales.npy") for member in found)
        return Reading(size_bytes, {"members": len(found), "quantized": int(quantized)})


def shapes(file: BinaryIO, size_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each uncompressed array; raises `FormatError`."""
    window = Window(file, size_bytes)
    found = {}
    for member in members(file, size_bytes):
        if member.method:
            continue
        count = min(_LONGEST_HEADER_BYTES, member.size_bytes)
        shape = _SHAPE.search(window.read(data_offset(window, member), count))
        if shape is not None:
            axes = tuple(int(a) for a in shape[1].replace(b" ", b"").split(b",") if a)
            found[member.name.decode("utf-8", "replace").removesuffix(".npy")] = axes
    return found


def _check(window: Window, member: Member) -> None:
    name = shown(member.name)
    if not member.name.endswith(b".npy"):
        message = f"holds `{name}`, which is not an array, so it is not {_KIND}"
        raise FormatError(Fault.WRONG_MAGIC, message, measured=window.size_bytes)
    if member.method not in _PACKED or member.encrypted:
        raise FormatError(Fault.MALFORMED, f"holds `{name}` in a form that NumPy cannot read")
    if member.method:
        return
    at = data_offset(window, member)
    count = min(_LONGEST_HEADER_BYTES, member.size_bytes)
    head = window.read(at, count)
    if not head.startswith(_MAGIC) or len(head) < 12:
        raise FormatError(Fault.MALFORMED, f"holds `{name}` without an array's header")
    wide = head[6] > 1
    length = int.from_bytes(head[8:12] if wide else head[8:10], "little")
    data_at = (12 if wide else 10) + length
    shape, kind = _SHAPE.search(head[:data_at]), _TYPE.search(head[:data_at])
    if shape is None or data_at > len(head):
        raise FormatError(Fault.MALFORMED, f"holds `{name}` whose header gives no shape")
    if kind is None or kind[1] == b"O":
        return  # a structured type
    axes = [int(axis) for axis in shape[1].replace(b" ", b"").split(b",") if axis]
    if len(axes) > _HIGHEST_RANK or int(kind[2]) > _LONGEST_HEADER_BYTES:
        raise FormatError(Fault.MALFORMED, f"holds `{name}` whose header is invalid")
    size_bytes = int(kind[2]) * (4 if kind[1] == b"U" else 1)
    for axis in axes:
        size_bytes *= axis
    if data_at + size_bytes != member.size_bytes:
        message = f"holds `{name}` of {member.size_bytes - data_at} bytes; it needs {size_bytes}"
        raise FormatError(Fault.MALFORMED, message)


CHECKSUMS = True  # one per member
FORMAT: Format = Npz()
