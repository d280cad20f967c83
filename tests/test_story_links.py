"""Links that lead out of a cache are neither read nor written through, whatever they promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests import worlds
from tests.command import cachedoctor, scan
from tests.conftest import fingerprint

if TYPE_CHECKING:
    from pathlib import Path


def test_a_foreign_project_cannot_make_a_fix_write_elsewhere(home: Path, tmp_path: Path) -> None:
    """A dangling link to a place outside is set aside; the file goes into the cache."""
    files = {**worlds.whisper_files(), "tokenizer.json": b'{"evil": 1}\n'}
    models = tmp_path / "cwd" / "models"
    snapshot = worlds.repository(models, worlds.TINY, files) / "snapshots" / worlds.COMMIT
    blob = worlds.blob_of(snapshot / "tokenizer.json")
    blob.rename(blob.with_name(f"{blob.name}.0123abcd.incomplete"))
    (snapshot / "tokenizer.json").unlink()
    (snapshot / "tokenizer.json").symlink_to(home / ".evilrc")
    before = fingerprint(home)
    cachedoctor("fix", "--yes", "--offline")
    assert fingerprint(home) == before


def test_a_file_that_is_reached_by_a_link_out_is_judged(home: Path, tmp_path: Path) -> None:
    """A `.pt` that lies elsewhere is read as its engine reads it, and never written to."""
    folder = home / ".cache" / "whisper"
    folder.mkdir(parents=True)
    (tmp_path / "tiny.pt").write_text("<html>junk")
    (folder / "tiny.pt").symlink_to(tmp_path / "tiny.pt")
    assert scan().codes == ["CD202", "CD406"]
    assert cachedoctor("preflight", "whisper-mps", "--model", "tiny").code == 1
    before = fingerprint(tmp_path / "home")
    assert cachedoctor("fix", "whisper-mps", "--yes", "--offline").code == 1
    assert fingerprint(tmp_path / "home") == before
    assert (tmp_path / "tiny.pt").read_text() == "<html>junk"


def test_refs_that_lead_elsewhere_are_neither_read_nor_rewritten(home: Path) -> None:
    """A `refs` that is a link to a private folder stays unread and untouched."""
    private = home / ".ssh"
    private.mkdir()
    (private / "id").write_text("PRIVATE KEY")
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    (repository / "refs" / "main").unlink()
    (repository / "refs").rmdir()
    (repository / "refs").symlink_to(private)
    shown = scan()
    assert "PRIVATE" not in shown.output
    assert shown.codes == ["CD108"]
    cachedoctor("fix", "--yes", "--offline")
    assert (private / "id").read_text() == "PRIVATE KEY"
