"""What `cachedoctor bench` adds to a transcription: `python -m benchmarks.harness MODEL_DIR`.

The same call of faster-whisper on the package's clip, in the harness and in a bare script, run by
run in turn; both keep their model loaded, and both time the call with their own clock.
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
from importlib import resources

from cachedoctor.bench.session import Session, offline

_BARE = """
import sys, time, wave
import numpy
from faster_whisper import WhisperModel
path, clip, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
model = WhisperModel(path, compute_type="int8", cpu_threads=threads, local_files_only=True)
with wave.open(clip) as file:
    data = file.readframes(file.getnframes())
samples = numpy.frombuffer(data, "<i2").astype("float32") / 32768
for _ in sys.stdin:
    began = time.perf_counter()
    segments, _ = model.transcribe(samples, language="en", beam_size=5)
    text = "".join(segment.text for segment in segments)
    print(time.perf_counter() - began, flush=True)
"""
_DRAWS = 10_000


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, by resampling the pairs (bootstrap)."""
    chance = random.Random(0)
    medians = sorted(
        statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(_DRAWS)
    )
    return medians[_DRAWS // 40], medians[-_DRAWS // 40]


def main() -> None:
    """Measure and print one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.harness", description=__doc__)
    parser.add_argument("model_dir", help="a folder that faster-whisper loads")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    clip = str(resources.files("cachedoctor.bench") / "clip.wav")
    with tempfile.TemporaryDirectory() as home:
        environment = offline(home, given.threads)
        session = Session(
            "faster-whisper",
            sys.executable,
            "faster-whisper",
            home,
            threads=given.threads,
            timeout_s=600,
        )
        bare = subprocess.Popen(
            [sys.executable, "-c", _BARE, given.model_dir, clip, str(given.threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert bare.stdin is not None
        assert bare.stdout is not None

        asks, answers = bare.stdin, bare.stdout

        def alone() -> float:
            print(file=asks, flush=True)
            return float(answers.readline())

        def inside() -> float:
            return session.transcribe(clip).seconds

        try:
            session.bring()
            session.load(given.model_dir, "en")
            inside(), alone()
            pairs = []
            for number in range(given.rounds):  # the order alternates
                first, second = (inside, alone) if number % 2 else (alone, inside)
                times = (first(), second())
                pairs.append(times if number % 2 else times[::-1])
        finally:
            session.end()
            bare.kill()
    ratios = [ours / theirs for ours, theirs in pairs]
    low, high = interval(ratios)
    print(
        f"{given.rounds} pairs: harness {statistics.median(p[0] for p in pairs):.3f} s, "
        f"bare {statistics.median(p[1] for p in pairs):.3f} s, "
        f"ratio {statistics.median(ratios):.4f} (95 % interval {low:.4f} to {high:.4f})"
    )


if __name__ == "__main__":
    main()
