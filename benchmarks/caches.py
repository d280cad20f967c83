"""Hub caches as `huggingface_hub` 2.4.0 leaves them, made a hundred times faster.

`tests/test_benchmarks.py` holds each kind against the real client on a loopback hub, byte by byte:

```
hub/CACHEDIR.TAG
hub/.locks/models--org--name/<etag>.lock
hub/models--org--name/refs/main  trees/<commit>.json  .no_exist/<commit>/<name>
hub/models--org--name/blobs/<etag>                    SHA-256 of an LFS file, else git's SHA-1
hub/models--org--name/snapshots/<commit>/<name>       links; in the mode without links the files
hub/blobs/<2>/<xet hash>  .refs  .lock                payloads of the shared store, two hops away
```
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.support import builders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HUB = ".cache/huggingface/hub"
_TAG = """\
Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag created by huggingface_hub.
# For information about cache directory tags, see:
#\thttps://bford.info/cachedir/
"""
_NAMES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "added_tokens.json",
    "README.md",
    ".gitattributes",
)
_ASKED_IN_VAIN = ("adapter_config.json", "chat_template.jinja")
SHARDS = 4  # of each revision, in LFS
_DATASETS = 20  # one repository has this many
_FLOATS = 263_000  # bytes of a shard: just over a mebibyte, so that it counts as weights
_TENSOR = builders.pattern(4 * 100) * (_FLOATS // 100)


class Kind(enum.Enum):
    """How the client was configured."""

    LINKS = "snapshots link to blobs"
    NO_LINKS = "HF_HUB_DISABLE_SYMLINKS"
    STORE = "weights lie in the store that repositories share"


class Large(NamedTuple):
    """Weights: a real header, and the same tensor in all; a hole in its place would be found."""

    head: bytes

    def content(self) -> bytes:
        """Return all the bytes."""
        return self.head + _TENSOR


class Repository(NamedTuple):
    """One repository: its files at each commit, the oldest first."""

    kind: str
    name: str
    revisions: Mapping[str, Mapping[str, bytes | Large]]

    @property
    def folder(self) -> str:
        """Return the folder that the client makes for it."""
        return f"{self.kind}s--{self.name.replace('/', '--')}"


def repositories(
    count: int, revisions: int, files: int, *, shards: int = SHARDS, twins: bool = False
) -> Iterator[Repository]:
    """Yield repositories of so many files, half of which change from one revision to the next.

    `shards` of them are weights; pairs of repositories share the `twins`.
    """
    for number in range(count):
        kind = "dataset" if number % _DATASETS == _DATASETS - 1 else "model"
        at = {
            hashlib.sha1(f"{number}/{revision}".encode()).hexdigest(): dict(
                _files(number, revision, files, shards, twins=twins)
            )
            for revision in range(revisions)
        }
        yield Repository(kind, f"org{number % 20}/model-{number}", at)


def _files(
    number: int, revision: int, files: int, shards: int, *, twins: bool
) -> Iterator[tuple[str, bytes | Large]]:
    for shard in range(shards):
        mark = f"{number - number % 2 if twins else number}/{shard}/{revision if shard % 2 else 0}"
        tensor = {"model.weight": ("F32", (_FLOATS,))}
        head, _ = builders.safetensors_head(tensor, metadata={"format": "pt", "made": mark})
        yield f"model-{shard + 1:05}-of-{shards:05}.safetensors", Large(head)
    for index in range(files - shards):
        words = f"{number}/{index}/{revision if index % 2 else 0}"
        plenty = index >= len(_NAMES)
        name = f"language/{index:04}.json" if plenty else _NAMES[index]
        if name.endswith(".json"):
            yield name, json.dumps({"x": words, "pad": "y" * (200 + index % 30 * 40)}).encode()
        else:
            yield name, f"{words} text\n".encode() * 20


def hub(
    home: Path,
    count: int,
    revisions: int,
    files: int,
    *,
    shards: int = SHARDS,
    kind: Kind = Kind.LINKS,
) -> list[Path]:
    """Write a hub cache into a home; return the folders of its repositories."""
    writer = Writer(home / HUB, kind)
    twins = kind is Kind.STORE
    made = repositories(count, revisions, files, shards=shards, twins=twins)
    return [writer.write(one) for one in made]


class Writer:
    """Writes repositories into one cache."""

    def __init__(self, hub: Path, kind: Kind) -> None:
        self._hub, self._kind = str(hub), kind
        os.makedirs(self._hub)
        _write(f"{self._hub}/CACHEDIR.TAG", _TAG.encode())

    def write(self, repository: Repository) -> Path:
        """Write one, as after a download of each revision and two failed look-ups."""
        path = f"{self._hub}/{repository.folder}"
        locks = f"{self._hub}/.locks/{repository.folder}"
        for folder in (f"{path}/refs", f"{path}/trees", f"{path}/blobs", locks):
            os.makedirs(folder)
        made: dict[str, str] = {}
        for commit, files in repository.revisions.items():
            snapshot = f"{path}/snapshots/{commit}"
            os.makedirs(snapshot)
            tree = {}
            for folder in {os.path.dirname(name) for name in files if "/" in name}:
                os.makedirs(f"{snapshot}/{folder}", exist_ok=True)
            for name, content in sorted(files.items()):
                etag, tree[name] = _row(content)
                if not os.path.exists(f"{locks}/{etag}.lock"):
                    _write(f"{locks}/{etag}.lock", b"", 0o664)
                self._place(f"{path}/blobs/{etag}", f"{snapshot}/{name}", content, made)
            listed = json.dumps({"format_version": 1, "files": tree}, indent=1)
            _write(f"{path}/trees/{commit}.json", listed.encode(), 0o600)
        last = list(repository.revisions)[-1]
        _write(f"{path}/refs/main", last.encode())
        os.makedirs(f"{path}/.no_exist/{last}")
        for name in _ASKED_IN_VAIN:
            _write(f"{path}/.no_exist/{last}/{name}", b"")
        return Path(path)

    def _place(self, blob: str, name: str, content: bytes | Large, made: dict[str, str]) -> None:
        if self._kind is Kind.NO_LINKS:
            _write_content(name, content)
            return
        if blob not in made:
            made[blob] = ""
            _write_content(blob, content)
            if self._kind is Kind.STORE and isinstance(content, Large):
                self._share(blob)
        etag, depth = os.path.basename(blob), name.partition("/snapshots/")[2].count("/")
        os.symlink(f"{'../' * (depth + 1)}blobs/{etag}", name)

    def _share(self, blob: str) -> None:
        """Move a blob to the store, whose names are xet's own hashes."""
        from hf_xet import hash_files

        store = f"{self._hub}/blobs"
        if not os.path.exists(store):
            os.mkdir(store)
            _write(f"{store}/.huggingface-shared-blobs", b"1\n", 0o444)
        (measured,) = hash_files([blob])
        payload = f"{store}/{measured.hash[:2]}/{measured.hash}"
        os.makedirs(os.path.dirname(payload), exist_ok=True)
        if os.path.exists(payload):
            os.unlink(blob)
        else:
            os.rename(blob, payload)
            os.chmod(payload, 0o444)
            _write(f"{payload}.lock", b"", 0o666)
        os.symlink(os.path.relpath(payload, os.path.dirname(blob)), blob)
        with open(f"{payload}.refs", "a", encoding="utf-8") as file:
            file.write(f"{os.path.relpath(blob, self._hub)}\n")
        os.chmod(f"{payload}.refs", 0o666)


def _row(content: bytes | Large) -> tuple[str, dict[str, object]]:
    """Return a file's etag, and its row in the manifest."""
    if isinstance(content, bytes):
        etag = _git_sha1(content)
        return etag, {"size": len(content), "blob_id": etag}
    size = len(content.head) + len(_TENSOR)
    etag = hashlib.sha256(content.content()).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{etag}\nsize {size}\n"
    pointed = _git_sha1(pointer.encode())
    return etag, {"size": size, "blob_id": pointed, "lfs_sha256": etag, "lfs_size": size}


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _write_content(path: str, content: bytes | Large) -> None:
    _write(path, content if isinstance(content, bytes) else content.content())


def _write(path: str, content: bytes, mode: int = 0o644) -> None:
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(made, content)
        os.fchmod(made, mode)
    finally:
        os.close(made)
