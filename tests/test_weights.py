"""The weights that other tests rely on are the published ones, and are fetched once."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.support import weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.real

PUBLISHED = [
    (
        weights.openai_tiny_en,
        75_571_315,
        "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03",
    ),
    (
        weights.ggml_tiny_en,
        77_704_715,
        "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f",
    ),
    (
        weights.ggml_tiny_en_q8_0,
        43_550_795,
        "5bc2b3860aa151a4c6e7bb095e1fcce7cf12c7b020ca08dcec0c6d018bb7dd94",
    ),
    (
        weights.safetensors_tiny_en,
        151_060_136,
        "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad",
    ),
]


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.mark.parametrize(("builder", "size_bytes", "digest"), PUBLISHED)
def test_rebuilt_files_are_the_published_ones(
    builder: Callable[[], Path], size_bytes: int, digest: str
) -> None:
    """Each rebuilt file is, to the bit, the one that its engine downloads."""
    path = weights.require(builder)
    assert (path.stat().st_size, sha256(path)) == (size_bytes, digest)


def test_faster_whisper_folder_is_the_published_one() -> None:
    """The folder holds the four files of the published revision and nothing else."""
    folder = weights.require(weights.faster_whisper_tiny_en)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.bin",
        "tokenizer.json",
        "vocabulary.txt",
    ]
    assert (
        sha256(folder / "model.bin")
        == "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    )


def test_second_run_needs_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one run built, the next one reads, with no package index in reach."""
    built = weights.require(weights.faster_whisper_tiny_en)
    monkeypatch.setitem(weights.ENVIRONMENT, "PIP_NO_INDEX", "1")
    assert weights.faster_whisper_tiny_en.__wrapped__() == built


def test_changed_file_is_built_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kept file that something damaged is built again by the next run."""
    weights.require(weights.faster_whisper_tiny_en)
    cache = tmp_path / "cache"
    monkeypatch.setattr(weights, "CACHE", cache)
    path = weights.openai_tiny_en.__wrapped__()
    digest = sha256(path)
    with path.open("r+b") as file:
        file.write(b"\0")
    assert sha256(weights.openai_tiny_en.__wrapped__()) == digest
    assert sorted(entry.name for entry in cache.iterdir()) == [
        "openai-tiny.en",
        "openai-tiny.en.lock",
    ]


def test_without_an_index_the_test_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing is kept and nothing can be fetched, `require` skips and names the wheel."""
    monkeypatch.setattr(weights, "CACHE", tmp_path)
    monkeypatch.setitem(weights.ENVIRONMENT, "PIP_NO_INDEX", "1")
    with pytest.raises(pytest.skip.Exception, match="mlx-whisper"):
        weights.require(weights.whisper_assets.__wrapped__)
