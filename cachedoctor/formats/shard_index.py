"""The index of weights split into several safetensors files.

    {"metadata": {…}, "weight_map": {"<tensor>": "model-00001-of-00002.safetensors", …}}

Source: huggingface/transformers `utils/hub.py` `get_checkpoint_shard_files`
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Window, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "an index of shards"
_LONGEST_BYTES = 64 << 20
_MOST_SHARDS = 10_000


class ShardIndex:
    """Parses the whole index, which is short."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that the index lists files beside itself; reads all of it.

        transformers requires `metadata`, whatever it says.
        """
        found = shards(file, size_bytes)
        if "metadata" not in json.loads(Window(file, size_bytes).read(0, size_bytes)):
            raise FormatError(Fault.MALFORMED, "has no `metadata`")
        return Reading(size_bytes, {"shards": len(found)})


def shards(file: BinaryIO, size_bytes: int) -> tuple[str, ...]:
    """Return the names of the files listed in an index; raises `FormatError`."""
    if size_bytes > _LONGEST_BYTES:
        raise FormatError(Fault.MALFORMED, f"is longer than {_LONGEST_BYTES >> 20} MiB")
    data = Window(file, size_bytes).read(0, size_bytes)
    if not data:
        raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
    if not data.lstrip().startswith(b"{"):
        raise wrong_magic(data[:HEAD_BYTES], _KIND, size_bytes)
    try:
        table = json.loads(data)["weight_map"]
        names = {name for name in table.values() if isinstance(name, str)}
        wrong = len(names) > _MOST_SHARDS or not names or not all(map(_is_plain, names))
        wrong = wrong or any(not isinstance(name, str) for name in table.values())
    except json.JSONDecodeError as error:
        cut = error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated")
        fault, measured = (Fault.TRUNCATED, size_bytes) if cut else (Fault.MALFORMED, None)
        raise FormatError(fault, f"is not JSON: {error.msg}", measured=measured) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(Fault.MALFORMED, "has no `weight_map`") from None
    if wrong:
        raise FormatError(Fault.MALFORMED, "names files outside its folder")
    return tuple(sorted(names))


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return "\0" not in name and not any(part in ("", ".", "..") for part in parts)


FORMAT: Format = ShardIndex()
