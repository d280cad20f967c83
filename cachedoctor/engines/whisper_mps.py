"""whisper-mps: OpenAI's own `.pt` files, always below `~/.cache`.

Source: whisper-mps 0.0.10 `whisper/load_models.py` `_MODELS`, `load_model`.
"""

from __future__ import annotations

from cachedoctor.engines import CdnEngine
from cachedoctor.locators import openai_cdn

ENGINE = CdnEngine("whisper-mps", openai_cdn.home_folder)
