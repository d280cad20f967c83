"""Environments with real engines, made by pip and kept between runs beside the weights.

venv-<name>-<python>.lock
venv-<name>-<python>/        a virtual environment; `whole` in it says that pip has finished
"""

from __future__ import annotations

import fcntl
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import weights

# MLX's engines declare torch but run without it, so their real needs are listed.
MLX = (
    ("mlx[cpu]==0.32.4", "numba", "scipy", "tiktoken", "more-itertools", "huggingface_hub", "tqdm"),
    ("--no-deps", "mlx-whisper==0.4.3", "lightning-whisper-mlx==0.0.10"),
    ("parakeet-mlx==0.7.0",),
)
# The package index's torch brings gigabytes for a GPU, so a distribution's own is used. It is from
# the time of numpy 1, and these are the last transformers that run with it. whisper-mps runs on MLX
# and reads its weights with torch.
TORCH = (
    ("numpy<2", "numba", "scipy", "tiktoken", "more-itertools", "tqdm", "transformers==4.46.3"),
    (
        "--no-deps",
        "openai-whisper==20250625",
        "whisper-mps==0.0.10",
        "mlx==0.32.4",
        "mlx-cpu==0.32.4",
    ),
)
TRANSFORMERS = (("transformers==5.24.0", "numpy"),)
_SYSTEM = "/usr/bin/python3"


def mlx() -> Path:
    """Return an interpreter with MLX's engines; skip the test if there can be none."""
    if sys.platform != "linux":
        pytest.skip("on a Mac these engines are installed as they are")
    found = _made("mlx", MLX)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def torch() -> Path:
    """Return an interpreter with the engines that need torch, from the system's own packages."""
    has = [_SYSTEM, "-c", "import torch"]
    if (
        not Path(_SYSTEM).exists()
        or subprocess.run(has, capture_output=True, check=False).returncode
    ):
        pytest.skip("the system's Python has no torch (Debian's is in `python3-torch`)")
    found = _made("torch", TORCH, _SYSTEM, "--system-site-packages")
    if isinstance(found, str):
        pytest.skip(found)
    return found


def transformers() -> Path:
    """Return an interpreter with the newest transformers and no torch, for small files."""
    found = _made("transformers", TRANSFORMERS)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def pre_commit() -> Path:
    """Return pre-commit's program; skip the test if there can be none."""
    found = _made("pre-commit", (("pre-commit==4.7.0",),))
    if isinstance(found, str):
        pytest.skip(found)
    return found.with_name("pre-commit")


@functools.cache
def _made(
    name: str, installs: tuple[tuple[str, ...], ...], base: str = sys.executable, *options: str
) -> Path | str:
    """Return the interpreter, or why there is none; a parallel run waits."""
    folder = weights.CACHE / f"venv-{name}-{sys.implementation.cache_tag}"
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "whole").exists():
            return python
        commands = [[base, "-m", "venv", "--clear", *options, str(folder)]]
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        commands += [[*pip, *install] for install in installs]
        for command in commands:
            ended = subprocess.run(
                command, capture_output=True, text=True, env=weights.ENVIRONMENT, check=False
            )
            if ended.returncode:
                reason = (ended.stderr.strip().splitlines() or ["no reason"])[-1]
                return f"no environment with {name}: {reason}"
        (folder / "whole").touch()
    return python


def install(packages: Path, name: str, version: str) -> None:
    """Put the metadata of an installed release into a folder of packages, without the release."""
    about = packages / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
