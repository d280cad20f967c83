"""Measure everything: `python -m benchmarks [--save FILE.json] [--plot FILE.svg] [PART...]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import caches, growth
from benchmarks.timing import Ratio, in_turn, process, ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_BIN = Path(sys.executable).parent
_TOOL, _HF, _PYTHON = str(_BIN / "cachedoctor"), str(_BIN / "hf"), sys.executable
_INSIDE = str(Path(__file__).with_name("inside.py"))
_SIZES = (10, 30, 100, 300, 1000)  # repositories of a hundred files
_WEIGHTS, _WEIGHT_BYTES = 8, 512 << 20
_COPY_BYTES = 1 << 30
_SPARSE_BYTES = 100 << 30
_BARE = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
def one(path):
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(one, sys.argv[1:]))
"""


class Place:
    """A home of its own with a cache in it, and how to time commands there."""

    def __init__(self, home: str, rounds: int, **more: str) -> None:
        """Take the folder that is made the home; `more` are variables of the environment."""
        self.home = Path(home)
        self.rounds = rounds
        keep = ("PATH", "LANG", "TMPDIR")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ} | {
            "HOME": home,
            "XDG_STATE_HOME": f"{home}/state",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **more,
        }

    def against(
        self,
        title: str,
        ours: list[str],
        theirs: list[str],
        *,
        bound: float | None = None,
        note: str = "",
        before: Callable[[], None] = lambda: None,
    ) -> Ratio:
        """Time two whole processes in turn; `before` is called before each of ours."""

        def mine() -> float:
            before()
            return process(ours, self.environment).seconds

        def other() -> float:
            return process(theirs, self.environment).seconds

        return in_turn(title, mine, other, self.rounds, bound=bound, note=note)

    def inside(self, title: str, what: str, *, bound: float, note: str = "") -> Ratio:
        """Time two calls in one running Python."""
        command = [_PYTHON, _INSIDE, what, str(self.home), str(self.rounds)]
        ran = subprocess.run(command, env=self.environment, check=True, capture_output=True)
        return ratio(title, json.loads(ran.stdout), bound=bound, note=note)


def start(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare starting with a bare Python and with `hf`."""
    from tests.support.builders import ctranslate2_model

    place = Place(home, rounds)
    caches.ready_model(place.home, ctranslate2_model())
    bare = [_PYTHON, "-c", "pass"]
    ask = [_TOOL, "preflight", "faster-whisper", "--model", "tiny.en"]
    yield place.against("--help / python -c pass", [_TOOL, "--help"], bare)
    yield place.against("--help / hf --help", [_TOOL, "--help"], [_HF, "--help"])
    yield place.against("preflight, ready / python -c pass", ask, bare, bound=8)
    yield place.inside("preflight again, in a running Python / 5 ms", "preflight", bound=1)


def scan(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare looking at 200 repositories x 3 revisions x 15 files."""
    place = Place(home, rounds)
    caches.hub(place.home, 200, 3, 15)
    hf = [_HF, "cache", "ls"]
    yield place.against("scan / hf cache ls", [_TOOL, "scan"], hf, bound=0.33)
    yield place.inside("scan / scan_cache_dir(), in a running Python", "scan", bound=0.25)
    process([_TOOL, "verify"], place.environment)
    again = "scan, everything remembered / scan_cache_dir()"
    yield place.inside(again, "scan", bound=0.25, note="after a verify")


def verify(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare reading 4 GiB in 8 files that memory holds."""
    place = Place(home, rounds)
    blobs = [str(path) for path in caches.weights(place.home, _WEIGHTS, _WEIGHT_BYTES)]
    fresh = [_TOOL, "verify", "--fresh"]
    bare = [_PYTHON, "-c", _BARE, *blobs]
    cores = str(os.cpu_count() or 1)
    summing = ["xargs", "-a", str(place.home / "blobs"), "-P", cores, "-n", "1", "sha256sum"]
    (place.home / "blobs").write_text("\n".join(blobs))
    hashlib_title = "verify --fresh / hashlib.file_digest, a thread a core"
    yield place.against(hashlib_title, fresh, bare, bound=1 / 0.95)
    yield place.against("verify --fresh / xargs -P sha256sum", fresh, summing)
    yield place.against("verify again / scan", [_TOOL, "verify"], [_TOOL, "scan"], bound=1.3)
    yield place.inside("verify again / verify --fresh", "verify", bound=0.01)
    shutil.rmtree(place.home / caches.HUB)
    caches.hub(place.home, 200, 3, 15)
    process([_TOOL, "verify"], place.environment)
    small = "verify again / scan, 200 x 3 x 15 small files"
    yield place.against(small, [_TOOL, "verify"], [_TOOL, "scan"], bound=1.3)


def verify_one(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare verifying one repository with the hub's own command, which asks the hub."""
    from tests.support.loopback import Hub

    with Hub() as hub:
        place = Place(home, rounds, HF_ENDPOINT=hub.url)
        (blob,) = caches.weights(place.home, 1, _WEIGHT_BYTES)
        hub.add("org/weights-0", {"weights.bin": blob}, commit="c" * 40)
        theirs = [_HF, "cache", "verify", "org/weights-0"]
        title = "verify --fresh / hf cache verify, 512 MiB"
        yield place.against(title, [_TOOL, "verify", "--fresh"], theirs)


def copy(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare a fix that copies 1 GiB from another repository with `cp` and a sync."""
    place = Place(home, rounds)
    source, lost = caches.copy_case(place.home, _COPY_BYTES)
    target = place.home / "copied"

    def lose() -> None:
        lost.unlink(missing_ok=True)
        shutil.rmtree(place.home / ".cache/huggingface/.cachedoctor", ignore_errors=True)

    copied = f"cp --reflink=auto {source} {target} && sync {target}"
    plain = ["sh", "-c", f"{copied} && rm {target}"]
    proven = ["sh", "-c", f"{copied} && sha256sum {target} && rm {target}"]
    fix = [_TOOL, "fix", "--yes"]
    note = "the fix also proves the digest of the copy and journals"
    yield place.against("fix by copying 1 GiB / cp, sync", fix, plain, before=lose, note=note)
    yield place.against(
        "fix by copying 1 GiB / cp, sync, sha256sum", fix, proven, before=lose, note=note
    )


def sparse(home: str, rounds: int) -> Iterator[Ratio]:
    """Compare looking at a file of 100 GiB that takes no room with looking at one of 1 MiB."""
    place = Place(home, rounds)
    caches.sparse(place.home, _SPARSE_BYTES)
    other = Place(f"{home}/other", rounds)
    caches.sparse(other.home, 1 << 20)
    title = "scan of one file, 100 GiB / 1 MiB"

    def ours() -> float:
        return process([_TOOL, "scan"], place.environment).seconds

    def theirs() -> float:
        return process([_TOOL, "scan"], other.environment).seconds

    yield in_turn(title, ours, theirs, rounds)


PARTS = {
    "start": start,
    "scan": scan,
    "verify": verify,
    "verify-one": verify_one,
    "copy": copy,
    "sparse": sparse,
}


def _machine() -> Mapping[str, object]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "cachedoctor": version("model-cache-doctor"),
        "huggingface_hub": version("huggingface_hub"),
    }


def main() -> None:
    """Run the parts that are asked for, print a table and keep the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}, growth")
    parser.add_argument("--rounds", type=int, default=9, help="of each comparison")
    parser.add_argument("--save", metavar="FILE.json", help="keep the numbers")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the growth")
    given = parser.parse_args()
    unknown = set(given.parts) - {*PARTS, "growth"}
    if unknown:
        parser.error(f"no part `{unknown.pop()}`; there are {', '.join(PARTS)}, growth")
    machine = _machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{'ours / theirs, whole processes unless said':<52} {'ms':>9} {'ms':>9} {'ratio':>7}")
    ratios: list[Ratio] = []
    for name, part in PARTS.items():
        if not given.parts or name in given.parts:
            with tempfile.TemporaryDirectory() as home:
                for found in part(home, given.rounds):
                    ratios.append(found)
                    print(found.line(), flush=True)
    points = []
    if not given.parts or "growth" in given.parts:
        environment = Place("/nonexistent", 1).environment
        points = growth.measure(_TOOL, environment, _SIZES)
        print("\n".join(growth.lines(points)))
        if given.plot:
            growth.plot(points, given.plot)
    if given.save:
        body = {
            "machine": machine,
            "rounds": given.rounds,
            "ratios": [found._asdict() for found in ratios],
            "growth": [point._asdict() for point in points],
        }
        Path(given.save).write_text(json.dumps(body, indent=2) + "\n")


if __name__ == "__main__":
    main()
