"""lightning-whisper-mlx: batches of 12 on Apple's GPUs, of 1 on a CPU.

Its class asks the hub before it loads, so this calls the function that the class uses.
Source: lightning-whisper-mlx 0.0.10 `transcribe.py` `ModelHolder`, `transcribe_audio`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("lightning-whisper-mlx", "mlx", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import lightning_whisper_mlx.transcribe  # noqa: F401


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a folder into the holder where `transcribe_audio` looks for its model."""
    import mlx.core as mx
    from lightning_whisper_mlx.transcribe import ModelHolder

    half = mx.default_device().type == mx.DeviceType.gpu
    ModelHolder.get_model(path, mx.float16 if half else mx.float32)
    settings = {
        "device": mx.default_device().type.name,
        "precision": "float16" if half else "float32",
        "batch": 12 if half else 1,
    }
    return (path, language, half), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    from lightning_whisper_mlx.transcribe import transcribe_audio

    path, language, half = loaded
    found = transcribe_audio(
        samples,
        path_or_hf_repo=path,
        language=language,
        batch_size=12 if half else 1,
        fp16=half,
    )
    return str(found["text"])
