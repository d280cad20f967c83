"""One engine in a child process: started offline, asked step by step, and always ended.

Death by a signal, a timeout, an error and an empty transcript are all results.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import site
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.bench.memory import Peak
from cachedoctor.looking import untrusted
from cachedoctor.rules.machine import EngineNotInstalled
from cachedoctor.system import child, shipped

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEAD = "http://127.0.0.1:9"  # the discard port
_KEPT = (
    *("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV"),
    *("CACHEDOCTOR_BRIDGE_SANDBOX", "LD_LIBRARY_PATH", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES"),
)
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_REASON_WIDTH = 200
_OUT_OF_MEMORY = re.compile(
    r"out of memory|bad_alloc|MemoryError|(cannot|failed to|unable to) allocate|failed to map",
    re.IGNORECASE,
)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")


class FailedError(Exception):
    """Report why an engine gave no answer: a code if there is one, a reason and a cure."""

    def __init__(self, why: str, *, code: str | None = None, cure: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.code = code
        self.cure = cure


class Step(NamedTuple):
    """One answer: how long the step took by the child's own clock, and what else it says."""

    seconds: float
    said: Mapping[str, object]


def runner(engine: str) -> str | None:
    """Return the path of an engine's script, or `None` if it has none."""
    path = os.path.join(_runners(), re.sub(r"[-.]", "_", engine) + ".py")
    return path if os.path.isfile(path) else None


def _runners() -> str:
    return shipped.folder("cachedoctor.bench", "runners")


class Session:
    """A running engine."""

    def __init__(
        self,
        engine: str,
        python: str,
        package: str,
        scratch: str,
        *,
        threads: int,
        timeout_s: float,
    ) -> None:
        """Start the engine's script in a Python, with `scratch` as its home."""
        self._engine = engine
        self._package = package
        self._timeout_s = timeout_s
        self._threads = threads
        arguments = [python, os.path.join(_runners(), "talk.py"), str(runner(engine))]
        try:
            self._talk = child.Talk(arguments, offline(scratch, threads))
        except OSError as error:
            raise FailedError(f"`{python}` cannot be run: {error.strerror}") from error
        self.peak = Peak(self._talk.pid)

    def bring(self) -> Step:
        """Import the engine."""
        return self._ask("import", do="bring", threads=self._threads)

    def load(self, path: str, language: str | None) -> Step:
        """Load the model at `path`."""
        return self._ask("load", do="load", path=path, threads=self._threads, language=language)

    def transcribe(self, clip: str) -> Step:
        """Transcribe a clip."""
        step = self._ask("transcribe", do="transcribe", clip=clip)
        if not str(step.said["text"]).strip():
            self.end()
            raise FailedError("empty transcript")
        return step

    def end(self) -> None:
        """End the engine's process and its children."""
        self._talk.end()

    def _ask(self, step: str, **request: object) -> Step:
        answer = self._talk.ask(json.dumps(request).encode(), self._timeout_s, self.peak.look)
        if isinstance(answer, child.Silence):
            errors = self._talk.errors.decode(errors="replace")
            raise silenced(self._engine, step, answer, errors, self._timeout_s)
        self.peak.look()
        said: dict[str, object] = _answer(answer, step)
        if "error" in said:
            self.end()
            raise self._refusal(step, said)
        self.peak.keep(said.get("peak_bytes"))
        seconds = said["seconds"]
        if not isinstance(seconds, float):
            raise FailedError(f"its script gave an invalid answer to {step}")
        return Step(seconds, said)

    def _refusal(self, step: str, said: Mapping[str, object]) -> FailedError:
        kind, message = str(said["error"]), " ".join(str(said["message"]).split())
        if kind == "MemoryError" or _OUT_OF_MEMORY.search(message):
            return FailedError(f"out of memory in {step}")
        absent = _NO_MODULE.search(message)
        if step == "import" and absent and kind == "ModuleNotFoundError":
            return FailedError(
                f"no module `{absent[1]}`",
                code=EngineNotInstalled.code,
                cure=f"pip install {self._package}",
            )
        if step == "import" and "libmlx" in message:  # the CPU backend is an extra
            return FailedError(
                "mlx has no backend", code=EngineNotInstalled.code, cure="pip install 'mlx[cpu]'"
            )
        return FailedError(f"{kind} in {step}: {message[:_REASON_WIDTH]}")


def silenced(
    engine: str, step: str, silence: child.Silence, errors: str, timeout_s: float
) -> FailedError:
    """Return why an engine gave no answer to a step; `errors` is its standard error."""
    if silence.timed_out:
        longer = f"cachedoctor bench --engine {engine} --timeout {timeout_s * 4:g}"
        return FailedError(f"{step} did not end within {timeout_s:g} s", cure=longer)
    last = _last_words(errors)
    if _OUT_OF_MEMORY.search(last):
        return FailedError(f"out of memory in {step}")
    if silence.signal is not None:
        with contextlib.suppress(ValueError):
            name = signal.Signals(silence.signal).name
            if silence.signal == signal.SIGKILL:
                return FailedError(f"killed in {step} (SIGKILL): out of memory, most likely")
            return FailedError(f"killed by {name} in {step}")
    return FailedError(f"ended with exit code {silence.code} in {step}: {last}")


def _last_words(errors: str) -> str:
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1][:_REASON_WIDTH] if lines else "it said nothing"


def _answer(line: bytes, step: str) -> dict[str, object]:
    """Parse an answer; an engine may print anything, and an invalid answer is its failure."""
    try:
        said = untrusted.parse_json(line)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise FailedError(f"its script gave an invalid answer to {step}")
    return said


def offline(scratch: str, threads: int) -> dict[str, str]:
    """Return an environment that hides the network and the user's caches from an engine."""
    found = {name: os.environ[name] for name in _KEPT if name in os.environ}
    found |= {name: str(threads) for name in _THREADS}
    proxies = ("http_proxy", "https_proxy", "all_proxy")
    found |= {name: _DEAD for proxy in proxies for name in (proxy, proxy.upper())}
    return found | {
        "HOME": scratch,
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "HF_HOME": os.path.join(scratch, "huggingface"),
        "HF_ENDPOINT": _DEAD,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
