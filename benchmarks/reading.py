"""Reading every byte, compared with bare loops that open, read and hash."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from benchmarks import caches, homes
from benchmarks.caches import HUB
from benchmarks.place import HF, PYTHON, TOOL, Place
from benchmarks.timing import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.place import Scale
    from benchmarks.timing import Ratio

LARGE = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
def one(path):
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
with ThreadPoolExecutor(os.cpu_count()) as pool, open(sys.argv[1]) as listed:
    list(pool.map(one, listed.read().split("\\n")))
"""
_SMALL = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
def one(path):
    with open(path, "rb", buffering=0) as file:
        return hashlib.sha1(file.read()).hexdigest()
with ThreadPoolExecutor(os.cpu_count()) as pool, open(sys.argv[1]) as listed:
    list(pool.map(one, listed.read().split("\\n")))
"""
_FRESH, _AGAIN = [TOOL, "verify", "--fresh"], [TOOL, "verify"]
_WEIGHTS = 8


def verify(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare reading large files that are in the page cache."""
    place = Place(home, scale.rounds)
    blobs = homes.weights(place.home, _WEIGHTS, scale.large_bytes)
    listed = place.home / "blobs"
    listed.write_text("\n".join(map(str, blobs)))
    amount = f"{_WEIGHTS * scale.large_bytes / (1 << 30):.3g} GiB"
    bare = [PYTHON, "-c", LARGE, str(listed)]
    cores = str(os.cpu_count() or 1)
    summing = ["xargs", "-a", str(listed), "-P", cores, "-n", "1", "sha256sum"]
    title = f"verify --fresh, {amount} / hashlib, a thread a core"
    yield place.against(title, _FRESH, bare, bound=1.05)
    yield place.against(f"verify --fresh, {amount} / xargs -P sha256sum", _FRESH, summing)
    yield place.against("verify again / scan", _AGAIN, [TOOL, "scan"], bound=1.3)


def small(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare reading many small files, and one repository of many."""
    place = Place(f"{home}/small", scale.rounds)
    folders = caches.hub(place.home, scale.small, 1, 100, shards=0)
    listed = place.home / "blobs"
    blobs = [str(path) for folder in folders for path in (folder / "blobs").iterdir()]
    listed.write_text("\n".join(blobs))
    bare = [PYTHON, "-c", _SMALL, str(listed)]
    title = f"verify --fresh, {len(blobs):,} small files / a bare loop"
    yield place.against(title, _FRESH, bare, bound=1.5)
    place.know("verify")
    title = f"verify again / scan, {len(blobs):,} small files"
    yield place.against(title, _AGAIN, [TOOL, "scan"], bound=1.3)
    shutil.rmtree(place.home)


def one(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare one named repository of many with the same one alone."""
    many, alone = Place(f"{home}/many", scale.rounds), Place(f"{home}/alone", scale.rounds)
    name = caches.hub(many.home, scale.repositories, 3, 15)[0].name
    caches.hub(alone.home, 1, 3, 15)
    yield in_turn(
        f"verify --fresh of one of {scale.repositories} / the same alone",
        lambda: many.cost([*_FRESH, f"{many.home}/{HUB}/{name}"]),
        lambda: alone.cost([*_FRESH, f"{alone.home}/{HUB}/{name}"]),
        scale.rounds,
        bound=1.5,
    )


def beside_hf(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare verifying one repository with the hub's own command, which asks the hub."""
    from tests.support.loopback import Hub

    with Hub() as hub:
        place = Place(home, scale.rounds, HF_ENDPOINT=hub.url)
        (blob,) = homes.weights(place.home, 1, scale.large_bytes)
        hub.add("org/weights-0", {"weights.bin": blob}, commit="c" * 40)
        theirs = [HF, "cache", "verify", "org/weights-0"]
        title = f"verify --fresh / hf cache verify, {scale.large_bytes >> 20} MiB"
        yield place.against(title, _FRESH, theirs)
