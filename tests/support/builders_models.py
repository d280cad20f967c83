"""Small, valid, deterministic files of whisper.cpp's, MLX's and transformers' formats."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING

from tests.support.builders import pattern

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MAGIC = 0x67676D6C
_STATE, _COLUMNS = 32, 3


def ggml_whisper(
    *, audio_layers: int = 1, text_layers: int = 1, tokens: int = 5, quantised: bool = False
) -> bytes:
    """Return a whisper model with every tensor that such a model has, 32 numbers each."""
    kind = 2 if quantised else 1
    count = 11 + 15 * audio_layers + 24 * text_layers
    tensors = b"".join(
        _tensor(f"decoder.{number}.weight", (_STATE,), kind, number) for number in range(count)
    )
    return _ggml_head(audio_layers, text_layers, tokens) + tensors


def ggml_stub(tokens: int = 5) -> bytes:
    """Return a whisper model without any tensor."""
    return _ggml_head(4, 4, tokens)


def ggml_silero() -> bytes:
    """Return the head of a voice activity model."""
    return (
        struct.pack("<Ii", _MAGIC, 10) + b"silero-16k" + struct.pack("<3i", 6, 2, 0) + pattern(99)
    )


def ggml_parakeet() -> bytes:
    """Return the head of a Parakeet model."""
    values = (8192, 5000, 1024, 8, 24, 80, 1, 512, 8, 256, 9, 640, 2, 5, 10)
    return struct.pack("<I15i", _MAGIC, *values) + pattern(200)


def npz_file(*, quantized: bool = False, packed: bool = False) -> bytes:
    """Return an archive of arrays as MLX writes it; `packed` as NumPy can write it."""
    arrays: dict[str, tuple[str, tuple[int, ...]]] = {
        "encoder.weight": ("<f2", (4, 8)),
        "decoder.scalar": ("<f4", ()),
    }
    if quantized:
        arrays |= {"encoder.scales": ("<f2", (4,)), "encoder.biases": ("<f2", (4,))}
    return zip_of({f"{name}.npy": npy(*array) for name, array in arrays.items()}, packed=packed)


def npy(kind: str, shape: tuple[int, ...]) -> bytes:
    """Return one array in NumPy's own format."""
    axes = "".join(f"{axis}, " for axis in shape)
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': ({axes}), }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    count = int(kind[2:])
    for axis in shape:
        count *= axis
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + pattern(count)


def zip_of(files: Mapping[str, bytes], *, packed: bool = False) -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return buffer.getvalue()


def shard_index(shards: Sequence[str]) -> bytes:
    """Return the index of weights split into these files."""
    names = {f"layer.{number}.weight": shard for number, shard in enumerate(shards)}
    return json.dumps({"metadata": {"total_size": 1}, "weight_map": names}).encode()


def _ggml_head(audio_layers: int, text_layers: int, tokens: int) -> bytes:
    values = (tokens, 1500, _STATE, 2, audio_layers, 448, _STATE, 2, text_layers, 80, 1)
    mel = struct.pack("<2i", 80, _COLUMNS) + pattern(4 * 80 * _COLUMNS)
    words = b"".join(struct.pack("<I", number) + b"x" * number for number in range(tokens))
    return struct.pack("<I11i", _MAGIC, *values) + mel + struct.pack("<i", tokens) + words


def _tensor(name: str, shape: tuple[int, ...], kind: int, seed: int) -> bytes:
    block_bytes, block = {1: (2, 1), 2: (18, 32)}[kind]
    items = 1
    for axis in shape:
        items *= axis
    head = struct.pack(f"<3i{len(shape)}i", len(shape), len(name), kind, *shape)
    return head + name.encode() + pattern(items // block * block_bytes, seed)
