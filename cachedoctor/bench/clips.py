"""The clip that engines transcribe: the one in the package, or the user's own.

`clip.wav` holds 11 seconds of John F. Kennedy's inaugural address of 20 January 1961, a work of the
United States government and in the public domain, as whisper.cpp carries it (`samples/jfk.wav`).
"""

from __future__ import annotations

import array
import hashlib
import itertools
import os
import sys
import wave
from typing import NoReturn

from cachedoctor.bench.outcome import Clip
from cachedoctor.errors import CannotLookError, UsageError
from cachedoctor.looking import untrusted
from cachedoctor.system import shipped

RATE = 16000
LONGEST_S = 1800
_WORDS_LIMIT_BYTES = 1 << 20
_QUIET = 33  # of 32768: a thousandth of full scale, below any speech


def take(path: str | None, folder: str) -> Clip:
    """Return the clip at `path`, or the package's own, converted for the runners into `folder`.

    Its transcript is read from a `.txt` file of the same name beside it, if there is one.
    Raises `CannotLookError` if the clip cannot be read, and `UsageError` if it cannot be measured:
    not audio, silent, empty, or longer than half an hour.
    """
    sample = os.path.join(shipped.folder("cachedoctor.bench"), "clip.wav")
    source = sample if path is None else os.path.abspath(os.path.expanduser(path))
    if not os.path.isfile(source):
        raise CannotLookError(f"no audio file at `{path}`")
    try:
        samples = _plain(source)
        if samples is None:
            samples = _decoded(source)
    except PermissionError as error:
        raise CannotLookError(f"the audio cannot be read: `{path}`") from error
    if not samples:
        raise UsageError(f"the clip is empty: `{path}`")
    loudest, lowest = max(samples), min(samples)
    if loudest < _QUIET and lowest > -_QUIET:
        raise UsageError(
            f"the clip is silent: `{path}`", hint="engines invent words in silence; use speech"
        )
    data = _bytes(samples)
    file = os.path.join(folder, "clip.wav")
    try:
        with wave.open(file, "wb") as made:
            made.setnchannels(1)
            made.setsampwidth(2)
            made.setframerate(RATE)
            made.writeframes(data)
    except OSError as error:
        raise CannotLookError(f"no space for a clip in `{folder}`: {error.strerror}") from error
    seconds = len(samples) / RATE
    digest = hashlib.sha256(data).hexdigest()
    return Clip(source, seconds, digest, _words(source), file)


def _plain(path: str) -> array.array[int] | None:
    """Return the samples of a 16 kHz, 16-bit WAV; `None` for anything else."""
    try:
        with wave.open(path, "rb") as file:
            _bound(file.getnframes() / file.getframerate(), path)
            if (file.getframerate(), file.getsampwidth()) != (RATE, 2):
                return None
            channels = file.getnchannels()
            samples = array.array("h", file.readframes(file.getnframes()))
    except (wave.Error, EOFError, ZeroDivisionError, ValueError):
        return None
    if sys.byteorder == "big":
        samples.byteswap()
    if channels == 1:
        return samples
    frames = zip(*(samples[channel::channels] for channel in range(channels)), strict=False)
    return array.array("h", (sum(frame) // channels for frame in frames))


def _decoded(path: str) -> array.array[int]:
    """Decode and resample with PyAV, which comes with faster-whisper."""
    try:
        import av
    except ImportError:
        raise UsageError(
            f"this is not a 16 kHz, 16-bit WAV: `{path}`",
            hint="`pip install av` reads other audio, and so does "
            "`ffmpeg -i AUDIO -ar 16000 -ac 1 clip.wav`",
        ) from None
    samples: array.array[int] = array.array("h")
    try:
        with av.open(path, metadata_errors="ignore") as container:
            if not container.streams.audio:
                _no_audio(path)
            if container.duration:
                _bound(container.duration / av.time_base, path)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
            for frame in itertools.chain(container.decode(audio=0), (None,)):
                for piece in resampler.resample(frame):
                    samples.frombytes(bytes(piece.planes[0])[: piece.samples * 2])
                _bound(len(samples) / RATE, path)
    except (av.FFmpegError, ValueError):
        _no_audio(path)
    return samples


def _no_audio(path: str) -> NoReturn:
    raise UsageError(f"this is not audio: `{path}`")


def _bound(seconds: float, path: str) -> None:
    if seconds > LONGEST_S:
        raise UsageError(
            f"the clip lasts {seconds / 3600:.1f} h, and a benchmark takes at most "
            f"{LONGEST_S // 60} min: `{path}`",
            hint="`ffmpeg -t 60 -i AUDIO -ar 16000 -ac 1 clip.wav` takes its first minute",
        )


def _bytes(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def _words(source: str) -> str | None:
    try:
        said = untrusted.read(os.path.splitext(source)[0] + ".txt", _WORDS_LIMIT_BYTES, follow=True)
        return " ".join(said.decode().split()) or None
    except (OSError, ValueError):
        return None
