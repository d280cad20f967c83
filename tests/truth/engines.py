"""Real engines, each in its own environment and process, without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.support import environments, speech, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORKER = Path(__file__).with_name("worker.py")
_LIMIT_S = 120
_SPECIAL = re.compile(r"<\|.*?\|>")
_BLAS = Path(
    "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0"
)  # MLX itself is very slow


def _here() -> Path:
    return Path(sys.executable)


PYTHONS: Mapping[str, Callable[[], Path]] = {
    "faster-whisper": _here,
    "whisper.cpp": _here,
    "mlx-whisper": environments.mlx,
    "lightning-whisper-mlx": environments.mlx,
    "parakeet-mlx": environments.mlx,
    "openai-whisper": environments.torch,
    "whisper-mps": environments.torch,
    "insanely-fast-whisper": environments.torch,
    "transformers": environments.transformers,
}


class Came(NamedTuple):
    """The outcome of one call."""

    loads: bool
    said: str


def variables(home: Path, added: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a process in a home of the test's."""
    return {
        "PATH": weights.ENVIRONMENT.get("PATH", ""),
        "HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "NUMBA_CACHE_DIR": str(weights.CACHE / "numba"),
        "XDG_STATE_HOME": str(home) + ".state",
        "XDG_CONFIG_HOME": str(home) + ".config",
        **added,
    }


class Engine:
    """One engine that stays imported; a state with its own variables gets a fresh process."""

    def __init__(self, name: str, home: Path) -> None:
        """Store the home in which every state will be built."""
        self.name = name
        self.home = home
        self.python = PYTHONS[name]()
        self._process: subprocess.Popen[str] | None = None

    def load(
        self,
        model: str,
        *,
        cwd: Path,
        env: Mapping[str, str],
        options: Mapping[str, object],
        heard: str,
    ) -> Came:
        """Return whether the engine loads `model` and hears `heard`; ``""`` means any words."""
        request = {"model": model, "options": options, "cwd": str(cwd), "limit_s": _LIMIT_S}
        if env:
            process = self._started(cwd, env)
            try:
                found = _asked(process, request)
            finally:
                _ended(process)
        else:
            self._process = self._process or self._started(self.home.parent, {})
            found = _asked(self._process, request)
        if found["stage"] != "done":
            return Came(False, f"{found['stage']}: {found['error']}")
        text = _SPECIAL.sub("", str(found["text"]))  # an older tokenizer leaves these in
        if heard and speech.words(text) != speech.words(heard):
            return Came(False, f"hears {text.strip()[:80]!r}")
        return Came(True, text.strip()[:80])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            _ended(self._process)
            self._process = None

    def _started(self, cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[str]:
        preload = {"LD_PRELOAD": str(_BLAS)} if _BLAS.exists() else {}
        return subprocess.Popen(
            [str(self.python), str(_WORKER), self.name, str(speech.CLIP)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=cwd,
            env=variables(self.home, {**preload, **env}),
        )


def _asked(process: subprocess.Popen[str], request: Mapping[str, object]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        return {"stage": "import", "error": f"the process ended with {process.wait()}"}
    found: dict[str, Any] = json.loads(line)
    return found


def _ended(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
