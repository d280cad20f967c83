"""A copy is proven by the pass that makes it, or shares its blocks; a bar shows both parts."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.findings import LocalCopy, Need, Proof
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying, staging
from cachedoctor.system import disk, transfer
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import Digest
from tests.support import builders, disks, worlds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 24 << 20
KINDS = frozenset(("sha256", "git-sha1"))

# what `fclonefileat` of macOS does, for as long as a test: bytes, mode and time of the source
_STAND_IN = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
int fclonefileat(int source, int folder, const char *target, uint32_t flags) {
    char buffer[65536];
    struct stat status;
    ssize_t count;
    off_t at = 0;
    if (folder != -2 || flags != 2 || fstat(source, &status)) { errno = EINVAL; return -1; }
    int made = open(target, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (made < 0) return -1;
    while ((count = pread(source, buffer, sizeof buffer, at)) > 0) at += write(made, buffer, count);
    fchmod(made, status.st_mode);
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    futimens(made, times);
    return close(made);
}
"""
_ON_A_MAC = """
import os, sys
sys.platform = "darwin"
from cachedoctor.system import disk
source, target = sys.argv[1:]
held = disk.copy(source, target, algorithms=frozenset(("sha256",)))
try:
    disk.copy(source, target)
except FileExistsError:
    found = os.stat(target)
    print(held, oct(found.st_mode & 0o777), found.st_mtime_ns)
"""


class Phases:
    """A progress that keeps each phase: its label, what it promised and what came."""

    def __init__(self) -> None:
        """Begin with none."""
        self.seen: list[list[object]] = []
        self.done = 0

    def start(self, label: str, total_bytes: int | None) -> None:
        """Begin one."""
        self.finish()
        self.seen.append([label, total_bytes])

    def advance(self, done_bytes: int) -> None:
        """Count."""
        self.done += done_bytes

    def finish(self) -> None:
        """Add what came to the last that is open."""
        if self.seen and len(self.seen[-1]) == 2:
            self.seen[-1].append(self.done)
        self.done = 0


@pytest.fixture(params=["btrfs", "xfs"])
def shares(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Mount a disk that can share blocks."""
    yield from disks.of_its_own(request.param, tmp_path)


def used(place: Path) -> int:
    """Return how much of a disk is taken."""
    subprocess.run(["sync", "-f", str(place)], check=True)
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@pytest.mark.parametrize("size", [0, 5, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_what_is_written_is_what_was_hashed(size: int, tmp_path: Path) -> None:
    """In one pass, whatever the length; of a clone nothing is said."""
    content = builders.pattern(size)
    (tmp_path / "source").write_bytes(content)
    held = disk.copy(str(tmp_path / "source"), str(tmp_path / "copy"), algorithms=KINDS)
    assert (tmp_path / "copy").read_bytes() == content
    digests = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "git-sha1": worlds.git_sha1(content),
    }
    assert held in (digests, {})
    if not hasattr(os, "copy_file_range") or os.statvfs(tmp_path).f_fsid == 0:
        return
    with open(tmp_path / "source", "rb") as source, open(tmp_path / "other", "wb") as other:
        cloned = transfer._shared(source.fileno(), other.fileno())
    assert held == ({} if cloned else digests)


def test_a_copy_that_is_another_is_refused(tmp_path: Path) -> None:
    """The digest of what was written speaks, and nothing of it is left."""
    (tmp_path / "source").write_bytes(builders.pattern(3 << 20))
    path = str(tmp_path / "run" / "staged")
    proof = Proof("", 3 << 20, Digest("sha256", "ab" * 32))
    need = Need("weights.bin", (LocalCopy((("", str(tmp_path / "source")),), "here"),), (proof,))
    network = Network(Host.look(), offline=True)
    with network.hub() as hub, pytest.raises(RepairError, match="has the sha256"):
        staging.stage(need, path, network, hub)
    assert not os.path.lexists(path)


def broken(home: Path) -> tuple[Host, Path, bytes]:
    """Make two repositories of the same weights, and lose one of these."""
    content = os.urandom(LARGE)
    hub = worlds.hub_of(home)
    kept, lost = (
        worlds.repository(hub, name, {"model.bin": content}) for name in ("some/one", "other/two")
    )
    blob = worlds.blob_of(lost / "snapshots" / worlds.COMMIT / "model.bin")
    blob.unlink()
    assert kept.exists()
    return Host.look(home=str(home), platform="linux"), blob, content


def cure(host: Host) -> Phases:
    """Repair everything, and return what was shown meanwhile."""
    report = scanning.scan(host)
    shown = Phases()
    applying.apply(cures.plan(report), report, Network(host, offline=True, progress=shown))
    shown.finish()
    return shown


def test_a_fix_shares_the_blocks_where_the_disk_can(shares: Path) -> None:
    """On btrfs and XFS the copy takes no room, and is read once to prove it."""
    host, blob, content = broken(shares / "home")
    before = used(shares)
    shown = cure(host)
    assert blob.read_bytes() == content
    assert used(shares) - before < LARGE // 2
    assert shown.seen[:2] == [
        ["copying blob", LARGE, LARGE],
        ["proving blob", LARGE, LARGE],
    ]


def test_a_fix_shows_two_phases_and_each_to_its_end(home: Path) -> None:
    """Elsewhere bytes are copied and hashed at once, then brought to the disk."""
    host, blob, content = broken(home)
    shown = cure(host)
    assert blob.read_bytes() == content
    assert shown.seen[:2] == [
        ["copying blob", LARGE, LARGE],
        ["proving blob", LARGE, LARGE],
    ]


def test_a_mac_clones(tmp_path: Path) -> None:
    """`clonefile` makes the copy, for nobody whom the source was not for, and never replaces."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler here, or a Mac itself")
    library = tmp_path / "stand_in.so"
    (tmp_path / "stand_in.c").write_text(_STAND_IN)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(tmp_path / "stand_in.c")]
    subprocess.run(command, check=True)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"weights")
    source.chmod(0o440)
    os.utime(source, ns=(10**18, 10**18 + 7))
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    command = [sys.executable, "-c", _ON_A_MAC, str(source), str(target)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{{}} 0o640 {10**18 + 7}\n"
    assert target.read_bytes() == b"weights"
