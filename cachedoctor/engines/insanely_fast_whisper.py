"""insanely-fast-whisper: OpenAI's repositories, loaded by transformers from the hub cache.

Source: insanely-fast-whisper 0.0.15 `cli.py`; transformers 4.46.3 to 5.24.0 `modeling_utils.py`,
`models/whisper/tokenization_whisper.py`, `models/whisper/configuration_whisper.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import RepositoryEngine, _shapes
from cachedoctor.locators import hub_cache

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry


class InsanelyFastWhisper(RepositoryEngine):
    """Has no model names of its own: a model is `openai/whisper-<name>`."""

    name = "insanely-fast-whisper"

    def fits(self, entry: Entry) -> bool:
        """Look for `model_type: whisper`, and weights: a processor or a tokenizer is no model."""
        config = _shapes.config(entry)
        return (
            config.get("model_type") == "whisper"
            and "d_model" in config
            and any(
                name == "pytorch_model.bin" or name.endswith((".safetensors", ".index.json"))
                for name in entry.names
            )
        )

    def home(self, model: Model, host: Host) -> str:
        """Return the repository's folder; transformers before 5 has its own variable for it.

        The variable counts only with an option such as `--engine-version transformers=4.46.3`.
        """
        old = hub_cache.old_transformers(host)
        name = hub_cache.folder_name(model.repository)
        return os.path.join(old[0], name) if old else super().home(model, host)


ENGINE = InsanelyFastWhisper()
