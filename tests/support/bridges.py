"""The Swift bridges, built once for all tests: as they are here, and against the stand-ins."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import coreml_bundles, weights

PACKAGE = Path(__file__).parents[2] / "swift"
ENGINES = ("whisperkit", "fluidaudio")
VARIANT = "Documents/huggingface/models/argmaxinc/whisperkit-coreml/openai_whisper-tiny"
PARAKEET = "Library/Application Support/FluidAudio/Models/parakeet-tdt-0.6b-v3"
PARTS = {
    "whisperkit": ("MelSpectrogram", "AudioEncoder", "TextDecoder"),
    "fluidaudio": ("Preprocessor", "Encoder", "Decoder", "JointDecisionv3"),
}

# The answer of a bridge without its framework; a Mac's bridge has it.
ELSEWHERE = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has the frameworks")


def real(engine: str) -> str:
    """Return the bridge as it is on this machine: without its framework, unless this is a Mac."""
    return str(_built("real") / f"{engine}-bridge")


def stubbed(engine: str) -> str:
    """Return the bridge whose frameworks are the stand-ins in `swift/Tests/Stubs`."""
    if sys.platform == "darwin":
        pytest.skip("the real frameworks are here; stand-ins are for other systems")
    return str(_built("stubbed") / f"{engine}-bridge")


@functools.cache
def _built(kind: str) -> Path:
    if shutil.which("swift") is None:
        assert "CI" not in os.environ, "continuous integration has to have Swift"
        pytest.skip("no Swift to build the bridges with")
    scratch = weights.CACHE / f"bridges-{kind}"
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    variables = {**weights.ENVIRONMENT, "BRIDGE_STUBS": "1" if kind == "stubbed" else "0"}
    built, made_of = scratch / "debug", scratch / "made-of"
    with scratch.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # that all is up to date takes the compiler three seconds of a processor to say
        ingredients = _ingredients()
        if built.exists() and made_of.exists() and made_of.read_text() == ingredients:
            return built
        made_of.unlink(missing_ok=True)
        ended = subprocess.run(
            ["swift", "build", "--package-path", str(PACKAGE), "--scratch-path", str(scratch)],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        made_of.write_text(ingredients)
    return built


def _ingredients() -> str:
    """Return a digest of the sources and of which compiler this is."""
    found = hashlib.sha256()
    compiler = Path(str(shutil.which("swift"))).resolve()
    found.update(f"{compiler} {compiler.stat().st_mtime_ns}".encode())
    for path in sorted(path for path in PACKAGE.rglob("*") if path.is_file()):
        if ".build" not in path.parts and path.suffix != ".pyc":
            found.update(f"{path.relative_to(PACKAGE)} {path.stat().st_mode:o}\n".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def model(home: Path, engine: str) -> Path:
    """Put a whole model of an engine, with everything it needs, where the engine keeps it."""
    folder = home / (VARIANT if engine == "whisperkit" else PARAKEET)
    for seed, name in enumerate(PARTS[engine]):
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    if engine == "whisperkit":
        tokenizer = home / "Documents/huggingface/models/openai/whisper-tiny"
        tokenizer.mkdir(parents=True)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (tokenizer / name).write_text("{}")
    else:
        (folder / "parakeet_vocab.json").write_text('{"0": "a"}')
    return folder


def tell(folder: Path, **script: str) -> None:
    """Tell a stand-in what to do, in a model's `config.json`, which no framework reads."""
    (folder / "config.json").write_text(json.dumps(script))
