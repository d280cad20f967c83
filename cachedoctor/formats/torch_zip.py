"""PyTorch's `.pt`, loaded by openai-whisper and whisper-mps: an uncompressed zip archive.

    <root>/data.pkl          the tensors' shapes; never unpickled here
    <root>/version
    <root>/data/0 …          one record per storage, aligned to 64 bytes
    central directory, zip64 record and locator, end record

Before 1.6 the file was a bare pickle, which openai-whisper still loads.

Source: pytorch/pytorch caffe2/serialize/inline_container.cc:PyTorchStreamReader::init,
torch/serialization.py:_is_zipfile
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, LEGACY_TORCH, Window, wrong_magic
from cachedoctor.formats._zip import LOCAL, Member, data_offset, members, shown
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a PyTorch checkpoint"
_MOST_SAID_BYTES = 4 << 20
_MOST_PICKLES = 4  # a bare one follows three small ones
_STORAGE = "storage"
_TUPLES = ("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE")


class TorchZip:
    """Reads the directory at the end and compares it with each record's own header."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the records are uncompressed, complete and disjoint, and include `data.pkl`.

        Reads about 200 bytes per record. A truncated file has lost its directory, and with it the
        expected length. Nothing says how long a legacy pickle must be, so any length passes.
        """
        head = Window(file, size_bytes).read(0, HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
        if head.startswith(LEGACY_TORCH):
            return Reading(size_bytes, {"kind": "legacy"})
        if len(head) < 4 or LEGACY_TORCH.startswith(head):
            raise FormatError(Fault.TRUNCATED, "ends inside its header", measured=len(head))
        if not head.startswith(LOCAL):
            raise wrong_magic(head, _KIND, size_bytes)
        found = members(file, size_bytes)
        root = _root(found, size_bytes)
        for member in found:
            if member.method or member.encrypted or member.packed_bytes != member.size_bytes:
                message = f"holds `{shown(member.name)}` compressed, which PyTorch never does"
                raise FormatError(Fault.MALFORMED, message)
        return Reading(size_bytes, {"kind": "zip", "root": root, "records": len(found)})


def _root(found: tuple[Member, ...], size_bytes: int) -> str:
    names = {member.name for member in found}
    root = found[0].name.partition(b"/")[0] if found else b""
    if root + b"/data.pkl" in names:
        return shown(root)
    arrays = bool(names) and all(name.endswith(b".npy") for name in names)
    what = "a NumPy archive" if arrays else "a zip archive without `data.pkl`"
    raise FormatError(Fault.WRONG_MAGIC, f"is {what}, not {_KIND}", measured=size_bytes)


def says(file: BinaryIO, size_bytes: int) -> bytes:
    """Return the pickle with the names, or the start of a bare one; raises `FormatError`.

    The pickle is searched for names, never unpickled.
    """
    window = Window(file, size_bytes)
    if window.read(0, HEAD_BYTES).startswith(LEGACY_TORCH):
        return window.read(0, min(size_bytes, _MOST_SAID_BYTES))
    found = members(file, size_bytes)
    name = f"{_root(found, size_bytes)}/data.pkl".encode()
    pickle = next((member for member in found if member.name == name), None)
    if pickle is None or pickle.size_bytes > _MOST_SAID_BYTES:
        return b""
    return window.read(data_offset(window, pickle), pickle.size_bytes)


def shapes(file: BinaryIO, size_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in the pickle, without unpickling it.

    Reads its opcodes one by one: a tensor's storage is preceded by its name and followed by its
    offset and then the length of each axis.
    """
    import pickletools
    from io import BytesIO

    said = BytesIO(says(file, size_bytes))
    found: dict[str, tuple[int, ...]] = {}
    for _ in range(_MOST_PICKLES):
        with contextlib.suppress(ValueError, KeyError, IndexError, UnicodeDecodeError):
            found |= _shapes(pickletools.genops(said))
    return found


def settings(file: BinaryIO, size_bytes: int) -> dict[str, object]:
    """Return what OpenAI's checkpoint says about its sizes; nothing is unpickled.

    Source: openai-whisper 20250625 `__init__.py` `load_model`: `dims`.
    """
    import pickletools
    from io import BytesIO

    said = BytesIO(says(file, size_bytes))
    found: dict[str, object] = {}
    for _ in range(_MOST_PICKLES):
        with contextlib.suppress(ValueError, KeyError, IndexError, UnicodeDecodeError):
            found = found or _dims(pickletools.genops(said))
    return found


def _dims(instructions: Iterable[tuple[object, object, int | None]]) -> dict[str, object]:
    found: dict[str, object] = {}
    begun, key = False, ""
    for code, value, _ in instructions:
        name = getattr(code, "name", "")
        if not begun:
            begun = value == "dims" and "UNICODE" in name
        elif name in ("SETITEMS", "SETITEM"):
            return found
        elif "UNICODE" in name and not key:
            key = str(value)
        elif key and ("UNICODE" in name or "INT" in name or "FLOAT" in name):
            found[key], key = value, ""
    return found


def _shapes(
    instructions: Iterable[tuple[object, object, int | None]],
) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    words: list[str] = []
    numbers: list[int] | None = None  # set after a storage
    for code, value, _ in instructions:
        name = getattr(code, "name", "")
        if isinstance(value, str) and "UNICODE" in name:
            words.append(value)
        elif name == "BINPERSID":
            numbers = []
        elif numbers is not None and isinstance(value, int) and "INT" in name:
            numbers.append(value)
        elif numbers and name in _TUPLES:
            at = words.index(_STORAGE) - 1 if _STORAGE in words else 0
            if words and at >= 0:
                found[words[at]] = tuple(numbers[1:])
            words, numbers = [], None
    return found


CHECKSUMS = True  # one per member
FORMAT: Format = TorchZip()
