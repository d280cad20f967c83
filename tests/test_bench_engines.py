"""`bench` with real engines on true weights: the words are right, and failures have a reason."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor import bench
from cachedoctor.bench import memory
from cachedoctor.bench.session import FailedError, Session
from cachedoctor.host import Host
from tests.conftest import fingerprint
from tests.support import benches, speech
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.real

_NEEDS = {"faster-whisper": "faster_whisper", "whisper.cpp": "pywhispercpp"}
MODELS = (
    benches.faster_whisper,
    pytest.param(benches.faster_whisper_base, marks=pytest.mark.heavy),
    pytest.param(benches.whisper_cpp, marks=pytest.mark.heavy),
    pytest.param(benches.whisper_cpp_q8_0, marks=pytest.mark.heavy),
)
QUICK = ("--audio", str(speech.CLIP), "--runs", "2", "--warmup", "1")


def both(home: Path) -> None:
    """Place a model of each engine; skip the test where one is not installed."""
    for engine, module in _NEEDS.items():
        pytest.importorskip(module)
        benches.ENGINES[engine](home)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_an_engine_gets_the_words_right(home: Path, build: Callable[[Path], benches.Place]) -> None:
    """Every number is there and possible, and the caches are as they were."""
    place = build(home)
    pytest.importorskip(_NEEDS[place.engine])
    before = fingerprint(home)
    ended = cachedoctor("bench", "--engine", place.engine, *place.question, "--json", *QUICK)
    assert fingerprint(home) == before
    bench = ended.data["bench"]
    (row,) = bench["rows"]
    assert speech.words(row["text"]) == speech.words(speech.TRANSCRIPT), row
    assert row["word_error_rate"] == 0
    assert row["same_text"]
    assert len(row["runs_s"]) == 2
    assert 0 < row["import_s"] < 60
    assert 0 < row["load_warm_s"] < 60
    assert row["load_cold_s"] is None or row["load_cold_s"] > 0
    assert min(row["runs_s"]) <= row["median_s"] <= max(row["runs_s"])
    assert row["real_time_factor"] == pytest.approx(row["median_s"] / bench["clip"]["seconds"])
    assert row["peak_bytes"] > row["size_bytes"]
    (weights,) = [name for name in row["digests"] if name.endswith(".bin")]
    assert row["digests"][weights].startswith("sha256:")
    assert row["versions"].keys() >= {"python", "numpy"}
    assert bench["settings"]["threads"] >= 1
    assert bench["machine"]["memory_bytes"] > 0


@pytest.mark.heavy
def test_two_engines_take_turns(home: Path, tmp_path: Path) -> None:
    """Both in one table, the fastest first; saved in every form; compared with itself."""
    both(home)
    saved = [tmp_path / f"now.{ending}" for ending in ("json", "csv", "svg", "png")]
    names = [word for path in saved for word in ("--save", str(path))]
    ended = cachedoctor("bench", "--model", "tiny.en", "--runs", "2", "--threads", "1", *names)
    assert ended.code == 0, ended.errors
    for word in ("× real time", "engines in turn", "0.000", "did not run", "2 engines measured"):
        assert word in " ".join(ended.output.split())
    assert saved[1].read_text().splitlines()[0].startswith("engine,model,precision,")
    assert len(saved[1].read_text().splitlines()) == 3
    assert b"<svg" in saved[2].read_bytes()
    assert saved[3].read_bytes().startswith(b"\x89PNG")
    found = json.loads(saved[0].read_text())["bench"]
    medians = [row["median_s"] for row in found["rows"]]
    assert medians == sorted(medians)
    assert found["settings"]["in_turn"]
    again = cachedoctor("bench", "--model", "tiny.en", *QUICK, "--compare", str(saved[0]), "--json")
    comparison = again.data["bench"]["comparison"]
    assert {change["engine"] for change in comparison["changes"]} == set(_NEEDS)
    assert "another clip" in comparison["unlike"]


def start(engine: str, scratch: Path, timeout_s: float = 60) -> Session:
    """Start an engine and import it."""
    session = Session(engine, sys.executable, engine, str(scratch), threads=2, timeout_s=timeout_s)
    session.bring()
    return session


@pytest.mark.heavy
def test_what_does_not_fit_together_runs_one_after_another(
    host: Host, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too little memory free, an engine ends before the next begins."""
    both(home)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    told: list[tuple[str, str]] = []

    class Noting(bench.Unwatched):
        """Notes who begins and who is done."""

        def begin(self, engine: str, steps: int) -> None:
            told.append(("begin", engine))

        def finish(self, engine: str) -> None:
            told.append(("finish", engine))

    found = bench.measure(
        host,
        list(_NEEDS),
        model="tiny.en",
        audio=str(speech.CLIP),
        wish=bench.Wish(runs=1, warmup=0, language="en"),
        watcher=Noting(),
    )
    assert not found.settings.in_turn
    assert [row.spread_s for row in found.rows] == [None, None]
    first, second = _NEEDS
    assert told == [
        ("begin", first),
        ("finish", first),
        ("begin", second),
        ("finish", second),
    ]


def load_and_transcribe(session: Session, place: benches.Place) -> None:
    """Let a started engine load a single file and listen."""
    session.load(str(place.weights), "en")
    session.transcribe(str(speech.CLIP))


def test_a_signal_is_a_result(host: Host, home: Path, tmp_path: Path) -> None:
    """A truncated file, which a preflight would have named, kills whisper.cpp itself."""
    place = benches.whisper_cpp(home)
    benches.damage(place.weights, "truncated")
    pytest.importorskip("pywhispercpp")
    session = start("whisper.cpp", tmp_path)
    with pytest.raises(FailedError, match=r"killed by SIG\w+ in (load|transcribe)"):
        load_and_transcribe(session, place)


def test_no_words_are_a_result(host: Host, home: Path, tmp_path: Path) -> None:
    """A file without a single tensor loads, and hears nothing."""
    place = benches.whisper_cpp(home)
    pytest.importorskip("pywhispercpp")
    data = place.weights.read_bytes()
    end = data.index(b"<|endoftext|>") + len(b"<|endoftext|>")
    place.weights.unlink()
    place.weights.write_bytes(data[:end])
    session = start("whisper.cpp", tmp_path)
    with pytest.raises(FailedError, match="empty transcript"):
        load_and_transcribe(session, place)


def test_a_wrong_file_is_a_result(host: Host, home: Path, tmp_path: Path) -> None:
    """What the engine itself says about a truncated file is the reason."""
    place = benches.faster_whisper(home)
    benches.damage(place.weights, "truncated")
    session = start("faster-whisper", tmp_path)
    (folder,) = place.weights.parent.parent.glob("snapshots/*")
    with pytest.raises(FailedError, match=r"^RuntimeError in load: .*payload size"):
        session.load(str(folder), "en")


def test_the_time_limit_holds_in_c_code(home: Path) -> None:
    """A transcription that takes longer than it may is ended, and says so."""
    place = benches.faster_whisper(home)
    began = time.monotonic()
    ended = cachedoctor("bench", *place.question, "--timeout", "0.01", "--json")
    assert time.monotonic() - began < 30
    rows = {row["engine"]: row for row in ended.data["bench"]["left_out"]}
    assert ended.code == 1
    assert rows["faster-whisper"]["why"] == "import did not end within 0.01 s"


def test_too_little_memory_is_a_result(home: Path, tmp_path: Path) -> None:
    """An engine that gets no more memory is a row, whatever it dies of."""
    place = benches.faster_whisper(home)
    python = benches.environment(tmp_path / "env", "faster-whisper", "ulimit -v 450000")
    ended = cachedoctor(
        "bench", *place.question, "--json", "--python", f"faster-whisper={python}", *QUICK
    )
    rows = {row["engine"]: row for row in ended.data["bench"]["left_out"]}
    assert ended.code == 1
    assert "out of memory" in rows["faster-whisper"]["why"]


@pytest.mark.heavy
def test_a_killed_engine_leaves_the_others(home: Path, tmp_path: Path) -> None:
    """The one that something killed has its reason, the other its numbers."""
    both(home)
    python = benches.environment(
        tmp_path / "env", "faster-whisper", "(sleep 1.5; kill -KILL $$) >/dev/null 2>&1 &"
    )
    ended = cachedoctor(
        "bench",
        *("--model", "tiny.en", "--json", "--runs", "8", "--audio", str(speech.CLIP)),
        *("--python", f"faster-whisper={python}"),
    )
    found = ended.data["bench"]
    assert [row["engine"] for row in found["rows"]] == ["whisper.cpp"]
    rows = {row["engine"]: row for row in found["left_out"]}
    assert re.fullmatch(
        r"killed in \w+ \(SIGKILL\): out of memory, most likely", rows["faster-whisper"]["why"]
    )


def test_ctrl_c_keeps_what_was_measured(home: Path, tmp_path: Path) -> None:
    """The runs until then are reported and saved; no engine is left behind; exit code 130."""
    place = benches.faster_whisper(home)
    saved = tmp_path / "now.json"
    command = [sys.executable, "-m", "cachedoctor", "bench", *place.question]
    command += ["--engine", "faster-whisper", "--runs", "1000", "--warmup", "0"]
    command += ["--audio", str(speech.CLIP), "--save", str(saved)]
    ours, its = os.openpty()  # a bar there says when a run is measured
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=its, text=True) as child:
        os.close(its)
        shown, limit = b"", time.monotonic() + 60
        while not re.search(rb"(?<!\d)([2-9]|\d\d+)/1001", shown):
            assert time.monotonic() < limit, shown
            if select.select([ours], [], [], 1)[0]:
                shown += os.read(ours, 4096)
        (engine,) = _children(child.pid)
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=60)
    os.close(ours)
    assert child.returncode == 130
    assert output.splitlines()[-1] == "interrupted: 1 engine measured, 0 left out"
    found = json.loads(saved.read_text())["bench"]
    assert found["interrupted"]
    assert 0 < len(found["rows"][0]["runs_s"]) < 1000
    with pytest.raises(ProcessLookupError):
        os.kill(engine, 0)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
