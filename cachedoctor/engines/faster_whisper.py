"""faster-whisper: CTranslate2 models from the hub cache.

Source: faster-whisper 1.2.1 `utils.py` `_MODELS`, `download_model`; `transcribe.py`
`WhisperModel.__init__`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.engines import HubEngine

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry


class FasterWhisper(HubEngine):
    """Takes any folder in the current one that is called like a size for the model itself."""

    name = "faster-whisper"

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the folder that would be loaded in place of the model."""
        names = [model.name, *(n for n, known in self.table.aliases.items() if known == model.name)]
        paths = [os.path.join(host.project or host.cwd, name) for name in names]
        shadows = tuple(path for path in paths if os.path.isdir(path))
        return super().claimed(model, entry, host)._replace(shadows=shadows)


ENGINE = FasterWhisper()
