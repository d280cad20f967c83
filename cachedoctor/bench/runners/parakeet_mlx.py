"""parakeet-mlx: bfloat16 on Apple's GPUs, full precision on a CPU.

It gets the samples directly, because it would read a file through ffmpeg.
Source: parakeet-mlx 0.7.0 `utils.py` `from_pretrained`, `parakeet.py` `BaseParakeet.generate`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("parakeet-mlx", "mlx", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import parakeet_mlx  # noqa: F401


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a folder; a path that is not absolute would be taken for a name on the hub."""
    import mlx.core as mx
    from parakeet_mlx import from_pretrained

    half = mx.default_device().type == mx.DeviceType.gpu
    kind = mx.bfloat16 if half else mx.float32
    model = from_pretrained(path, dtype=kind)
    settings = {
        "device": mx.default_device().type.name,
        "precision": "bfloat16" if half else "float32",
    }
    return (model, kind), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    import mlx.core as mx
    from parakeet_mlx.audio import get_logmel

    model, kind = loaded
    mel = get_logmel(mx.array(samples).astype(kind), model.preprocessor_config)
    return str(model.generate(mel)[0].text)
