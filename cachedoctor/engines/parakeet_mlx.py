"""parakeet-mlx: two files from the hub cache, the vocabulary inside `config.json`.

Source: parakeet-mlx 0.7.0 `utils.py` `from_pretrained`, `from_config`, `cli.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.engines import HubEngine, _shapes

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Entry

_NEMO = "nemo.collections.asr."


class ParakeetMlx(HubEngine):
    """Has a command line, and only that, which reads `PARAKEET_CACHE_DIR`: a separate hub cache."""

    name = "parakeet-mlx"

    def fits(self, entry: Entry) -> bool:
        """Look for a target of NeMo's in the configuration."""
        return str(_shapes.config(entry).get("target", "")).startswith(_NEMO)


ENGINE = ParakeetMlx()
