"""Run WhisperKit or FluidAudio in its bridge, step by step like any other engine."""

from __future__ import annotations

import time
from typing import Any

from cachedoctor.bench.memory import Peak
from cachedoctor.bench.session import FailedError, Step, offline, silenced
from cachedoctor.doctor import bridge
from cachedoctor.rules.machine import WrongPlatform


class BridgeSession:
    """A running bridge."""

    def __init__(
        self, engine: str, program: str, scratch: str, *, threads: int, timeout_s: float
    ) -> None:
        """Start the bridge, with `scratch` as its home."""
        self._engine = engine
        self._timeout_s = timeout_s
        self._began = time.perf_counter()
        try:
            self._serving = bridge.Serving(program, environment=offline(scratch, threads))
        except bridge.BridgeError as error:
            raise FailedError(error.message) from error
        self.peak = Peak(self._serving.pid)

    def bring(self) -> Step:
        """Wait until the bridge runs; it reports the versions it was built from."""
        said = self._ask("start", "info")
        seconds = time.perf_counter() - self._began
        engine, machine = said["engine"], said["machine"]
        versions = {
            engine["name"]: engine["version"],
            "bridge": said["bridge"],
            machine["system"]: f"{machine['version']} ({machine['build']})",
        }
        return Step(seconds, {"versions": versions})

    def load(self, path: str, language: str | None) -> Step:
        """Load the model at `path`."""
        said = self._ask("load", "load", model_dir=path, language=language)
        return Step(said["load_time"], {"settings": {}})

    def transcribe(self, clip: str) -> Step:
        """Transcribe a clip."""
        said = self._ask("transcribe", "transcribe", audio=clip)
        if not said["text"].strip():
            self.end()
            raise FailedError("empty transcript")
        self.peak.keep(said.get("peak_bytes"))
        return Step(said["transcription_time"], {"text": " ".join(said["text"].split())})

    def end(self) -> None:
        """End the bridge."""
        self._serving.end()

    def _ask(self, step: str, request: str, **more: object) -> dict[str, Any]:
        try:
            said = self._serving.ask(
                request, timeout_s=self._timeout_s, on_poll=self.peak.look, **more
            )
        except bridge.SilentError as error:
            raise silenced(
                self._engine, step, error.silence, error.errors, self._timeout_s
            ) from error
        except bridge.BridgeError as error:
            self.end()
            code = WrongPlatform.code if error.of_platform else None
            raise FailedError(f"{error.message} ({error.code} in {step})", code=code) from error
        self.peak.look()
        return said
