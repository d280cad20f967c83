"""Time `cachedoctor` against its peers as whole processes, alternately, in one run.

Builds one hub cache of 200 repositories × 3 revisions × 15 files in a temporary folder, whose blobs
are named by their true digests, and prints the median of each ratio with its spread.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
REPOSITORIES, REVISIONS, FILES = 200, 3, 15


def build_hub(hub: Path) -> None:
    """Write the hub: eleven files of a repository change from revision to revision, four do not."""
    for number in range(REPOSITORIES):
        repository = hub / f"models--org{number % 20}--model-{number}"
        (repository / "refs").mkdir(parents=True)
        (repository / "blobs").mkdir()
        (repository / "trees").mkdir()
        for revision in range(REVISIONS):
            commit = hashlib.sha1(f"{number}/{revision}".encode()).hexdigest()
            snapshot = repository / "snapshots" / commit
            snapshot.mkdir(parents=True)
            tree = {}
            for file in range(FILES):
                changes = file < 8
                words = f"{number}/{file}/{revision if changes else 0}"
                content = words.encode() * (50 + file * 20)
                header = b"blob %d\0" % len(content)
                etag = hashlib.sha1(header + content).hexdigest()
                blob = repository / "blobs" / etag
                if not blob.exists():
                    blob.write_bytes(content)
                (snapshot / f"file-{file}.json").symlink_to(f"../../blobs/{etag}")
                tree[f"file-{file}.json"] = {"size": len(content), "blob_id": etag}
            manifest = {"format_version": 1, "files": tree}
            (repository / "trees" / f"{commit}.json").write_text(json.dumps(manifest))
            (repository / "refs" / "main").write_text(commit)


def ready_model(home: Path) -> None:
    """Write a small model that `preflight` calls ready: the headers of faster-whisper's tiny.en."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from tests.builders import ctranslate2_model

    commit = "0" * 40
    repository = home / ".cache/huggingface/hub/models--Systran--faster-whisper-tiny.en"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (snapshot / "model.bin").write_bytes(ctranslate2_model())
    for name in ("config.json", "tokenizer.json"):
        (snapshot / name).write_text("{}")
    (snapshot / "vocabulary.txt").write_text("a\n")


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a whole process and return its wall time; its exit code must be 0."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def compare(
    title: str, ours: list[str], peer: list[str], environment: dict[str, str], bound: str
) -> None:
    """Print the ratio of two commands that were run in turn."""
    ratios, mine, theirs = [], [], []
    for _ in range(ROUNDS):
        mine.append(seconds(ours, environment))
        theirs.append(seconds(peer, environment))
        ratios.append(mine[-1] / theirs[-1])
    low, high = min(ratios), max(ratios)
    print(
        f"{title:<44} {statistics.median(mine) * 1e3:7.0f} ms / "
        f"{statistics.median(theirs) * 1e3:5.0f} ms = {statistics.median(ratios):5.2f} "
        f"({low:.2f} to {high:.2f})  {bound}"
    )


def main() -> None:
    """Build the caches and print the table."""
    tool = [str(Path(sys.executable).parent / "cachedoctor")]
    hf = [str(Path(sys.executable).parent / "hf")]
    bare = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        hub = Path(folder, "hub")
        build_hub(hub)
        home.mkdir()
        ready_model(home)
        environment = {
            **os.environ,
            "HOME": str(home),
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        environment.pop("HF_HOME", None)
        big = {**environment, "HF_HUB_CACHE": str(hub)}
        preflight = [*tool, "preflight", "faster-whisper", "--model", "tiny.en"]
        compare("--help / python -c pass", [*tool, "--help"], bare, environment, "bound 8")
        compare("preflight, ready / python -c pass", preflight, bare, environment, "bound 8")
        compare(
            "scan 200x3x15 / hf cache ls",
            [*tool, "scan"],
            [*hf, "cache", "ls"],
            big,
            "bound 0.5, goal 0.33",
        )


if __name__ == "__main__":
    main()
