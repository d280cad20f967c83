"""What nobody's table names and is a speech model all the same: known by a key that only such have.

Read from the first bytes of the weights or a small configuration: `WhisperSpec` in a CTranslate2
file, `n_mels` in an MLX configuration, `model_type: whisper`, a `target` of NeMo's, GGML's
dimensions, the names that Core ML bundles of speech models have. A language model in the same
layout has none of them.
Source: OpenNMT/CTranslate2 `model_spec.py`; mlx-whisper 0.4.3 `load_models.py`; parakeet-mlx 0.7.0
`utils.py` `from_config`; transformers 5.24.0 `models/whisper/configuration_whisper.py`;
ggml-org/whisper.cpp v1.9.3 `whisper.cpp`; argmaxinc/argmax-oss-swift 1.1.0 `WhisperKit.swift`,
`PyannoteModelManager.swift`; FluidInference/FluidAudio v0.15.6 `ModelNames.swift`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import Artifact, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cachedoctor.vocabulary import Entry, Stamp

_CONFIG_LIMIT_BYTES = 1 << 20
_HEAD_BYTES = 64
_SPEECH_KEYS = ("alignment_heads", "lang_ids")  # of CTranslate2's configuration for Whisper
_NEMO = "nemo.collections.asr."
_WORDS = (b"whisper", b"n_mels", b"nemo.", b"alignment_heads", b"lang_ids")  # one in each of them
_GGML = b"lmgg"
_AUDIO_CONTEXT = 1500  # of every Whisper
_MELS = (80, 128)
_VARIANT = {"MelSpectrogram.mlmodelc", "AudioEncoder.mlmodelc", "TextDecoder.mlmodelc"}
_KITS = re.compile(r"(?:^|/)(?:Speaker(?:Segmenter|Embedder\w*)|PldaProjector)\.mlmodelc$")
_PARTS = re.compile(
    r"(?:^|/)(Preprocessor|Encoder|Decoder|Projection)\w*\.mlmodelc$", re.IGNORECASE
)
_FLUID = re.compile(
    r"(?:^|/)(?:joint|parakeet|nemotron|streaming_encoder|silero|sortformer|ls_eend|wespeaker|canary"
    r"|pyannote|paraformer|sensevoice|campplus|fsmn|cohere|ctchead|kokoro)[\w.-]*\.mlmodelc$",
    re.IGNORECASE,
)


def fits(kind: str, entry: Entry) -> bool:
    """Say whether `entry` has the shape `kind` of a table; reads its configuration and 64 bytes."""
    check = _CHECKS.get(kind)
    return check is not None and check(_Named(entry))


class _Named(Mapping[str, Artifact]):
    """The files of an entry by their names; one that nobody asks for is not made."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    def __getitem__(self, name: str) -> Artifact:
        found = self._entry.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return self._entry.names

    def __len__(self) -> int:
        return len(self._entry.artifacts)


def _ctranslate2(files: Mapping[str, Artifact]) -> bool:
    weights = files.get("model.bin")
    if weights is None or not (files.keys() & {"vocabulary.txt", "vocabulary.json", "config.json"}):
        return False
    if b"WhisperSpec\0" in _head(weights):
        return True
    config = _config(files)
    return any(key in config for key in _SPEECH_KEYS)


def _mlx_whisper(files: Mapping[str, Artifact]) -> bool:
    config = _config(files)
    return "n_mels" in config and "n_audio_layer" in config


def _parakeet(files: Mapping[str, Artifact]) -> bool:
    return str(_config(files).get("target", "")).startswith(_NEMO)


def _transformers(files: Mapping[str, Artifact]) -> bool:
    """Look for weights too: a processor or a tokenizer alone is nobody's model."""
    weights = any(
        name.endswith(".safetensors") or name == "pytorch_model.bin" or name.endswith(".index.json")
        for name in files
    )
    config = _config(files)
    return weights and config.get("model_type") == "whisper" and "d_model" in config


def _ggml(files: Mapping[str, Artifact]) -> bool:
    """Look at a flat folder's file; beside it may lie an encoder."""
    return any(name.endswith(".bin") and is_ggml(_head(one)) for name, one in files.items())


def is_ggml(head: bytes) -> bool:
    """Say whether a file that begins so is a model of whisper.cpp's."""
    if len(head) < 44 or not head.startswith(_GGML):
        return False
    _, context, *_, mels = struct.unpack_from("<10i", head, 4)
    return context == _AUDIO_CONTEXT and mels in _MELS


def _whisperkit(files: Mapping[str, Artifact]) -> bool:
    return len(_VARIANT & files.keys()) > 1


def _argmax(files: Mapping[str, Artifact]) -> bool:
    return any(_KITS.search(name) for name in files) or any("code_decoder/" in n for n in files)


def _fluidaudio(files: Mapping[str, Artifact]) -> bool:
    if any(_FLUID.search(name) for name in files):
        return True
    parts = {found[1] for name in files if (found := _PARTS.search(name))}
    return len(parts) > 2  # of an encoder, a decoder and what is before or after them


def bundles(entry: Entry) -> tuple[str, ...]:
    """Name the compiled bundles that an entry has, down to the one that was met first."""
    found = sorted(a.name for a in entry.artifacts if a.bundle and a.name.endswith(".mlmodelc"))
    return tuple(name for name in found if ".mlmodelc/" not in name)


_CHECKS: Mapping[str, Callable[[Mapping[str, Artifact]], bool]] = {
    "ctranslate2": _ctranslate2,
    "mlx-whisper": _mlx_whisper,
    "parakeet": _parakeet,
    "transformers": _transformers,
    "ggml": _ggml,
    "whisperkit": _whisperkit,
    "argmax": _argmax,
    "fluidaudio": _fluidaudio,
}


def _config(files: Mapping[str, Artifact]) -> Mapping[str, object]:
    """Return what `config.json` says, or nothing where it is no object."""
    artifact = files.get("config.json")
    if artifact is None or artifact.stamp is None or artifact.state is not State.PRESENT:
        return {}
    if not 0 < artifact.size_bytes <= _CONFIG_LIMIT_BYTES:
        return {}
    return _understood(artifact.file, artifact.stamp)


@lru_cache(maxsize=8)  # of several engines and revisions that ask for one file in turn
def _understood(file: str, stamp: Stamp) -> Mapping[str, object]:
    """Return what a configuration with this stamp says, if it speaks of speech at all."""
    content = _read(file, _CONFIG_LIMIT_BYTES)
    if not any(word in content for word in _WORDS):
        return {}
    try:
        said = untrusted.parse_json(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _head(artifact: Artifact) -> bytes:
    return _read(artifact.file, _HEAD_BYTES) if artifact.state is State.PRESENT else b""


def _read(path: str, most_bytes: int) -> bytes:
    """Read the front of a regular file; nothing of any other."""
    try:
        with untrusted.open_regular(path, follow=True) as file:
            return file.read(most_bytes) or b""
    except OSError:
        return b""
