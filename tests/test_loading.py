"""`scan --deep` on a Mac: Core ML itself is asked, through bridges built against the stand-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import fingerprint
from tests.support import bridges
from tests.support.command import Ended, cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

EVERY = pytest.mark.parametrize("engine", bridges.ENGINES)


def scan(home: Path, *more: str, build: str = "stubbed") -> Ended:
    """Scan a Mac's home with the bridges that stand in for those of a Mac."""
    mac = ("--home", str(home), "--platform", "darwin", "--json")
    named = [f"--python={name}={getattr(bridges, build)(name)}" for name in bridges.ENGINES]
    return cachedoctor("scan", *mac, *named, *more)


@EVERY
def test_what_core_ml_loads_is_no_finding(engine: str, home: Path) -> None:
    """And loading changes nothing."""
    bridges.model(home, engine)
    before = fingerprint(home)
    ended = scan(home, "--deep")
    assert (ended.codes, ended.code) == ([], 0)
    assert fingerprint(home) == before


@EVERY
def test_what_core_ml_refuses_is_said_only_when_asked(engine: str, home: Path) -> None:
    """An intact bundle that this Mac cannot run; without `--deep` nothing is loaded."""
    folder = bridges.model(home, engine)
    bundle = folder / f"{bridges.PARTS[engine][1]}.mlmodelc"
    (bundle / "coremldata.bin").write_bytes(b"unloadable" * 30)
    assert scan(home).codes == []
    ended = scan(home, "--deep")
    (finding,) = ended.data["findings"]
    assert ended.code == 1
    assert (finding["code"], finding["severity"]) == ("CD207", "error")
    assert finding["path"] == str(bundle)
    assert "-14" in finding["message"]
    assert finding["evidence"] == "core-ml"
    assert finding["repair"]["safety"] == "manual"
    assert finding["repair"]["describe"].startswith("cachedoctor fix CD506 --home ")
    entry = next(each for each in ended.data["entries"] if each["path"] == str(folder))
    assert entry["status"] == "unknown"  # nothing says that its bytes are wrong


def test_structure_speaks_first(home: Path) -> None:
    """What is not whole is called that, and not what Core ML makes of it."""
    folder = bridges.model(home, "whisperkit")
    weights = folder / "TextDecoder.mlmodelc" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:-2])
    assert scan(home, "--deep").codes == ["CD201"]


def test_a_loader_that_dies_is_a_finding(home: Path, tmp_path: Path) -> None:
    """Core ML may take the process with it."""
    folder = bridges.model(home, "fluidaudio")
    program = tmp_path / "bridge"
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    mac = ("--home", str(home), "--platform", "darwin", "--json", "--deep")
    ended = cachedoctor("scan", "fluidaudio", *mac, "--python", f"fluidaudio={program}")
    (finding,) = ended.data["findings"]
    assert (finding["code"], finding["path"]) == ("CD207", str(folder))
    assert finding["message"] == "loading it died of SIGSEGV"


def test_a_machine_that_is_no_mac_is_not_asked(home: Path) -> None:
    """A bridge without its framework says nothing of a bundle."""
    folder = bridges.model(home, "whisperkit")
    (folder / "AudioEncoder.mlmodelc" / "coremldata.bin").write_bytes(b"unloadable" * 30)
    assert scan(home, "--deep", build="real").codes == []
    linux = ("--home", str(home), "--platform", "linux", "--json", "--deep")
    named = f"whisperkit={bridges.stubbed('whisperkit')}"
    assert cachedoctor("scan", *linux, "--python", named).codes == []
