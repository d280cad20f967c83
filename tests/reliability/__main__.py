"""Run everything and write the page: `python -m tests.reliability [--docs FILE] [--seed N]`.

Takes some three minutes. The ordinary suite runs a part of it (`tests/test_reliability.py`).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from cachedoctor.text import plural
from tests import test_forged, test_journal
from tests.reliability import damage, faults, hostile, inputs, kills
from tests.support.loopback import Hub

_INPUTS = 20_000  # of each format
_BUNDLES = 5_000
_MACHINES = 300
_JOURNALS = 30_000
_RANDOM_KILLS = 40
_UNDONE = ("weights and ref both broken", "WhisperKit: a stuck partial", "a superseded revision")
_HEAD = """# What it survives

<!-- Written by `python -m tests.reliability --docs docs/reliability.md`; do not edit. -->

Every line was counted by the harness in `tests/reliability/`, which fails at the first loss. It
uses small real files, the real repairs, and real processes that are really killed.

"""


class Row(NamedTuple):
    """One line of the page."""

    what: str
    times: int
    came: str


def killed(folder: Path) -> list[Row]:
    """Kill every repair at every change of the disk, and the command at random times."""
    by_kind: dict[str, list[kills.Survived]] = {}
    with Hub() as hub:
        for number, (fault, build) in enumerate(kills.scenes(hub)):
            survived = kills.survive(fault, build, folder / str(number))
            by_kind.setdefault(", ".join(survived.kinds), []).append(survived)
        by_kind["undo"] = [
            kills.survive_undo(fault, build, folder / f"undo-{number}")
            for number, (fault, build) in enumerate(kills.scenes(hub))
            if fault in _UNDONE
        ]
    by_kind["at random times, the whole command"] = [kills.at_random_times(folder, _RANDOM_KILLS)]
    return [
        Row(
            f"killed: {kind}",
            sum(one.kills for one in found),
            f"{plural(len(found), 'fault')}; {sum(one.finished for one in found)} finished by the "
            f"next fix, {sum(one.undone for one in found)} taken back; nothing lost",
        )
        for kind, found in sorted(by_kind.items())
    ]


def injected(folder: Path) -> Row:
    """Inject every fault of the tables."""
    came = faults.inject(folder)
    said = (
        f"{came.told} reported with their exact codes, {came.silent} harmless ones not reported; "
        f"{came.cured} cured from local bytes, the second scan clean, and taken back exactly"
    )
    return Row("faults injected", came.faults, said)


def damaged(folder: Path, seed: int) -> Row:
    """Damage machines at random."""
    came = damage.endure(folder, _MACHINES, seed)
    said = (
        f"{came.damages} damages; {came.fixed} repaired and taken back exactly, "
        f"{came.refused} refused with nothing changed"
    )
    return Row("machines with random damages", came.machines, said)


def fuzzed(seed: int) -> list[Row]:
    """Give foreign bytes to every reader."""
    refused = {name: inputs.fuzz(name, _INPUTS, seed) for name in inputs.whole()}
    said = "refused, the rest read; nothing else raised"
    return [
        *(Row(f"inputs for `{name}`", _INPUTS, f"{n:,} {said}") for name, n in refused.items()),
        Row("bundles for `coreml`", _BUNDLES, f"{inputs.fuzz_bundles(_BUNDLES, seed):,} {said}"),
    ]


def trapped(folder: Path) -> list[Row]:
    """Set every trap."""
    slowest = max(
        hostile.refuse(case, folder / str(number)) for number, case in enumerate(hostile.CASES)
    )
    names = "; ".join(hostile.CASES)
    said = f"looked at in at most {slowest:.2f} s, nothing outside touched: {names}"
    return [Row("hostile caches", len(hostile.CASES), said)]


def forged(folder: Path, seed: int) -> Row:
    """Change a journal at random, and do with it everything that is done with journals."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    (outside / "precious").write_text("precious")
    taken = test_forged.fuzz(test_journal.World(folder / "world"), outside, _JOURNALS, seed)
    said = f"{_JOURNALS - taken:,} ignored, the rest within their root; nothing else raised"
    return Row("journals changed at random", _JOURNALS, said)


def page(rows: list[Row]) -> str:
    """Return the page."""
    table = [f"| {row.what} | {row.times:,} | {row.came} |" for row in rows]
    return _HEAD + "\n".join(["| what | count | came to |", "|---|---|---|", *table]) + "\n"


def main() -> None:
    """Run everything, print the page, and write it to the path given."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--docs", metavar="FILE", help="write the page here")
    parser.add_argument("--seed", type=int, default=1, help="of what is random")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("HF_", "XDG_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = folder
        os.environ["XDG_CONFIG_HOME"] = folder
        rows = [
            injected(place / "faults"),
            *killed(place / "kills"),
            damaged(place / "damage", given.seed),
            *trapped(place / "hostile"),
            *fuzzed(given.seed),
            forged(place / "forged", given.seed),
        ]
    text = page(rows)
    print(text)
    if given.docs:
        Path(given.docs).write_text(text)


if __name__ == "__main__":
    main()
