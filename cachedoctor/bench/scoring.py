"""Score a transcript: word errors after Whisper's own normalisation."""

from __future__ import annotations

import importlib.util
import re

MODULES = ("jiwer", "whisper_normalizer")  # of the extra `bench`
_GARBLED = 0.5  # of the words
_UNSPACED = ("zh", "ja", "th", "lo", "my", "yue")  # written without spaces, scored by letters
_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u2e80-\uffff"  # of their scripts
_WORD = re.compile(rf"[{_LETTERS}]|[^\W{_LETTERS}]+")


def can_score() -> bool:
    """Return whether the scoring packages are installed; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in MODULES)


def word_error_rate(said: str, heard: str, language: str | None) -> float:
    """Return the number of inserted, deleted and substituted words per spoken word.

    English is normalised with its spellings and contractions, other languages without; languages
    written without spaces are scored by letters.
    """
    import jiwer
    from whisper_normalizer.basic import BasicTextNormalizer
    from whisper_normalizer.english import EnglishTextNormalizer

    basic = BasicTextNormalizer(split_letters=language in _UNSPACED)
    normal = EnglishTextNormalizer() if language == "en" else basic
    expected = normal(said).strip()
    if not any(character.isalnum() for character in expected):  # "…" is normalised to dots
        return 0.0
    return float(jiwer.wer(expected, normal(heard).strip()))


def is_garbled(said: str, heard: str) -> bool:
    """Return whether a transcript has so little of what was said that its speed is worthless.

    Needs no extra packages.
    """
    from difflib import SequenceMatcher

    first, second = (_WORD.findall(text.lower()) for text in (said, heard))
    return SequenceMatcher(None, first, second, autojunk=False).ratio() < _GARBLED
