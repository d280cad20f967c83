"""PyTorch's `.pt`, which openai-whisper and whisper-mps load: a zip archive without compression.

    <root>/data.pkl          the tensors' shapes; never unpickled here
    <root>/version
    <root>/data/0 …          one record a storage, aligned to 64 bytes
    central directory, zip64 record and locator, end record

Before 1.6 it was a bare pickle, which openai-whisper still loads.

Source: pytorch/pytorch caffe2/serialize/inline_container.cc:PyTorchStreamReader::init,
torch/serialization.py:_is_zipfile
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, LEGACY_TORCH, Window, wrong_magic
from cachedoctor.formats._zip import LOCAL, Member, members, shown
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a PyTorch checkpoint"


class TorchZip:
    """Reads the directory at the end and compares each record's own header with it."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the records are stored, complete and apart, and one is `data.pkl`.

        Reads some 200 bytes a record. A truncated file has lost its directory, and with it the
        expected length. Nothing tells how long a legacy pickle must be: it is taken as it is.
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
                message = f"holds `{shown(member.name)}` packed, which PyTorch does not"
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


CHECKSUMS = True  # of each member
FORMAT: Format = TorchZip()
