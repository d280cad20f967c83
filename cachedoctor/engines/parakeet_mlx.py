"""parakeet-mlx: two files from the hub cache, the vocabulary inside `config.json`.

Source: parakeet-mlx 0.7.0 `utils.py` `from_pretrained`, `cli.py`.
"""

from __future__ import annotations

from cachedoctor.engines import HubEngine


class ParakeetMlx(HubEngine):
    """Its command line, and only that, takes `PARAKEET_CACHE_DIR`: a hub cache of its own."""

    name = "parakeet-mlx"


ENGINE = ParakeetMlx()
