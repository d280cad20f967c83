"""The Hugging Face hub cache.

```
<hub>/                                    HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub
├── .locks/<repository>/<etag>.lock       held while a client downloads, never removed
├── blobs/<xx>/<xet hash>                 shared store of huggingface_hub 1.32 and later
└── models--<org>--<name>/                also datasets--, spaces--, kernels--
    ├── refs/<ref>                        40 hex digits, no newline
    ├── blobs/<etag>                      named by git's sha1 (40 hex) or sha256 (64 hex)
    ├── blobs/<etag>[.<8 hex>].incomplete a download under way, or what a killed one left
    ├── trees/<commit>.json               size and digests of every file, since 1.22
    └── snapshots/<commit>/<path>         links to ../../blobs/<etag>
```

Source: huggingface_hub 2.4.0 `file_download.py`, `_tree_cache.py`, `utils/_shared_blobs.py`, and
caches that 0.36 to 2.4 left behind.
"""

from __future__ import annotations

import json
import os
import re
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import disk
from cachedoctor.locators import Look, entry_id, held, look, reason, regular, stamp_of
from cachedoctor.vocabulary import Artifact, Digest, Entry, Evidence, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Stamp

_HEX = frozenset("0123456789abcdef")
_PARTIAL = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete")
_TREE_LIMIT_BYTES = 64 << 20
_BY_LENGTH = {40: "git-sha1", 64: "sha256"}

Promises = dict[str, tuple[int, Digest]]  # path in the repository to size and digest


class Ref(NamedTuple):
    """One file below `refs/`, as it is on disk."""

    name: str
    path: str
    text: str
    stamp: Stamp


class Partial(NamedTuple):
    """One download that did not end, or has not ended yet."""

    path: str
    etag: str
    stamp: Stamp


class Repository(NamedTuple):
    """One `models--org--name` folder."""

    path: str
    kind: str
    name: str
    refs: tuple[Ref, ...]
    commits: tuple[str, ...]
    blobs: Mapping[str, Look]
    partials: tuple[Partial, ...]
    trees: Mapping[str, Promises]
    locks: str
    unreadable: tuple[tuple[str, str], ...] = ()  # folders that could not be listed, and why


class HubListing(NamedTuple):
    """The repositories of one hub cache by their folders."""

    repositories: Mapping[str, Repository]

    def of(self, entry: Entry) -> Repository:
        """Return the repository that `entry` is a revision of."""
        return self.repositories[repository_folder(entry)]


def repository_folder(entry: Entry) -> str:
    """Return the `models--org--name` folder that holds a hub entry."""
    return entry.path.split("/snapshots/")[0] if entry.revision else entry.path


def folder_name(repository: str) -> str:
    """Return the folder that the client makes for a model repository."""
    return "models--" + repository.replace("/", "--")


def digest_of(etag: str) -> Digest | None:
    """Return the digest that a blob's name promises, or `None` for a name of another kind."""
    algorithm = _BY_LENGTH.get(len(etag))
    return Digest(algorithm, etag) if algorithm and _HEX.issuperset(etag) else None


class HubCache:
    """The layout of `huggingface_hub` and everything that uses its cache."""

    name = "hub-cache"

    def roots(self, host: Host) -> Iterator[str]:
        """Name the hub cache, and the project's `models/` that serves as a `download_root`."""
        yield host.hub_cache
        if host.project:
            yield os.path.join(host.project, "models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every repository, or only the model repositories `wanted`."""
        with os.scandir(path) as entries:
            folders = [entry.name for entry in entries if _is_repository(entry.name)]
        if wanted is not None:
            keep = {folder_name(name) for name in wanted}
            folders = [name for name in folders if name in keep]
        repositories: dict[str, Repository] = {}
        found: list[Entry] = []
        for name in sorted(folders):
            repository = _repository(path, name)
            repositories[repository.path] = repository
            found.extend(_entries(path, repository))
        return Root(self.name, path, tuple(found), HubListing(repositories))

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return the artifact that a snapshot lacks; its place is a blob when its name is known."""
        path = os.path.join(entry.path, name)
        promise = entry.promises.get(name)
        if promise is None:
            return Artifact(name, path, path, State.MISSING)
        size, digest = promise
        blob = os.path.join(repository_folder(entry), "blobs", digest.hex)
        return Artifact(
            name,
            path,
            blob,
            State.MISSING,
            expected_bytes=size,
            digest=digest,
            evidence=Evidence.TREE,
        )


LOCATOR = HubCache()


def holder(repository: Repository) -> str:
    """Return the lock or partial that a live client holds in `repository`, or empty.

    Opens every lock file of the repository: asked only when something is amiss.
    """
    try:
        names = [name for name in os.listdir(repository.locks) if name.endswith(".lock")]
    except OSError:
        names = []
    for name in names:
        path = os.path.join(repository.locks, name)
        if disk.lock_held(path):
            return path
    for partial in repository.partials:
        lock = os.path.join(repository.locks, f"{partial.etag}.lock")
        if not os.path.lexists(lock) and held(partial.path, partial.stamp, time.time()):
            return partial.path
    return ""


def _is_repository(name: str) -> bool:
    kind, separator, rest = name.partition("--")
    return bool(separator and rest) and kind in ("models", "datasets", "spaces", "kernels")


def _list(path: str, unreadable: list[tuple[str, str]]) -> list[os.DirEntry[str]]:
    """List a folder; one that is not there is empty, one that cannot be read is remembered.

    The client makes no links to folders, so one is not followed: it may lead anywhere.
    """
    try:
        if os.path.islink(path):
            unreadable.append((path, f"a link to `{os.readlink(path)}` is not followed"))
            return []
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        unreadable.append((path, reason(error)))
        return []


def _repository(root: str, folder: str) -> Repository:
    path = os.path.join(root, folder)
    kind, _, rest = folder.partition("--")
    unreadable: list[tuple[str, str]] = []
    if os.path.islink(path):
        _list(path, unreadable)
        return Repository(
            path,
            kind.removesuffix("s"),
            rest.replace("--", "/", 1),
            (),
            (),
            {},
            (),
            {},
            os.path.join(root, ".locks", folder),
            tuple(unreadable),
        )
    blobs, partials = _blobs(root, os.path.join(path, "blobs"), unreadable)
    snapshots = _list(os.path.join(path, "snapshots"), unreadable)
    commits = sorted(entry.name for entry in snapshots if entry.is_dir(follow_symlinks=False))
    trees = {
        entry.name[:-5]: _tree(entry.path)
        for entry in _list(os.path.join(path, "trees"), [])
        if entry.name.endswith(".json") and entry.is_file(follow_symlinks=False)
    }
    return Repository(
        path,
        kind.removesuffix("s"),
        rest.replace("--", "/", 1),
        tuple(_refs(os.path.join(path, "refs"), unreadable)),
        tuple(commits),
        blobs,
        partials,
        trees,
        os.path.join(root, ".locks", folder),
        tuple(unreadable),
    )


def _blobs(
    root: str, folder: str, unreadable: list[tuple[str, str]]
) -> tuple[dict[str, Look], tuple[Partial, ...]]:
    blobs: dict[str, Look] = {}
    partials: list[Partial] = []
    for entry in _list(folder, unreadable):
        try:
            if entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                partial = _PARTIAL.fullmatch(entry.name)
                if partial:
                    partials.append(Partial(entry.path, partial[1], stamp_of(status)))
                else:
                    blobs[entry.name] = regular(entry.path, status)
            else:
                blobs[entry.name] = look(entry.path, root)
        except FileNotFoundError:  # gone since it was listed
            continue
        except OSError as error:
            blobs[entry.name] = Look(State.UNREADABLE, entry.path, None, reason(error))
    return blobs, tuple(partials)


def _refs(folder: str, unreadable: list[tuple[str, str]]) -> Iterator[Ref]:
    stack = [folder]
    while stack:
        for entry in _list(stack.pop(), unreadable):
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".tmp"):
                try:
                    with open(entry.path, "rb") as file:
                        text = file.read(4096).decode("utf-8", "surrogateescape")
                    stamp = stamp_of(entry.stat(follow_symlinks=False))
                except OSError as error:
                    unreadable.append((entry.path, reason(error)))
                    continue
                yield Ref(entry.path[len(folder) + 1 :], entry.path, text, stamp)


def _tree(path: str) -> Promises:
    """Read a tree manifest; one that cannot be understood promises nothing."""
    try:
        if os.stat(path).st_size > _TREE_LIMIT_BYTES:
            return {}
        with open(path, "rb") as file:
            files = json.load(file)["files"]
        promises: Promises = {}
        for name, row in files.items():
            parts = name.split("/")
            large = row.get("lfs_sha256")
            digest = digest_of(large or row["blob_id"])
            size = row.get("lfs_size") if large else row["size"]
            if digest and isinstance(size, int) and ".." not in parts and "" not in parts:
                promises[name] = (size, digest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return promises


def _entries(root: str, repository: Repository) -> Iterator[Entry]:
    prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
    title = prefix + repository.name
    for commit in repository.commits:
        path = os.path.join(repository.path, "snapshots", commit)
        promises = repository.trees.get(commit, {})
        refs = tuple(ref.name for ref in repository.refs if ref.text.strip() == commit)
        yield Entry(
            entry_id("hub-cache", root, f"{title}@{commit}"),
            "hub-cache",
            root,
            path,
            repository.name,
            tuple(_artifacts(root, path, repository.blobs, promises)),
            commit,
            refs,
            promises=promises,
        )
    if not repository.commits:
        yield Entry(
            entry_id("hub-cache", root, title),
            "hub-cache",
            root,
            repository.path,
            repository.name,
            (),
        )


def _artifacts(
    root: str, snapshot: str, blobs: Mapping[str, Look], promises: Promises
) -> Iterator[Artifact]:
    stack = [(snapshot, "", "../../blobs/")]
    while stack:
        folder, prefix, to_blobs = stack.pop()
        unreadable: list[tuple[str, str]] = []
        for entry in sorted(_list(folder, unreadable), key=lambda item: item.name):
            name = prefix + entry.name
            if entry.is_symlink():
                found, etag = _follow(entry.path, root, to_blobs, blobs)
                if found is None:
                    continue
            elif entry.is_dir(follow_symlinks=False):
                stack.append((entry.path, name + "/", "../" + to_blobs))
                continue
            else:
                found, etag = look(entry.path, root), ""
            size, digest = promises.get(name, (None, None))
            evidence = None if size is None else Evidence.TREE
            if etag and (digest is None or digest.hex != etag) and (named := digest_of(etag)):
                size = None if digest is not None else size
                digest, evidence = named, Evidence.BLOB_NAME
            yield Artifact(
                name,
                entry.path,
                found.file,
                found.state,
                found.stamp,
                found.stamp.size_bytes if found.stamp else 0,
                expected_bytes=size,
                digest=digest,
                evidence=evidence,
                detail=found.detail,
            )
        for path, why in unreadable:
            yield Artifact(prefix.rstrip("/"), path, path, State.UNREADABLE, detail=why)


def _follow(
    path: str, root: str, to_blobs: str, blobs: Mapping[str, Look]
) -> tuple[Look | None, str]:
    """Follow a snapshot's link by name alone where it leads to a blob that was listed."""
    try:
        target = os.readlink(path)
    except OSError:  # gone since it was listed
        return None, ""
    etag = target[len(to_blobs) :] if target.startswith(to_blobs) else ""
    if etag in blobs:
        return blobs[etag], etag
    found = look(path, root)
    folder, etag = os.path.split(found.file if found.state is State.PRESENT else target)
    return found, etag if os.path.basename(folder) == "blobs" else ""
