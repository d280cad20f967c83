"""The house stays one in which a reader finds the way: counted, so that nobody need argue."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import cachedoctor

PACKAGE = Path(cachedoctor.__file__).parent
ROOT = Path(__file__).parent.parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 350
MOST_AT_THE_TOP = 16
MOST_LAYERS = 20


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_in_one_sitting(path: Path) -> None:
    """What grows longer has two ideas, and becomes two modules."""
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_few_modules_lie_at_the_top() -> None:
    """A module belongs into a room."""
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_AT_THE_TOP


def test_the_layers_fit_on_a_screen() -> None:
    """One list says what may import what, and every module of the package is in it."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    first = contracts["contracts"][0]
    assert first["exhaustive"]
    assert len(first["layers"]) <= MOST_LAYERS
