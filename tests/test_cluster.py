"""One look by a cluster's workers: the answer of a single process, whatever happens to them."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.fleet.cluster import ClusterError, gather
from cachedoctor.host import Host
from cachedoctor.question import Question
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.clusters import Cluster
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.cluster

REPOSITORIES = 12
EACH = 1_000_000
LOCAL = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def hub(home: Path) -> Path:
    """Make a cache of twelve megabytes, with one wrong file."""
    hub = worlds.hub_of(home)
    for number in range(REPOSITORIES):
        files = {"config.json": b"{}" * number, "weights.bin": bytes([number]) * EACH}
        folder = worlds.repository(hub, f"some/one-{number}", files)
    worlds.flip(worlds.blob_of(folder / "snapshots" / worlds.COMMIT / "weights.bin"), 5)
    for path in hub.rglob("*"):
        os.utime(path, (1_600_000_000.5, 1_600_000_000.5), follow_symlinks=False)
    return hub


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Start a scheduler and one worker."""
    with Cluster(tmp_path / "cluster") as cluster:
        cluster.add()
        yield cluster


class Asked:
    """A command that runs while something happens."""

    def __init__(self, *arguments: str) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "cachedoctor", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self) -> tuple[int, str, str]:
        """Wait for it; return its exit code and what it said."""
        output, errors = self._process.communicate(timeout=200)
        assert "Traceback" not in errors, errors
        return self._process.returncode, output, errors


def without_seconds(text: str) -> dict[str, Any]:
    """Return an answer without how long it took and what was remembered."""
    data: dict[str, Any] = json.loads(text)
    del data["summary"]["seconds"]
    for file in data["files"]:
        del file["remembered"]
    return data


def whole() -> dict[str, Any]:
    """Return what a single process says."""
    return without_seconds(cachedoctor("verify", "--fresh", "--json").output)


def until_read(state: Path, least: int) -> None:
    """Wait until workers have remembered something of a look."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        ended = cachedoctor("scan", "--json")
        if sum(entry["checked"]["digest"] for entry in ended.data["entries"]) >= least:
            return
        time.sleep(0.2)
    raise AssertionError("nothing was read")


def test_two_workers_say_what_one_process_says(hub: Path, cluster: Cluster) -> None:
    """Of `verify` and of `scan`; nothing in the cache changes."""
    cluster.add()
    before = fingerprint(hub)
    ended = cachedoctor("verify", "--fresh", "--scheduler", cluster.address, "--json")
    assert fingerprint(hub) == before
    assert ended.code == 1
    assert without_seconds(ended.output) == whole()
    one = cachedoctor("scan", "--scheduler", cluster.address, "--json").data
    other = cachedoctor("scan", "--json").data
    del one["summary"]["seconds"], other["summary"]["seconds"]
    assert one == other


def test_a_local_cluster_does_as_well(hub: Path) -> None:
    """For one large machine."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCAL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as local:
        assert local.stdout is not None
        address = local.stdout.readline().strip()
        ended = cachedoctor("verify", "--fresh", "--scheduler", address, "--json")
        local.communicate(timeout=60)
    assert without_seconds(ended.output) == whole()


def test_a_worker_killed_and_one_added_cost_nothing(
    hub: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """The part that it was at is done by another, also where all others came later."""
    asked = Asked("verify", "--scheduler", cluster.address, "--max-rate", "2M", "--json")
    until_read(tmp_path / "state", 2)
    cluster.add()
    cluster.kill(0)
    code, output, _ = asked.ended()
    assert code == 1
    assert without_seconds(output) == whole()


def test_the_rate_holds_for_all_workers_together(hub: Path, cluster: Cluster) -> None:
    """Two workers read no faster than one may."""
    cluster.add()
    address = cluster.address
    cachedoctor("scan", "--scheduler", address)  # they are there, and have imported what they need
    began = time.monotonic()
    cachedoctor("verify", "--fresh", "--scheduler", address, "--max-rate", "2M", "--quiet")
    assert time.monotonic() - began > 0.9 * REPOSITORIES * EACH / (2 << 20)


def test_a_scheduler_that_goes_is_said_and_nothing_is_lost(
    hub: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """One line, exit code 4; what was read is not read again."""
    asked = Asked("verify", "--scheduler", cluster.address, "--max-rate", "2M", "--json")
    until_read(tmp_path / "state", 2)
    cluster.kill()
    code, output, errors = asked.ended()
    assert code == 4
    assert json.loads(output)["error"]["message"] == "the cluster's scheduler is gone"
    assert len(errors.strip().splitlines()) == 2  # and a hint
    files = cachedoctor("verify", "--json").data["files"]
    assert sum(file["remembered"] for file in files) >= 2
    assert len(files) == 2 * REPOSITORIES


def test_no_scheduler_is_said() -> None:
    """Where nobody listens."""
    ended = cachedoctor("verify", "--scheduler", "tcp://127.0.0.1:9", "--max-age", "1d")
    assert (ended.code, "no scheduler answers" in ended.errors) == (4, True)


def test_twenty_thousand_files(home: Path, cluster: Cluster) -> None:
    """Two workers take no more than 1.3 times what one process with two threads does.

    Beyond what starting takes: the same look at an empty home.
    """
    cluster.add()
    address = cluster.address
    worlds.hub_of(home).mkdir(parents=True)

    def took(*arguments: str) -> tuple[float, float]:
        """Return seconds, and those of all processors together."""
        began, before = time.monotonic(), cluster.cpu_s() + spent_s()
        Asked("verify", "--fresh", "--quiet", *arguments).ended()
        return time.monotonic() - began, cluster.cpu_s() + spent_s() - before

    took("--scheduler", address)  # what is imported once
    starting, starting_cpu = map(
        min, zip(*(took("--scheduler", address) for _ in "12"), strict=True)
    )
    for number in range(200):
        files = {f"{at}.json": b"%d" % (at * number) * 60 for at in range(100)}
        worlds.repository(worlds.hub_of(home), f"some/one-{number}", files)
    tries = [(*took(), *took("--scheduler", address)) for _ in range(3)]
    alone, alone_cpu, together, together_cpu = map(min, zip(*tries, strict=True))
    sys.stderr.write(
        f"\nalone {alone:.2f} s, {alone_cpu:.2f} of processors; on two workers {together:.2f}, "
        f"{together_cpu:.2f}; starting takes {starting:.2f}, {starting_cpu:.2f}\n"
    )
    assert together <= 1.3 * alone + starting
    assert together_cpu <= 1.3 * alone_cpu + starting_cpu


def test_a_part_needs_as_much_memory_as_it_has_files(home: Path, tmp_path: Path) -> None:
    """Of a cache of which a part is an eighth, about an eighth."""

    def most_mib(subset: str) -> float:
        words = ("verify", "--subset", subset, "--save", str(tmp_path / "part"), "--quiet")
        running = subprocess.Popen([sys.executable, "-m", "cachedoctor", *words])
        _, status, spent = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
        assert running.returncode == 0
        return spent.ru_maxrss / 1024

    worlds.hub_of(home).mkdir(parents=True)
    nothing = most_mib("1/1")
    for number in range(200):
        files = {f"{at}.json": b"%d" % (at * number) * 60 for at in range(100)}
        worlds.repository(worlds.hub_of(home), f"some/one-{number}", files)
    whole, eighth = most_mib("1/1") - nothing, most_mib("1/8") - nothing
    sys.stderr.write(f"\n{nothing:.0f} MiB, and {whole:.1f} for all, {eighth:.1f} for a part\n")
    assert eighth <= whole / 4


def test_no_worker_left_is_said(hub: Path, cluster: Cluster, home: Path) -> None:
    """After some patience, with how much is not done."""
    cluster.kill(0)
    cluster.add()  # which is the one that is counted
    question = Question(Host.look(home=str(home)), deep=True)

    def end() -> None:
        until_read(home, 1)
        cluster.kill(1)

    with ThreadPoolExecutor(1) as other:
        other.submit(end)
        with pytest.raises(ClusterError, match=r"no worker of the cluster is left, with \d+ part"):
            gather(question, cluster.address, rate=1 << 20, patience_s=3)


def spent_s() -> float:
    """Return the processor time of the commands that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
