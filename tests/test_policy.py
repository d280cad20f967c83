"""What a code means for everybody else stands on its rule, and everybody reads it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cachedoctor import rules
from cachedoctor.findings import Safety, Severity
from cachedoctor.verdict import Verdict, preflight
from cachedoctor.vocabulary import Status, Survey
from tests import worlds

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.host import Host


def test_an_error_that_leaves_no_status_is_refused() -> None:
    """Nobody can add an error without a word on what an engine would meet."""
    rules.every()  # so that what is made here is none of them
    with pytest.raises(TypeError, match="Careless is an error and leaves no `status`"):
        type("Careless", (rules.EntryRule,), {"code": "CD999", "slug": "careless"})
    made = type(
        "Note", (rules.EntryRule,), {"code": "CD998", "slug": "n", "severity": Severity.NOTE}
    )
    assert made.status is None  # type: ignore[attr-defined]


def test_the_files_rules_have_an_order() -> None:
    """No two have the same rank, and what cannot be read is said before what is missing."""
    ranks = {rule.rank: rule.code for rule in rules.every() if rule.rank is not None}
    assert len(ranks) == sum(rule.rank is not None for rule in rules.every())
    order = [ranks[rank] for rank in sorted(ranks)]
    chain = ["CD109", "CD108", "CD107", "CD103", "CD101", "CD202", "CD205", "CD201", "CD204"]
    chain += ["CD203", "CD302", "CD206", "CD303", "CD301"]
    assert [code for code in order if code in chain] == chain


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("CD101", Status.INCOMPLETE),
        ("CD107", Status.UNKNOWN),  # the bytes are in iCloud, and right for all we know
        ("CD108", Status.UNKNOWN),
        ("CD201", Status.CORRUPT),
        ("CD301", Status.CORRUPT),
    ],
)
def test_an_error_leaves_its_status(code: str, status: Status) -> None:
    """Only what is known of the bytes calls them corrupt."""
    assert rules.find(code).status is status


@pytest.mark.parametrize(
    ("code", "command"),
    [("CD107", "brctl download /m/model.bin"), ("CD108", "chmod u+rX /m/model.bin")],
)
def test_preflight_names_the_command_of_a_cure_that_is_manual(
    code: str, command: str, host: Host
) -> None:
    """`fix` would say that there is nothing to repair, so it is not what is named."""
    rule = rules.find(code)
    finding = rule.about("/m/model.bin", (), "cannot be read")
    repair = rule.cure(finding, rules.Examination(Survey(()), host))
    assert repair is not None
    assert repair.safety is Safety.MANUAL
    asked = ("faster-whisper", None, "tiny", False, "/m/model.bin", None)
    assert Verdict(*asked, code, finding.message, repair).cure == command


def test_preflight_names_no_command_for_what_may_be_away(host: Host) -> None:
    """A disk that is not connected is not fetched again."""
    asked = ("faster-whisper", None, "tiny", False, "/Volumes/m", None)
    verdict = Verdict(*asked, "CD110", "the models' place is on another disk", None)
    assert verdict.cure == ""
    assert verdict.unseen


def test_preflight_names_fix_where_that_helps(home: Path, host: Host) -> None:
    """A file that can be restored is."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin").unlink()
    verdict = preflight("faster-whisper", model="tiny.en", host=host)
    assert verdict.code == "CD103"
    assert verdict.cure == "cachedoctor fix faster-whisper --model tiny.en"
