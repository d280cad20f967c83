"""parakeet-mlx: two files from the hub cache, the vocabulary inside `config.json`.

Source: parakeet-mlx 0.7.0 `utils.py` `from_pretrained`, `cli.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import HubEngine
from cachedoctor.locators.hub_cache import folder_name

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host


class ParakeetMlx(HubEngine):
    """Its command line, and only that, takes `PARAKEET_CACHE_DIR`."""

    name = "parakeet-mlx"

    def home(self, model: Model, host: Host) -> str:
        """Return the folder of the model's repository, in the cache of the command line if any."""
        own = host.environment.get("PARAKEET_CACHE_DIR")
        cache = host.absolute(own) if own else host.hub_cache
        return os.path.join(cache, folder_name(model.repository))


ENGINE = ParakeetMlx()
