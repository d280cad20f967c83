"""openai-whisper: one `.pt` per model, below `XDG_CACHE_HOME` if that is set.

Source: openai-whisper 20250625 `__init__.py` `_MODELS`, `load_model`.
"""

from __future__ import annotations

from cachedoctor.engines import CdnEngine
from cachedoctor.locators import openai_cdn

ENGINE = CdnEngine("openai-whisper", openai_cdn.xdg_folder)
