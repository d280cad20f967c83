"""What nobody's table names and is a speech model all the same: known by a key that only such have.

Read from the first bytes of the weights or a small configuration: `WhisperSpec` in a CTranslate2
file, `n_mels` in an MLX configuration, `model_type: whisper`, a `target` of NeMo's. A language
model in the same layout has none of them.
Source: OpenNMT/CTranslate2 `model_spec.py`; mlx-whisper 0.4.3 `load_models.py`; parakeet-mlx 0.7.0
`utils.py` `from_config`; transformers 5.24.0 `models/whisper/configuration_whisper.py`.
"""

from __future__ import annotations

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


_CHECKS: Mapping[str, Callable[[Mapping[str, Artifact]], bool]] = {
    "ctranslate2": _ctranslate2,
    "mlx-whisper": _mlx_whisper,
    "parakeet": _parakeet,
    "transformers": _transformers,
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
