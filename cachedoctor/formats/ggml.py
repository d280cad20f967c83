"""whisper.cpp's `ggml-*.bin`: little-endian, one magic number for three architectures.

    u32 0x67676d6c
    whisper     11 x i32: vocabulary, audio context 1500, audio state, heads, layers, text context,
                text state, heads, layers, mel bins 80 or 128, type of the weights
    parakeet    15 x i32; mel bins are the sixth, the type of the weights the seventh
    silero-vad  i32 length, `silero-16k`, 3 x i32 version

and for whisper only:

    i32 mel bins, i32 n; mel bins x n x f32
    i32 number of tokens, then each: u32 length, bytes
    until the end, per tensor: i32 rank, i32 length of its name, i32 type, rank x i32 dimension,
                                name, data

The type of the weights is a `ggml_ftype`, the type of a tensor a `ggml_type`.
A model has 11 + 15 x audio layers + 24 x text layers tensors. A model without tensors is a stub for
testing loaders; whisper.cpp loads it, as it does a file cut off there, and transcribes nothing.
Source: ggml-org/whisper.cpp v1.9.3 `src/whisper.cpp` `whisper_model_load`,
`whisper_vad_init_with_params`, `src/parakeet.cpp`; ggml/src/ggml-common.h; ggml/include/ggml.h
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.errors import Fault, FormatError
from cachedoctor.formats import HEAD_BYTES, Walk, Window, wrong_magic
from cachedoctor.vocabulary import Reading

if TYPE_CHECKING:
    from typing import BinaryIO

    from cachedoctor.vocabulary import Format

_KIND = "a GGML model"
_MAGIC = b"lmgg"
_AUDIO_CONTEXT = 1500
_MEL_BINS = (80, 128)
_SILERO = b"silero-16k"

# Bytes and items per block by type: F32 F16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K … Q8_K BF16.
_BLOCKS = {
    0: (4, 1),
    1: (2, 1),
    2: (18, 32),
    3: (20, 32),
    6: (22, 32),
    7: (24, 32),
    8: (34, 32),
    9: (36, 32),
    10: (84, 256),
    11: (110, 256),
    12: (144, 256),
    13: (176, 256),
    14: (210, 256),
    15: (292, 256),
    30: (2, 1),
}
# The type of the large tensors by the header's file type: ggml.h `ggml_ftype`.
_KINDS = {0: 0, 1: 1, 2: 2, 3: 3, 7: 8, 8: 6, 9: 7, 10: 10, 11: 11, 12: 12, 13: 13, 14: 14, 24: 30}
_EMBEDDING = b"decoder.token_embedding.weight"
_OF_TINY = 384  # the state of Whisper's smallest model: made up models have any number of heads
_HEAD_NUMBERS = 64  # in each of Whisper's heads
# The largest model has 32 layers, 51,866 tokens of at most 256 bytes, 201 mel columns.
_MOST_LAYERS = 256
_MOST_TOKENS = 1 << 20
_LONGEST_TOKEN_BYTES = 4096
_TOKEN_REACH_BYTES = 4 + _LONGEST_TOKEN_BYTES
_VOCABULARY_STEP_BYTES = 1 << 17
_MOST_COLUMNS = 1 << 16
_HIGHEST_RANK = 4
_LONGEST_NAME_BYTES = 256
_TENSOR_HEAD_BYTES = 12  # a shorter rest at the end is ignored


class _Whisper(NamedTuple):
    """The header of a whisper model."""

    vocabulary: int
    audio_context: int
    audio_state: int
    audio_heads: int
    audio_layers: int
    text_context: int
    text_state: int
    text_heads: int
    text_layers: int
    mel_bins: int
    file_type: int

    @property
    def tensors(self) -> int:
        """Return the number of tensors in such a model."""
        return 11 + 15 * self.audio_layers + 24 * self.text_layers

    @property
    def shapes(self) -> dict[bytes, tuple[int, ...]]:
        """Return the shapes that follow from it, of tensors that tell.

        whisper.cpp makes room by the header, and stops or crashes at a tensor of another shape.
        """
        return {
            b"encoder.conv1.weight": (3, self.mel_bins, self.audio_state),
            b"encoder.positional_embedding": (self.audio_state, self.audio_context),
            b"decoder.positional_embedding": (self.text_state, self.text_context),
            _EMBEDDING: (self.text_state, self.vocabulary),
        }

    @property
    def heads_differ(self) -> bool:
        """Say whether its heads are not as wide as each of Whisper's."""
        both = ((self.audio_state, self.audio_heads), (self.text_state, self.text_heads))
        return any(s >= _OF_TINY and s != heads * _HEAD_NUMBERS for s, heads in both)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


class Ggml:
    """Walks through a whisper model's tensors; of the other kinds only the header is known."""

    def read(self, file: BinaryIO, size_bytes: int) -> Reading:
        """Check that all tensors are present and end exactly where the file does.

        Reads about 256 bytes per tensor and the vocabulary, half a megabyte. The header does not
        give the total length, so a truncated file has no expected one.
        """
        window = Window(file, size_bytes)
        head = window.read(0, HEAD_BYTES)
        if not head:
            raise FormatError(Fault.TRUNCATED, "is empty", measured=0)
        if not head.startswith(_MAGIC[: len(head)]):
            raise wrong_magic(head, _KIND, size_bytes)
        if len(head) < 4 + struct.calcsize("<11i"):
            raise FormatError(Fault.TRUNCATED, "ends inside its header", measured=size_bytes)
        if head[8:].startswith(_SILERO):
            return Reading(size_bytes, {"architecture": "silero-vad"})
        whisper = _Whisper(*struct.unpack_from("<11i", head, 4))
        if whisper.audio_context == _AUDIO_CONTEXT and whisper.mel_bins in _MEL_BINS:
            return _read_whisper(window, whisper)
        if len(head) >= 64 and _is_parakeet(struct.unpack_from("<15i", head, 4)):
            return Reading(size_bytes, {"architecture": "parakeet"})
        message = "has no known architecture: neither whisper, parakeet nor silero-vad"
        raise FormatError(Fault.MALFORMED, message)


def _is_parakeet(values: tuple[int, ...]) -> bool:
    vocabulary, _, state, heads, layers, mel_bins, file_type, columns = values[:8]
    plausible = 0 < vocabulary < _MOST_TOKENS and 0 < state < 1 << 16 and 0 < heads < 1 << 10
    return (
        plausible
        and 0 < layers <= _MOST_LAYERS
        and mel_bins in _MEL_BINS
        and (0 <= file_type < 10_000 and 0 < columns < _MOST_COLUMNS)
    )


def _read_whisper(window: Window, whisper: _Whisper) -> Reading:
    layers = (whisper.audio_layers, whisper.text_layers)
    if not all(0 < count <= _MOST_LAYERS for count in layers):
        raise FormatError(Fault.MALFORMED, f"claims {layers[0]} and {layers[1]} layers")
    if whisper.heads_differ:
        message = f"claims {whisper.audio_heads} and {whisper.text_heads} heads for its size"
        raise FormatError(Fault.MALFORMED, message)
    walk = _Walk(window, at=4 + struct.calcsize("<11i"))
    walk.where = "its mel filters"
    bins, columns = walk.number("i"), walk.number("i")
    if bins != whisper.mel_bins or not 0 < columns <= _MOST_COLUMNS:
        raise FormatError(Fault.MALFORMED, f"claims {bins} x {columns} mel filters")
    walk.skip(4 * bins * columns)
    walk.where = "its vocabulary"
    tokens = walk.number("i")
    if not 0 < tokens <= _MOST_TOKENS:
        raise FormatError(Fault.MALFORMED, f"claims {tokens} tokens in its vocabulary")
    walk.tokens(tokens)
    size_bytes, wanted = window.size_bytes, whisper.tensors
    if walk.at == size_bytes:
        message = "holds no tensors: made for testing a loader, or truncated after its vocabulary"
        raise FormatError(Fault.STUB, message, measured=size_bytes)
    names: set[bytes] = set()
    for number in range(wanted):
        walk.where = f"tensor {number + 1} of {wanted}"
        name = walk.tensor()
        if name in names:
            raise FormatError(Fault.MALFORMED, f"holds tensor `{name.decode('ascii')}` twice")
        names.add(name)
        _require_as_said(whisper, name, walk.shape, walk.kind)
    if walk.at < size_bytes:
        message = f"goes on after its {wanted} tensors"
        raise FormatError(Fault.TRAILING, message, measured=size_bytes, expected=walk.at)
    return Reading(
        size_bytes,
        {
            "architecture": "whisper",
            "audio_layers": whisper.audio_layers,
            "text_layers": whisper.text_layers,
            "mel_bins": whisper.mel_bins,
            "vocabulary": whisper.vocabulary,
            "file_type": whisper.file_type % 1000,
            "tensors": wanted,
        },
    )


def _require_as_said(whisper: _Whisper, name: bytes, shape: tuple[int, ...], kind: int) -> None:
    """Raise where a tensor is not what the header says."""
    wanted = whisper.shapes.get(name, shape)
    if shape != wanted:
        message = f"says {_by(wanted)} for `{name.decode('ascii')}`, which is {_by(shape)}"
        raise FormatError(Fault.MALFORMED, message)
    if name == _EMBEDDING and kind != _KINDS.get(whisper.file_type % 1000):
        message = f"gives its weights type {whisper.file_type}, but they have another"
        raise FormatError(Fault.MALFORMED, message)


class _Walk(Walk):
    """Skips tokens and tensors."""

    shape: tuple[int, ...] = ()  # of the last tensor
    kind = 0

    def tokens(self, count: int) -> None:
        """Skip `count` tokens; inlined, because a vocabulary has fifty thousand."""
        data, at = b"", 0
        for _ in range(count):
            if at + _TOKEN_REACH_BYTES > len(data):
                self.skip(at)
                data, at = self._window.read(self.at, _VOCABULARY_STEP_BYTES), 0
            if at + 4 > len(data):
                raise self.truncated()
            length = int.from_bytes(data[at : at + 4], "little")
            if length > _LONGEST_TOKEN_BYTES:
                raise self.malformed(f"claims a token of {length} bytes")
            at += 4 + length
        self.skip(at)

    def tensor(self) -> bytes:
        """Skip one tensor and return its name."""
        rank, length, kind = struct.unpack("<3i", self.take(_TENSOR_HEAD_BYTES))
        if not 0 <= rank <= _HIGHEST_RANK or not 0 < length <= _LONGEST_NAME_BYTES:
            raise self.malformed(f"claims {rank} dimensions and a name of {length} bytes")
        if kind not in _BLOCKS:
            raise self.malformed(f"has type {kind}, which is unknown")
        shape = struct.unpack(f"<{rank}i", self.take(4 * rank))
        name = self.take(length)
        if not name.isascii() or any(byte < 32 for byte in name):
            raise self.malformed("has an invalid name")
        block_bytes, block = _BLOCKS[kind]
        self.shape, self.kind = shape, kind
        items = 1
        for dimension in shape:
            items *= max(dimension, 0)
        if not items or (shape and shape[0] % block):
            raise self.malformed(f"has the shape {shape}, which does not fit its type")
        self.skip(items // block * block_bytes)
        return name


FORMAT: Format = Ggml()
