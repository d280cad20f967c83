"""openai-whisper: half precision on CUDA if available, else full precision on the CPU.

Source: openai-whisper 20250625 `__init__.py` `load_model`, `transcribe.py` `transcribe`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("openai-whisper", "torch", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import torch
    import whisper  # noqa: F401

    torch.set_num_threads(threads)


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a file by its path; openai-whisper does not hash it then."""
    import torch
    import whisper

    half = torch.cuda.is_available()
    device = "cuda" if half else "cpu"
    model = whisper.load_model(path, device=device)
    settings: dict[str, object] = {"device": device, "precision": "float16" if half else "float32"}
    return (model, language, half), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    model, language, half = loaded
    return str(model.transcribe(samples, language=language, fp16=half)["text"])
