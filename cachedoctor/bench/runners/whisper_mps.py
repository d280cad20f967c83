"""whisper-mps: OpenAI's files on MLX; half precision on Apple's GPUs, full on a CPU.

`transcribe` takes the model from its holder, by name.
Source: whisper-mps 0.0.10 `whisper/load_models.py` `load_model`, `whisper/transcribe.py`
`ModelHolder`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

PACKAGES = ("whisper-mps", "mlx", "torch", "numpy")


def bring(threads: int) -> None:
    """Import the engine, and torch, with which it reads `.pt` files."""
    import torch
    import whisper_mps.whisper.load_models
    import whisper_mps.whisper.transcribe  # noqa: F401

    torch.set_num_threads(threads)


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a file, which the engine hashes first."""
    import mlx.core as mx
    from whisper_mps.whisper.load_models import load_model

    half = mx.default_device().type == mx.DeviceType.gpu
    folder, name = os.path.split(path)
    name = name[: -len(".pt")]
    kind = mx.float16 if half else mx.float32
    holder = sys.modules["whisper_mps.whisper.transcribe"].ModelHolder
    holder.model = load_model(name, download_root=folder, dtype=kind)
    holder.model_name = name
    settings = {
        "device": mx.default_device().type.name,
        "precision": "float16" if half else "float32",
    }
    return (name, language, half), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    name, language, half = loaded
    module = sys.modules["whisper_mps.whisper.transcribe"]
    found = module.transcribe(samples, model=name, language=language, fp16=half)
    return str(found["text"])
