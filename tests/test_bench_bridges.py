"""`bench` with WhisperKit and FluidAudio: their bridges, built against the stand-ins."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import pytest

from cachedoctor.bench import lineup
from cachedoctor.host import Host
from tests.conftest import fingerprint
from tests.support import bridges, speech
from tests.support.command import Ended, cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

EVERY = pytest.mark.parametrize("engine", bridges.ENGINES)
SAID = (resources.files("cachedoctor.bench") / "clip.txt").read_text()
QUICK = ("--runs", "2", "--warmup", "1", "--json")


def bench(home: Path, *more: str, program: str | None = None, engine: str = "whisperkit") -> Ended:
    """Measure one engine in a Mac's home, with the bridge that stands in for its own."""
    named = f"{engine}={program or bridges.stubbed(engine)}"
    mac = ("--home", str(home), "--platform", "darwin")
    return cachedoctor(
        "bench", "--engine", engine, "--size", "tiny", *mac, "--python", named, *QUICK, *more
    )


@EVERY
def test_a_bridge_is_measured_as_any_engine(engine: str, home: Path) -> None:
    """The words, the times, the versions, the memory; and the model as it was."""
    folder = bridges.model(home, engine)
    bridges.tell(folder, says=SAID)
    before = fingerprint(home)
    ended = bench(home, engine=engine)
    assert fingerprint(home) == before
    (row,) = ended.data["bench"]["rows"]
    assert ended.code == 0
    assert row["engine"] == engine
    assert row["path"] == str(folder)
    assert row["program"] == bridges.stubbed(engine)
    assert speech.words(row["text"]) == speech.words(SAID)
    assert row["word_error_rate"] == 0
    assert len(row["runs_s"]) == 2
    assert all(0 <= seconds < 10 for seconds in (*row["runs_s"], row["load_warm_s"]))
    assert 0 < row["import_s"] < 10
    assert row["peak_bytes"] > 1 << 20
    assert row["versions"][engine] in ("1.1.0", "0.15.6")
    assert row["versions"]["bridge"]


@EVERY
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({"do": "die"}, "killed by SIG"),
        ({"do": "hang"}, "transcribe did not end within 1 s"),
        ({"do": "fail"}, "engine-failed in transcribe"),
        ({"says": " "}, "empty transcript"),
        ({"says": "zxq " * 40}, "its transcript is wrong"),
    ],
)
def test_what_goes_wrong_in_a_bridge_is_a_named_row(
    engine: str, script: dict[str, str], why: str, home: Path
) -> None:
    """Never a hang, a crash, or a number that looks right."""
    bridges.tell(bridges.model(home, engine), **script)
    ended = bench(home, *(("--timeout", "1") if script == {"do": "hang"} else ()), engine=engine)
    (left,) = ended.data["bench"]["left_out"]
    assert ended.code == 1
    assert ended.data["bench"]["rows"] == []
    assert why in left["why"]


@bridges.ELSEWHERE
@EVERY
def test_a_bridge_without_its_framework_says_so(engine: str, home: Path) -> None:
    """The real build on a machine that is no Mac."""
    bridges.model(home, engine)
    ended = bench(home, engine=engine, program=bridges.real(engine))
    (left,) = ended.data["bench"]["left_out"]
    assert left["code"] == "CD602"
    assert "needs macOS with Apple silicon" in left["why"]


def test_a_broken_bundle_never_reaches_the_bridge(home: Path) -> None:
    """The benchmark begins with the check of every engine's model."""
    folder = bridges.model(home, "whisperkit")
    weights = folder / "AudioEncoder.mlmodelc" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:-2])
    (left,) = bench(home).data["bench"]["left_out"]
    assert left["code"] == "CD201"
    assert left["cure"].startswith(f"cachedoctor fix whisperkit --size tiny --home {home} ")
    assert " --python whisperkit=" in left["cure"]


def test_a_bridge_that_is_not_installed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason, and how to get it."""
    bridges.model(home, "whisperkit")
    monkeypatch.setattr("cachedoctor.doctor.bridge.find", lambda engine: None)
    host = Host.look(home=str(home), platform="darwin")
    ready, (left,) = lineup.contenders(host, ["whisperkit"], size="tiny")
    assert ready == []
    assert (left.code, left.why) == ("CD601", "no `whisperkit-bridge` beside cachedoctor")
    assert left.cure.startswith("CACHEDOCTOR_BRIDGES=ON pip install ")


def test_another_program_under_that_name(home: Path) -> None:
    """It speaks no protocol of ours."""
    bridges.model(home, "whisperkit")
    (left,) = bench(home, program="/bin/cat").data["bench"]["left_out"]
    assert "cat" in left["why"]
