"""Check configurations and vocabularies: by digest, or else for what engines need in them.

Hashing a megabyte takes a millisecond. A small file whose content differs from its name is not yet
an error: mirrors name blobs differently, and people edit configurations. What counts is whether the
engine can read it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.looking import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.vocabulary import Artifact, Digest, Requirement

LARGEST_BYTES = 16 << 20
_ANY = ("*",)  # any object, whatever its keys
_WORDS = (b"<|startoftranscript|>", b"<|notimestamps|>")  # in every Whisper vocabulary
_QUANTISED = "quantization"
_OF_TINY = 384  # state width of the smallest Whisper: made-up models have any number of heads
# Other models' names for their main parts.
_NAMED_BY = (
    ("OpenAI", "encoder.blocks."),
    ("Hugging Face", "model.encoder.layers."),
    ("NeMo", "encoder.pre_encode."),
    ("llama", "model.layers."),
)
_NUMBERED = rb'"id":\s*(\d{1,9}),\s*"content":\s*"<\|notimestamps\|>"'
_TIMES = 1502  # words from there to the end: itself, and 1501 times
_ADDED = rb'"content":\s*"<\|notimestamps\|>"'  # among the added tokens


def holds(artifact: Artifact, digest: Digest) -> bool:
    """Return whether a small file has the content its digest says; never raises."""
    content = _content(artifact)
    if content is None:
        return False
    import hashlib

    if digest.algorithm == "git-sha1":
        head = b"blob %d\0" % len(content)
        return hashlib.sha1(head + content, usedforsecurity=False).hexdigest() == digest.hex
    return digest.algorithm == "sha256" and hashlib.sha256(content).hexdigest() == digest.hex


def check_keys(artifact: Artifact, need: Requirement) -> FormatError | None:
    """Return what a JSON file lacks that its engine cannot do without, or `None`."""
    content = _content(artifact)
    if content is None:
        return None
    try:
        said = untrusted.parse_json(content)
    except ValueError:  # another rule reports malformed JSON
        return None
    if not isinstance(said, dict):
        return FormatError(Fault.MALFORMED, "is a list, not an object")
    name = artifact.name.rpartition("/")[2]
    return next((FormatError(Fault.MALFORMED, why) for why in _violations(said, need, name)), None)


def _violations(said: Mapping[str, object], need: Requirement, name: str) -> Iterator[str]:
    """Yield what an object lacks, has in excess, or states wrongly."""
    if need.keys and need.keys != _ANY and not any(key in said for key in need.keys):
        yield f"holds no {' or '.join(f'`{key}`' for key in need.keys[:2])}"
    for key in (key for file, keys in need.needed if file == name for key in keys):
        if all(_value_at(said, each) is None for each in key.split("|")):
            yield f"holds no `{key.split('|')[0]}`"
    usual = name == need.names[0]
    for key in said if need.only and usual else ():
        if key not in need.only:
            yield f"holds `{key[:20]}`, which the engine refuses"
    for key, words in need.among if usual else ():
        told = _value_at(said, key)
        if told is not None and told not in words:
            yield f"says `{str(told)[:30]}` for `{key}`, which is unknown"
    for key, value in need.values:
        if said.get(key) != value:
            found = f"`{str(said[key])[:20]}`" if key in said else "nothing"
            yield f"says {found} for `{key}`, not `{value}`"


def can_check_sizes(need: Requirement, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether the weights have every tensor needed to check a configuration."""
    found = [_axis(shapes, tensor, axis) for _, tensor, axis, _ in need.agrees]
    return bool(found) and None not in found


def check_sizes(
    artifact: Artifact, need: Requirement, shapes: Mapping[str, tuple[int, ...]]
) -> FormatError | None:
    """Return where a configuration contradicts the weights, or `None`.

    Whatever the weights do not have or the configuration does not state is skipped.
    """
    content = _content(artifact)
    if content is None:
        return None
    try:
        said = untrusted.parse_json(content)
    except ValueError:
        return None
    return _first_mismatch(said, need, shapes) if isinstance(said, dict) else None


def check_own_sizes(
    said: Mapping[str, object], need: Requirement, shapes: Mapping[str, tuple[int, ...]]
) -> FormatError | None:
    """Return a fault if weights give their own sizes wrongly; `None` if they agree."""
    why = next(_violations(said, need._replace(keys=()), need.names[0]), None)
    told = can_check_sizes(need, shapes)
    return (
        FormatError(Fault.MALFORMED, why)
        if why
        else _first_mismatch(said, need, shapes)
        if told
        else None
    )


def _first_mismatch(
    said: Mapping[str, object], need: Requirement, shapes: Mapping[str, tuple[int, ...]]
) -> FormatError | None:
    for key, tensor, axis, share in need.agrees:
        told = _value_at(said, key)
        whole = _axis(shapes, tensor, axis)
        if told is None or whole is None or (share > 1 and whole < _OF_TINY):
            continue
        if not isinstance(told, int):
            return FormatError(
                Fault.MALFORMED, f"says `{str(told)[:20]}` for `{key}`, not a number"
            )
        if told != whole // share:
            what = f"says {told} for `{key}`, and the weights {whole // share}"
            return FormatError(Fault.MALFORMED, what)
    why = _packed(said, shapes) if _QUANTISED in need.only else ""
    return FormatError(Fault.MALFORMED, why) if why else None


def _packed(said: Mapping[str, object], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return where a configuration misstates how MLX packed the weights, or an empty string.

    MLX packs a row into 32-bit words, with one scale per group of numbers.
    """
    scales = next((name for name in shapes if name.endswith(".scales")), "")
    weight = shapes.get(f"{scales.removesuffix('scales')}weight", ())
    if not scales or len(weight) != 2 or len(shapes[scales]) != 2:
        return ""
    told = said.get(_QUANTISED)
    if not isinstance(told, dict):
        return f"holds no `{_QUANTISED}`, but the weights are packed"
    bits, group = told.get("bits"), told.get("group_size")
    numbers = shapes[scales][1] * (group if isinstance(group, int) else 0)
    if not numbers or weight[1] * 32 != numbers * (bits if isinstance(bits, int) else 0):
        return f"says {str(bits)[:9]} bits in groups of {str(group)[:9]}, but the weights do not"
    return ""


def foreign_names(need: Requirement, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return which other engine's naming the weights follow, or an empty string."""
    own = tuple(tensor.removesuffix("*") for _, tensor, *_ in need.agrees)
    if not own or any(name.startswith(own) for name in shapes):
        return ""
    return next(
        (whose for whose, start in _NAMED_BY if any(name.startswith(start) for name in shapes)), ""
    )


def _value_at(said: Mapping[str, object], key: str) -> object:
    """Return the value of a configuration at `a.b`, or `None`."""
    here: object = said
    for part in key.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _axis(shapes: Mapping[str, tuple[int, ...]], tensor: str, axis: int) -> int | None:
    """Return the length of a tensor's axis, or for `blocks.*` the number of blocks."""
    if tensor.endswith(".*"):
        start = tensor[:-1]
        inner = {name[len(start) :].partition(".")[0] for name in shapes if name.startswith(start)}
        numbers = [int(one) for one in inner if one.isdecimal()]
        return max(numbers) + 1 if numbers else None
    shape = shapes.get(tensor)
    return shape[axis] if shape is not None and axis < len(shape) else None


def lacks_whisper_tokens(artifact: Artifact) -> bool:
    """Return whether a vocabulary lacks Whisper's own tokens."""
    content = _content(artifact)
    if content is None:
        return False
    if artifact.name.endswith("tokenizer.json"):
        return re.search(_ADDED, content) is None
    return not all(word in content for word in _WORDS)


def word_count(artifact: Artifact) -> int | None:
    """Return the number of words in a vocabulary or a tokenizer; `None` for any other file.

    A tokenizer's follow from the number of the last word before the timestamps.
    """
    if not artifact.name.endswith(("vocabulary.txt", "tokenizer.json")):
        return None
    content = _content(artifact)
    if content is None:
        return None
    if artifact.name.endswith("vocabulary.txt"):
        return content.count(b"\n") + (not content.endswith(b"\n"))
    found = re.search(_NUMBERED, content)
    return int(found[1]) + _TIMES if found else None


def _content(artifact: Artifact) -> bytes | None:
    """Read a small regular file."""
    if not 0 < artifact.size_bytes <= LARGEST_BYTES:
        return None
    try:
        return untrusted.read(artifact.file, LARGEST_BYTES, follow=True)
    except (OSError, ValueError):
        return None
