"""whisper.cpp through its binding pywhispercpp, with the binding's own settings.

Source: pywhispercpp 1.5.1 `model.py` `Model`.
"""

from __future__ import annotations

from typing import Any

PACKAGES = ("pywhispercpp", "numpy")


def bring(threads: int) -> None:
    """Import the engine."""
    import pywhispercpp.model  # noqa: F401


def load(path: str, threads: int, language: str | None) -> tuple[Any, dict[str, object]]:
    """Load a GGML file; the library logs to standard error."""
    from pywhispercpp.model import Model

    model = Model(
        path,
        redirect_whispercpp_logs_to=False,
        n_threads=threads,
        language=language or "auto",
        print_progress=False,
        print_realtime=False,
    )
    return model, {"device": "as built", "precision": "as stored"}


def transcribe(model: Any, samples: Any) -> str:
    """Return the text."""
    return " ".join(segment.text for segment in model.transcribe(samples))
