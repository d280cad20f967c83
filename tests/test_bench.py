"""`bench` without an engine: bad audio, bad names, nothing ready, and what is made of numbers."""

from __future__ import annotations

import array
import json
import math
import os
import subprocess
import sys
import wave
from pathlib import Path

import pytest

from cachedoctor.bench import clips, comparison, file_cache, memory, scoring
from cachedoctor.bench.outcome import Clip, LeftOut, Machine, Result, Row, Settings
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.report import bench_chart, bench_text
from tests.support import speech, worlds
from tests.support.command import cachedoctor

_TONE = [round(9000 * math.sin(number / 9)) for number in range(4800)]


def write_wav(
    path: Path, samples: list[int], *, rate: int = 16000, channels: int = 1, width: int = 2
) -> Path:
    """Write a WAV of these samples in every channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        frames = array.array("h", (each for each in samples for _ in range(channels)))
        file.writeframes(frames.tobytes())
    return path


def row(engine: str, *runs_s: float, wrong: float | None = 0.0) -> Row:
    """Return a row with these times."""
    return Row(
        engine,
        "tiny.en",
        f"/models/{engine}",
        None,
        1 << 20,
        {"model.bin": "sha256:00"},
        "/usr/bin/python3",
        {"python": "3.11.7"},
        {"device": "cpu", "precision": "int8"},
        0.5,
        None,
        0.25,
        runs_s[0],
        runs_s,
        64 << 20,
        "ask not",
        wrong,
        True,
    )


def result(*rows: Row, left: tuple[LeftOut, ...] = ()) -> Result:
    """Return a benchmark of these rows."""
    return Result(
        Clip("/clip.wav", 11.0, "ab", "ask not", "/scratch/clip.wav"),
        Settings(len(rows[0].runs_s) if rows else 5, 1, 4, "en", 600.0, True),
        Machine("Linux", "A chip", 8, 16 << 30),
        rows,
        left,
        1700000000,
    )


def test_the_package_has_a_clip_with_its_words(tmp_path: Path) -> None:
    """Eleven seconds of speech, ready for every runner."""
    clip = clips.take(None, str(tmp_path))
    assert clip.seconds == 11.0
    assert clip.words is not None
    assert clip.words.startswith("And so my fellow Americans")
    with wave.open(clip.file) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)


def test_channels_become_one(tmp_path: Path) -> None:
    """The mean of both; a `.txt` beside the audio says what is said."""
    source = write_wav(tmp_path / "two.wav", _TONE, channels=2)
    source.with_suffix(".txt").write_text("a  tone\n")
    clip = clips.take(str(source), str(tmp_path))
    assert (clip.seconds, clip.words) == (0.3, "a tone")
    with wave.open(clip.file) as file:
        assert array.array("h", file.readframes(4800)).tolist() == _TONE


def test_other_audio_is_resampled(tmp_path: Path) -> None:
    """A WAV of 48 kHz keeps its length and its loudness."""
    pytest.importorskip("av")
    source = write_wav(tmp_path / "fast.wav", _TONE * 3, rate=48000)
    clip = clips.take(str(source), str(tmp_path))
    assert clip.seconds == pytest.approx(0.3, abs=0.01)
    assert clip.words is None


def test_compressed_audio_is_decoded(tmp_path: Path) -> None:
    """A FLAC gives the very samples that went into it."""
    av = pytest.importorskip("av")
    numpy = pytest.importorskip("numpy")
    source = tmp_path / "clip.flac"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        samples = numpy.array([_TONE], dtype="int16")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    clip = clips.take(str(source), str(tmp_path))
    with wave.open(clip.file) as file:
        assert array.array("h", file.readframes(9999)).tolist() == _TONE


@pytest.mark.parametrize(
    ("make", "says", "code"),
    [
        (lambda path: path.write_text("<html>not found</html>\n" * 90), "this is not audio", 2),
        (lambda path: path.write_bytes(b""), "this is not audio", 2),
        (lambda path: write_wav(path, []), "the clip is empty", 2),
        (lambda path: write_wav(path, [0, 1, -1, 0] * 4000), "the clip is silent", 2),
        (lambda path: path.mkdir(), "no audio file at", 3),
        (lambda path: None, "no audio file at", 3),
    ],
    ids=["a page", "no bytes", "no samples", "silence", "a folder", "nothing"],
)
def test_what_cannot_be_heard_is_refused(
    tmp_path: Path, make: object, says: str, code: int
) -> None:
    """One clear line before anything runs."""
    pytest.importorskip("av")
    assert callable(make)
    make(tmp_path / "clip.wav")
    ended = cachedoctor("bench", "--audio", str(tmp_path / "clip.wav"))
    assert (ended.code, ended.output) == (code, "")
    assert says in ended.errors


def test_three_hours_are_refused_at_once(tmp_path: Path) -> None:
    """From the header: a sparse WAV of three hours is not read."""
    seconds = 3 * 3600
    path = write_wav(tmp_path / "long.wav", [])
    length = seconds * 32000
    head = bytearray(path.read_bytes()[:44])
    head[4:8] = (length + 36).to_bytes(4, "little")
    head[40:44] = length.to_bytes(4, "little")
    path.write_bytes(head)
    os.truncate(path, 44 + length)
    ended = cachedoctor("bench", "--audio", str(path))
    assert ended.code == 2
    assert "the clip lasts 3.0 h, and a benchmark takes at most 30 min" in ended.errors
    assert "ffmpeg -t 60" in ended.errors


def test_without_a_decoder_it_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio of another kind needs PyAV."""
    monkeypatch.setitem(sys.modules, "av", None)
    source = write_wav(tmp_path / "fast.wav", _TONE, rate=48000)
    with pytest.raises(UsageError, match="not a 16 kHz, 16-bit WAV") as caught:
        clips.take(str(source), str(tmp_path))
    assert "pip install av" in caught.value.hint


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("--engine", "fast-whisper"), "did you mean `faster-whisper`", 2),
        (("--size", "smal"), "no size `smal`; did you mean `small`", 2),
        (("--model", "gpt-5"), "no engine has a model `gpt-5`", 2),
        (("--model", "gpt-5", "--engine", "whisper.cpp"), "no model `gpt-5` for whisper.cpp", 2),
        (("--size", "tiny", "--model", "tiny"), "either a size or a model", 2),
        (("--save", "now.txt"), "unknown file type: `now.txt`", 2),
        (("--save", "nowhere/now.json"), "no folder to write in", 3),
        (("--compare", "old.json"), "cannot be read: `old.json`", 3),
        (("--runs", "0"), "0 is not in the range", 2),
        (("--timeout", "0"), "0.0 is not in the range", 2),
        (("--python", "whisper.cpp=nowhere/python"), "no program at", 2),
    ],
)
def test_what_means_nothing_is_refused(arguments: tuple[str, ...], says: str, code: int) -> None:
    """One line and its exit code, as everywhere."""
    ended = cachedoctor("bench", *arguments)
    assert (ended.code, ended.output) == (code, "")
    assert says in ended.errors


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file that is there is refused before anything runs, and stays."""
    path = tmp_path / "now.json"
    path.write_text("mine")
    ended = cachedoctor("bench", "--save", str(path))
    assert ended.code == 2
    assert "already exists" in ended.errors
    assert path.read_text() == "mine"


def test_no_engine_is_ready() -> None:
    """Exit code 1, each engine with its reason and the command that cures it."""
    ended = cachedoctor("bench", "--size", "tiny")
    assert ended.code == 1
    text = " ".join(ended.output.split())
    assert "faster-whisper CD101 no model cachedoctor fix faster-whisper --size tiny" in text
    assert "whisperkit CD602 whisperkit needs macOS" in text or sys.platform == "darwin"
    assert ended.output.splitlines()[-1] == "0 engines measured, 10 left out"
    found = cachedoctor("bench", "--size", "tiny", "--json")
    assert found.code == 1
    assert found.data["bench"]["rows"] == []
    assert len(found.data["bench"]["left_out"]) == 10
    assert "file" not in found.data["bench"]["clip"]


def test_a_name_counts_once_and_nothing_is_not_drawn(tmp_path: Path) -> None:
    """An engine that is named twice runs once; an empty result has no picture, but a table."""
    saved = [tmp_path / f"now.{ending}" for ending in ("svg", "csv", "json")]
    twice = ("--engine", "whisper.cpp", "--engine", "whisper.cpp")
    names = [word for path in saved for word in ("--save", str(path))]
    ended = cachedoctor("bench", "--size", "tiny", *twice, *names)
    assert ended.code == 1
    assert ended.output.splitlines()[-1] == "0 engines measured, 1 left out"
    assert "there is nothing to draw" in ended.errors
    assert [path.exists() for path in saved] == [False, True, True]


def test_an_engine_that_is_not_there_is_named(home: Path, tmp_path: Path) -> None:
    """Its model is whole, but no interpreter has it: how to install it, or name another."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    empty = tmp_path / "env" / "bin" / "python"
    empty.parent.mkdir(parents=True)
    empty.symlink_to(sys.executable)
    ended = cachedoctor(
        *("bench", "--model", "tiny.en", "--engine", "faster-whisper", "--json"),
        *("--python", f"faster-whisper={empty}"),
    )
    (left,) = ended.data["bench"]["left_out"]
    assert ended.code == 1
    assert (left["code"], left["cure"]) == ("CD601", "pip install faster-whisper")


def test_words_are_scored_as_whisper_normalises_them() -> None:
    """Case, punctuation and spelling are no errors; a lost word is."""
    assert scoring.can_score()
    said = "And so, my fellow Americans: ask not what colour it is."
    same = "and so my fellow americans ask not what color it's"
    assert scoring.word_error_rate(said, same, "en") == 0
    assert scoring.word_error_rate("she opened the door", "she opened door", "en") == 0.25
    assert scoring.word_error_rate("eins zwei", "eins, zwei!", "de") == 0
    assert scoring.word_error_rate("名前は無い", "名前はない", "ja") == 0.2
    assert scoring.word_error_rate("(laughs)", "noise", "en") == 0


def test_garbage_is_noticed_without_a_scorer() -> None:
    """A few wrong words are an accent; a loop, silence or other words are garbage."""
    said = "And so, my fellow Americans, ask not what your country can do for you."
    assert not scoring.is_garbled(said, "and so my fellow american ask not what your country do")
    for heard in ("Analyst " * 40, "esaesaesa", "", "You"):
        assert scoring.is_garbled(said, heard)
    assert not scoring.is_garbled("吾輩は猫である。名前はまだ無い", "吾輩は猫である名前はまだない")
    assert scoring.is_garbled("吾輩は猫である。名前はまだ無い", "ご視聴ありがとうございました")


def test_the_middle_and_the_spread() -> None:
    """Half the distance between the extremes; one run has no spread."""
    assert row("a", 1.0, 3.0, 2.0).median_s == 2.0
    assert row("a", 1.0, 3.0, 2.0).spread_s == 1.0
    assert row("a", 1.0).spread_s is None


def test_the_table_says_what_matters() -> None:
    """Speed, spread, errors, memory; what has no number has a dash; bars only for a terminal."""
    left = (LeftOut("whisperkit", None, "CD602", "whisperkit needs macOS", ""),)
    found = result(row("whisper.cpp", 0.5, 0.55), row("mlx-whisper", 1.1, wrong=None), left=left)
    lines = list(bench_text.bench_lines(found, bars=True))
    table = next(number for number, line in enumerate(lines) if line.startswith("engine"))
    cells = lines[table + 1].split()
    assert cells[:3] == ["whisper.cpp", "tiny.en", "(int8)"]
    assert "±5 %" in lines[table + 1]
    assert lines[table + 1].endswith("21.0  0.000  64.0 MiB  ████")
    assert lines[table + 2].endswith("10.0      –  64.0 MiB  ████████")
    assert lines[-1] == "2 engines measured, 1 left out"
    assert any("pip install 'model-cache-doctor[bench]'" in line for line in lines)
    assert "█" not in "".join(bench_text.bench_lines(found))


def test_a_table_and_pictures(tmp_path: Path) -> None:
    """A line an engine; the same numbers make the same picture, and need no screen."""
    found = result(row("whisper.cpp", 0.5, 0.55), row("mlx-whisper", 1.1, wrong=None))
    head, *lines = bench_text.bench_csv(found).splitlines()
    assert head.split(",")[:3] == ["engine", "model", "precision"]
    assert [line.split(",")[0] for line in lines] == ["whisper.cpp", "mlx-whisper"]
    svg = bench_chart.draw(found, "svg")
    assert svg == bench_chart.draw(found, "svg")
    assert b"<svg" in svg
    assert bench_chart.draw(found, "png").startswith(b"\x89PNG")


def test_only_what_is_outside_the_noise_changed(tmp_path: Path) -> None:
    """The spreads of both runs together are the noise; another machine is no fair comparison."""
    old = tmp_path / "old.json"
    before = result(row("a", 1.0, 1.2), row("b", 1.0, 1.2), row("c", 1.0), row("gone", 1.0))
    old.write_text(json.dumps({"bench": bench_text.bench_json(before)}))
    after = result(row("a", 1.1, 1.3), row("b", 0.5, 0.5), row("c", 0.5, 0.5), row("new", 1.0))
    found = comparison.compare(after, comparison.read(str(old)))
    assert [(change.engine, change.word) for change in found.changes] == [
        ("a", "within the noise"),
        ("b", "faster"),
        ("c", "one run tells no noise"),
    ]
    assert found.unlike == ()
    slower = comparison.compare(before, comparison.read(str(old)))._replace(
        unlike=("another clip",)
    )
    lines = list(bench_text.bench_lines(before, slower))
    assert f"against {old} (another clip: no fair comparison)" in lines
    elsewhere = after._replace(machine=Machine("Linux", "Another chip", 2, 1))
    assert comparison.compare(elsewhere, comparison.read(str(old))).unlike == ("another machine",)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"bench": {"rows": 3}}'])
def test_what_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    """Before anything is measured."""
    old = tmp_path / "old.json"
    old.write_text(content)
    with pytest.raises(UsageError, match="not a benchmark result"):
        comparison.read(str(old))
    with pytest.raises(CannotLookError):
        comparison.read(str(tmp_path))


def test_a_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    """A clear line when the result cannot be written whole, and nothing in its place."""
    code = """
import resource, sys
from cachedoctor.cli import bench
from cachedoctor.host import Host
from tests.test_bench import result, row
found = result(*(row(str(number), 1.0) for number in range(200)))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    bench._write(sys.argv[1], Host.look(), found, None)
except Exception as error:
    print(error.message)
"""
    path = tmp_path / "now.json"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == f"`{path}` could not be written: File too large\n"
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a file go")
def test_the_file_cache_lets_go_of_a_file(tmp_path: Path) -> None:
    """A synced file is forgotten and unchanged; one that is mapped and locked is not."""
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.write(b"\1" * (4 << 20))
        file.flush()
        os.fsync(file.fileno())
    stat = path.stat()
    assert isinstance(file_cache.forget([str(path)]), bool)  # a RAM disk never forgets
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (stat.st_mtime_ns, 4 << 20)
    assert not file_cache.forget([])
    assert not file_cache.forget([str(tmp_path / "nothing")])


def test_the_memory_of_a_tree_is_seen() -> None:
    """What a child's child takes counts."""
    inner = "held = bytearray(50 << 20); print(1, flush=True); input()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{inner}'])"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        peak = memory.Peak(child.pid)
        peak.look()
        child.communicate(b"\n")
    assert peak.bytes is not None
    assert 50 << 20 < peak.bytes < 200 << 20
    assert 0 < memory.available_bytes() <= memory.total_bytes()


def test_the_clip_of_the_tests_is_audio_too(tmp_path: Path) -> None:
    """The words beside it are found."""
    assert clips.take(str(speech.CLIP), str(tmp_path)).words == speech.TRANSCRIPT


def test_a_repository_is_measured_by_those_whom_it_is_for(home: Path) -> None:
    """Of a name without an engine: nobody is told to fetch what another engine loads."""
    files = worlds.whisper_files()
    worlds.repository(worlds.hub_of(home), "somebody/mine-ct2", files | {"model.bin": b"cut"})
    ended = cachedoctor("bench", "--model", "somebody/mine-ct2", "--json")
    assert [left["engine"] for left in ended.data["bench"]["left_out"]] == ["faster-whisper"]
    nobody = cachedoctor("bench", "--model", "somebody/nothing")
    assert (nobody.code, nobody.errors.count("somebody/nothing")) == (2, 1)
    known = cachedoctor("bench", "--model", worlds.TINY, "--json")
    assert [left["engine"] for left in known.data["bench"]["left_out"]] == ["faster-whisper"]
    asked = cachedoctor("bench", "--model", worlds.TINY, "--engine", "mlx-whisper", "--json")
    assert [left["engine"] for left in asked.data["bench"]["left_out"]] == ["mlx-whisper"]
