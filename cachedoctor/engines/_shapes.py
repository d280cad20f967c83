"""Read what tells a speech model that no table names: its configuration and its first bytes.

Each engine knows its own by a key found in no other kind of model; a language model in the same
layout has none of them.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cachedoctor.vocabulary import Artifact, Entry, Stamp

_CONFIG_LIMIT_BYTES = 1 << 20
_HEAD_BYTES = 64
_WORDS = (b"whisper", b"n_mels", b"nemo.", b"alignment_heads", b"lang_ids")  # one in each config


def config(entry: Entry) -> Mapping[str, object]:
    """Return the content of `config.json`, or nothing if it is not an object about speech."""
    artifact = entry.find("config.json")
    if artifact is None or artifact.stamp is None or artifact.state is not State.PRESENT:
        return {}
    if not 0 < artifact.size_bytes <= _CONFIG_LIMIT_BYTES:
        return {}
    return _understood(artifact.file, artifact.stamp)


@lru_cache(maxsize=8)  # several engines and revisions ask for one file in turn
def _understood(file: str, stamp: Stamp) -> Mapping[str, object]:
    """Return a configuration with this stamp, or nothing if it is not about speech."""
    content = _read(file, _CONFIG_LIMIT_BYTES)
    if not any(word in content for word in _WORDS):
        return {}
    try:
        said = untrusted.parse_json(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def head(artifact: Artifact) -> bytes:
    """Return the first 64 bytes of a file, or nothing if it cannot be read."""
    return _read(artifact.file, _HEAD_BYTES) if artifact.state is State.PRESENT else b""


def _read(path: str, most_bytes: int) -> bytes:
    """Read the start of a regular file; nothing of any other."""
    try:
        with untrusted.open_regular(path, follow=True) as file:
            size = os.fstat(file.fileno()).st_size  # a megabyte of room takes its time
            return file.read(min(size, most_bytes)) or b""
    except OSError:
        return b""
