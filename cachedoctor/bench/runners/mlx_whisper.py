"""mlx-whisper: half precision on Apple's GPUs, full precision on a CPU, where half is slower.

Source: mlx-whisper 0.4.3 `transcribe.py` `ModelHolder`, `transcribe`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("mlx-whisper", "mlx", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import mlx_whisper  # noqa: F401


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a folder into the holder where `transcribe` looks for its model."""
    import mlx.core as mx
    from mlx_whisper.transcribe import ModelHolder

    half = mx.default_device().type == mx.DeviceType.gpu
    ModelHolder.get_model(path, mx.float16 if half else mx.float32)
    settings = {
        "device": mx.default_device().type.name,
        "precision": "float16" if half else "float32",
    }
    return (path, language, half), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    import mlx_whisper

    path, language, half = loaded
    found = mlx_whisper.transcribe(samples, path_or_hf_repo=path, language=language, fp16=half)
    return str(found["text"])
