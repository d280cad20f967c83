"""Thirty-two machines: how long, and how much memory, beside Ansible alone over the same ones."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import lab as labs
from tests.support import worlds

pytestmark = pytest.mark.lab
COUNT = 32
FEW = "6"  # workers of Ansible's that fit into 200 MiB with all the rest


def timed(*words: str) -> tuple[float, float, float]:
    """Run a program; returns seconds, MiB of it and its children, and of the two largest alone."""
    begun = time.monotonic()
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = ours = 0.0
    while running.poll() is None:
        held = sorted(filter(None, map(labs.held, labs.below(running.pid))), reverse=True)
        most, ours = max(most, sum(held)), max(ours, sum(held[:3]))
        time.sleep(0.3)
    assert running.returncode == 0
    return time.monotonic() - begun, most, ours


def test_thirty_two_machines(tmp_path: Path) -> None:
    """Within one and a half times of what Ansible takes, beside the commands' own time."""
    if why := labs.missing():
        pytest.skip(why)
    with labs.made(tmp_path, [f"m{number}" for number in range(COUNT)]) as lab:
        for machine in lab.machines.values():
            worlds.repository(machine.hub, worlds.TINY, worlds.whisper_files())
        inventory = lab.inventory()
        beside = str(Path(sys.executable).parent / "ansible")
        plain = timed(beside, "all", "-i", inventory, "-f", "64", "-m", "raw", "-a", "true")
        scan = f"{sys.executable} -m cachedoctor scan --json --home {lab['m0'].home}"
        own = timed("sh", "-c", f"for i in $(seq {COUNT}); do {scan} & done; wait")
        asked = (sys.executable, "-m", "cachedoctor", "fleet", "scan", "-i", inventory)
        fleet, few = timed(*asked), timed(*asked, "--forks", FEW)
        again = timed(beside, "all", "-i", inventory, "-f", "64", "-m", "raw", "-a", "true")
    ansible = max(plain[0], again[0])
    sys.stderr.write(
        f"\nansible {plain[0]:.1f} and {again[0]:.1f} s, {plain[1]:.0f} MiB with its workers; "
        f"own {own[0]:.1f} s; fleet {fleet[0]:.1f} s, {fleet[1]:.0f} MiB, {fleet[2]:.0f} without; "
        f"{FEW} at a time {few[0]:.1f} s, {few[1]:.0f} MiB\n"
    )
    assert fleet[0] <= 1.5 * ansible + own[0] * 1.1
    assert fleet[2] <= 200
    assert few[1] <= 200
