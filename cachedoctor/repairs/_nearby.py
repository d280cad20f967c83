"""The same bytes under another name: beside the file, in Downloads, in a clone's git-lfs store.

Browsers save `model (1).bin`; `git lfs` keeps what a pointer stands for below `.git/lfs/objects`.
Found by length, and proven by digest before anything is put in place.
Source: git-lfs/git-lfs docs/spec.md, docs/api/README.md.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from cachedoctor import quietly, untrusted
from cachedoctor.findings import LocalCopy, Proof
from cachedoctor.locators import is_litter
from cachedoctor.vocabulary import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.vocabulary import Artifact, Survey

_POINTER_BYTES = 1024
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n"
    rb"size ([0-9]{1,18})\n"
)
_LEAST_BYTES = 1024  # of what a length alone is worth a look


def pointed_at(artifact: Artifact) -> tuple[int, Digest] | None:
    """Return the length and digest that a git-lfs pointer names, where the file is one."""
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
    """Yield files that may hold what `artifact` should, whatever they are called."""
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
    """Return the object in the nearest clone's store above `path`, or empty."""
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
