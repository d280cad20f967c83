"""What is installed beside the package: bridges that run, or a pure wheel without any."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import pytest

from cachedoctor.doctor import bridge
from cachedoctor.version import VERSION
from tests.support import bridges

MOST_BYTES = 20 << 20


def pure() -> bool:
    """Say whether the installed wheel is for any platform."""
    tags = importlib.metadata.distribution("model-cache-doctor").read_text("WHEEL") or ""
    return "Tag: py3-none-any" in tags


@pytest.mark.parametrize("engine", bridges.ENGINES)
def test_a_wheel_for_one_platform_holds_bridges_that_run(engine: str) -> None:
    """Small, without a Swift beside them, and of the package's version."""
    program = bridge.find(engine)
    if pure():
        assert program is None
        return
    assert program is not None
    said = bridge.ask(program, ["info"], environment={}, timeout_s=20)
    assert said["bridge"] == VERSION
    assert said["engine"]["linked"] is (sys.platform == "darwin")
    assert os.path.getsize(program) < MOST_BYTES
    if sys.platform == "linux":
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        assert "swift" not in linked.stdout.lower()
        assert "not found" not in linked.stdout


def test_the_wheel_is_the_one_that_was_asked_for() -> None:
    """A wheel that was asked to hold bridges never quietly lacks them, nor the other way."""
    wanted = os.environ.get("CACHEDOCTOR_BRIDGES", "AUTO")
    if wanted in ("ON", "OFF"):
        assert pure() is (wanted == "OFF")
    tags = importlib.metadata.distribution("model-cache-doctor").read_text("WHEEL") or ""
    lines = [line for line in tags.splitlines() if line.startswith("Tag: ")]
    assert all(line.startswith("Tag: py3-none-") for line in lines), lines
