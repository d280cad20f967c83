"""Homes with real weights for `bench`, one engine each, and how to damage them.

Weights are linked from where `tests.support.weights` keeps them; a copy is damaged.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import weights, worlds
from tests.support.environments import install

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DAMAGE = ("truncated", "empty", "flipped", "pointer", "missing")
_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 75537502\n" % (
    b"1a" * 32
)


class Place(NamedTuple):
    """A model of one engine in a home: what to ask for, and its weights."""

    engine: str
    question: tuple[str, str]
    weights: Path


def faster_whisper(home: Path) -> Place:
    """Place Systran's tiny.en in the hub cache."""
    folder = weights.require(weights.faster_whisper_tiny_en)
    files = {path.name: path for path in folder.iterdir()}
    blob = repository(home, worlds.TINY, files, "0d3d19a32d3338f10357c0889762bd8d64bbdeba")
    return Place("faster-whisper", ("--model", "tiny.en"), blob)


def whisper_cpp(home: Path) -> Place:
    """Place `ggml-tiny.en.bin` where pywhispercpp keeps it."""
    path = home / ".local" / "share" / "pywhispercpp" / "models" / "ggml-tiny.en.bin"
    _link(weights.require(weights.ggml_tiny_en), path)
    return Place("whisper.cpp", ("--model", "tiny.en"), path)


def whisper_cpp_q8_0(home: Path) -> Place:
    """Place `ggml-tiny.en-q8_0.bin` there."""
    path = home / ".local" / "share" / "pywhispercpp" / "models" / "ggml-tiny.en-q8_0.bin"
    _link(weights.require(weights.ggml_tiny_en_q8_0), path)
    return Place("whisper.cpp", ("--model", "tiny.en-q8_0"), path)


def faster_whisper_base(home: Path) -> Place:
    """Place Systran's base in the hub cache."""
    folder = weights.require(weights.faster_whisper_base)
    files = {path.name: path for path in folder.iterdir()}
    commit = "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66"
    blob = repository(home, "Systran/faster-whisper-base", files, commit)
    return Place("faster-whisper", ("--size", "base"), blob)


def openai_whisper(home: Path) -> Place:
    """Place `tiny.en.pt` in the folder of OpenAI's files."""
    path = home / ".cache" / "whisper" / "tiny.en.pt"
    _link(weights.require(weights.openai_tiny_en), path)
    return Place("openai-whisper", ("--model", "tiny.en"), path)


def whisper_mps(home: Path) -> Place:
    """Place the same file for the other engine that reads it."""
    return openai_whisper(home)._replace(engine="whisper-mps")


def mlx_whisper(home: Path) -> Place:
    """Place tiny.en's tensors, as MLX lays them out, under the name of tiny."""
    folder = weights.require(weights.mlx_tiny_en)
    names = ("config.json", "weights.safetensors")
    blob = repository(home, "mlx-community/whisper-tiny", {n: folder / n for n in names})
    return Place("mlx-whisper", ("--model", "tiny"), blob)


def lightning_whisper_mlx(home: Path) -> Place:
    """Place the same tensors as an archive in a project, which is the home's `project`."""
    folder = weights.require(weights.mlx_tiny_en)
    place = home / "project" / "mlx_models" / "tiny"
    for name in ("config.json", "weights.npz"):
        _link(folder / name, place / name)
    return Place("lightning-whisper-mlx", ("--model", "tiny"), place / "weights.npz")


def insanely_fast_whisper(home: Path) -> Place:
    """Place the weights of transformers' tiny.en with small files beside them."""
    small = home / "small"
    small.mkdir(parents=True)
    for name in ("preprocessor_config.json", "generation_config.json", "tokenizer.json"):
        (small / name).write_text(json.dumps({"of": name}))
    (small / "generation_config.json").write_text('{"no_timestamps_token_id": 50362}')
    (small / "tokenizer.json").write_text('{"version": "1.0"}')
    (small / "config.json").write_text(json.dumps({"model_type": "whisper"}))
    files = {path.name: path for path in small.iterdir()}
    files["model.safetensors"] = weights.require(weights.safetensors_tiny_en)
    blob = repository(home, "openai/whisper-tiny.en", files)
    return Place("insanely-fast-whisper", ("--model", "tiny.en"), blob)


ENGINES: Mapping[str, Callable[[Path], Place]] = {
    "faster-whisper": faster_whisper,
    "whisper.cpp": whisper_cpp,
    "openai-whisper": openai_whisper,
    "whisper-mps": whisper_mps,
    "mlx-whisper": mlx_whisper,
    "lightning-whisper-mlx": lightning_whisper_mlx,
    "insanely-fast-whisper": insanely_fast_whisper,
}


def damage(path: Path, kind: str) -> None:
    """Put a damaged copy in place of a file."""
    data = bytearray(path.read_bytes()) if kind in ("truncated", "flipped") else bytearray()
    path.unlink()
    middle = len(data) // 2
    if kind == "truncated":
        del data[middle:]
    elif kind == "flipped":
        piece = slice(middle, middle + 4096)
        data[piece] = bytes(byte ^ 0xFF for byte in data[piece])
    elif kind == "pointer":
        data += _POINTER
    if kind != "missing":
        path.write_bytes(data)


def environment(folder: Path, package: str, script: str = "") -> Path:
    """Make a fake environment that has a package, and return its interpreter.

    `script` is what a shell does before it becomes this process's own interpreter.
    """
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    install(site, package, "1.0.0")
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\n{script}\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return python


def repository(
    home: Path, name: str, files: Mapping[str, Path], commit: str = worlds.COMMIT
) -> Path:
    """Lay out one revision as the hub client does; return the largest blob."""
    folder = worlds.hub_of(home) / f"models--{name.replace('/', '--')}"
    largest = max(files.values(), key=lambda path: path.stat().st_size)
    blobs = {}
    for file, source in files.items():
        large = file.endswith((".bin", ".safetensors"))
        digest = weights.sha256(source) if large else worlds.git_sha1(source.read_bytes())
        blobs[file] = folder / "blobs" / digest
        _link(source, blobs[file])
        link = folder / "snapshots" / commit / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs[file], link.parent))
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    return next(blobs[file] for file, source in files.items() if source == largest)


def _link(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, path)
    except OSError:  # another file system
        shutil.copyfile(source, path)
