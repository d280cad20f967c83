"""Split a hub cache into parts that can be scanned separately, with the size of each."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor.locators import Unit, _notes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SHA256_LENGTH = 64  # of a large blob's name


def of(root: str, folders: Sequence[str]) -> Iterator[Unit]:
    """Yield groups of repositories; those whose large blobs share a store payload stay together.

    Only large files are weighed, those named by SHA-256: one stat each.
    """
    weighed = {name: _weighed(f"{root}/{name}/blobs") for name in folders}
    first: dict[str, str] = {}  # payload to the first repository seen with it
    leads = {name: name for name in folders}

    def leader(name: str) -> str:
        while leads[name] != name:
            name = leads[name]
        return name

    for name, (_, _, payloads) in weighed.items():
        for payload in payloads:
            leads[leader(name)] = leader(first.setdefault(payload, name))
    groups: dict[str, list[str]] = {}
    for name in folders:
        groups.setdefault(leader(name), []).append(name)
    for names in groups.values():
        payloads = {p: size for name in names for p, size in weighed[name][2].items()}
        own = sum(weighed[name][0] for name in names)
        files = sum(weighed[name][1] for name in names)
        yield Unit(tuple(names), own + sum(payloads.values()), files)


def _weighed(folder: str) -> tuple[int, int, Mapping[str, int]]:
    """Return the bytes of large blobs, the number of blobs, and the store payloads used."""
    bytes_ = files = 0
    payloads: dict[str, int] = {}
    for entry in _notes.listed(folder, []):
        files += 1
        if len(entry.name) != _SHA256_LENGTH:
            continue
        with contextlib.suppress(OSError):
            size = os.stat(entry.path).st_size
            if entry.link:
                payloads[os.readlink(entry.path).rpartition("/")[2]] = size
            else:
                bytes_ += size
    return bytes_, files, payloads
