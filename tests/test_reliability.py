"""A part of the reliability harness, quick enough for every run; all of it is a command.

`python -m tests.reliability` kills every repair at every change of the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reliability import damage, hostile, inputs, kills
from tests.reliability.__main__ import Row, page
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from pathlib import Path

# One fault for each kind of repair.
ONE_EACH = {
    "weights cut by a byte": "restore-file",
    "a link is gone": "relink",
    "the ref is empty": "rewrite-ref",
    "the manifest is cut": "set-aside",
    "weights and ref both broken": "rewrite-ref",
    "WhisperKit: a bundle is gone": "restore-bundle",
    "FluidAudio: the folder of older versions": "rename-folder",
    "a superseded revision": "set-revision-aside",
}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[pytest.mark.heavy] if number else [])
        for number, fault in enumerate(ONE_EACH)
    ],
)
def test_each_kind_of_repair_survives_every_kill(fault: str, tmp_path: Path) -> None:
    """Nothing good is gone, the scan tells, and fix or undo goes on."""
    with Hub() as hub:
        build = next(build for name, build in kills.scenes(hub) if name == fault)
    survived = kills.survive(fault, build, tmp_path / "kills")
    assert ONE_EACH[fault] in survived.kinds
    assert survived.kills > 10, "the harness did not reach the steps"


@pytest.mark.heavy
def test_a_whole_fetch_survives_kills(tmp_path: Path) -> None:
    """From the real client, at every fourth change of the disk."""
    with Hub() as hub:
        found = [build for name, build in kills.scenes(hub) if name == "the snapshot is emptied"]
        survived = kills.survive("the snapshot is emptied", found[-1], tmp_path / "kills", stride=4)
    assert survived.kinds == ("fetch-model",)
    assert survived.kills > 4


@pytest.mark.heavy
def test_random_kills_of_the_command(tmp_path: Path) -> None:
    """A whole process that is killed by the clock."""
    assert kills.at_random_times(tmp_path / "kills", 6).finished == 3


def test_random_damages(tmp_path: Path) -> None:
    """Looking changes nothing, a fix leaves nothing that it said to cure, undo is exact."""
    came = damage.endure(tmp_path / "damage", 25, 7)
    assert came.fixed > 15


@pytest.mark.parametrize("name", sorted(inputs.whole()))
def test_foreign_bytes(name: str) -> None:
    """A value or a `FormatError`; both happen."""
    assert 0 < inputs.fuzz(name, 1000, 7) < 1000


def test_damaged_bundles() -> None:
    """A reading or a `FormatError`; both happen."""
    assert 0 < inputs.fuzz_bundles(500, 7) < 500


@pytest.mark.heavy
def test_an_undo_survives_every_kill(tmp_path: Path) -> None:
    """The next one completes it."""
    with Hub() as hub:
        build = next(b for name, b in kills.scenes(hub) if name == "WhisperKit: a stuck partial")
    assert kills.survive_undo("WhisperKit: a stuck partial", build, tmp_path / "undo").kills > 5


@pytest.mark.parametrize("case", sorted(hostile.CASES))
def test_traps(case: str, tmp_path: Path) -> None:
    """Quick to look at, and nothing outside is touched."""
    hostile.refuse(case, tmp_path / "trap")


def test_the_page_has_a_row_for_each() -> None:
    """As Markdown."""
    assert "| kills | 1,000 | fine |" in page([Row("kills", 1000, "fine")])
