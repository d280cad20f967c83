"""Disks of their own: a cache that is a mount, and one that fills up in the middle of a fix.

In a mount namespace of its own, where a small memory disk is put over the hub cache.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
SCRIPT = """
set -e
mkdir -p "$HOME/.cache/huggingface/hub"
mount -t tmpfs -o size=$1 none "$HOME/.cache/huggingface/hub"
exec "$2" -c "$3"
"""
WORLD = """
import os
from pathlib import Path
from cachedoctor import doctor, errors, planning, surgery
from cachedoctor.host import Host
from cachedoctor.staging import Network
from tests import builders_models, test_faults, worlds
from tests.conftest import fingerprint
home = Path(os.environ["HOME"])
hub = home / ".cache/huggingface/hub"
host = Host.look()
world = test_faults.build(home, host)
def mine():
    found = fingerprint(hub)
    return {n: row for n, row in found.items() if ".cachedoctor" not in n and n != "."}
def codes(deep=False):
    return sorted(finding.code for finding in doctor.scan(host, deep=deep).findings)
def fix():
    report = doctor.scan(host)
    network = Network(host, offline=True)
    return surgery.apply(planning.plan(report, network=network), report, network)
"""


@pytest.fixture
def mounted(home: Path) -> Callable[[str, str], str]:
    """Return what runs a program with a memory disk of a size over the hub cache."""

    def run(size: str, program: str) -> str:
        package = Path(cachedoctor.__file__).parent.parent
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", SCRIPT, "sh", size, sys.executable, WORLD + program],
            env={**os.environ, "PYTHONPATH": f"{package}:{ROOT}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if "must be superuser" in done.stderr or "Operation not permitted" in done.stderr:
            pytest.skip("this user may not mount")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_cache_that_is_a_mount_is_repaired_and_restored(
    mounted: Callable[[str, str], str],
) -> None:
    """What is set aside stays on the same disk, inside the mount; nothing there is a finding."""
    program = """
test_faults.cut(world, "model.bin")
before = mine()
fix()
assert codes(deep=True) == [], codes(deep=True)
assert (hub / ".cachedoctor").is_dir()
assert len(surgery.kept(host)) == 1
assert surgery.undo(host)
assert mine() == before
print("fine")
"""
    assert mounted("16m", program) == "fine\n"


def test_a_disk_that_is_full_is_said_before_anything_is_done(
    mounted: Callable[[str, str], str],
) -> None:
    """Without room for what is staged the fix is refused, with the cache as it was."""
    program = """
test_faults.cut(world, "model.bin")
(hub / "filler").write_bytes(bytes(1 << 20))
before = mine()
try:
    fix()
except errors.RepairError as error:
    assert "no room" in str(error), error
    assert mine() == before
    print("refused")
"""
    assert mounted("1200k", program) == "refused\n"


def test_a_disk_that_fills_up_at_any_moment(mounted: Callable[[str, str], str]) -> None:
    """Somebody takes the last byte before each change of the disk: refused, undo is exact."""
    program = """
import itertools
from cachedoctor import disk
test_faults.cut(world, "model.bin")
before = mine()
filler = hub / "filler"
refused = 0
for number in itertools.count(1):
    counter = itertools.count(1)
    def full(_operation):
        if next(counter) == number:
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError:
                    pass
    disk.boundary = full
    try:
        fix()
    except errors.RepairError:
        refused += 1
    done = next(counter) <= number
    disk.boundary = lambda _operation: None
    filler.unlink(missing_ok=True)
    while surgery.undo(host):
        pass
    assert mine() == before, number
    assert "CD417" not in codes()
    if done:
        break
print(refused > 3)
"""
    assert mounted("4m", program) == "True\n"


def test_a_fix_of_two_disks_is_taken_back_as_one(mounted: Callable[[str, str], str]) -> None:
    """Each disk has a run of its own, and one `undo` takes back both."""
    program = """
note = home / "project" / "mlx_models" / "base" / ".cache/huggingface/download"
note.mkdir(parents=True)
(note / "config.json.metadata").write_text("two lines\\\\nonly\\\\n")
(note.parent.parent.parent / "config.json").write_text('{"n_mels": 80}')
(note.parent.parent.parent / "weights.npz").write_bytes(builders_models.npz_file())
host = Host.look(project=str(home / "project"))
test_faults.cut(world, "model.bin")
before = mine(), fingerprint(home / "project" / "mlx_models" / "base")
assert codes() == ["CD201", "CD412"], codes()
outcome = fix()
assert len(outcome.runs) == 2, outcome.runs
assert codes(deep=True) == []
assert len(surgery.undo(host)) == 2
assert (mine(), fingerprint(home / "project" / "mlx_models" / "base")) == before
assert surgery.undo(host) == ()
print("both")
"""
    assert mounted("16m", program) == "both\n"


def test_a_disk_that_may_only_be_read(mounted: Callable[[str, str], str]) -> None:
    """Looking works; a fix is refused with the reason, and nothing is changed."""
    program = """
import subprocess
test_faults.cut(world, "model.bin")
subprocess.run(["mount", "-o", "remount,ro", str(hub)], check=True)
before = mine()
assert codes() == ["CD201"]
try:
    fix()
except errors.RepairError as error:
    assert mine() == before
    print(error.message.endswith("Read-only file system"), error.message)
"""
    assert mounted("16m", program).startswith("True")
