"""What a code means for everybody else stands on its rule, and everybody reads it there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cachedoctor import doctor, rules
from cachedoctor.findings import Safety, Severity
from cachedoctor.verdict import preflight
from cachedoctor.vocabulary import Status
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


def test_preflight_names_the_command_of_a_cure_that_is_manual(home: Path, host: Host) -> None:
    """`fix` would say that there is nothing to repair, so it is not what is named."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    link = repository / "snapshots" / worlds.COMMIT / "model.bin"
    outside = home / "elsewhere.bin"
    outside.write_bytes(worlds.blob_of(link).read_bytes())
    worlds.blob_of(link).unlink()
    link.unlink()
    link.symlink_to(outside)
    verdict = preflight("faster-whisper", model="tiny.en", host=host)
    assert (verdict.ready, verdict.code) == (False, "CD406")
    assert verdict.cure == f"ls -lL {link}"
    (finding,) = doctor.scan(host).findings
    assert finding.repair is not None
    assert finding.repair.safety is Safety.MANUAL


def test_preflight_names_fix_where_that_helps(home: Path, host: Host) -> None:
    """A file that can be restored is."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin").unlink()
    verdict = preflight("faster-whisper", model="tiny.en", host=host)
    assert verdict.code == "CD103"
    assert verdict.cure == "cachedoctor fix faster-whisper --model tiny.en"
