"""GGUF, which newer programs of the GGML family load: little-endian.

    `GGUF`, u32 version 2 or 3, u64 number of tensors, u64 number of values
    each value: str key, u32 type, content          str is a u64 length and bytes
    each tensor: str name, u32 rank, rank x u64 dimension, u32 type, u64 offset
    data, from the next multiple of `general.alignment` (32)

Source: ggml-org/ggml docs/gguf.md, src/gguf.cpp
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Walk, Window, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a GGUF file"
_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_VALUE_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Bytes and items of a block, by type.
_BLOCKS = {
    **{0: (4, 1), 1: (2, 1), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1)},
    **{30: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32)},
    **{10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256)},
    **{15: (292, 256)},
}
# The largest models have some 2,000 tensors, and vocabularies of 260,000 tokens.
_MOST_TENSORS = 1 << 16
_MOST_VALUES = 1 << 16
_MOST_ITEMS = 1 << 22
_LONGEST_TEXT_BYTES = 16 << 20
_HIGHEST_RANK = 4


class Gguf:
    """Walks the values and the list of tensors, whose data follow."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the data of every tensor lie inside the file, and that it ends with them.

        Reads the header, which holds the vocabulary: some megabytes at most.
        """
        window = Window(file, size_bytes, 1 << 16)
        head = window.read(0, HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
        if not head.startswith(_MAGIC[: len(head)]):
            raise wrong_magic(head, _KIND, size_bytes)
        walk = _Walk(window, at=4)
        version = walk.number("I")
        if version not in _VERSIONS:
            raise FormatError(Fault.MALFORMED, f"has version {version}; 2 and 3 are known")
        tensors, values = walk.number("Q"), walk.number("Q")
        if tensors > _MOST_TENSORS or values > _MOST_VALUES:
            raise FormatError(Fault.MALFORMED, f"claims {tensors} tensors and {values} values")
        details: dict[str, int | str] = {"version": version, "tensors": tensors}
        alignment = _ALIGNMENT
        for number in range(values):
            walk.where = f"value {number + 1} of {values}"
            key, value = walk.pair()
            if key == b"general.alignment" and isinstance(value, int):
                alignment = value
            elif key == b"general.architecture" and isinstance(value, bytes):
                details["architecture"] = value[:80].decode(errors="backslashreplace")
        if not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise FormatError(Fault.MALFORMED, f"claims an alignment of {alignment} bytes")
        end = 0
        for number in range(tensors):
            walk.where = f"tensor {number + 1} of {tensors}"
            end = max(end, walk.tensor_end())
        start = -(-walk.at // alignment) * alignment
        expected = start + end if tensors else walk.at
        if size_bytes < expected:
            message = "ends before its tensors do"
            raise FormatError(Fault.TRUNCATED, message, measured=size_bytes, expected=expected)
        if size_bytes >= expected + alignment:
            message = "goes on after its last tensor"
            raise FormatError(Fault.TRAILING, message, measured=size_bytes, expected=expected)
        return Reading(size_bytes, details)


class _Walk(Walk):
    """Goes past values and the descriptions of tensors."""

    def text(self) -> bytes:
        """Return the next string."""
        length = self.number("Q")
        if length > _LONGEST_TEXT_BYTES:
            raise self.malformed(f"claims a text of {length} bytes")
        return self.take(length)

    def pair(self) -> tuple[bytes, int | bytes | None]:
        """Go past one value and return its key; and itself, if it is a small integer or a text."""
        key = self.text()
        kind = self.number("I")
        if kind == _STRING:
            return key, self.text()
        if kind == _ARRAY:
            self._array()
            return key, None
        if kind not in _VALUE_BYTES:
            raise self.malformed(f"has type {kind}, which is unknown")
        content = self.take(_VALUE_BYTES[kind])
        return key, int.from_bytes(content, "little")

    def _array(self) -> None:
        kind, items = self.number("I"), self.number("Q")
        if items > _MOST_ITEMS:
            raise self.malformed(f"claims a list of {items} items")
        if kind == _STRING:
            for _ in range(items):
                self.skip(self.number("Q"))
        elif kind in _VALUE_BYTES:
            self.skip(items * _VALUE_BYTES[kind])
        else:
            raise self.malformed(f"has a list of type {kind}, which is unknown")

    def tensor_end(self) -> int:
        """Go past one tensor's description, and return where its data end."""
        self.text()
        rank = self.number("I")
        if rank > _HIGHEST_RANK:
            raise self.malformed(f"claims {rank} dimensions")
        items = 1
        for _ in range(rank):
            items *= self.number("Q")
        kind, offset = self.number("I"), self.number("Q")
        if kind not in _BLOCKS:
            raise self.malformed(f"has type {kind}, which is unknown")
        block_bytes, block = _BLOCKS[kind]
        if items % block:
            raise self.malformed(f"holds {items} items, no multiple of {block}")
        return offset + items // block * block_bytes


FORMAT: Format = Gguf()
