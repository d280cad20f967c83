"""Run the command line as a person does: a whole process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, NamedTuple


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
    done = subprocess.run(
        [sys.executable, "-m", "cachedoctor", *arguments],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def scan(*arguments: str) -> Ended:
    """Run `cachedoctor scan --json`."""
    return cachedoctor("scan", "--json", *arguments)
