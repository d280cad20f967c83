"""faster-whisper: int8 with a beam size of 5, its usual setup on a CPU; CUDA if available.

Source: faster-whisper 1.2.1 `transcribe.py` `WhisperModel`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("faster-whisper", "ctranslate2", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import faster_whisper  # noqa: F401


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a folder like the one that `download_model` returns."""
    from faster_whisper import WhisperModel

    model = WhisperModel(path, compute_type="int8", cpu_threads=threads, local_files_only=True)
    settings = {"device": model.model.device, "precision": "int8", "beams": 5}
    return (model, language), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text; segments are computed only while they are read."""
    model, language = loaded
    segments, _ = model.transcribe(samples, language=language, beam_size=5)
    return "".join(segment.text for segment in segments)
