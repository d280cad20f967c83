"""What the lists of states do alike to a model's files."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from tests.truth.places import blob, change

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.truth.places import Content, Place
    from tests.truth.states import Build, Hub

    Edit = Callable[[dict[str, object]], object]


def unlink(hub: Hub, place: Place) -> Path:
    """Put a model whose links are the files themselves; return its snapshot."""
    snapshot = hub.put(place)
    for name in hub.files():
        real = blob(snapshot / name)
        (snapshot / name).unlink()
        real.rename(snapshot / name)
    return snapshot


def with_files(hub: Hub, drop: tuple[str, ...] = (), **more: Content) -> Build:
    """Put a model without some files and with others."""

    def build(place: Place) -> None:
        added = {name.replace("__", "."): content for name, content in more.items()}
        kept = {name: content for name, content in hub.files().items() if name not in drop}
        place.repository(hub.repository, {**kept, **added}, trees=False)

    return build


def editing(hub: Hub, name: str, how: Edit) -> Build:
    """Return a build whose small file `name` is edited as JSON."""

    def build(place: Place) -> None:
        def edit(data: bytes) -> bytes:
            told = json.loads(data)
            how(told)
            return json.dumps(told).encode()

        change(hub.put(place, trees=False) / name, edit)

    return build


def saying(**told: object) -> Edit:
    """Return an edit that sets these keys."""
    return lambda said: said.update(told)


def lacking(*keys: str) -> Edit:
    """Return an edit that takes these keys away."""
    return lambda said: [said.pop(key, None) for key in keys]


def within(key: str, edit: Edit) -> Edit:
    """Return an edit of what is below `key`."""
    return lambda said: edit(said[key])  # type: ignore[arg-type]


def reheaded(data: bytes, how: Edit) -> bytes:
    """Return a safetensors file with another header."""
    (length,) = struct.unpack_from("<Q", data)
    told = json.loads(data[8 : 8 + length])
    how(told)
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]
