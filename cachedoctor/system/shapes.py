"""Speech models that no table names, recognised by a key found in no other kind of model.

Read from the first bytes of the weights or a small configuration: `WhisperSpec` in a CTranslate2
file, `n_mels` in an MLX configuration, `model_type: whisper`, a NeMo `target`, GGML's dimensions,
the names of Core ML bundles in speech models. A language model in the same layout has none of
them.
Source: OpenNMT/CTranslate2 `model_spec.py`; mlx-whisper 0.4.3 `load_models.py`; parakeet-mlx 0.7.0
`utils.py` `from_config`; transformers 5.24.0 `models/whisper/configuration_whisper.py`;
ggml-org/whisper.cpp v1.9.3 `whisper.cpp`; argmaxinc/argmax-oss-swift 1.1.0 `WhisperKit.swift`,
`PyannoteModelManager.swift`; FluidInference/FluidAudio v0.15.6 `ModelNames.swift`.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cachedoctor.vocabulary import Artifact, Entry, Stamp

_CONFIG_LIMIT_BYTES = 1 << 20
_HEAD_BYTES = 64
_BESIDE = ("vocabulary.txt", "vocabulary.json", "config.json")  # CTranslate2 writes one of them
_SPEECH_KEYS = ("alignment_heads", "lang_ids")  # in CTranslate2's configuration for Whisper
_NEMO = "nemo.collections.asr."
_WORDS = (b"whisper", b"n_mels", b"nemo.", b"alignment_heads", b"lang_ids")  # one in each config
_GGML = b"lmgg"
_AUDIO_CONTEXT = 1500  # of every Whisper model
_MELS = (80, 128)
_VARIANT = {"MelSpectrogram.mlmodelc", "AudioEncoder.mlmodelc", "TextDecoder.mlmodelc"}
_KITS = r"(?:^|/)(?:Speaker(?:Segmenter|Embedder\w*)|PldaProjector)\.mlmodelc$"
_PARTS = r"(?i)(?:^|/)(Preprocessor|Encoder|Decoder|Projection)\w*\.mlmodelc$"
_FLUID = (
    r"(?i)(?:^|/)(?:joint|parakeet|nemotron|streaming_encoder|silero|sortformer|ls_eend|wespeaker|canary"
    r"|pyannote|paraformer|sensevoice|campplus|fsmn|cohere|ctchead|kokoro)[\w.-]*\.mlmodelc$"
)


def fits(kind: str, entry: Entry) -> bool:
    """Return whether `entry` has the shape `kind`; reads its configuration and 64 bytes."""
    check = _CHECKS.get(kind)
    return check is not None and check(entry)


def _ctranslate2(entry: Entry) -> bool:
    weights = entry.find("model.bin")
    if weights is None or not any(map(entry.find, _BESIDE)):
        return False
    if b"WhisperSpec\0" in _head(weights):
        return True
    config = _config(entry)
    return any(key in config for key in _SPEECH_KEYS)


def _mlx_whisper(entry: Entry) -> bool:
    config = _config(entry)
    return "n_mels" in config and "n_audio_layer" in config


def _parakeet(entry: Entry) -> bool:
    return str(_config(entry).get("target", "")).startswith(_NEMO)


def _transformers(entry: Entry) -> bool:
    """Require weights too: a processor or a tokenizer alone is not a model."""
    config = _config(entry)
    return (
        config.get("model_type") == "whisper"
        and "d_model" in config
        and any(
            name == "pytorch_model.bin" or name.endswith((".safetensors", ".index.json"))
            for name in entry.names
        )
    )


def _ggml(entry: Entry) -> bool:
    """Check a file in a flat folder; an encoder can be beside it."""
    files = map(entry.find, (name for name in entry.names if name.endswith(".bin")))
    return any(is_ggml(_head(one)) for one in files if one is not None)


def is_ggml(head: bytes) -> bool:
    """Return whether a file that starts with `head` is a whisper.cpp model."""
    if len(head) < 44 or not head.startswith(_GGML):
        return False
    _, context, *_, mels = struct.unpack_from("<10i", head, 4)
    return context == _AUDIO_CONTEXT and mels in _MELS


def _whisperkit(entry: Entry) -> bool:
    return len(_VARIANT.intersection(entry.names)) > 1


def _argmax(entry: Entry) -> bool:
    return any(re.search(_KITS, name) or "code_decoder/" in name for name in entry.names)


def _fluidaudio(entry: Entry) -> bool:
    if any(re.search(_FLUID, name) for name in entry.names):
        return True
    parts = {found[1] for name in entry.names if (found := re.search(_PARTS, name))}
    return len(parts) > 2  # of an encoder, a decoder and what comes before or after


def bundles(entry: Entry) -> tuple[str, ...]:
    """Return the compiled bundles of an entry that are not inside another bundle."""
    found = sorted(a.name for a in entry.artifacts if a.bundle and a.name.endswith(".mlmodelc"))
    return tuple(name for name in found if ".mlmodelc/" not in name)


_CHECKS: Mapping[str, Callable[[Entry], bool]] = {
    "ctranslate2": _ctranslate2,
    "mlx-whisper": _mlx_whisper,
    "parakeet": _parakeet,
    "transformers": _transformers,
    "ggml": _ggml,
    "whisperkit": _whisperkit,
    "argmax": _argmax,
    "fluidaudio": _fluidaudio,
}


def _config(entry: Entry) -> Mapping[str, object]:
    """Return the content of `config.json`, or nothing if it is not an object."""
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


def _head(artifact: Artifact) -> bytes:
    return _read(artifact.file, _HEAD_BYTES) if artifact.state is State.PRESENT else b""


def _read(path: str, most_bytes: int) -> bytes:
    """Read the start of a regular file; nothing of any other."""
    try:
        with untrusted.open_regular(path, follow=True) as file:
            return file.read(most_bytes) or b""
    except OSError:
        return b""
