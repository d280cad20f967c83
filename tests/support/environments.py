"""Environments with real engines, made by pip and kept between runs beside the weights.

venv-<name>-<python>.lock
venv-<name>-<python>/        a virtual environment; `whole` in it says that pip was done
"""

from __future__ import annotations

import fcntl
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import weights

# MLX's engines declare torch, which they run without, so what they need is named.
MLX = (
    ("mlx[cpu]==0.32.4", "numba", "scipy", "tiktoken", "more-itertools", "huggingface_hub", "tqdm"),
    ("--no-deps", "mlx-whisper==0.4.3", "lightning-whisper-mlx==0.0.10"),
    ("parakeet-mlx==0.7.0",),
)


def mlx() -> Path:
    """Return an interpreter with MLX's engines; skip the test where there can be none."""
    if sys.platform != "linux":
        pytest.skip("on a Mac these engines are installed as they are")
    found = _made("mlx", MLX)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def pre_commit() -> Path:
    """Return pre-commit's program; skip the test where there can be none."""
    found = _made("pre-commit", (("pre-commit==4.7.0",),))
    if isinstance(found, str):
        pytest.skip(found)
    return found.with_name("pre-commit")


@functools.cache
def _made(name: str, installs: tuple[tuple[str, ...], ...]) -> Path | str:
    """Return the interpreter, or why there is none; a parallel run waits."""
    folder = weights.CACHE / f"venv-{name}-{sys.implementation.cache_tag}"
    weights.CACHE.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "whole").exists():
            return python
        commands = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
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
