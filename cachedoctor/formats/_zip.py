"""The directory of a zip archive, checked against each member's local header.

Source: PKWARE APPNOTE.TXT 4.3
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import Window

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_END, _END64, _LOCATOR = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL_HEADER = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_RECORD = struct.Struct("<4sHHHHIIH")
_END64_RECORD = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_RECORD = struct.Struct("<4sIQI")
_LONGEST_COMMENT_BYTES = 0xFFFF
_IN_EXTRA = 0xFFFFFFFF  # the value is in the zip64 extra field

# Whisper large has 1,260 records.
_MOST_MEMBERS = 100_000
_LONGEST_DIRECTORY_BYTES = 16 << 20


class Member(NamedTuple):
    """One member of a zip archive, as described by the central directory."""

    name: bytes
    offset: int  # of its local header
    packed_bytes: int
    size_bytes: int
    method: int  # 0 means stored without compression
    encrypted: bool


class _Directory(NamedTuple):
    """The location of the central directory, as stated by an end record."""

    offset: int
    size_bytes: int
    members: int
    end: int  # where the next known record begins

    @property
    def excess_bytes(self) -> int:
        """Return how much longer the file is than the end record says; negative if shorter."""
        return self.end - self.offset - self.size_bytes


def members(file: BinaryIO, size_bytes: int) -> tuple[Member, ...]:
    """Return the members of the zip archive in `file`, in directory order.

    Compares each local header with the directory; does not read the content.
    Raises `FormatError`.
    """
    directory = _find_directory(Window(file, size_bytes))
    if directory.size_bytes > _LONGEST_DIRECTORY_BYTES or directory.members > _MOST_MEMBERS:
        raise FormatError(Fault.MALFORMED, f"claims {directory.members} files in its directory")
    listing = Window(file, size_bytes).read(directory.offset, directory.size_bytes)
    found = tuple(_listed(listing))
    if len(found) != directory.members:
        message = f"lists {len(found)} files but its end record says {directory.members}"
        raise FormatError(Fault.MALFORMED, message)
    at = 0
    window = Window(file, size_bytes, 64)
    for member in sorted(found, key=lambda member: member.offset):
        if member.offset < at:
            raise FormatError(
                Fault.MALFORMED, f"holds `{shown(member.name)}` overlapping another file"
            )
        at = _data_end(window, member)
        if at > directory.offset:
            message = f"holds `{shown(member.name)}` reaching into its directory"
            raise FormatError(Fault.MALFORMED, message)
    return found


def _find_directory(window: Window) -> _Directory:
    """Find the end record at the very end, or else before a trailing comment."""
    size_bytes = window.size_bytes
    misfit = None
    for comment_bytes in (0, _LONGEST_COMMENT_BYTES):
        tail_at = max(0, size_bytes - _END_RECORD.size - comment_bytes)
        tail = window.read(tail_at, size_bytes - tail_at)
        found = tail.rfind(_END)
        while found >= 0:
            at = tail_at + found
            end = at + _END_RECORD.size
            if end <= size_bytes:
                end += int.from_bytes(window.read(end - 2, 2), "little")
                directory = _directory(window, at)
                if not directory.excess_bytes:
                    if misfit is not None and end < size_bytes:
                        # readers take the last record, which does not fit
                        raise _no_directory(size_bytes, misfit)
                    _check_end(end, size_bytes)
                    return directory
                if end == size_bytes:
                    misfit = directory
            found = tail.rfind(_END, 0, found)
    raise _no_directory(size_bytes, misfit)


def _no_directory(size_bytes: int, misfit: _Directory | None) -> FormatError:
    if misfit is None:
        message = "ends before its central directory does"
        return FormatError(Fault.TRUNCATED, message, measured=size_bytes)
    excess = misfit.excess_bytes
    message = f"has {abs(excess)} bytes too {'many' if excess > 0 else 'few'} before its directory"
    return FormatError(
        Fault.MALFORMED, message, measured=size_bytes, expected=max(0, size_bytes - excess)
    )


def _check_end(end: int, size_bytes: int) -> None:
    if end > size_bytes:
        message = "ends inside its comment"
        raise FormatError(Fault.TRUNCATED, message, measured=size_bytes, expected=end)
    if end < size_bytes:
        message = "goes on after its end record"
        raise FormatError(Fault.TRAILING, message, measured=size_bytes, expected=end)


def _directory(window: Window, at: int) -> _Directory:
    """Parse the end record at `at`, using the zip64 record if it matches."""
    record = _END_RECORD.unpack(window.read(at, _END_RECORD.size))
    *_, members_, size_bytes, offset, _ = record
    plain = _Directory(offset, size_bytes, members_, at)
    locator_at = at - _LOCATOR_RECORD.size
    if locator_at < 0:
        return plain
    magic, _, end64, _ = _LOCATOR_RECORD.unpack(window.read(locator_at, _LOCATOR_RECORD.size))
    if magic != _LOCATOR or end64 + _END64_RECORD.size > locator_at:
        return plain
    record = _END64_RECORD.unpack(window.read(end64, _END64_RECORD.size))
    magic, rest_bytes, *_, members_, size_bytes, offset = record
    if magic != _END64 or end64 + 12 + rest_bytes != locator_at:
        return plain
    return _Directory(offset, size_bytes, members_, end64)


def _listed(listing: bytes) -> Iterator[Member]:
    at = 0
    while at < len(listing):
        if len(listing) - at < _CENTRAL_HEADER.size:
            raise FormatError(Fault.MALFORMED, "has a directory that ends inside an entry")
        values = _CENTRAL_HEADER.unpack_from(listing, at)
        magic, _, _, flags, method, *_ = values
        packed_bytes, size_bytes, name_bytes, extra_bytes, comment_bytes = values[8:13]
        name_at = at + _CENTRAL_HEADER.size
        extra_at = name_at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if magic != _CENTRAL or at > len(listing):
            raise FormatError(Fault.MALFORMED, "has a directory whose entries do not fit")
        wide = _wide(
            (size_bytes, packed_bytes, values[16]), listing[extra_at : extra_at + extra_bytes]
        )
        name = listing[name_at:extra_at]
        yield Member(
            name=name,
            offset=wide[2],
            packed_bytes=wide[1],
            size_bytes=wide[0],
            method=method,
            encrypted=bool(flags & 1),
        )


def _wide(values: tuple[int, int, int], extra: bytes) -> tuple[int, ...]:
    """Replace values too large for 32 bits with those from the zip64 extra field."""
    if _IN_EXTRA not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, count = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            field = extra[at + 4 : at + 4 + count]
            numbers = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
            return tuple(next(numbers, value) if value == _IN_EXTRA else value for value in values)
        at += 4 + count
    return values


def _data_end(window: Window, member: Member) -> int:
    head = window.read(member.offset, _LOCAL_HEADER.size + len(member.name))
    if len(head) < _LOCAL_HEADER.size + len(member.name):
        message = f"has no room for `{shown(member.name)}`"
        raise FormatError(Fault.MALFORMED, message)
    magic, _, _, method, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(head)
    same = name_bytes == len(member.name) and head[_LOCAL_HEADER.size :] == member.name
    if magic != LOCAL or method != member.method or not same:
        message = f"has no `{shown(member.name)}` at byte {member.offset}, where its directory says"
        raise FormatError(Fault.MALFORMED, message)
    return member.offset + len(head) + int(extra_bytes) + member.packed_bytes


def data_offset(window: Window, member: Member) -> int:
    """Return the offset of the content of `member`."""
    head = window.read(member.offset, _LOCAL_HEADER.size)
    *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(head)
    return member.offset + len(head) + int(name_bytes) + int(extra_bytes)


def shown(name: bytes) -> str:
    """Return a name fit for a message."""
    return name[:80].decode(errors="backslashreplace")
