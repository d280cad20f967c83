"""insanely-fast-whisper: the transformers pipeline that its command builds, without the command.

The command itself demands `mps` or CUDA and imports a diarizer; the work is done by this pipeline.
Source: insanely-fast-whisper 0.0.15 `cli.py` `main`; transformers 5.23.0
`pipelines/automatic_speech_recognition.py`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("insanely-fast-whisper", "transformers", "torch", "numpy")

_RATE = 16000


def bring(threads: int) -> None:
    """Import the engine."""
    import torch
    from transformers import pipeline  # noqa: F401

    torch.set_num_threads(threads)


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Build the pipeline from a folder."""
    import torch
    from transformers import pipeline

    device = "cpu"
    if torch.cuda.is_available():
        device = "cuda:0"
    elif getattr(torch.backends, "mps", None) is not None and torch.backends.mps.is_available():
        device = "mps"
    kind = torch.float32 if device == "cpu" else torch.float16
    made = pipeline(
        "automatic-speech-recognition", model=path, torch_dtype=kind, device=torch.device(device)
    )
    many = made.model.generation_config.is_multilingual
    words = {"task": "transcribe", "language": language} if many else {}
    batch = 1 if device == "cpu" else 24
    settings = {"device": device, "precision": str(kind).rpartition(".")[2], "batch": batch}
    return (made, words, batch), settings


def transcribe(loaded: Any, samples: Any) -> str:
    """Return the text."""
    made, words, batch = loaded
    found = made(
        {"raw": samples, "sampling_rate": _RATE},
        chunk_length_s=30,
        batch_size=batch,
        return_timestamps=True,
        generate_kwargs=words,
    )
    return str(found["text"])
