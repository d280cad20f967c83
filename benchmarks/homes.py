"""Homes with anything but a whole hub cache: everything else to measure, built from nothing."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from benchmarks import caches
from benchmarks.caches import HUB
from tests.support import builders, worlds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PIECE_BYTES = 1 << 20
_CUT_BYTES = 1 << 19  # bytes left of cut weights
_KIT = "Documents/huggingface/models/argmaxinc/whisperkit-coreml"
_VARIANTS = ("tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en")
_KIT_PARTS = ("AudioEncoder", "MelSpectrogram", "TextDecoder")
_FLUID = "Library/Application Support/FluidAudio/Models"
_FLUID_PARTS = ("Preprocessor", "Encoder", "Decoder", "JointDecisionv3")


def broken(home: Path, repositories: int, files: int, findings: int) -> None:
    """Write a hub cache of one revision each, and break that many files in turn."""
    damage(caches.hub(home, repositories, 1, files), findings)


def damage(folders: Sequence[Path], findings: int, *, since: int = 0) -> None:
    """Remove small files and cut weights in turn, in one repository after the other."""
    for number in range(since, findings):
        (snapshot,) = (folders[number % len(folders)] / "snapshots").iterdir()
        turn = number // len(folders)
        links = sorted(path for path in snapshot.rglob("*") if path.is_symlink())
        large = [path for path in links if path.name.endswith(".safetensors")]
        small = [path for path in links if path not in large]
        if number % 2 and turn < len(large):
            os.truncate(os.path.realpath(large[turn]), _CUT_BYTES)
        else:
            os.unlink(os.path.realpath(small[turn]))


def mac(home: Path) -> int:
    """Write a Mac's home with models in Core ML bundles; return how many files they have."""
    for variant in _VARIANTS:
        for part in _KIT_PARTS:
            builders.mlmodelc(home / _KIT / f"openai_whisper-{variant}" / f"{part}.mlmodelc")
        tokenizer = home / f"Documents/huggingface/models/openai/whisper-{variant}"
        tokenizer.mkdir(parents=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (tokenizer / name).write_text("{}")
    folder = home / _FLUID / "parakeet-tdt-0.6b-v3"
    for part in _FLUID_PARTS:
        builders.mlmodelc(folder / f"{part}.mlmodelc")
    words = {str(number): f"t{number}" for number in range(99)}
    (folder / "parakeet_vocab.json").write_text(json.dumps(words))
    for number in range(40):  # of no known engine
        builders.mlmodelc(home / _FLUID / f"mine-{number}" / "Model.mlmodelc")
    return sum(path.is_file() for path in home.rglob("*"))


def weights(home: Path, files: int, file_bytes: int, *, names: Sequence[str] = ()) -> list[Path]:
    """Write repositories of one large random file each, and return their blobs."""
    made = []
    for number in range(files):
        name = names[number] if names else f"weights-{number}"
        piece = os.urandom(_PIECE_BYTES)
        digest = hashlib.sha256()
        snapshot = _revision(home, name, "c" * 40)
        path = snapshot.parents[1] / "blobs" / "new"
        with path.open("wb") as file:
            for _ in range(file_bytes // _PIECE_BYTES):
                file.write(piece)
                digest.update(piece)
        blob = path.rename(path.with_name(digest.hexdigest()))
        (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")
        made.append(blob)
    return made


def again(home: Path, blob: Path, name: str, *, there: bool) -> Path:
    """Write another repository with the same file, or with a link to where it is missing."""
    snapshot = _revision(home, name, "d" * 40)
    twin = snapshot.parents[1] / "blobs" / blob.name
    if there:
        with blob.open("rb") as source, twin.open("wb") as copy:
            while piece := source.read(_PIECE_BYTES):
                copy.write(piece)
    (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")
    return twin


def ready_model(home: Path) -> None:
    """Write a small model that `preflight faster-whisper --model tiny.en` calls ready."""
    worlds.repository(home / HUB, worlds.TINY, worlds.whisper_files())


def sparse(home: Path, size_bytes: int) -> None:
    """Write a repository whose one file has the given length and takes no space."""
    snapshot = _revision(home, "sparse", "e" * 40)
    blob = snapshot.parents[1] / "blobs" / ("5" * 64)
    with blob.open("wb") as file:
        file.truncate(size_bytes)
    (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")


def _revision(home: Path, name: str, commit: str) -> Path:
    """Make the folders of a repository and its branch; return the folder of the revision."""
    repository = home / HUB / f"models--org--{name}"
    snapshot = repository / "snapshots" / commit
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    return snapshot
