"""A spoken sentence, its words, and what the real faster-whisper makes of it without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIP = Path(__file__).parents[1] / "data" / "clip.wav"
TRANSCRIPT = CLIP.with_suffix(".txt").read_text(encoding="utf-8").strip()

_HUB = ("HF_", "HUGGINGFACE_", "XDG_")
_CHILD = """
import sys
from faster_whisper import WhisperModel
name, audio, compute_type = sys.argv[1:]
model = WhisperModel(
    name, device="cpu", compute_type=compute_type, cpu_threads=2, local_files_only=True
)
segments, _ = model.transcribe(audio, language="en", beam_size=5)
print("".join(segment.text for segment in segments))
"""


def words(text: str) -> list[str]:
    """Return the words of a text, lowercase and without punctuation."""
    return re.findall(r"[a-z0-9']+", text.lower())


def transcribe_offline(
    model: Path | str,
    env: Mapping[str, str],
    *,
    compute_type: str = "int8",
    timeout_s: float = 120,
) -> str:
    """Return what faster-whisper hears in `CLIP`, run in a child with the hub offline.

    `model` is a folder, or a name that is resolved in the hub cache of `env`; no hub variable of
    this process's own environment reaches the child. Raises `RuntimeError` with the child's stderr.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(_HUB)}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, str(model), str(CLIP), compute_type],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=own | {"PYTHONUTF8": "1"} | dict(env) | {"HF_HUB_OFFLINE": "1"},
        timeout=timeout_s,
    )
    if child.returncode:
        raise RuntimeError(f"faster-whisper ended with {child.returncode}: {child.stderr}")
    return child.stdout.strip()
