"""Foreign bytes for every reader: a value or a `FormatError`, never anything else."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.errors import FormatError
from tests.support import builders, builders_models, coreml_bundles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NOISE = (
    b"",
    b"PK\x03\x04",
    b"PK\x05\x06",
    b'\x30\0\0\0\0\0\0\0{"',
    b"lmgg",
    b"GGUF",
    b"{",
    b"\x80",
)


def whole() -> Mapping[str, Sequence[bytes]]:
    """Return real files of each format, by its name."""
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    return {
        "ctranslate2": [builders.ctranslate2_model()],
        "ggml": [builders_models.ggml_whisper(), builders_models.ggml_parakeet()],
        "json_text": [b'{"a": [1, 2.5, "x", null, true]}', b"[]"],
        "npz": [builders_models.npz_file(), builders_models.npz_file(packed=True)],
        "safetensors": [builders.safetensors_file()],
        "shard_index": [builders_models.shard_index(shards)],
        "torch_zip": [builders.torch_zip_file()],
    }


def fuzz_bundles(count: int, seed: int) -> int:
    """Give the reader of Core ML bundles `count` damaged ones; return how many it refused."""
    chance = random.Random(f"coreml {seed}")
    reader = formats.find_bundle("coreml")
    refused = 0
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "A.mlmodelc")
        coreml_bundles.make_bundle(bundle, weights=[96, 10, 64], seed=1)
        files = sorted(path for path in bundle.rglob("*") if path.is_file())
        for _ in range(count):
            path = chance.choice(files)
            content = path.read_bytes()
            path.write_bytes(_damaged(content, chance))
            try:
                reader.inspect(str(bundle))
            except FormatError:
                refused += 1
            path.write_bytes(content)
    return refused


def fuzz(name: str, count: int, seed: int) -> int:
    """Give the reader of a format `count` inputs; return how many of them it refused."""
    chance = random.Random(f"{name} {seed}")
    reader = formats.find(name)
    files = whole()[name]
    refused = 0
    for _ in range(count):
        raw = _noise(chance) if chance.random() < 0.2 else _damaged(chance.choice(files), chance)
        try:
            reader.read(io.BytesIO(raw), len(raw))
        except FormatError:
            refused += 1
    return refused


def _noise(chance: random.Random) -> bytes:
    return chance.choice(_NOISE) + chance.randbytes(chance.randrange(300))


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(raw) + 1)
        match chance.randrange(5):
            case 0:
                flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in raw[at : at + 1])
                raw = raw[:at] + flipped + raw[at + 1 :]
            case 1:
                raw = raw[:at]
            case 2:
                raw = raw[:at] + chance.randbytes(chance.randrange(12)) + raw[at:]
            case 3:
                raw = raw[:at] + raw[at + chance.randrange(16) :]
            case _:  # numbers that are too large
                raw = raw[:at] + b"\xff" * 8 + raw[at + 8 :]
    return raw
