"""Run the command line as a user does: a whole process, its output and its exit code."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from typing import Any, NamedTuple

from tests.support import forking


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    output: str
    errors: str

    @property
    def data(self) -> dict[str, Any]:
        """Return the JSON that the command printed."""
        found: dict[str, Any] = json.loads(self.output)
        return found

    @property
    def codes(self) -> list[str]:
        """Return the codes of a scan's findings, sorted."""
        return sorted(finding["code"] for finding in self.data["findings"])


def cachedoctor(*arguments: str, env: dict[str, str] | None = None) -> Ended:
    """Run `cachedoctor` with the test's environment and `env` added."""
    environment = {**os.environ, **(env or {})}
    server = forking.server(os.getpid())
    if server.fits(environment):
        synced = inspect.isbuiltin(os.fsync)
        code, output, errors = server.run(arguments, environment, synced=synced, timeout_s=300)
    else:
        done = subprocess.run(
            [sys.executable, "-m", "cachedoctor", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        code, output, errors = done.returncode, done.stdout, done.stderr
    ended = Ended(code, _text(output), _text(errors))
    assert "Traceback" not in ended.errors, ended.errors
    return ended


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace").replace("\r\n", "\n").replace("\r", "\n")


def scan(*arguments: str) -> Ended:
    """Run `cachedoctor scan --json`."""
    return cachedoctor("scan", "--json", *arguments)
