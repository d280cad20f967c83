"""lightning-whisper-mlx: `mlx_models/` in the current folder, one folder for three quantisations.

The folder holds whichever of a size's plain, 4-bit and 8-bit repositories was downloaded last;
`config.json` tells which.
Source: lightning-whisper-mlx 0.0.10 `lightning.py` `LightningWhisperMLX.__init__`.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from cachedoctor.engines import CatalogEngine
from cachedoctor.looking import untrusted

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry

_CONFIG_LIMIT_BYTES = 1 << 20
_MOST_BITS = 32
_FOLDER = "mlx_models"
_WEIGHTS = "weights.npz"
_OTHERS = ("model.bin", "model.safetensors", "pytorch_model.bin")  # weights of other engines


class LightningWhisperMlx(CatalogEngine):
    """Uses a folder that depends on the current one and cannot be configured."""

    name = "lightning-whisper-mlx"
    locators = ("local-dir",)
    takes_repositories = False

    @cached_property
    def _by_folder(self) -> dict[str, list[Model]]:
        found: dict[str, list[Model]] = {}
        for model in self.table.models.values():
            found.setdefault(model.sets[0].folder, []).append(model)
        return found

    def places(self, model: Model) -> tuple[str, ...]:
        """Return the model's folder."""
        return (model.sets[0].folder,)

    def model_at(self, entry: Entry, host: Host) -> Model | None:
        """Return the model with the folder's name and the quantisation of its weights.

        Outside `mlx_models`, a folder called `tiny` is not taken for ours if all it holds is
        another engine's weights.
        """
        ours = os.path.basename(os.path.dirname(entry.path)) == _FOLDER
        if not ours and not entry.find(_WEIGHTS) and any(map(entry.find, _OTHERS)):
            return None
        rows = self._by_folder.get(entry.name, [])
        bits = _bits(entry) if len(rows) > 1 else 0
        wanted = f"{entry.name}@{bits}bit" if bits else entry.name
        return next((row for row in rows if row.name == wanted), rows[0] if rows else None)

    def home(self, model: Model, host: Host) -> str:
        """Return the folder below the project, or below the current folder."""
        return os.path.join(host.here(_FOLDER), model.sets[0].folder)


ENGINE = LightningWhisperMlx()


def _bits(entry: Entry) -> int:
    """Return the bits per weight according to `config.json`, 0 if it does not say."""
    config = next((a for a in entry.artifacts if a.name == "config.json" and a.stamp), None)
    if config is None or config.size_bytes > _CONFIG_LIMIT_BYTES:
        return 0
    try:
        said = untrusted.read_json(config.file, _CONFIG_LIMIT_BYTES, follow=True)
    except (ValueError, OSError):
        return 0
    quantization = said.get("quantization") if isinstance(said, dict) else None
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    return untrusted.count(bits, _MOST_BITS) or 0
