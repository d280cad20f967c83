"""CTranslate2's `model.bin`, loaded by faster-whisper.

Little-endian, no padding; a string is a u16 length that includes its final NUL:

    u32 binary version                            1 to 6
    str specification, u32 its revision           from version 2
    u32 number of variables, then each:
        str name, u8 rank, rank x u32 dimension
        u8 type, u32 bytes                        from version 4; before: u8 item size, u32 items
        payload
    u32 number of aliases, then each:             from version 3
        str alias, str variable

Source: OpenNMT/CTranslate2 python/ctranslate2/specs/model_spec.py:_serialize,
src/models/model.cc:Model::load, include/ctranslate2/models/whisper.h
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Walk, Window, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a CTranslate2 model"
_NEWEST_VERSION = 6
_FUTURE_VERSIONS = 64
_NEWEST_REVISIONS = {"WhisperSpec": 3}
_ITEM_BYTES = {0: 4, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2}  # float32 int8 int16 int32 float16 bfloat16

# Whisper large has about 1,050 variables, of rank 3 at most, with names under 80 characters.
_MOST_RECORDS = 1 << 16
_LONGEST_NAME_BYTES = 1024
_HIGHEST_RANK = 16


class CTranslate2:
    """Walks through variables and aliases, skipping payloads, to the end of the file."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the records end exactly where the file does.

        Reads about 256 bytes per variable. The header does not give the total length, so a
        truncated file has no expected one.
        """
        window = Window(file, size_bytes)
        version = _version(window)
        walk = _Walk(window, at=4)
        specification, revision = ("", 1)
        if version >= 2:
            specification, revision = walk.text("its specification"), walk.number("I")
        if revision > _NEWEST_REVISIONS.get(specification, revision):
            newest = _NEWEST_REVISIONS[specification]
            message = f"has revision {revision} of `{specification}`; the newest known is {newest}"
            raise FormatError(Fault.MALFORMED, message)
        variables = walk.count("variables")
        seen: set[str] = set()
        for number in range(variables):
            walk.where = f"variable {number + 1} of {variables}"
            name = walk.variable(version)
            if name in seen:
                raise FormatError(Fault.MALFORMED, f"holds variable `{name}` twice")
            seen.add(name)
        aliases = _aliases(walk) if version >= 3 else 0
        if walk.at < size_bytes:
            message = f"goes on after its {variables} variables and {aliases} aliases"
            raise FormatError(Fault.TRAILING, message, measured=size_bytes, expected=walk.at)
        details: dict[str, int | str] = {
            "version": version,
            "specification": specification,
            "revision": revision,
            "variables": variables,
            "aliases": aliases,
        }
        return Reading(size_bytes, details)


def shapes(file: BinaryIO, size_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each variable; raises `FormatError`."""
    window = Window(file, size_bytes)
    version = _version(window)
    walk = _Walk(window, at=4)
    if version >= 2:
        walk.text("its specification")
        walk.number("I")
    return {walk.variable(version): walk.shape for _ in range(walk.count("variables"))}


def says(file: BinaryIO, size_bytes: int) -> bytes:
    """Return what kind of model it is; raises `FormatError`, and is empty before version 2."""
    window = Window(file, size_bytes)
    return _Walk(window, at=4).text("its specification").encode() if _version(window) > 1 else b""


class _Walk(Walk):
    """Skips names and variables."""

    shape: tuple[int, ...] = ()  # of the last variable

    def text(self, what: str) -> str:
        """Return the next string."""
        length = self.number("H")
        if not 0 < length <= _LONGEST_NAME_BYTES:
            raise self.malformed(f"gives {what} a length of {length} bytes")
        taken = self.take(length)
        if taken.find(b"\0") != length - 1:
            raise self.malformed(f"does not end {what} with one NUL")
        try:
            return taken[:-1].decode()
        except UnicodeDecodeError:
            raise self.malformed(f"has invalid UTF-8 in {what}") from None

    def count(self, what: str) -> int:
        """Return the next number of records."""
        count = self.number("I")
        if count > _MOST_RECORDS:
            raise FormatError(Fault.MALFORMED, f"claims {count} {what}, more than {_MOST_RECORDS}")
        return count

    def variable(self, version: int) -> str:
        """Skip one variable and return its name."""
        name = self.text("its name")
        rank = self.number("B")
        if rank > _HIGHEST_RANK:
            raise self.malformed(f"claims {rank} dimensions for `{name}`")
        items = 1
        self.shape = struct.unpack(f"<{rank}I", self.take(4 * rank))
        for dimension in self.shape:
            items *= dimension
        payload_bytes = self._payload_bytes(name, items, version)
        self.skip(payload_bytes)
        return name

    def _payload_bytes(self, name: str, items: int, version: int) -> int:
        kind, count = self.number("B"), self.number("I")
        if version >= 4:
            item_bytes, payload_bytes = _ITEM_BYTES.get(kind), count
        else:
            item_bytes, payload_bytes = kind if kind in (1, 2, 4) else None, count * kind
        if item_bytes is None:
            raise self.malformed(f"has type {kind} for `{name}`, which is unknown")
        if payload_bytes != items * item_bytes:
            shape_bytes = items * item_bytes
            message = f"gives `{name}` {payload_bytes} bytes but its shape needs {shape_bytes}"
            raise self.malformed(message)
        return payload_bytes


def _version(window: Window) -> int:
    head = window.read(0, HEAD_BYTES)
    if not head:
        raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
    if len(head) < 4:
        raise FormatError(Fault.TRUNCATED, "ends inside its header", measured=len(head))
    version = int.from_bytes(head[:4], "little")
    if _NEWEST_VERSION < version < _FUTURE_VERSIONS and _names_specification(head):
        message = f"has binary version {version}; the newest known is {_NEWEST_VERSION}"
        raise FormatError(Fault.MALFORMED, message)
    if not 0 < version <= _NEWEST_VERSION:
        raise wrong_magic(head, _KIND, window.size_bytes)
    return version


def _names_specification(head: bytes) -> bool:
    end = 6 + int.from_bytes(head[4:6], "little")
    return head[6 : end - 1].isalnum() and head[end - 1 : end] == b"\0"


def _aliases(walk: _Walk) -> int:
    walk.where = "its aliases"
    aliases = walk.count("aliases")
    for number in range(aliases):
        walk.where = f"alias {number + 1} of {aliases}"
        walk.text("its name")
        walk.text("its variable")
    return aliases


FORMAT: Format = CTranslate2()
