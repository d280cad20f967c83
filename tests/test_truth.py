"""A part of the matrix of predictions and real loads; all of it is `python -m tests.truth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.truth import inventions, matrix, neighbours, states, strangers

if TYPE_CHECKING:
    from pathlib import Path

# Of the engines that are in the tests' own environment, what lies outside the weights.
CAUSES = {
    "faster-whisper": ("alternative", "listed", "shadow", "name"),
    "whisper.cpp": ("name", "shadow", "elsewhere", "missing"),
}


@pytest.mark.real
@pytest.mark.parametrize(("engine", "every"), [("faster-whisper", 5), ("whisper.cpp", 6)])
def test_ready_means_the_engine_loads_it(engine: str, every: int, tmp_path: Path) -> None:
    """And not ready that it does not; asked by name and by path: a part of these states."""
    chosen = [
        state
        for state in states.every()
        if state.engine == engine and state.cause in CAUSES[engine]
    ]
    assert len(chosen) > 15
    chosen = chosen[::every]
    assert {state.cause for state in chosen} == set(CAUSES[engine])
    cells = matrix.run(chosen, tmp_path)
    assert [matrix.told(cell) for cell in cells if cell.is_wrong] == []
    assert {cell.kind for cell in cells} == {"ready & loads", "not & fails"}


def test_the_table_has_enough_states() -> None:
    """Every engine that runs here, no state twice."""
    every = states.every()
    assert len(every) >= 400
    assert len({(state.engine, state.name) for state in every}) == len(every)
    assert set(states.USUAL) == {state.engine for state in every}


def test_what_is_known_to_differ_is_a_state() -> None:
    """So that nothing stays excused that is gone."""
    every = (*states.every(), *neighbours.every(), *inventions.every(), *strangers.every())
    names = [(state.engine, state.name) for state in every]
    assert set(names) >= matrix.KNOWN.keys()
    assert len(set(names)) == len(names)
