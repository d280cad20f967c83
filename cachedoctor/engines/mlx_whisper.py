"""mlx-whisper: whole repositories from the hub cache; tokenizers come with the package.

Source: mlx-whisper 0.4.3 `load_models.py` `load_model`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import RepositoryEngine, _shapes

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


class MlxWhisper(RepositoryEngine):
    """Loads a folder in the current one with the repository's name, in place of the model."""

    name = "mlx-whisper"

    def fits(self, entry: Entry) -> bool:
        """Look for `n_mels` in the configuration."""
        config = _shapes.config(entry)
        return "n_mels" in config and "n_audio_layer" in config

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the folder that would be loaded in place of the model."""
        path = host.here(model.repository)
        shadows = (path,) if os.path.lexists(path) else ()
        return super().claimed(model, entry, host)._replace(shadows=shadows)


ENGINE = MlxWhisper()
