"""The caches that everybody measures: built from nothing, named by their true digests."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

HUB = ".cache/huggingface/hub"
_PIECE_BYTES = 1 << 20


def hub(home: Path, repositories: int, revisions: int, files: int) -> Path:
    """Write a hub of small files with manifests; about half of them change between revisions."""
    folder = home / HUB
    for number in range(repositories):
        repository = folder / f"models--org{number % 20}--model-{number}"
        for name in ("refs", "blobs", "trees"):
            (repository / name).mkdir(parents=True)
        for revision in range(revisions):
            commit = hashlib.sha1(f"{number}/{revision}".encode()).hexdigest()
            snapshot = repository / "snapshots" / commit
            snapshot.mkdir(parents=True)
            tree = {}
            for file in range(files):
                words = f"{number}/{file}/{revision if file % 2 else 0}"
                content = words.encode() * (50 + file % 15 * 20)
                etag = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
                blob = repository / "blobs" / etag
                if not blob.exists():
                    blob.write_bytes(content)
                (snapshot / f"file-{file}.json").symlink_to(f"../../blobs/{etag}")
                tree[f"file-{file}.json"] = {"size": len(content), "blob_id": etag}
            manifest = {"format_version": 1, "files": tree}
            (repository / "trees" / f"{commit}.json").write_text(json.dumps(manifest))
            (repository / "refs" / "main").write_text(commit)
    return folder


def weights(home: Path, files: int, file_bytes: int) -> list[Path]:
    """Write repositories of one large file each, and return their blobs."""
    made = []
    commit = "c" * 40
    for number in range(files):
        repository = home / HUB / f"models--org--weights-{number}"
        snapshot = repository / "snapshots" / commit
        for folder in (snapshot, repository / "blobs", repository / "refs"):
            folder.mkdir(parents=True)
        (repository / "refs" / "main").write_text(commit)
        piece = os.urandom(_PIECE_BYTES)
        digest = hashlib.sha256()
        path = repository / "blobs" / "new"
        with path.open("wb") as file:
            for _ in range(file_bytes // _PIECE_BYTES):
                file.write(piece)
                digest.update(piece)
        blob = path.rename(path.with_name(digest.hexdigest()))
        (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")
        made.append(blob)
    return made


def ready_model(home: Path, weights: bytes) -> None:
    """Write a small model that `preflight faster-whisper --model tiny.en` calls ready."""
    commit = "0" * 40
    repository = home / HUB / "models--Systran--faster-whisper-tiny.en"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (snapshot / "model.bin").write_bytes(weights)
    (snapshot / "config.json").write_text('{"alignment_heads": []}')
    (snapshot / "tokenizer.json").write_text('{"model": {}}')
    (snapshot / "vocabulary.txt").write_text("a\n")


def copy_case(home: Path, file_bytes: int) -> tuple[Path, Path]:
    """Write one large file into two repositories and lose it in one; return source and place."""
    (source,) = weights(home, 1, file_bytes)
    repository = home / HUB / "models--org--again"
    snapshot = repository / "snapshots" / ("d" * 40)
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("d" * 40)
    (snapshot / "weights.bin").symlink_to(f"../../blobs/{source.name}")
    return source, repository / "blobs" / source.name


def sparse(home: Path, size_bytes: int) -> None:
    """Write a repository whose one file is as long as asked for and takes no room."""
    commit = "e" * 40
    repository = home / HUB / "models--org--sparse"
    snapshot = repository / "snapshots" / commit
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    blob = repository / "blobs" / ("5" * 64)
    with blob.open("wb") as file:
        file.truncate(size_bytes)
    (snapshot / "weights.bin").symlink_to(f"../../blobs/{blob.name}")
