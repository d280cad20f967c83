"""Run the whole matrix: `python -m tests.truth [--docs FILE] [--engine NAME] [--cause WORD]`.

Every state is built, `preflight` is asked and the real engine loads it offline. The ordinary suite
runs a part (`tests/test_truth.py`). Exits with 1 if a prediction was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.truth import engines, inventions, matrix, neighbours, states

_HEAD = """# Predictions and real loads

<!-- Written by `python -m tests.truth --docs docs/truth.md`; do not edit. -->

Each state is a home with real weights, changed in some way. `preflight` says whether the engine
would load the model; then the real engine is asked, offline, and must hear the words.

"""


def available(names: list[str]) -> set[str]:
    """Return the engines with an environment; say why others are left out."""
    found = set()
    for name in names:
        try:
            engines.PYTHONS[name]()
        except pytest.skip.Exception as error:
            print(f"without {name}: {error}")
        else:
            found.add(name)
    return found


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.truth", description=__doc__)
    parser.add_argument("--docs", metavar="FILE", help="write the page here")
    parser.add_argument("--engine", action="append", help="only these engines")
    parser.add_argument("--cause", action="append", help="only these causes")
    parser.add_argument("--name", help="only states with this in their names")
    parser.add_argument("--beside", action="store_true", help="the states beside the table")
    parser.add_argument("--every", action="store_true", help="those and the table's")
    parser.add_argument("-v", action="store_true", help="tell every state")
    given = parser.parse_args()
    there = available(given.engine or list(engines.PYTHONS))
    chosen = [
        state
        for state in (
            *(() if given.beside else states.every()),
            *(neighbours.every() if given.beside or given.every else ()),
            *(inventions.every() if given.beside or given.every else ()),
        )
        if state.engine in there
        and (not given.cause or state.cause in given.cause)
        and (not given.name or given.name in state.name)
    ]
    began = time.monotonic()

    def tell(cell: matrix.Cell) -> None:
        if given.v or not cell.agrees:
            print(matrix.told(cell), flush=True)

    with tempfile.TemporaryDirectory(prefix="truth-") as folder:
        cells = matrix.run(chosen, Path(folder), tell)
    lines = matrix.table(cells)
    wrong = [cell for cell in cells if cell.is_wrong]
    known = [cell for cell in cells if not cell.agrees and not cell.is_wrong]
    print("\n".join(lines))
    took = time.monotonic() - began
    print(f"{len(cells)} states, {len(wrong)} disagreements, {len(known)} known, {took:.0f} s")
    if given.docs:
        said = [f"- {matrix.told(cell)}" for cell in wrong] or ["None."]
        why = [f"- {matrix.told(c)}: {matrix.KNOWN[c.state.engine, c.state.name]}" for c in known]
        page = [*lines, "Where they differ:", "", *said, ""]
        page += ["Where they are known to differ:", "", *why]
        Path(given.docs).write_text(_HEAD + "\n".join(page) + "\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
