"""What a benchmark found, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Clip(NamedTuple):
    """What was listened to: 16 kHz, one channel, signed 16 bit."""

    path: str  # as it was named
    seconds: float
    sha256: str  # of the samples
    words: str | None  # what is said in it, where that is known
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
    """What it was measured on."""

    system: str
    chip: str
    cores: int
    memory_bytes: int


class Row(NamedTuple):
    """What one engine did with one model."""

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
    load_cold_s: float | None  # `None` where the system's file cache cannot be emptied of it
    load_warm_s: float
    first_s: float
    runs_s: tuple[float, ...]
    peak_bytes: int | None  # of the whole process tree
    text: str
    word_error_rate: float | None  # `None` without a transcript, or without what scores it
    same_text: bool  # in every run

    @property
    def median_s(self) -> float:
        """Return the middle of the timed runs."""
        from statistics import median

        return median(self.runs_s)

    @property
    def spread_s(self) -> float | None:
        """Return half the distance between the fastest and the slowest run; one run has none."""
        return (max(self.runs_s) - min(self.runs_s)) / 2 if len(self.runs_s) > 1 else None


class LeftOut(NamedTuple):
    """An engine without numbers: why, and what cures that."""

    engine: str
    model: str | None
    code: str | None
    why: str
    cure: str  # a command, or empty where none helps
    text: str | None = None  # what it said where that was wrong


class Result(NamedTuple):
    """A whole benchmark."""

    clip: Clip
    settings: Settings
    machine: Machine
    rows: tuple[Row, ...]  # the fastest first
    left_out: tuple[LeftOut, ...]
    began_s: int  # epoch
    interrupted: bool = False
