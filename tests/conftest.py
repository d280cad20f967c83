"""Fixtures: every test has a home of its own, and the real one is out of reach."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import hypothesis
import pytest

from cachedoctor.host import Host

if TYPE_CHECKING:
    from pathlib import Path

# A machine that others work on is slow at any moment; what must be fast is measured elsewhere.
hypothesis.settings.register_profile("here", deadline=None)
hypothesis.settings.load_profile("here")

MOVERS = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "XDG_CACHE_HOME",
    "XDG_DATA_HOME",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start half as many workers again as there are processors; a part of the time is waiting.

    Each takes its share of the suite in its order, so that what a module makes once is made once,
    and who is done takes of what others have left.
    """
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # which xdist reads itself
    if config.option.dist == "no":
        config.option.dist = "worksteal"
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return processors + (processors + 1) // 2


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home and a state folder of its own, and an empty current folder."""
    place = tmp_path / "home"
    cwd = tmp_path / "cwd"
    place.mkdir()
    cwd.mkdir()
    for name in MOVERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("HF_HUB_DISABLE_UPDATE_CHECK", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(cwd)
    return place


@pytest.fixture(autouse=True)
def unsynced(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out syncing, which is most of a repair's time here; `synced` tests keep it."""
    if request.node.get_closest_marker("synced") is None:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def host(home: Path) -> Host:
    """Return this machine with the test's home."""
    return Host.look()


@pytest.fixture
def mac(home: Path) -> Host:
    """Return the test's home as a Mac's, examined from here."""
    return Host.look(home=str(home), platform="darwin")


def fingerprint(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return what identifies every file, link and folder: kind, mode, times and bytes."""
    found: dict[str, tuple[object, ...]] = {}
    for base, folders, files in os.walk(os.fsencode(folder)):
        for name in [*folders, *files, b"."]:
            path = os.path.join(base, name)
            status = os.lstat(path)
            content: object = None
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
            key = os.fsdecode(os.path.relpath(path, os.fsencode(folder)))
            found[key] = (status.st_mode, status.st_mtime_ns, content)
    return found
