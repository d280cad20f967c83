"""What a command costs before it looks at anything much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import caches, homes
from benchmarks.place import HF, PYTHON, TOOL, Place
from benchmarks.timing import in_turn, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.place import Scale
    from benchmarks.timing import Cost, Ratio

_CLICK = """
import click
@click.group()
def bare(): ...
for name in ("preflight", "scan", "verify"):
    bare.command(name=name)(click.argument("words", nargs=-1)(lambda words: None))
bare(prog_name="bare")
"""
_GRACE_S = 0.05


def start(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare starting with a bare Python and with `hf`."""
    place = Place(home, scale.rounds)
    homes.ready_model(place.home)
    bare = [PYTHON, "-c", "pass"]
    ask = [TOOL, "preflight", "faster-whisper", "--model", "tiny.en"]
    yield place.against("--help / python -c pass", [TOOL, "--help"], bare)
    yield place.against("--help / hf --help", [TOOL, "--help"], [HF, "--help"])
    yield place.against("preflight, ready / python -c pass", ask, bare, bound=6)
    pairs = [place.told("preflight")[0] for _ in range(scale.rounds)]
    first = [(mine, place.cost(bare)) for mine, _ in pairs]
    title = "import cachedoctor and preflight / python -c pass"
    yield ratio(title, first, bound=4, note="in a running Python")
    again = [(second, mine) for mine, second in pairs]
    yield ratio("preflight again / the first, in that Python", again, bound=0.05)
    words = {"COMP_WORDS": "cachedoctor pre", "COMP_CWORD": "1"}
    mine = Place(home, scale.rounds, _CACHEDOCTOR_COMPLETE="bash_complete", **words)
    other = Place(home, scale.rounds, _BARE_COMPLETE="bash_complete", **words)
    yield in_turn(
        "TAB / of a bare click program",
        lambda: mine.cost([TOOL]),
        lambda: other.cost([PYTHON, "-c", _CLICK]),
        scale.rounds,
        bound=2,
    )


def idle(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare having nothing to do, in a cache of some size, with an empty home."""
    place = Place(home, scale.rounds)
    caches.hub(place.home, scale.repositories, 3, 15)
    empty = Place(f"{home}/empty", scale.rounds)
    empty.home.mkdir()
    for words in (("quarantine", "list"), ("undo",)):
        title = f"{' '.join(words)}, nothing to do / scan of nothing + 50 ms"
        yield in_turn(
            title,
            lambda words=words: place.cost([TOOL, *words], code=None),  # type: ignore[misc]
            lambda: _with_grace(empty.cost([TOOL, "scan"])),
            scale.rounds,
            bound=1,
        )


def _with_grace(cost: Cost) -> Cost:
    return cost._replace(seconds=cost.seconds + _GRACE_S, cpu_s=cost.cpu_s + _GRACE_S)
