"""A compiled Core ML model: a folder loaded by WhisperKit, FluidAudio and whisper.cpp.

    <name>.mlmodelc/
    ├── coremldata.bin              opaque; always present
    ├── model.mil                   the program as text; names blobs by file and offset
    ├── weights/weight.bin          if the program names a blob
    ├── metadata.json               descriptive
    └── analytics/coremldata.bin    not needed to run

    weight.bin: u32 count, u32 version 2, padded to 64 bytes; then, each aligned to 64 bytes:
        u32 0xDEADBEEF, u32 type, u64 bytes, u64 offset of the data, padded to 64 bytes
        data

A neural network, the older kind, has `model.espresso.net`, `.shape` and `.weights` in place of
`model.mil`.

Source: apple/coremltools mlmodel/src/MILBlob/Blob/StorageFormat.hpp, StorageReader.cpp;
FluidInference/FluidAudio ModelCache.swift:validateCompiledModelLayout
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Window, foreign, wrong_magic
from cachedoctor.looking import quietly, untrusted
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from cachedoctor.vocabulary import Bundle

_DATA, _PROGRAM, _WEIGHTS = "coremldata.bin", "model.mil", "weights/weight.bin"
_NETWORK = ("model.espresso.net", "model.espresso.shape", "model.espresso.weights")
_PARTIAL = (".partial", ".partial.etag", ".download", ".incomplete")

_ALIGNMENT = 64
_SENTINEL = (0xDEADBEEF).to_bytes(4, "little")
_BLOB_VERSION = 2
_OTHER_VERSIONS = 16

_CHUNK_BYTES = 1 << 20
_OVERLAP_BYTES = 2048  # longer than any match
_REFERENCE = re.compile(
    rb'BLOBFILE\s{0,8}\(\s{0,8}path\s{0,8}=[\w<>,\[\] ]{0,40}\(\s{0,8}"([^"\n]{1,512})"\s{0,8}\)'
    rb"\s{0,8},\s{0,8}offset\s{0,8}=[\w<>,\[\] ]{0,40}\(\s{0,8}(\d{1,20})\s{0,8}\)"
)

# Programs of these engines are below 10 MB, with a few thousand blobs in one file.
_MOST_FILES = 10_000
_DEEPEST = 8
_LONGEST_PROGRAM_BYTES = 256 << 20
_MOST_BLOBS = 100_000
_MOST_BLOB_FILES = 64


class CoreML:
    """Checks the parts, their first bytes, and the weights that the program refers to."""

    def inspect(self, path: str) -> Reading:
        """Check the parts of the bundle at `path`, and that every blob is within its file.

        Reads the whole program and 64 bytes per blob. Follows symlinks to files wherever they lead.
        Raises `OSError` if something cannot be read.
        """
        contents = _Contents(path)
        if not contents.has(_PROGRAM) and any(contents.has(name) for name in _NETWORK):
            contents.require((_DATA, *_NETWORK))
            for name in (_DATA, *_NETWORK):
                _sniff(path, name)
            return contents.reading("neuralnetwork", 0)
        if not contents.has(_PROGRAM):
            contents.require((_DATA, _PROGRAM, _WEIGHTS))
        program = _Program(path)
        contents.require((_DATA, *program.blobs))
        _sniff(path, _DATA)
        if program.fault is not None:
            raise program.fault
        blobs = sum(
            _check_weights(path, name, sorted(offsets)) for name, offsets in program.blobs.items()
        )
        return contents.reading("mlprogram", blobs)


class _Contents:
    """The files below a folder; partial downloads are counted separately."""

    def __init__(self, path: str) -> None:
        """List the folder at `path`."""
        self._path = path
        self._files = self._bytes = self._partials = 0
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            what = "neither a file nor a folder"
            if stat.S_ISREG(status.st_mode):
                what = f"a file of {_size(status.st_size)}, not a folder"
            raise FormatError(Fault.HOLLOW, f"is {what}")
        for name, size_bytes in _files(path, 0):
            if name.endswith(_PARTIAL):
                self._partials += 1
                continue
            self._files += 1
            self._bytes += size_bytes
            if self._files > _MOST_FILES:
                raise FormatError(Fault.MALFORMED, f"holds more than {_MOST_FILES} files")

    def has(self, name: str) -> bool:
        """Return whether the file `name` exists, even if empty."""
        return self._lack(name) is None

    def require(self, names: Iterable[str]) -> None:
        """Raise `FormatError` unless all these files exist."""
        lacking = [lack for name in names if (lack := self._lack(name)) is not None]
        if lacking:
            held = f"holds {_plural(self._files, 'file')}, {_size(self._bytes)}"
            if self._partials:
                held += f", and {_plural(self._partials, 'unfinished download')}"
            raise FormatError(Fault.HOLLOW, f"{held}; no {', '.join(lacking)}")

    def reading(self, kind: str, blobs: int) -> Reading:
        """Return the total of the files."""
        return Reading(self._bytes, {"kind": kind, "files": self._files, "blobs": blobs})

    def _lack(self, name: str) -> str | None:
        path = os.path.join(self._path, name)
        status = _status(path)
        if status is None:
            return f"`{name}` (a broken link)" if os.path.islink(path) else f"`{name}`"
        return None if stat.S_ISREG(status.st_mode) else f"`{name}` (not a file)"


def _files(path: str, depth: int) -> Iterator[tuple[str, int]]:
    """Yield names and sizes of the files below `path`, without entering symlinked folders."""
    for entry in quietly.listed(path):
        if entry.folder:
            if depth < _DEEPEST:
                yield from _files(entry.path, depth + 1)
            continue
        status = _status(entry.path)
        if status is not None and stat.S_ISREG(status.st_mode):
            yield entry.name, status.st_size


class _Program:
    """What `model.mil` refers to, and any defect in it."""

    def __init__(self, path: str) -> None:
        """Read the program of the bundle at `path`."""
        self.blobs: dict[str, set[int]] = {}
        self.fault: FormatError | None = None
        self._open = 0  # brackets not closed yet
        self._quoted = False
        self._last = b""
        with untrusted.open_regular(os.path.join(path, _PROGRAM), follow=True) as file:
            try:
                self._read(file)
            except FormatError as error:
                self.fault = error

    def _read(self, file: BinaryIO) -> None:
        size_bytes = os.fstat(file.fileno()).st_size
        _check_program_head(file.read(HEAD_BYTES), size_bytes)
        file.seek(0)
        overlap, named = b"", False
        while chunk := file.read(_CHUNK_BYTES):
            while _ends_in_escape(chunk) and (escaped := file.read(1)):
                chunk += escaped
            self._count_brackets(chunk)
            text = overlap + chunk
            self._find_blobs(text)
            named = named or b"BLOBFILE" in text
            overlap = text[-_OVERLAP_BYTES:]
        if named and not self.blobs:  # spelled in an unknown way
            self.blobs[_WEIGHTS] = set()
        if self._open > 0 or self._quoted or self._last != b"}":
            message = "ends inside the program"
            raise FormatError(Fault.TRUNCATED, message, measured=size_bytes, member=_PROGRAM)

    def _count_brackets(self, chunk: bytes) -> None:
        outside = chunk.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')
        program = b"".join(outside[self._quoted :: 2])
        for opening, closing in (b"{}", b"[]", b"()"):
            self._open += program.count(opening) - program.count(closing)
        self._quoted ^= not len(outside) % 2
        self._last = chunk.rstrip()[-1:] or self._last

    def _find_blobs(self, text: bytes) -> None:
        for match in _REFERENCE.finditer(text):
            name = os.fsdecode(match[1]).removeprefix("@model_path/")
            if os.path.isabs(name) or "\0" in name or ".." in name.split("/"):
                raise _malformed(f"refers to `{name:.80}`, outside the bundle", _PROGRAM)
            offsets = self.blobs.setdefault(name, set())
            offsets.add(int(match[2]))
            if len(offsets) > _MOST_BLOBS or len(self.blobs) > _MOST_BLOB_FILES:
                raise _malformed("refers to more blobs than a model has", _PROGRAM)


def _ends_in_escape(chunk: bytes) -> bool:
    return bool((len(chunk) - len(chunk.rstrip(b"\\"))) % 2)


def _check_program_head(head: bytes, size_bytes: int) -> None:
    if not head:
        raise FormatError(Fault.TRUNCATED, "is empty", measured=0, member=_PROGRAM)
    start = b"program("
    if not head.startswith(start[: len(head)]):
        raise wrong_magic(head, "a Core ML program", size_bytes, _PROGRAM)
    if size_bytes > _LONGEST_PROGRAM_BYTES:
        message = f"is longer than the {_LONGEST_PROGRAM_BYTES >> 20} MiB allowed for a program"
        raise _malformed(message, _PROGRAM)


def _sniff(path: str, name: str) -> None:
    with untrusted.open_regular(os.path.join(path, name), follow=True) as file:
        head = file.read(HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0, member=name)
        if foreign(head):
            size_bytes = os.fstat(file.fileno()).st_size
            raise wrong_magic(head, "a part of a Core ML model", size_bytes, name)


def _check_weights(path: str, name: str, offsets: list[int]) -> int:
    """Check the weights in file `name`, with blobs at `offsets`; return the number of blobs."""
    with untrusted.open_regular(os.path.join(path, name), follow=True) as file:
        window = Window(file, os.fstat(file.fileno()).st_size, _ALIGNMENT)
        count = _blob_count(window, name)
        walk = _Walk(window)
        walk.follow(count)
        walk.jump(offsets)
        walk.check(name)
    return count


def _blob_count(window: Window, name: str) -> int:
    head, size_bytes = window.read(0, HEAD_BYTES), window.size_bytes
    kind = "a Core ML weight file"
    if not head:
        raise FormatError(Fault.TRUNCATED, "is empty", measured=0, member=name)
    if foreign(head):
        raise wrong_magic(head, kind, size_bytes, name)
    if len(head) < _ALIGNMENT:
        message = "ends inside its header"
        raise FormatError(Fault.TRUNCATED, message, measured=size_bytes, member=name)
    count, version = struct.unpack_from("<II", head)
    if version > _OTHER_VERSIONS or not any(head):
        raise wrong_magic(head, kind, size_bytes, name)
    if version != _BLOB_VERSION:
        raise _malformed(f"has version {version}, but Core ML reads {_BLOB_VERSION}", name)
    if count > _MOST_BLOBS:
        raise _malformed(f"claims {count} blobs, more than {_MOST_BLOBS}", name)
    return int(count)


class _Walk:
    """What the records in a weight file say, collected before any verdict."""

    def __init__(self, window: Window) -> None:
        """Start with a header and nothing after it."""
        self._window = window
        self._end = _ALIGNMENT  # of the last known data
        self._cut = False  # a record is beyond the end of the file
        self._all = False  # every record was visited
        self._wrong: int | None = None  # where a record should be but is not

    def follow(self, count: int) -> None:
        """Go from record to record while each follows the last, as coremltools writes them."""
        at = _ALIGNMENT
        for _ in range(count):
            end = self._record(at)
            if end is None or end < at + _ALIGNMENT:
                return
            at = -(-end // _ALIGNMENT) * _ALIGNMENT
        self._all = True

    def jump(self, offsets: list[int]) -> None:
        """Read the records that the program refers to."""
        for at in offsets:
            if self._record(at) is None and not self._cut and self._wrong is None:
                self._wrong = at

    def check(self, name: str) -> None:
        """Raise `FormatError` for any defect found in file `name`."""
        size_bytes = self._window.size_bytes
        if self._cut or self._end > size_bytes:
            expected = None if self._cut else self._end
            message = "ends before its blobs do"
            raise FormatError(
                Fault.TRUNCATED, message, measured=size_bytes, expected=expected, member=name
            )
        if self._wrong is not None:
            raise _malformed(
                f"has no blob at byte {self._wrong}, where the program expects one", name
            )
        if self._all and size_bytes > self._end + 2 * _ALIGNMENT:
            message = "goes on after its last blob"
            raise FormatError(
                Fault.TRAILING, message, measured=size_bytes, expected=self._end, member=name
            )

    def _record(self, at: int) -> int | None:
        """Return the end of the data of the record at `at`."""
        record = self._window.read(at, _ALIGNMENT)
        if len(record) < _ALIGNMENT:
            self._cut = True
            return None
        if not record.startswith(_SENTINEL):
            return None
        data_bytes, offset = struct.unpack_from("<QQ", record, 8)
        self._end = max(self._end, offset + data_bytes)
        return int(offset + data_bytes)


def _status(path: str) -> os.stat_result | None:
    """Return the stat result of `path`, or `None` if it is missing or a broken symlink."""
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            raise
        return None


def _malformed(message: str, member: str) -> FormatError:
    return FormatError(Fault.MALFORMED, message, member=member)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _size(count: int) -> str:
    if count < 1024:
        return f"{count} B"
    amount, unit = count / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if amount >= 1024:
            amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


BUNDLE: Bundle = CoreML()
