"""A home to measure, and how to time commands there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.timing import Cost, Ratio, in_turn, process, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_BIN = Path(sys.executable).parent
TOOL, HF, PYTHON = str(_BIN / "cachedoctor"), str(_BIN / "hf"), sys.executable
_INSIDE = str(Path(__file__).with_name("inside.py"))
_UNSEEN_S = 2.5  # a folder that changed just before a look is not remembered


class Scale(NamedTuple):
    """How much to measure."""

    rounds: int = 7
    few: int = 3  # rounds where gigabytes are moved, or each call is late
    repositories: int = 200  # of three revisions and fifteen files
    small: int = 200  # repositories of a hundred small files
    large_bytes: int = 512 << 20  # of each of eight weights
    copied_bytes: int = 1 << 30
    growth: tuple[int, ...] = (10, 30, 100, 300, 1000)  # repositories of a hundred files
    findings: tuple[int, ...] = (1, 50, 200, 2000)


WHOLE = Scale()
SHORT = Scale(
    rounds=1,
    few=1,
    repositories=20,
    small=20,
    large_bytes=16 << 20,
    copied_bytes=32 << 20,
    growth=(10, 30),
    findings=(1, 50),
)


class Place:
    """A home with a cache in it, and how to time commands there."""

    def __init__(self, home: str | Path, rounds: int, **more: str) -> None:
        """Store the folder to use as the home; `more` are environment variables."""
        self.home = Path(home)
        self.rounds = rounds
        keep = ("PATH", "LANG", "TMPDIR")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ} | {
            "HOME": str(home),
            "XDG_STATE_HOME": f"{home}/state",
            "XDG_CONFIG_HOME": f"{home}/config",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **more,
        }

    def forget(self) -> None:
        """Make the next look the first: forget every earlier one."""
        shutil.rmtree(self.home / "state", ignore_errors=True)

    def know(self, *command: str) -> None:
        """Look once at a cache that has not changed for a while."""
        time.sleep(_UNSEEN_S)
        process([TOOL, *command], self.environment, code=None)

    def cost(self, command: Sequence[str], *, code: int | None = 0) -> Cost:
        """Run a whole process here."""
        return process(command, self.environment, code=code)

    def against(
        self,
        title: str,
        ours: Sequence[str],
        theirs: Sequence[str],
        *,
        bound: float | None = None,
        note: str = "",
        before: Callable[[], None] = lambda: None,
        code: int | None = 0,
    ) -> Ratio:
        """Time two whole processes in turn; `before` is called before each of ours."""

        def mine() -> Cost:
            before()
            return self.cost(ours, code=code)

        return in_turn(title, mine, lambda: self.cost(theirs), self.rounds, bound=bound, note=note)

    def inside(self, title: str, what: str, *, bound: float, note: str = "") -> Ratio:
        """Time two calls in one running Python."""
        return ratio(title, self.told(what), bound=bound, note=note)

    def told(self, what: str) -> list[tuple[Cost, Cost]]:
        """Return what `inside` measures in a Python of its own."""
        command = [PYTHON, _INSIDE, what, str(self.home), str(self.rounds)]
        ran = subprocess.run(command, env=self.environment, check=True, capture_output=True)
        return [(Cost(*first), Cost(*second)) for first, second in json.loads(ran.stdout)]
