"""insanely-fast-whisper: OpenAI's repositories, loaded by transformers from the hub cache.

Source: insanely-fast-whisper 0.0.15 `cli.py`; transformers 5.23.0 `modeling_utils.py`,
`models/whisper/tokenization_whisper.py`.
"""

from __future__ import annotations

from cachedoctor.engines import HubEngine


class InsanelyFastWhisper(HubEngine):
    """Has no names of its own: a model is `openai/whisper-<name>`."""

    name = "insanely-fast-whisper"


ENGINE = InsanelyFastWhisper()
