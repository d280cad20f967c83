"""Worlds for tests: hub caches as the real client leaves them, made of small real files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMIT = "5ca1ab1e" * 5  # of small files, so not a size for which digests are published
TINY = "Systran/faster-whisper-tiny.en"


def git_sha1(content: bytes) -> str:
    """Return git's blob id."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(name: str, content: bytes) -> str:
    """Return the client's name for the blob of a file."""
    large = name.endswith((".bin", ".safetensors"))
    return hashlib.sha256(content).hexdigest() if large else git_sha1(content)


def whisper_files() -> dict[str, bytes]:
    """Return the files of a small but real faster-whisper model."""
    return {
        "model.bin": builders.ctranslate2_model(),
        "config.json": b'{"alignment_heads": [[1, 0]], "lang_ids": []}\n',
        "tokenizer.json": b'{"version": "1.0", "model": {"vocab": {"a": 1}, "merges": []}}\n',
        "vocabulary.txt": b"!\n#\n",
    }


def repository(
    hub: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    commit: str = COMMIT,
    ref: str | None = "main",
    trees: bool = True,
) -> Path:
    """Write one revision of a repository, and return the repository's folder."""
    path = hub / ("models--" + name.replace("/", "--"))
    tree = {}
    for file, content in files.items():
        blob = path / "blobs" / etag(file, content)
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link = path / "snapshots" / commit / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        row: dict[str, object] = {"size": len(content), "blob_id": git_sha1(content)}
        if len(blob.name) == 64:
            row |= {"lfs_sha256": blob.name, "lfs_size": len(content)}
        tree[file] = row
    (path / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
    if trees:
        manifest = path / "trees" / f"{commit}.json"
        manifest.parent.mkdir(exist_ok=True)
        manifest.write_text(json.dumps({"format_version": 1, "files": tree}))
    if ref:
        place = path / "refs" / ref
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(commit)
    return path


def hub_of(home: Path) -> Path:
    """Return the usual hub cache of a home."""
    return home / ".cache" / "huggingface" / "hub"


def blob_of(path: Path) -> Path:
    """Return the physical file behind a snapshot's link."""
    return Path(os.path.realpath(path))


def cut(path: Path, length: int) -> None:
    """Cut a file short."""
    os.truncate(path, length)


def flip(path: Path, offset: int) -> None:
    """Flip one bit of a file, and leave it alone until its digest is no longer remembered."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    time.sleep(0.05)  # kernels stamp files a hundred times a second
