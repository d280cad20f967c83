"""The results of a benchmark, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Clip(NamedTuple):
    """The clip that was transcribed: 16 kHz, one channel, signed 16 bit."""

    path: str  # of the original
    seconds: float
    sha256: str  # of the samples
    words: str | None  # the transcript, if it is known
    file: str  # a WAV that every runner can read


class Settings(NamedTuple):
    """How it was measured."""

    runs: int
    warmup: int
    threads: int
    language: str | None
    timeout_s: float
    in_turn: bool  # all engines stayed loaded and took turns, rather than one after another


class Machine(NamedTuple):
    """The machine it was measured on."""

    system: str
    chip: str
    cores: int
    memory_bytes: int


class Row(NamedTuple):
    """The measurements of one engine with one model."""

    engine: str
    model: str
    path: str
    revision: str | None
    size_bytes: int
    digests: Mapping[str, str]  # `sha256:…` or `git-sha1:…` of each file whose bytes were read
    program: str
    versions: Mapping[str, str]
    settings: Mapping[str, object]
    import_s: float
    load_cold_s: float | None  # `None` if the model cannot be dropped from the file cache
    load_warm_s: float
    first_s: float
    runs_s: tuple[float, ...]
    peak_bytes: int | None  # of the whole process tree
    text: str
    word_error_rate: float | None  # `None` without a transcript or without the scoring packages
    same_text: bool  # in every run

    @property
    def median_s(self) -> float:
        """Return the median of the timed runs."""
        from statistics import median

        return median(self.runs_s)

    @property
    def spread_s(self) -> float | None:
        """Return half the difference between slowest and fastest run; `None` for one run."""
        return (max(self.runs_s) - min(self.runs_s)) / 2 if len(self.runs_s) > 1 else None


class LeftOut(NamedTuple):
    """An engine without numbers: why, and what cures that."""

    engine: str
    model: str | None
    code: str | None
    why: str
    cure: str  # a command, or empty if none helps
    text: str | None = None  # its transcript, if that was wrong


class Result(NamedTuple):
    """A whole benchmark."""

    clip: Clip
    settings: Settings
    machine: Machine
    rows: tuple[Row, ...]  # fastest first
    left_out: tuple[LeftOut, ...]
    began_s: int  # since the epoch
    interrupted: bool = False
