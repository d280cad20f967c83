"""Configurations and vocabularies: proven by their digest, or else asked for what engines need.

A digest of a megabyte costs a millisecond. A small file that is not what its name says is no error
by that: mirrors name blobs otherwise, and people edit configurations. What counts is whether the
engine can read it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.errors import Fault, FormatError
from cachedoctor.looking import untrusted

if TYPE_CHECKING:
    from cachedoctor.vocabulary import Artifact, Digest, Requirement

LARGEST_BYTES = 16 << 20
_ANY = ("*",)  # an object, whatever its keys


def holds(artifact: Artifact, digest: Digest) -> bool:
    """Say whether a small file holds what its digest says; never raises."""
    content = _content(artifact)
    if content is None:
        return False
    import hashlib

    if digest.algorithm == "git-sha1":
        head = b"blob %d\0" % len(content)
        return hashlib.sha1(head + content, usedforsecurity=False).hexdigest() == digest.hex
    return digest.algorithm == "sha256" and hashlib.sha256(content).hexdigest() == digest.hex


def lacks(artifact: Artifact, need: Requirement) -> FormatError | None:
    """Say what a JSON file lacks that its engine cannot do without; `None` where it has it."""
    content = _content(artifact)
    if content is None:
        return None
    try:
        said = untrusted.parse_json(content)
    except ValueError:  # its form is another rule's
        return None
    if not isinstance(said, dict):
        return FormatError(Fault.MALFORMED, "is a list where an object belongs")
    if need.keys and need.keys != _ANY and not any(key in said for key in need.keys):
        wanted = " or ".join(f"`{key}`" for key in need.keys[:2])
        return FormatError(Fault.MALFORMED, f"holds no {wanted}")
    for key, value in need.values:
        if said.get(key) != value:
            found = f"`{str(said[key])[:20]}`" if key in said else "nothing"
            return FormatError(Fault.MALFORMED, f"says {found} for `{key}`, not `{value}`")
    return None


def _content(artifact: Artifact) -> bytes | None:
    """Read a regular file that is small."""
    if not 0 < artifact.size_bytes <= LARGEST_BYTES:
        return None
    try:
        return untrusted.read(artifact.file, LARGEST_BYTES, follow=True)
    except (OSError, ValueError):
        return None
