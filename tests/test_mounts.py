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
from cachedoctor import errors
from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from tests import test_faults
from tests.support import builders_models, worlds
from tests.conftest import fingerprint
home = Path(os.environ["HOME"])
hub = home / ".cache/huggingface/hub"
host = Host.look()
world = test_faults.build(home, host)
def mine():
    found = fingerprint(hub)
    return {n: row for n, row in found.items() if ".cachedoctor" not in n and n != "."}
def codes(deep=False):
    return sorted(finding.code for finding in scanning.scan(host, deep=deep).findings)
def fix():
    report = scanning.scan(host)
    network = Network(host, offline=True)
    return applying.apply(cures.plan(report, network=network), report, network)
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
assert len(applying.kept(host)) == 1
assert applying.undo(host)
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
    assert "no space" in str(error), error
    assert mine() == before
    print("refused")
"""
    assert mounted("1200k", program) == "refused\n"


@pytest.mark.heavy
def test_a_disk_that_fills_up_at_any_moment(mounted: Callable[[str, str], str]) -> None:
    """Somebody takes the last byte before each change of the disk: refused, undo is exact."""
    program = """
import itertools
from cachedoctor.system import disk
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
    while applying.undo(host):
        pass
    assert mine() == before, number
    assert "CD417" not in codes()
    if done:
        break
print(refused > 3)
"""
    assert mounted("4m", program) == "True\n"


def test_a_fix_of_two_disks_is_taken_back_as_one(mounted: Callable[[str, str], str]) -> None:
    """One run holds both, its bytes on the disk that they are of; one `undo` takes back all."""
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
assert len(outcome.runs) == 1, outcome.runs
assert {item.path.startswith(str(hub)) for item in applying.kept(host)} == {True, False}
assert codes(deep=True) == []
assert len(applying.undo(host)) == 1
assert (mine(), fingerprint(home / "project" / "mlx_models" / "base")) == before
assert applying.undo(host) == ()
print("both")
"""
    assert mounted("16m", program) == "both\n"


def test_a_disk_that_may_only_be_read(mounted: Callable[[str, str], str]) -> None:
    """Looking works; the plan says what stands in the way, and nothing is changed."""
    program = """
import subprocess
test_faults.cut(world, "model.bin")
subprocess.run(["mount", "-o", "remount,ro", str(hub)], check=True)
before = mine()
assert codes() == ["CD201"]
report = scanning.scan(host)
shown = cures.plan(report, network=Network(host, offline=True))
assert shown.cures == ()
fix()
assert mine() == before
print([finding.repair.describe.startswith("mount -o remount,rw ") for finding in shown.by_hand])
"""
    assert mounted("16m", program).startswith("[True]")


FULL = """
from pathlib import Path
import subprocess, sys
from cachedoctor.system import journal, run
def command(*words):
    done = subprocess.run(
        [sys.executable, "-m", "cachedoctor", *words], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done
def fill(place, free):
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    import os
    os.truncate(place / "filler", max(0, os.path.getsize(place / "filler") - free))
def free(place):
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize
"""
WASTE = """
blob = world.blob("model.bin")
waste = blob.with_name(blob.name + ".0a1b2c3d.incomplete")
waste.write_bytes(bytes(200 << 10))
os.utime(waste, (1, 1))
assert "CD502" in codes(), codes()
"""


@pytest.mark.parametrize("kib", [0, 4, 60, 300])
def test_a_full_disk_is_freed_where_the_state_is_elsewhere(
    kib: int, mounted: Callable[[str, str], str]
) -> None:
    """Set aside and emptied, with no byte to spare on the cache's own disk."""
    program = f"""
{FULL}{WASTE}
fill(hub, {kib} << 10)
before = free(hub)
done = command("fix", "CD502", "--yes")
assert done.returncode == 0, done
assert not waste.exists()
assert command("undo").returncode == 0
assert waste.exists()
assert command("fix", "CD502", "--yes").returncode == 0
done = command("quarantine", "empty", "--yes")
assert done.returncode == 0, done
assert free(hub) >= before + (150 << 10), (before, free(hub))
print("freed")
"""
    assert mounted("3m", program) == "freed\n"


ON_ONE_DISK = """
set -e
mount -t tmpfs -o size=$1 none "$HOME"
export XDG_STATE_HOME="$HOME/.local/state"
exec "$2" -c "$3"
"""
ON_EXT4 = """
set -e
dd if=/dev/zero of="$HOME.img" bs=1M count=$1 2>/dev/null
mkfs.ext4 -q -m 0 "$HOME.img"
mount -o loop "$HOME.img" "$HOME"
export XDG_STATE_HOME="$HOME/.local/state"
exec "$2" -c "$3"
"""


def on(script: str, size: str, program: str) -> str:
    """Run a program with home and state together on a disk of their own."""
    package = Path(cachedoctor.__file__).parent.parent
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", size, sys.executable, WORLD + program],
        env={**os.environ, "PYTHONPATH": f"{package}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    words = ("must be superuser", "Operation not permitted", "mkfs.ext4: not found", "loop")
    if done.returncode and any(word in done.stderr for word in words):
        pytest.skip("this user may not mount")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", [ON_ONE_DISK, ON_EXT4], ids=["tmpfs", "ext4"])
@pytest.mark.parametrize("kib", [0, 4, 60, 300])
def test_a_full_disk_with_the_state_on_it(kib: int, script: str) -> None:
    """The reserve that an earlier fix had put by is given up for the journal."""
    program = f"""
{FULL}{WASTE}
with (world.repository / "refs" / "main").open("a") as file:
    file.write("\\n")
assert command("fix", "CD401", "--yes").returncode == 0
assert os.path.getsize(os.path.join(host.state, "reserve")) > 0
fill(home, {kib} << 10)
before = free(home)
done = command("fix", "CD502", "--yes")
assert done.returncode == 0, done
assert not waste.exists()
done = command("quarantine", "empty", "--yes")
assert done.returncode == 0, done
assert free(home) >= before + (100 << 10), (before, free(home))
assert [r.state for r in run.runs(host.state)].count("emptied") >= 1
print("freed")
"""
    assert on(script, "8m" if script == ON_ONE_DISK else "16", program) == "freed\n"


@pytest.mark.parametrize("script", [ON_ONE_DISK, ON_EXT4], ids=["tmpfs", "ext4"])
@pytest.mark.parametrize("kib", [0, 4, 60, 300])
def test_a_full_disk_at_first_use(kib: int, script: str) -> None:
    """Without a reserve `--delete` frees it in one step, and says so; without it, it is refused."""
    program = f"""
{FULL}{WASTE}
fill(home, {kib} << 10)
before = free(home)
done = command("fix", "CD502", "--yes")
if done.returncode:
    assert done.returncode == 4, done
    assert "--delete" in done.stderr, done.stderr
    assert waste.exists()
    assert {kib} < 100, done.stderr
    done = command("fix", "CD502", "--delete", "--yes")
    assert done.returncode == 0, done
    assert "without a journal, because there was no space for one; there is no way" in done.stdout
else:
    assert command("quarantine", "empty", "--yes").returncode == 0
assert not waste.exists()
assert free(home) >= before + (100 << 10), (before, free(home))
assert "CD417" not in codes()
print("freed")
"""
    assert on(script, "8m" if script == ON_ONE_DISK else "16", program) == "freed\n"


def test_delete_with_room_leaves_a_journal(mounted: Callable[[str, str], str]) -> None:
    """What was set aside is gone in the same step, and cannot be undone."""
    program = f"""
{FULL}{WASTE}
done = command("fix", "--waste", "--delete", "--yes")
assert done.returncode == 0, done
assert "deleted for good; there is no way back" in done.stdout, done.stdout
assert not waste.exists()
assert applying.kept(host) == []
assert [r.state for r in run.runs(host.state)] == ["emptied"]
assert command("fix", "--delete").returncode == 2
print("gone")
"""
    assert mounted("16m", program) == "gone\n"
