"""faster-whisper: CTranslate2 models from the hub cache.

Source: faster-whisper 1.2.1 `utils.py` `_MODELS`, `download_model`; `transcribe.py`
`WhisperModel.__init__`; OpenNMT/CTranslate2 `model_spec.py`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import locators
from cachedoctor.engines import HubEngine, _shapes
from cachedoctor.locators import hub_cache
from cachedoctor.looking import untrusted

if TYPE_CHECKING:
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Claim, Entry

_LONGEST_REF = 64
_BESIDE = ("vocabulary.txt", "vocabulary.json", "config.json")  # CTranslate2 writes one of them
_SPEECH_KEYS = ("alignment_heads", "lang_ids")  # in CTranslate2's configuration for Whisper


class FasterWhisper(HubEngine):
    """Loads a folder in the current one that is named like a size, in place of the model."""

    name = "faster-whisper"

    def fits(self, entry: Entry) -> bool:
        """Look for `WhisperSpec` in CTranslate2's file, or for Whisper's keys beside it."""
        weights = entry.find("model.bin")
        if weights is None or not any(map(entry.find, _BESIDE)):
            return False
        if b"WhisperSpec\0" in _shapes.head(weights):
            return True
        return any(key in _shapes.config(entry) for key in _SPEECH_KEYS)

    def instead(self, model: Model | None, word: str, host: Host) -> str:
        """Return a folder in the current one with this name, whatever it contains."""
        path = host.here(host.expand(word))
        return path if os.path.isdir(path) else ""

    def claimed(self, model: Model, entry: Entry, host: Host) -> Claim:
        """Add the folder that would be loaded in place of the model."""
        names = [model.name, *(n for n, known in self.table.aliases.items() if known == model.name)]
        paths = [host.here(name) for name in names]
        shadows = tuple(path for path in paths if os.path.isdir(path))
        english = ".en" if model.name.endswith(".en") else ""
        folders = _tokenizers(entry, f"openai/whisper-tiny{english}")
        claim = super().claimed(model, entry, host)
        return claim._replace(shadows=shadows, tokenizer_folders=folders)


ENGINE = FasterWhisper()


def _tokenizers(entry: Entry, fallback: str) -> tuple[str, ...]:
    """Return where a tokenizer is looked for: beside the model, then in OpenAI's repository.

    If a manifest lists a tokenizer, the client rejects the revision before it comes to that.
    """
    if not locators.of(entry).has_revisions or "tokenizer.json" in entry.promises:
        return ()
    folder = os.path.join(entry.root, hub_cache.folder_name(fallback))
    try:
        path = os.path.join(folder, "refs", "main")
        commit = untrusted.read(path, _LONGEST_REF).decode("ascii")
    except (OSError, ValueError):
        return ()
    if not hub_cache.COMMIT.fullmatch(commit):
        return ()
    return (entry.path, os.path.join(folder, "snapshots", commit))
