"""Several at once: two fixes, an engine that has the file open, a hub that means harm."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from pathlib import Path

ENGINE = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
    print("open", flush=True)
    sys.stdin.readline()
    file.seek(0)
    sys.stdout.write(f"{view[:] == file.read()} {len(view)}")
"""


@pytest.fixture
def model(home: Path) -> Path:
    """Put a model with cut weights into the hub cache; return the weights' link."""
    path = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    link = path / "snapshots" / worlds.COMMIT / "model.bin"
    worlds.cut(worlds.blob_of(link), 100)
    return link


@pytest.fixture
def hub() -> Hub:
    """Return a hub that has the whole model."""
    served = Hub()
    served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
    return served


def test_a_second_fix_keeps_away(model: Path, home: Path, hub: Hub) -> None:
    """While one downloads the other ends with exit code 4; the first goes on."""
    with hub:
        held = hub.hold("model.bin", 50)
        fix = ("fix", "--yes", "--mirror", f"hub={hub.url}")
        command = [sys.executable, "-m", "cachedoctor", *fix]
        nowhere = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=nowhere, stderr=nowhere, stdin=nowhere) as first:
            try:
                assert held.reached.wait(60)
                before = fingerprint(home)
                second = cachedoctor(*fix)
                assert (second.code, "another fix or undo" in second.errors) == (4, True)
                assert cachedoctor("undo").code == 4
                assert fingerprint(home) == before
            finally:
                held.set()
            assert first.wait(60) == 0
    assert cachedoctor("verify").code == 0


def test_an_engine_that_has_the_file_open_keeps_what_it_has(model: Path, hub: Hub) -> None:
    """The bad file is moved, not written over: what is mapped does not change under the engine."""
    blob = worlds.blob_of(model)
    command = [sys.executable, "-c", ENGINE, str(blob)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as engine:
        assert engine.stdout is not None
        assert engine.stdout.readline() == "open\n"
        with hub:
            fixed = cachedoctor("fix", "--yes", "--mirror", f"hub={hub.url}")
        assert fixed.code == 0, fixed.errors
        said, _ = engine.communicate("go on\n")
    assert said == "True 100"
    assert os.path.getsize(model) == len(worlds.whisper_files()["model.bin"])


@pytest.mark.parametrize("name", ["../../../evil", "/tmp/evil", "a/../../evil"])
def test_a_hub_that_lists_paths_that_lead_elsewhere(
    name: str, model: Path, home: Path, hub: Hub
) -> None:
    """The whole listing is refused, and nothing is changed."""
    shutil.rmtree(home / ".cache")
    before = fingerprint(home)
    hub.add(worlds.TINY, {**worlds.whisper_files(), name: b"{}"}, commit="e" * 40)
    with hub:
        ask = ("--model", "tiny.en", "--yes", "--mirror", f"hub={hub.url}")
        refused = cachedoctor("fix", "faster-whisper", *ask)
    assert refused.code == 4, refused.output
    assert "points elsewhere" in refused.errors
    assert fingerprint(home) == before
