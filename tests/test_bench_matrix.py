"""`bench` and broken models: seven loaders, five kinds of damage, real weights.

Left to themselves the engines die of signals, write garbage for a minute, or download again.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import fingerprint
from tests.support import benches
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

_CODES = {
    "truncated": {"CD201"},
    "empty": {"CD201", "CD202"},
    "flipped": {"CD301"},
    "pointer": {"CD202"},
    "missing": {"CD101", "CD103"},
}
_PACKAGES = {"whisper.cpp": "pywhispercpp"}


@pytest.mark.parametrize("kind", benches.DAMAGE)
@pytest.mark.parametrize("engine", benches.ENGINES)
def test_every_kind_of_damage_is_a_named_row(
    home: Path, tmp_path: Path, engine: str, kind: str
) -> None:
    """A code, a reason and a cure; no number, no hang, no crash, and nothing was touched."""
    place = benches.ENGINES[engine](home)
    benches.damage(place.weights, kind)
    python = benches.environment(tmp_path / "env", _PACKAGES.get(engine, engine))
    before = {} if kind == "flipped" else fingerprint(home)
    began = time.monotonic()
    ended = cachedoctor(
        "bench",
        "--json",
        *("--engine", engine),
        *place.question,
        *("--python", f"{engine}={python}"),
        *("--project", str(home / "project" if (home / "project").is_dir() else home)),
    )
    assert time.monotonic() - began < 30
    assert (ended.code, ended.data["bench"]["rows"]) == (1, [])
    (row,) = ended.data["bench"]["left_out"]
    assert row["engine"] == engine
    assert row["code"] in _CODES[kind], row
    assert row["cure"].startswith(f"cachedoctor fix {engine} --model ")
    if before:
        assert fingerprint(home) == before
    if os.path.exists(place.weights):
        place.weights.unlink()  # temporary folders are kept
