"""Tiny, valid, deterministic files of every format, to cut or flip faults into.

A file is a list of pieces, each either bytes or the length of a hole, so that a huge one is cheap.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Pieces = list[bytes | int]

HTML_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>\n"
XML_ERROR = b'<?xml version="1.0"?><Error><Code>BlobNotFound</Code><Message>gone</Message></Error>'
JSON_ERROR = b'{"error":"Repository not found"}'
TEXT_ERROR = b"Invalid username or password."
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)

_CT2_ITEM_BYTES = (4, 1, 2, 4, 2, 2)
_CT2_TENSORS = (
    ("encoder/conv1/weight", (4, 3, 3), 4),
    ("encoder/conv1/bias", (4,), 4),
    ("decoder/embeddings/weight", (6, 4), 1),
    ("decoder/embeddings/weight_scale", (6,), 0),
    ("decoder/scale_embeddings", (), 1),
)
_CT2_ALIASES = (("decoder/projection/weight", "decoder/embeddings/weight"),)
_TENSOR_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I8": 1, "U8": 1}
_TENSORS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "decoder.embed_tokens.weight": ("F16", (6, 4)),
    "encoder.conv1.bias": ("F32", (4,)),
    "encoder.conv1.weight": ("F16", (4, 3, 3)),
}


def pattern(count: int, seed: int = 0) -> bytes:
    """Return `count` bytes that contain no 0 and no sign of a format."""
    return bytes((97 * index + seed) % 127 + 128 for index in range(count))


def joined(pieces: Pieces) -> bytes:
    """Return the bytes of a file, its holes filled with zeros."""
    return b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)


def write_sparse(path: Path, pieces: Pieces) -> int:
    """Write a file, its holes left as holes, and return its length."""
    with path.open("wb") as file:
        for piece in pieces:
            if isinstance(piece, int):
                file.seek(piece, 1)
            else:
                file.write(piece)
        return file.truncate()


def ctranslate2_model(
    *,
    version: int = 6,
    tensors: Sequence[tuple[str, tuple[int, ...], int]] = _CT2_TENSORS,
    aliases: Sequence[tuple[str, str]] = _CT2_ALIASES,
    specification: str = "WhisperSpec",
) -> bytes:
    """Return a `model.bin`; a tensor is its name, shape and type (or, before 4, item size)."""
    return joined(
        ctranslate2_pieces(
            version=version, tensors=tensors, aliases=aliases, specification=specification
        )
    )


def ctranslate2_pieces(
    *,
    version: int = 6,
    tensors: Sequence[tuple[str, tuple[int, ...], int]] = _CT2_TENSORS,
    aliases: Sequence[tuple[str, str]] = (),
    specification: str = "WhisperSpec",
    hollow: bool = False,
) -> Pieces:
    """Return a `model.bin`, with `hollow` its payloads as holes.

    Source: OpenNMT/CTranslate2 python/ctranslate2/specs/model_spec.py:_serialize
    """
    pieces: Pieces = [struct.pack("<I", version)]
    if version >= 2:
        pieces.append(_ct2_text(specification) + struct.pack("<I", 3))
    pieces.append(struct.pack("<I", len(tensors)))
    for seed, (name, shape, kind) in enumerate(tensors):
        items = _product(shape)
        item_bytes = _CT2_ITEM_BYTES[kind] if version >= 4 else kind
        count = items * item_bytes if version >= 4 else items
        head = _ct2_text(name) + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        pieces.append(head + struct.pack("<BI", kind, count))
        pieces.append(items * item_bytes if hollow else pattern(items * item_bytes, seed))
    if version >= 3:
        listed = b"".join(_ct2_text(alias) + _ct2_text(name) for alias, name in aliases)
        pieces.append(struct.pack("<I", len(aliases)) + listed)
    return pieces


def safetensors_file(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]] = _TENSORS,
    *,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a safetensors file; a tensor is its dtype and shape."""
    head, data_bytes = safetensors_head(tensors, metadata=metadata)
    return head + pattern(data_bytes)


def safetensors_head(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]],
    *,
    metadata: Mapping[str, str] | None = None,
) -> tuple[bytes, int]:
    """Return the header and the length of the data.

    Source: huggingface/safetensors README.md#format
    """
    header: dict[str, object] = {"__metadata__": metadata} if metadata is not None else {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        end = at + _TENSOR_BYTES[dtype] * _product(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, end]}
        at = end
    return safetensors_header(header), at


def safetensors_header(header: object) -> bytes:
    """Return any header at all, padded as the library does it."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def torch_zip_file(
    *, root: str = "archive", storages: int = 3, zip64: bool = True, comment: bytes = b""
) -> bytes:
    """Return a `.pt` as `torch.save` writes it, or without its zip64 record."""
    records: dict[str, bytes | int] = {
        f"{root}/data.pkl": b"\x80\x02}q\x00.",
        f"{root}/byteorder": b"little",
        **{f"{root}/data/{number}": pattern(40 + number, number) for number in range(storages)},
        f"{root}/version": b"3\n",
        f"{root}/.data/serialization_id": b"0" * 40,
    }
    return joined(zip_pieces(records, zip64=zip64, comment=comment))


def zip_pieces(
    members: Mapping[str, bytes | int],
    *,
    zip64: bool = True,
    comment: bytes = b"",
    method: int = 0,
    flags: int = 0x800,
) -> Pieces:
    """Return a zip archive whose data is aligned to 64 bytes; a member may be a hole.

    Source: pytorch/pytorch caffe2/serialize/inline_container.cc:PyTorchStreamWriter
    """
    pieces: Pieces = []
    directory = b""
    at = 0
    for name, data in members.items():
        size = data if isinstance(data, int) else len(data)
        crc = 0 if isinstance(data, int) else zlib.crc32(data)
        encoded = name.encode()
        values = (size, size, at)
        wide = b"".join(struct.pack("<Q", value) for value in values if value >= 0xFFFFFFFF)
        extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        narrow = [min(value, 0xFFFFFFFF) for value in values]
        start = at + 30 + len(encoded) + len(extra) + 4
        padding = -start % 64
        local_extra = extra + struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        common = struct.pack("<HHHHIII", flags, method, 0, 33, crc, narrow[0], narrow[1])
        local = b"PK\x03\x04" + struct.pack("<H", 20) + common
        pieces += [local + struct.pack("<HH", len(encoded), len(local_extra)) + encoded]
        pieces += [local_extra, data]
        directory += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + common
        directory += struct.pack("<HHHHHII", len(encoded), len(extra), 0, 0, 0, 0, narrow[2])
        directory += encoded + extra
        at = start + padding + size
    pieces.append(directory)
    end = at + len(directory)
    if zip64:
        count = len(members)
        sizes = struct.pack("<QQQQ", count, count, len(directory), at)
        pieces.append(b"PK\x06\x06" + struct.pack("<QHHII", 44, 45, 45, 0, 0) + sizes)
        pieces.append(b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1))
    sizes = struct.pack("<II", min(len(directory), 0xFFFFFFFF), min(at, 0xFFFFFFFF))
    counts = struct.pack("<HHHH", 0, 0, *(min(len(members), 0xFFFF),) * 2)
    pieces.append(b"PK\x05\x06" + counts + sizes + struct.pack("<H", len(comment)) + comment)
    return pieces


def weight_bin(blobs: Sequence[int] = (96, 10, 64)) -> tuple[bytes, list[int]]:
    """Return a Core ML weight file with fp16 blobs of these sizes in bytes, and their offsets.

    Source: apple/coremltools mlmodel/src/MILBlob/Blob/StorageFormat.hpp
    """
    data = struct.pack("<II56x", len(blobs), 2)
    offsets = []
    for seed, count in enumerate(blobs):
        data += bytes(-len(data) % 64)
        offsets.append(len(data))
        data += struct.pack("<IIQQ40x", 0xDEADBEEF, 1, count, len(data) + 64)
        data += pattern(count, seed)
    return data, offsets


def program(offsets: Sequence[int], spelling: Literal["ios17", "ios18"] = "ios17") -> str:
    """Return a `model.mil` that names blobs at `offsets`."""
    text, number = {
        "ios17": ("tensor<string, []>", "tensor<uint64, []>"),
        "ios18": ("string", "uint64"),
    }[spelling]
    lines = ["program(1.0)", '[buildInfo = dict<string, string>({{"coremlc-version", "3"}})]', "{"]
    lines.append(f"    func main<{spelling}>(tensor<fp32, [1, 80]> x) {{")
    lines += [
        f'        tensor<fp16, [5]> w{at} = const()[name = {text}("w{at}"), val = '
        f'tensor<fp16, [5]>(BLOBFILE(path = {text}("@model_path/weights/weight.bin"), '
        f"offset = {number}({at})))];"
        for at in offsets
    ]
    return "\n".join([*lines, "    } -> (x);", "}"])


def mlmodelc(
    folder: Path,
    *,
    blobs: Sequence[int] = (96, 10, 64),
    spelling: Literal["ios17", "ios18"] = "ios17",
) -> Path:
    """Write a compiled bundle; without blobs it has no weights, as a graph without constants."""
    weights, offsets = weight_bin(blobs)
    (folder / "analytics").mkdir(parents=True)
    (folder / "analytics" / "coremldata.bin").write_bytes(bytes(8) + pattern(235))
    (folder / "coremldata.bin").write_bytes(bytes(8) + pattern(320))
    (folder / "metadata.json").write_text('[{"modelType": {"name": "MLModelType_mlProgram"}}]\n')
    (folder / "model.mil").write_text(program(offsets, spelling))
    if blobs:
        (folder / "weights").mkdir()
        (folder / "weights" / "weight.bin").write_bytes(weights)
    return folder


def _ct2_text(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return struct.pack("<H", len(encoded)) + encoded


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for dimension in shape:
        product *= dimension
    return product
