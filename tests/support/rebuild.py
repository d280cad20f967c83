"""OpenAI's Whisper tensors, rewritten bit for bit as the files that engines download.

A CTranslate2 fp16 conversion holds exactly OpenAI's tensors, so every other official format follows
from it: the `.pt` of openai-whisper, whisper.cpp's GGML f16, `model.safetensors` of transformers.
Numpy only. `tests.support.weights` proves each result against the published digest.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Tensor: TypeAlias = NDArray[np.float16]

_FP16 = 4
_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Whisper:
    """A model in OpenAI's own terms, tensors in the order of OpenAI's state dictionary."""

    dims: Mapping[str, int]
    tensors: Mapping[str, Tensor]


def read_ctranslate2(model_bin: Path) -> Whisper:
    """Return the Whisper model of an fp16 CTranslate2 `model.bin`.

    Source: OpenNMT/CTranslate2@04ebb5bc python/ctranslate2/specs/model_spec.py:_serialize
    """
    import numpy as np

    data = model_bin.read_bytes()
    at = 4

    def number(code: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{code}", data, at)
        at += struct.calcsize(code)
        return int(value)

    def text() -> str:
        nonlocal at
        length = number("H")
        at += length
        return data[at - length : at - 1].decode()

    text()
    number("I")
    tensors: dict[str, Tensor] = {}
    heads = 0
    for _ in range(number("I")):
        name = text()
        shape = [number("I") for _ in range(number("B"))]
        kind, size_bytes = number("B"), number("I")
        if kind == _FP16:
            tensors[name] = np.frombuffer(data, "<f2", size_bytes // 2, at).reshape(shape)
        elif name == "decoder/num_heads":
            (heads,) = struct.unpack_from("<h", data, at)
        at += size_bytes
    return Whisper(_dims(tensors, heads), dict(_openai_tensors(tensors)))


def _dims(tensors: Mapping[str, Tensor], heads: int) -> dict[str, int]:
    """Return the dimensions that the shapes imply, in the order of openai-whisper."""
    audio_ctx, audio_state = tensors["encoder/position_encodings/encodings"].shape
    text_ctx, text_state = tensors["decoder/position_encodings/encodings"].shape
    return {
        "n_mels": tensors["encoder/conv1/weight"].shape[1],
        "n_vocab": tensors["decoder/embeddings/weight"].shape[0],
        "n_audio_ctx": audio_ctx,
        "n_audio_state": audio_state,
        "n_audio_head": heads,
        "n_audio_layer": _layers(tensors, "encoder"),
        "n_text_ctx": text_ctx,
        "n_text_state": text_state,
        "n_text_head": heads,
        "n_text_layer": _layers(tensors, "decoder"),
    }


def _layers(tensors: Mapping[str, Tensor], side: str) -> int:
    return sum(name.startswith(f"{side}/layer_") for name in tensors if "ffn/linear_0/bias" in name)


def _openai_tensors(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield OpenAI's names and tensors, in the order in which OpenAI saved them."""
    yield "decoder.positional_embedding", tensors["decoder/position_encodings/encodings"]
    yield "encoder.positional_embedding", tensors["encoder/position_encodings/encodings"]
    yield "decoder.token_embedding.weight", tensors["decoder/embeddings/weight"]
    for layer in range(_layers(tensors, "decoder")):
        yield from _block(tensors, f"decoder.blocks.{layer}", f"decoder/layer_{layer}")
    yield from _norm(tensors, "decoder.ln", "decoder/layer_norm")
    yield from _linear(tensors, "encoder.conv1", "encoder/conv1")
    yield from _linear(tensors, "encoder.conv2", "encoder/conv2")
    for layer in range(_layers(tensors, "encoder")):
        yield from _block(tensors, f"encoder.blocks.{layer}", f"encoder/layer_{layer}")
    yield from _norm(tensors, "encoder.ln_post", "encoder/layer_norm")


def _block(tensors: Mapping[str, Tensor], name: str, source: str) -> Iterator[tuple[str, Tensor]]:
    yield from _norm(tensors, f"{name}.mlp_ln", f"{source}/ffn/layer_norm")
    yield from _linear(tensors, f"{name}.mlp.0", f"{source}/ffn/linear_0")
    yield from _linear(tensors, f"{name}.mlp.2", f"{source}/ffn/linear_1")
    yield from _norm(tensors, f"{name}.attn_ln", f"{source}/self_attention/layer_norm")
    yield from _attention(tensors, f"{name}.attn", f"{source}/self_attention")
    if f"{source}/attention/layer_norm/gamma" in tensors:
        yield from _norm(tensors, f"{name}.cross_attn_ln", f"{source}/attention/layer_norm")
        yield from _attention(tensors, f"{name}.cross_attn", f"{source}/attention")


def _attention(
    tensors: Mapping[str, Tensor], name: str, source: str
) -> Iterator[tuple[str, Tensor]]:
    """Yield query, key, value and out, which CTranslate2 keeps fused.

    Self-attention has all three in `linear_0`; cross-attention has key and value in `linear_1`.
    OpenAI's keys have no bias, the fused bias has zeros in their place.
    """
    import numpy as np

    weights: list[Tensor] = []
    biases: list[Tensor] = []
    names = sorted(part for part in tensors if part.startswith(f"{source}/linear_"))
    *fused, out = (part.removesuffix("/weight") for part in names if part.endswith("/weight"))
    for part in fused:
        bias = tensors[f"{part}/bias"]
        roles = bias.size // tensors[f"{out}/bias"].size
        weights += np.split(tensors[f"{part}/weight"], roles)
        biases += np.split(bias, roles)
    for role, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        yield f"{name}.{role}.weight", weight
        if role == "key":
            assert not bias.any()
        else:
            yield f"{name}.{role}.bias", bias
    yield from _linear(tensors, f"{name}.out", out)


def _norm(tensors: Mapping[str, Tensor], name: str, source: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", tensors[f"{source}/gamma"]
    yield f"{name}.bias", tensors[f"{source}/beta"]


def _linear(tensors: Mapping[str, Tensor], name: str, source: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.weight", tensors[f"{source}/weight"]
    yield f"{name}.bias", tensors[f"{source}/bias"]


def write_openai(model: Whisper, path: Path) -> None:
    """Write the `.pt` file of openai-whisper as torch 1.x saved it.

    The weights of linear layers are views: stored transposed, read with stride (1, n).
    Source: pytorch/pytorch@02b040c1 caffe2/serialize/inline_container.cc:getPadding
    """
    storages = {
        str(key): (tensor.T if _is_transposed(name, tensor) else tensor).tobytes()
        for key, (name, tensor) in enumerate(model.tensors.items())
    }
    records = {"data.pkl": _pickle(model)}
    records |= {f"data/{key}": storages[key] for key in sorted(storages)}
    records["version"] = b"3\n"
    with path.open("wb") as file:
        directory = bytearray()
        for record, data in records.items():
            name = f"archive/{record}".encode()
            offset = file.tell()
            pad = -(offset + 34 + len(name)) % _ALIGNMENT
            file.write(struct.pack("<4s2H18x2H", b"PK\3\4", 0, 0x808, len(name), pad + 4) + name)
            file.write(struct.pack("<2sH", b"FB", pad) + b"Z" * pad + data)
            sums = struct.pack("<3I", zlib.crc32(data), len(data), len(data))
            file.write(b"PK\7\10" + sums)
            directory += struct.pack("<4s4xH6x", b"PK\1\2", 0x808) + sums
            directory += struct.pack("<H12xI", len(name), offset) + name
        at, count, size_bytes = file.tell(), len(records), len(directory)
        file.write(directory)
        end = struct.pack("<2H8x4Q", 0x31E, 45, count, count, size_bytes, at)
        file.write(struct.pack("<4sQ", b"PK\6\6", len(end)) + end)
        file.write(struct.pack("<4s4xQI", b"PK\6\7", at + size_bytes, 1))
        file.write(struct.pack("<4s4x2H2I2x", b"PK\5\6", count, count, size_bytes, at))


def _is_transposed(name: str, tensor: Tensor) -> bool:
    return tensor.ndim == 2 and (".mlp." in name or "attn." in name)


class _Pickle:
    """The opcodes that CPython's pickler emits for protocol 2, memo numbers included."""

    def __init__(self) -> None:
        self.data = bytearray(b"\x80\x02")
        self._made = 0
        self._shared: dict[bytes, int] = {}

    def emit(self, code: bytes) -> None:
        self.data += code

    def make(self, code: bytes) -> None:
        """Append opcodes that make a value, which takes the next memo number."""
        number = self._made
        self._made += 1
        self.emit(code + (b"q%c" % number if number < 256 else b"r" + struct.pack("<I", number)))

    def share(self, code: bytes) -> None:
        """Append a value that is one object wherever it occurs."""
        if code not in self._shared:
            self._shared[code] = self._made
            self.make(code)
            return
        number = self._shared[code]
        self.emit(b"h%c" % number if number < 256 else b"j" + struct.pack("<I", number))

    def text(self, value: str) -> None:
        self.make(_unicode(value))

    def number(self, value: int) -> None:
        if value < 256:
            self.emit(b"K%c" % value)
        elif value < 65536:
            self.emit(b"M" + struct.pack("<H", value))
        else:
            self.emit(b"J" + struct.pack("<i", value))

    def tuple(self, values: tuple[int, ...]) -> None:
        for value in values:
            self.number(value)
        self.make((b"\x85", b"\x86", b"\x87")[len(values) - 1])


def _unicode(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _pickle(model: Whisper) -> bytes:
    """Return the pickle of `{"dims": …, "model_state_dict": …}` with half-precision CPU tensors."""
    pickle = _Pickle()
    pickle.make(b"}")
    pickle.emit(b"(")
    pickle.text("dims")
    pickle.make(b"}")
    pickle.emit(b"(")
    for name, value in model.dims.items():
        pickle.text(name)
        pickle.number(value)
    pickle.emit(b"u")
    pickle.text("model_state_dict")
    pickle.make(b"}")
    pickle.emit(b"(")
    for key, (name, tensor) in enumerate(model.tensors.items()):
        pickle.text(name)
        _pickle_tensor(pickle, str(key), name, tensor)
    pickle.emit(b"uu.")
    return bytes(pickle.data)


def _pickle_tensor(pickle: _Pickle, key: str, name: str, tensor: Tensor) -> None:
    pickle.share(b"ctorch._utils\n_rebuild_tensor_v2\n")
    pickle.emit(b"((")
    pickle.share(_unicode("storage"))
    pickle.share(b"ctorch\nHalfStorage\n")
    pickle.text(key)
    pickle.share(_unicode("cpu"))
    pickle.number(tensor.size)
    pickle.make(b"t")
    pickle.emit(b"Q")
    pickle.number(0)
    pickle.tuple(tensor.shape)
    strides = tuple(step // tensor.itemsize for step in tensor.strides)
    pickle.tuple((1, tensor.shape[0]) if _is_transposed(name, tensor) else strides)
    pickle.emit(b"\x89")
    pickle.share(b"ccollections\nOrderedDict\n")
    pickle.make(b")R")
    pickle.make(b"t")
    pickle.make(b"R")


_F32, _F16, _Q8_0 = 0, 1, 8  # of ggml's tensor types
_Q8_0_FILE = 2007  # the file type, of the second version of quantised files
_Q8_0_BLOCK = 32


def write_ggml(
    model: Whisper, ranks: Path, mel_filters: Path, path: Path, *, quantized: bool = False
) -> None:
    """Write whisper.cpp's f16 file, or its q8_0, from tensors, tiktoken's ranks and mel filters.

    The published English-only files also name their end of text, which later conversions leave out.
    Source: ggml-org/whisper.cpp@41e789ee models/convert-pt-to-ggml.py, ggml-org/whisper.cpp#725
    """
    import numpy as np

    dims = dict(model.dims)
    n_mels = dims.pop("n_mels")
    with np.load(mel_filters) as filters:
        mel = filters[f"mel_{n_mels}"] + np.float32(0)  # its one negative zero becomes positive
    tokens = [base64.b64decode(line.split()[0]) for line in ranks.read_bytes().splitlines() if line]
    if dims["n_vocab"] < 51865:
        tokens.append(b"<|endoftext|>")
    kind = _Q8_0_FILE if quantized else _F16
    with path.open("wb") as file:
        file.write(struct.pack("<12i", 0x67676D6C, *dims.values(), n_mels, kind))
        file.write(struct.pack("<2i", *mel.shape) + mel.astype("<f4").tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, tensor in model.tensors.items():
            is_single = tensor.ndim == 1 or name.endswith("positional_embedding")
            shape = tensor.shape + (1,) * (".conv" in name and tensor.ndim == 1)
            is_packed = quantized and not is_single and tensor.ndim == 2
            code = _F32 if is_single else _Q8_0 if is_packed else _F16
            file.write(struct.pack("<3i", len(shape), len(name), code))
            file.write(struct.pack(f"<{len(shape)}i", *reversed(shape)) + name.encode())
            if is_packed:
                file.write(_q8_0(tensor))
            else:
                file.write(tensor.astype("<f4" if is_single else "<f2").tobytes())


def _q8_0(tensor: Tensor) -> bytes:
    """Return blocks of 32 weights, each a scale in half precision and a signed byte a weight.

    Source: ggml-org/whisper.cpp v1.9.3 ggml/src/ggml-quants.c `quantize_row_q8_0_ref`
    """
    import numpy as np

    blocks = tensor.astype(np.float32).reshape(-1, _Q8_0_BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales != 0)
    scaled = blocks * inverse
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    return np.hstack([scales.astype("<f2").view(np.int8), rounded]).tobytes()


_TRANSFORMERS_NAMES = (
    (".blocks.", ".layers."),
    (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".attn_ln.", ".self_attn_layer_norm."),
    (".mlp_ln.", ".final_layer_norm."),
    (".mlp.0.", ".fc1."),
    (".mlp.2.", ".fc2."),
    (".cross_attn.", ".encoder_attn."),
    (".attn.", ".self_attn."),
    (".query.", ".q_proj."),
    (".key.", ".k_proj."),
    (".value.", ".v_proj."),
    (".out.", ".out_proj."),
    (".ln.", ".layer_norm."),
    (".ln_post.", ".layer_norm."),
    (".positional_embedding", ".embed_positions.weight"),
    (".token_embedding.", ".embed_tokens."),
)


def write_safetensors(model: Whisper, path: Path) -> None:
    """Write the f32 `model.safetensors` of the `openai/whisper-…` repositories.

    Source: huggingface/transformers@01080c62 convert_openai_to_hf.py:WHISPER_MAPPING
    """
    tensors = {_transformers_name(name): tensor for name, tensor in model.tensors.items()}
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in sorted(tensors):
        end = at + 4 * tensors[name].size
        header[name] = {"dtype": "F32", "shape": tensors[name].shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name].astype("<f4").tobytes())


def _transformers_name(name: str) -> str:
    for openai, transformers in _TRANSFORMERS_NAMES:
        name = name.replace(openai, transformers)
    return f"model.{name}"


def mlx_tensors(model: Whisper) -> dict[str, Tensor]:
    """Return the tensors under MLX's Whisper names, in MLX's layout.

    Convolutions have their channels last; the encoder computes its positions.
    Source: mlx-whisper 0.4.3 `whisper.py` `AudioEncoder`, `TextDecoder`
    """
    import numpy as np

    found = {}
    for name, tensor in model.tensors.items():
        if name == "encoder.positional_embedding":
            continue
        renamed = name.replace(".mlp.0.", ".mlp1.").replace(".mlp.2.", ".mlp2.")
        last = ".conv" in name and tensor.ndim == 3
        found[renamed] = np.ascontiguousarray(tensor.swapaxes(1, 2)) if last else tensor
    return found


def write_mlx(model: Whisper, path: Path) -> None:
    """Write `weights.safetensors` or `weights.npz` by the name of `path`, and `config.json`."""
    import numpy as np

    tensors = mlx_tensors(model)
    path.with_name("config.json").write_text(json.dumps({**model.dims, "model_type": "whisper"}))
    if path.suffix == ".npz":
        with path.open("wb") as file:
            np.savez(file, allow_pickle=False, **tensors)
        return
    header: dict[str, object] = {}
    at = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": "F16",
            "shape": tensor.shape,
            "data_offsets": [at, at + tensor.nbytes],
        }
        at += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.tobytes())
