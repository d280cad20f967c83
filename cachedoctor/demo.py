"""Make a small Mac-like home whose model caches are broken in common ways.

The files have valid formats and a few KiB each, so they can really be scanned and fixed.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from typing import TYPE_CHECKING

from cachedoctor.system import disk

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMIT = "5ca1ab1e" * 5
_PARAKEET = "FluidInference/parakeet-tdt-0.6b-v3-coreml"


def build(home: str) -> None:
    """Write the home: a hub cache and a FluidAudio folder, both damaged.

    - the faster-whisper ref has a newline, its tokenizer blob is missing, a dead download remains;
    - the FluidAudio folder has its old name, a hollow Encoder, an intact Decoder and nothing else,
      while the hub cache has everything.
    """
    hub = os.path.join(home, ".cache", "huggingface", "hub")
    whisper = {
        "model.bin": _ctranslate2(),
        "config.json": b'{"alignment_heads": [[1, 0]]}\n',
        "tokenizer.json": b'{"version": "1.0", "model": {"vocab": {}}}\n',
        "vocabulary.txt": b'!\n"\n#\n',
    }
    repository = _repository(hub, "Systran/faster-whisper-tiny.en", whisper)
    name = "tokenizer.json"  # faster-whisper takes it from here if its own is missing
    alone = _repository(hub, "openai/whisper-tiny.en", {name: whisper[name]})
    disk.remove_tree(os.path.join(alone, "trees"))  # a single-file download writes no manifest
    _write(os.path.join(repository, "refs", "main"), f"{_COMMIT}\n".encode(), again=True)
    tokenizer = os.path.join(repository, "blobs", _git_sha1(whisper["tokenizer.json"]))
    disk.remove_tree(tokenizer)
    _write(os.path.join(repository, "blobs", f"{'5f' * 32}.1a2b3c4d.incomplete"), bytes(4096))

    names = ("Encoder", "Decoder", "Preprocessor", "JointDecisionv3")
    parakeet: dict[str, bytes] = {"parakeet_vocab.json": b'{"0": "<unk>", "1": "a"}\n'}
    for number, name in enumerate(names, 1):
        for file, content in _bundle(16384 * number).items():
            parakeet[f"{name}.mlmodelc/{file}"] = content
    _repository(hub, _PARAKEET, parakeet)
    models = os.path.join(home, "Library", "Application Support", "FluidAudio", "Models")
    folder = os.path.join(models, "parakeet-tdt-0.6b-v3-coreml")
    for file, content in parakeet.items():
        if file.startswith("Decoder.mlmodelc/"):
            _write(os.path.join(folder, file), content)
    metadata = os.path.join(folder, "Encoder.mlmodelc", "metadata.json")
    _write(metadata, b'[{"shortDescription": "encoder"}]'.ljust(3072))


def _repository(hub: str, name: str, files: Mapping[str, bytes]) -> str:
    """Write one repository as the hub client would, and return its folder."""
    path = os.path.join(hub, "models--" + name.replace("/", "--"))
    tree = {}
    for file, content in files.items():
        large = file.endswith(".bin")
        digest = hashlib.sha256(content).hexdigest()
        etag = digest if large else _git_sha1(content)
        tree[file] = {"size": len(content), "blob_id": _git_sha1(content)}
        if large:
            tree[file] |= {"lfs_sha256": digest, "lfs_size": len(content)}
        blob = os.path.join(path, "blobs", etag)
        if not os.path.exists(blob):
            _write(blob, content)
        link = os.path.join(path, "snapshots", _COMMIT, file)
        disk.make_folders(os.path.dirname(link))
        disk.link(link, os.path.relpath(blob, os.path.dirname(link)))
    manifest = json.dumps({"format_version": 1, "files": tree})
    _write(os.path.join(path, "trees", f"{_COMMIT}.json"), manifest.encode())
    _write(os.path.join(path, "refs", "main"), _COMMIT.encode())
    return path


def _bundle(weights_bytes: int) -> dict[str, bytes]:
    """Return the files of a compiled Core ML bundle with one blob of weights."""
    record = struct.pack("<IIQQ", 0xDEADBEEF, 1, weights_bytes, 128).ljust(64, b"\0")
    header = struct.pack("<II", 1, 2).ljust(64, b"\0")
    program = (
        "program(1.0) { func main<ios17>() { tensor<fp16, [1]> w = const()[val = tensor<fp16, [1]>("
        'BLOBFILE(path = tensor<string, []>("@model_path/weights/weight.bin"), '
        "offset = tensor<uint64, []>(64)))]; } }\n"
    )
    return {
        "coremldata.bin": bytes(range(1, 244)),
        "analytics/coremldata.bin": bytes(range(2, 245)),
        "metadata.json": b"[{}]",
        "model.mil": program.encode(),
        "weights/weight.bin": header + record + bytes(weights_bytes),
    }


def _ctranslate2() -> bytes:
    """Return a CTranslate2 model with one variable.

    Source: OpenNMT/CTranslate2 `python/ctranslate2/specs/model_spec.py` `_serialize`.
    """
    values = bytes(8192)
    variable = _string("decoder/embeddings/weight") + struct.pack("<BII", 2, 64, 32)
    variable += struct.pack("<BI", 0, len(values)) + values
    return (
        struct.pack("<I", 6)
        + _string("WhisperSpec")
        + struct.pack("<II", 3, 1)
        + variable
        + struct.pack("<I", 0)
    )


def _string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _write(path: str, content: bytes, *, again: bool = False) -> None:
    disk.make_folders(os.path.dirname(path))
    if again:
        disk.remove_tree(path)
    disk.write(path, content)
