"""The content of a model folder, and the metadata that clients of such folders keep beside it.

```
<folder>/.cache/huggingface/download/<path>.metadata              commit, etag, time: one per line
<folder>/.cache/huggingface/download/<path>.<etag>.incomplete     the Swift client's partial
<folder>/.cache/huggingface/download/<dirs>/<base64>.<etag>[.<8 hex>].incomplete      Python's
```

Source: huggingface_hub 2.4.0 `_local_folder.py`; argmaxinc/argmax-oss-swift 1.0.0
`Sources/ArgmaxCore/External/Hub/HubApi.swift`, `Downloader.swift`.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from typing import TYPE_CHECKING

from cachedoctor.locators import (
    BOOKS,
    Leftover,
    Metadata,
    Ways,
    digest_of,
    evicted,
    inside,
    is_litter,
    look,
    reason,
    stamp_of,
    stands_in,
)
from cachedoctor.looking import quietly, untrusted
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import BUNDLES, Artifact, Evidence, Stamp, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PARTIAL = (".partial", ".partial.etag", ".download", ".downloading")
_INCOMPLETE = r"(.+)\.([0-9a-f]{40}|[0-9a-f]{64})(?:\.[0-9a-f]{8})?\.incomplete"
_METADATA_LIMIT_BYTES = 4096
_NOTES = ".cache"
_NO_MODELS = (_NOTES, ".git", ".hg", ".svn")


def is_folder(entry: quietly.Listed) -> bool:
    """Return whether an entry is a folder or a symlink to one; engines follow both."""
    return entry.folder or (entry.link and os.path.isdir(entry.path))


def folders(path: str) -> Iterator[quietly.Listed]:
    """Yield the folders in `path`, except hidden ones and litter; raises `OSError`.

    Symlinks to folders count.
    """
    return (
        entry
        for entry in quietly.listed(path)
        if not entry.name.startswith(".") and not is_litter(entry.name) and is_folder(entry)
    )


def lost_folders(path: str) -> Iterator[Artifact]:
    """Yield whatever replaced a folder in `path`: a broken symlink, an alias, a text file.

    Raises `OSError`.
    """
    for entry in quietly.listed(path):
        if entry.folder or is_litter(entry.name) or entry.name.startswith("."):
            continue
        found = _lost(entry)
        if found is not None:
            yield found._replace(name="")


def _lost(entry: quietly.Listed) -> Artifact | None:
    """Return the artifact for something that replaced a folder, or `None` if it did not."""
    path = entry.path
    if entry.link and not os.path.exists(path):
        return Artifact(
            name=entry.name, path=path, file=path, state=State.GONE, detail=os.readlink(path)
        )
    stand = stands_in(path) if entry.file else None
    if stand is None:
        return None
    state = State.TEXT if stand.is_text else State.GONE
    detail = stand.target or "a Finder alias"
    return Artifact(
        name=entry.name,
        path=path,
        file=path,
        state=state,
        stamp=stamp_of(entry.stat()),
        detail=detail,
    )


def contents(
    folder: str, root: str, names: Iterable[str] | None = None
) -> tuple[tuple[Artifact, ...], tuple[Leftover, ...]]:
    """List the files of a model folder, each bundle before its files, and partials separately.

    `names` limits what is listed directly below `folder`. The clients' metadata folder, litter and
    version control folders are skipped. Each folder is entered once, however many symlinks point to
    it; a missing folder is empty.
    """
    found = _Contents(folder, root)
    only = None if names is None else set(names)
    while found.stack:
        here = found.stack.pop()
        try:
            entries = quietly.listed(here)
        except FileNotFoundError:
            continue
        except OSError as error:
            name = here[len(folder) + 1 :]
            closed = Artifact(
                name=name, path=here, file=here, state=State.UNREADABLE, detail=reason(error)
            )
            found.artifacts.append(closed)
            continue
        for entry in entries:
            passed = only is not None and here == folder and entry.name not in only
            if not passed and not is_litter(entry.name):
                found.add(entry)
    return tuple(sorted([*found.artifacts, *found.bundles()])), tuple(found.leftovers)


class _Contents:
    """What has been found in a model folder so far."""

    def __init__(self, folder: str, root: str) -> None:
        """Start with only the folder itself to list."""
        self._folder = folder
        self._root = root
        self._sizes: dict[str, int] = {}
        self._bundles: dict[str, tuple[Stamp, str]] = {}
        self._entered: set[tuple[int, int]] = set()
        self.artifacts: list[Artifact] = []
        self.leftovers: list[Leftover] = []
        self.stack = [folder]

    def add(self, entry: quietly.Listed) -> None:
        """Add a file, a partial, or a folder to list later."""
        name = entry.path[len(self._folder) + 1 :]
        if is_folder(entry):
            self._enter(entry, name)
            return
        away = evicted(entry.name)
        if away:
            path = entry.path.removesuffix(entry.name) + away
            name = path[len(self._folder) + 1 :]
            self.artifacts.append(Artifact(name=name, path=path, file=path, state=State.EVICTED))
            return
        found = look(entry.path, self._root)
        size = found.stamp.size_bytes if found.stamp else 0
        ending = next((end for end in _PARTIAL if name.endswith(end)), "")
        if ending and found.stamp:
            whole = name.removesuffix(ending)
            self.leftovers.append(Leftover(entry.path, found.stamp, whole, bytes=size))
            return
        owner = _bundle_of(name)
        if owner in self._sizes:
            self._sizes[owner] += size
        self.artifacts.append(
            Artifact(
                name=name,
                path=entry.path,
                file=found.file,
                state=found.state,
                stamp=found.stamp,
                size_bytes=size,
                detail=found.detail,
                outside=found.outside,
            )
        )

    def _enter(self, entry: quietly.Listed, name: str) -> None:
        status = os.stat(entry.path)
        key = (status.st_dev, status.st_ino)
        if name in _NO_MODELS or key in self._entered:
            return
        self._entered.add(key)
        self.stack.append(entry.path)
        if name.endswith(BUNDLES):
            real = os.path.realpath(entry.path) if entry.link else ""
            outside = "" if inside(real, self._root) else real
            self._bundles[name] = (stamp_of(status), outside)
            self._sizes[name] = 0

    def bundles(self) -> Iterator[Artifact]:
        """Yield the bundles, each with the total size of its files."""
        for name, (stamp, outside) in self._bundles.items():
            path = os.path.join(self._folder, name)
            yield Artifact(
                name=name,
                path=path,
                file=path,
                state=State.PRESENT,
                stamp=stamp,
                size_bytes=self._sizes[name],
                bundle=True,
                outside=outside,
            )


def weight(folder: str) -> int:
    """Return the total size of `folder` in bytes, counting unlistable folders as empty."""
    total = 0
    stack = [folder]
    while stack:
        with contextlib.suppress(OSError):
            for entry in quietly.listed(stack.pop()):
                if entry.folder:
                    stack.append(entry.path)
                else:
                    total += entry.stat().st_size
    return total


class Books(NamedTuple):
    """What a client keeps about the files that it downloaded to one folder."""

    metadata: dict[str, Metadata]
    partials: tuple[Leftover, ...]
    locks: tuple[str, ...]
    closed: tuple[tuple[str, str], ...] = ()  # unreadable metadata folders, and why


def books(folder: str, below: str = "") -> Books:
    """Read a client's metadata for the files below `folder`, and list its partials and locks.

    Names are relative to `folder`; `below` limits the reading to one folder in it.
    """
    start = os.path.join(folder, BOOKS)
    found: dict[str, Metadata] = {}
    leftovers: list[Leftover] = []
    locks: list[str] = []
    closed: list[tuple[str, str]] = []
    stack = [os.path.join(start, below) if below else start]
    while stack:
        here = stack.pop()
        try:
            entries = quietly.listed(here)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            shut = Ways().to(f"{here}/.").closed or here
            if inside(shut, os.path.join(folder, _NOTES)):  # else the model folder is closed
                closed.append((shut, reason(error)))
            continue
        for entry in entries:
            name = entry.path[len(start) + 1 :]
            partial = re.fullmatch(_INCOMPLETE, name)
            if entry.folder:
                stack.append(entry.path)
            elif not entry.file or is_litter(entry.name):
                continue
            elif name.endswith(".lock"):
                locks.append(entry.path)
            elif name.endswith(".metadata"):
                whole = name.removesuffix(".metadata")
                found[whole] = _metadata(entry.path)
            elif partial:
                stamp = stamp_of(entry.stat())
                digest = digest_of(partial[2])
                leftovers.append(
                    Leftover(entry.path, stamp, partial[1], digest, bytes=stamp.size_bytes)
                )
    return Books(found, tuple(leftovers), tuple(locks), tuple(closed))


def promised(
    artifacts: Iterable[Artifact], metadata: Mapping[str, Metadata]
) -> tuple[Artifact, ...]:
    """Add to each file the digest recorded by its client."""
    return tuple(
        artifact._replace(digest=digest, evidence=Evidence.METADATA)
        if artifact.name in metadata
        and (digest := digest_of(metadata[artifact.name].etag)) is not None
        else artifact
        for artifact in artifacts
    )


def _metadata(path: str) -> Metadata:
    try:
        with untrusted.open_regular(path) as file:
            text = file.read(_METADATA_LIMIT_BYTES).decode("utf-8", "replace")
        commit, etag, time_s = text.splitlines()[:3]
        if math.isfinite(written_s := float(time_s)):
            return Metadata(path, commit, etag, written_s)
        return Metadata(path, "", "", 0.0, f"it was written at `{time_s}`, which is not a time")
    except ValueError:
        return Metadata(path, "", "", 0.0, "it is not three lines: commit, etag, time")
    except OSError as error:
        return Metadata(path, "", "", 0.0, reason(error))


def _bundle_of(name: str) -> str:
    """Return the bundle that contains the file `name`, or an empty string."""
    parts = name.split("/")
    for length, part in enumerate(parts[:-1], 1):
        if part.endswith(BUNDLES):
            return "/".join(parts[:length])
    return ""
