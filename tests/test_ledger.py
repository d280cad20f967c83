"""Remembered digests hold for one state of one file, and a broken ledger costs nothing."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor.system import disk
from cachedoctor.system.ledger import Ledger, Measured

if TYPE_CHECKING:
    from pathlib import Path

LATER_NS = 10**10


def measured(path: Path, *, began_ns: int | None = None) -> Measured:
    """Return a file with a digest, read long after it was written."""
    stamp = disk.stamp(str(path))
    assert stamp is not None
    began = time.time_ns() + LATER_NS if began_ns is None else began_ns
    return Measured(str(path), stamp, {"sha256": "00" * 32}, began)


def recalled(ledger: Ledger, item: Measured) -> dict[str, str]:
    """Return what the ledger knows of a file with this very stamp."""
    folder, name = os.path.split(item.path)
    return {
        algorithm: value
        for _, found, stamp, algorithm, value in ledger.recall([folder])
        if found == name and stamp == item.stamp
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file."""
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    return path


def test_a_digest_is_recalled_until_the_file_changes(file: Path, tmp_path: Path) -> None:
    """The same stamp gives the digest back; another length, time or inode does not."""
    ledger = Ledger(str(tmp_path / "state"))
    item = measured(file)
    ledger.remember([item])
    assert recalled(ledger, item) == {"sha256": "00" * 32}
    os.utime(file, ns=(0, item.stamp.mtime_ns + 1))
    assert recalled(ledger, measured(file)) == {}
    for field in ("device", "inode", "size_bytes", "mtime_ns", "ctime_ns"):
        changed = item.stamp._replace(**{field: getattr(item.stamp, field) + 1})
        assert recalled(ledger, item._replace(stamp=changed)) == {}, field


def test_a_file_that_just_changed_is_not_remembered(file: Path, tmp_path: Path) -> None:
    """Read within the clock's grain of its last change, a file may change again unseen."""
    ledger = Ledger(str(tmp_path / "state"))
    item = measured(file)
    ledger.remember([item._replace(began_ns=item.stamp.mtime_ns + 1)])
    assert recalled(ledger, item) == {}
    whole_second = item.stamp._replace(mtime_ns=5 * 10**9, ctime_ns=5 * 10**9)
    ledger.remember([item._replace(stamp=whole_second, began_ns=6 * 10**9)])
    assert recalled(ledger, item._replace(stamp=whole_second)) == {}


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_broken_ledger_is_begun_again(content: bytes, file: Path, tmp_path: Path) -> None:
    """What is no database remembers nothing, and is replaced when there is something to keep."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "ledger.sqlite").write_bytes(content)
    ledger = Ledger(str(state))
    item = measured(file)
    assert recalled(ledger, item) == {}
    ledger.remember([item])
    assert recalled(ledger, item) != {}


def test_a_state_folder_that_cannot_be_made_is_let_be(file: Path, tmp_path: Path) -> None:
    """Where nothing can be written, nothing is remembered and nothing raised."""
    (tmp_path / "state").write_text("a file")
    ledger = Ledger(str(tmp_path / "state"))
    item = measured(file)
    ledger.remember([item])
    assert recalled(ledger, item) == {}


def test_looking_makes_no_ledger(file: Path, tmp_path: Path) -> None:
    """Recalling from nothing writes nothing."""
    item = measured(file)
    assert recalled(Ledger(str(tmp_path / "state")), item) == {}
    assert not (tmp_path / "state").exists()


def test_only_what_is_gone_is_forgotten(file: Path, tmp_path: Path) -> None:
    """Whether the file is opened for each call or once; and nobody looks where all is known."""
    ledger = Ledger(str(tmp_path / "state"))
    other = tmp_path / "other.bin"
    other.write_bytes(b"other")
    items = [measured(file), measured(other)]
    with ledger.kept_open():
        assert ledger.remember(items[:1]) == 1
        assert ledger.remember(items[1:]) == 1
        other.unlink()
        ledger.forget_gone(2)
        assert recalled(ledger, items[1]) != {}
        ledger.forget_gone(1)
    assert recalled(ledger, items[0]) != {}
    assert recalled(ledger, items[1]) == {}
