"""parakeet-mlx: two files from the hub cache, the vocabulary inside `config.json`.

Source: parakeet-mlx 0.7.0 `utils.py` `from_pretrained`, `cli.py`.
"""

from __future__ import annotations

from cachedoctor.engines import HubEngine


class ParakeetMlx(HubEngine):
    """Has a command line, and only that, which reads `PARAKEET_CACHE_DIR`: a separate hub cache."""

    name = "parakeet-mlx"


ENGINE = ParakeetMlx()
