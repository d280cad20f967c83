"""Measure everything: `python -m benchmarks [--save FILE.json] [--plot FILE.svg] [PART...]`."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import changing, growth, latency, looking, page, reading, starting
from benchmarks.place import SHORT, WHOLE
from tests.support import disks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.place import Scale
    from benchmarks.timing import Ratio

PARTS = {
    "start": starting.start,
    "idle": starting.idle,
    "scan": looking.scan,
    "shapes": looking.shapes,
    "broken": looking.broken,
    "verify": reading.verify,
    "small": reading.small,
    "one": reading.one,
    "beside-hf": reading.beside_hf,
    "copy": changing.copy,
    "dedupe": changing.dedupe,
    "move": changing.move,
    "far": latency.far,
}
_GROWTH = "growth"
_HERE = Path(__file__).parent
_NUMBERS = _HERE / "numbers.json"
_PAGE = _HERE.parent / "docs" / "performance.md"
_PLOT = _HERE.parent / "docs" / "figures" / "growth.svg"


def _machine() -> Mapping[str, object]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "cachedoctor": version("model-cache-doctor"),
        "huggingface_hub": version("huggingface_hub"),
    }


def main() -> None:
    """Run the chosen parts, print a table and keep the numbers."""
    given = _given()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # cleans up, as after Ctrl-C
    scale = SHORT if given.short else WHOLE
    if given.rounds:
        scale = scale._replace(rounds=given.rounds, few=min(given.rounds, scale.few))
    numbers = page.Numbers.read(given.save if given.parts else None)
    numbers.machine = {**_machine(), "rounds": scale.rounds, "few": scale.few}
    print(", ".join(f"{name} {value}" for name, value in numbers.machine.items()))
    if not given.parts or _GROWTH in given.parts:  # first, because a child's peak starts at ours
        numbers.growth = growth.measure(scale.growth)
        print("\n".join(growth.lines(numbers.growth)))
    head = "ours / theirs, whole processes unless said"
    print(f"{head:<64} {'ms':>9} {'ms':>9} {'ratio':>7} {'CPU':>26}")
    for name in PARTS:
        if not given.parts or name in given.parts:
            numbers.put(name, _measured(name, scale))
            if given.save:  # later parts may be skipped
                numbers.write(given.save)
    if given.save:
        numbers.write(given.save)
    if given.plot and numbers.growth:
        growth.plot(numbers.growth, given.plot)
    if given.page:
        page.fill(Path(given.page), numbers)


def _given() -> argparse.Namespace:
    known = (*PARTS, _GROWTH)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(known))
    parser.add_argument("--rounds", type=int, help="of each comparison, 7 unless said")
    parser.add_argument("--short", action="store_true", help="small caches, once: that it runs")
    parser.add_argument("--save", metavar="FILE.json", help="keep the numbers, beside older ones")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the growth")
    parser.add_argument("--page", metavar="FILE.md", help="write the tables into that page")
    parser.add_argument("--docs", action="store_true", help="all three, for docs/performance.md")
    given = parser.parse_args()
    unknown = set(given.parts).difference(known)
    if unknown:
        parser.error(f"no part `{unknown.pop()}`; there are {', '.join(known)}")
    if given.docs:
        given.save, given.plot, given.page = map(str, (_NUMBERS, _PLOT, _PAGE))
    return given


def _measured(name: str, scale: Scale) -> list[Ratio]:
    began = time.monotonic()
    found: list[Ratio] = []
    with tempfile.TemporaryDirectory() as home:
        try:
            for ratio in PARTS[name](home, scale):
                found.append(ratio)
                print(ratio.line(), flush=True)
        except (disks.CannotMountError, latency.CannotBeLateError) as why:
            print(f"{name} cannot be measured here: {why}", file=sys.stderr)
    print(f"  {name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return found


if __name__ == "__main__":
    main()
