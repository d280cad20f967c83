"""Looking at realistic caches."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks import caches, homes
from benchmarks.caches import Kind
from benchmarks.place import HF, TOOL, Place
from benchmarks.timing import in_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.place import Scale
    from benchmarks.timing import Cost, Ratio

_SPARSE_BYTES = 100 << 30
_SCAN, _JSON = [TOOL, "scan"], [TOOL, "scan", "--json"]
_LS = [HF, "cache", "ls"]
_BOUNDS = {200: 1.5, 2000: 4.0}


def scan(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare with `hf cache ls`: repositories of three revisions and fifteen files."""
    place = Place(home, scale.rounds)
    caches.hub(place.home, scale.repositories, 3, 15)
    first = place.forget
    yield place.against("scan, first / hf cache ls", _SCAN, _LS, bound=0.33, before=first)
    json = [*_LS, "--format", "json"]
    title = "scan --json, first / hf cache ls --format json"
    yield place.against(title, _JSON, json, bound=0.36, before=first)
    place.know("scan")
    yield place.against("scan, again / hf cache ls", _SCAN, _LS, bound=0.22)
    yield place.inside("scan, first / scan_cache_dir(), in process", "first", bound=0.30)
    yield place.inside("scan, again / scan_cache_dir(), in process", "again", bound=0.15)
    yield in_turn(
        "list / scan, first",
        lambda: _first(place, "list"),
        lambda: _first(place),
        scale.rounds,
        bound=1.2,
    )


def shapes(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare other kinds of caches with the client's or `find`'s view of them."""
    for kind, name in ((Kind.STORE, "a shared store"), (Kind.NO_LINKS, "no links")):
        place = Place(f"{home}/{kind.name}", scale.rounds)
        caches.hub(place.home, scale.repositories // 4, 3, 15, kind=kind)
        title = f"scan, first / hf cache ls, {name}"
        yield place.against(title, _SCAN, _LS, before=place.forget)
        shutil.rmtree(place.home)
    mac = Place(f"{home}/mac", scale.rounds)
    homes.mac(mac.home)
    command = [TOOL, "scan", "--platform", "darwin"]
    find = ["find", str(mac.home), "-ls"]
    title = "scan of a Mac's home with bundles / find -ls"
    yield mac.against(title, command, find, before=mac.forget)
    large, small = Place(f"{home}/large", scale.rounds), Place(f"{home}/small", scale.rounds)
    homes.sparse(large.home, _SPARSE_BYTES)
    homes.sparse(small.home, 1 << 20)
    yield in_turn(
        "scan of one file, 100 GiB / 1 MiB",
        lambda: large.cost(_SCAN),
        lambda: small.cost(_SCAN),
        scale.rounds,
    )


def broken(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare a cache with more and more findings with the same cache without any."""
    whole, place = Place(f"{home}/whole", scale.rounds), Place(f"{home}/broken", scale.rounds)
    caches.hub(whole.home, scale.small, 1, 100)
    folders, done = caches.hub(place.home, scale.small, 1, 100), 0
    for count in scale.findings:
        homes.damage(folders, count, since=done)
        done = count
        yield in_turn(
            f"scan, first, {count} findings / none, {scale.small * 100:,} files",
            lambda: _first(place),
            lambda: _first(whole),
            scale.rounds,
            bound=_BOUNDS.get(count),
        )


def _first(place: Place, command: str = "scan") -> Cost:
    place.forget()
    return place.cost([TOOL, command], code=None)
