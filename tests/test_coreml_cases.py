"""The table that the Swift inspection shares is true of the Python one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support import coreml_cases

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("case", coreml_cases.TABLE["cases"], ids=lambda case: case["name"])
def test_the_verdict_is_the_one_in_the_table(case: dict[str, Any], tmp_path: Path) -> None:
    """Kind and counts of a whole bundle; fault, words, lengths and member of another."""
    folder = tmp_path / "m.mlmodelc"
    folder.mkdir()
    coreml_cases.build(case, folder)
    assert coreml_cases.verdict(folder) == case["verdict"]
