"""Time `verify` against bare hashlib on all cores and against `scan`, alternately, in one run.

Builds 4 GiB in 8 files of a hub cache, each named by its true SHA-256, and prints the median of
each ratio with its spread. The files are read once before, so that memory holds them.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
FILES, FILE_BYTES = 8, 512 << 20
BARE = """
import hashlib, os, sys
from concurrent.futures import ThreadPoolExecutor
def one(path):
    with open(path, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
with ThreadPoolExecutor(os.cpu_count()) as pool:
    list(pool.map(one, sys.argv[1:]))
"""


def build(hub: Path) -> list[Path]:
    """Write the cache, and return its blobs."""
    made = []
    commit = "c" * 40
    for number in range(FILES):
        repository = hub / f"models--org--model-{number}"
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (repository / "blobs").mkdir()
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(commit)
        piece = os.urandom(1 << 20)
        digest = hashlib.sha256()
        path = repository / "blobs" / "new"
        with path.open("wb") as file:
            for _ in range(FILE_BYTES // len(piece)):
                file.write(piece)
                digest.update(piece)
        blob = path.rename(path.with_name(digest.hexdigest()))
        (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")
        made.append(blob)
    return made


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a whole process and return its wall time; its exit code must be 0."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def report(title: str, ours: list[float], theirs: list[float], bound: str) -> None:
    """Print the median of the ratios of runs that were made in turn."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(
        f"{title:<34} {statistics.median(ours):6.2f} s / {statistics.median(theirs):6.2f} s = "
        f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})  {bound}"
    )


def main() -> None:
    """Build the cache and print the table."""
    tool = str(Path(sys.executable).parent / "cachedoctor")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        blobs = [str(path) for path in build(home / "hub")]
        environment = {
            **os.environ,
            "HOME": folder,
            "HF_HUB_CACHE": str(home / "hub"),
            "XDG_STATE_HOME": str(home / "state"),
        }
        bare = [sys.executable, "-c", BARE, *blobs]
        seconds(bare, environment)
        fresh, hashed, again, scan = [], [], [], []
        for _ in range(ROUNDS):
            fresh.append(seconds([tool, "verify", "--fresh"], environment))
            hashed.append(seconds(bare, environment))
            again.append(seconds([tool, "verify"], environment))
            scan.append(seconds([tool, "scan"], environment))
        report("verify --fresh / bare hashlib", fresh, hashed, "bound 1.05")
        report("verify again / scan", again, scan, "bound 1.3")


if __name__ == "__main__":
    main()
