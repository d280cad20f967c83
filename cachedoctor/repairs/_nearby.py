"""Find the same bytes under another name: beside the file, in Downloads, in a git-lfs store.

Browsers save `model (1).bin`; `git lfs` keeps a pointer's content below `.git/lfs/objects`.
Candidates are found by length, and proven by digest before anything is put in place.
Source: git-lfs/git-lfs docs/spec.md, docs/api/README.md.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from cachedoctor.findings import LocalCopy, Proof
from cachedoctor.locators import is_litter
from cachedoctor.looking import quietly, untrusted
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.vocabulary import Artifact, Survey

_POINTER_BYTES = 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n"
    rb"size ([0-9]{1,18})\n"
)
_LEAST_BYTES = 1024  # below this, an equal length means nothing


def pointed_at(artifact: Artifact) -> tuple[int, Digest] | None:
    """Return the length and digest in a git-lfs pointer, or `None` if the file is not one."""
    if not 0 < artifact.size_bytes <= _POINTER_BYTES:
        return None
    try:
        found = _POINTER.match(untrusted.read(artifact.file, _POINTER_BYTES, follow=True))
    except (OSError, ValueError):
        return None
    return (int(found[2]), Digest("sha256", found[1].decode())) if found else None


def nearby(
    artifact: Artifact, survey: Survey, size: int | None, digest: Digest | None
) -> Iterator[LocalCopy]:
    """Yield files that may hold the content of `artifact`, whatever their names."""
    if digest is None or size is None:
        return
    proofs = (Proof("", size, digest),)
    if digest.algorithm == "sha256":
        stored = _stored(artifact.path, digest.hex)
        if stored:
            yield LocalCopy((("", stored),), "git-lfs' store", proofs)
    if size < _LEAST_BYTES:
        return
    for folder in (os.path.dirname(artifact.path), *survey.around):
        for path in _of_length(folder, size):
            if path != artifact.file:
                yield LocalCopy((("", path),), f"`{path}`", proofs)


def _stored(path: str, oid: str) -> str:
    """Return the object in the store of the nearest clone above `path`, or an empty string."""
    above = os.path.dirname(path)
    while True:
        found = f"{above}/.git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}"
        if os.path.isfile(found):
            return found
        if above == os.path.dirname(above):
            return ""
        above = os.path.dirname(above)


def _of_length(folder: str, size: int) -> Iterator[str]:
    try:
        entries = quietly.listed(folder)
    except OSError:
        return
    for entry in entries:
        if entry.file and not is_litter(entry.name):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode) and status.st_size == size:
                yield entry.path
