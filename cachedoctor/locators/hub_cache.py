"""The Hugging Face hub cache.

```
<hub>/                                    HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub
├── .locks/<repository>/<etag>.lock       held while a client downloads, never removed
├── blobs/<xx>/<xet hash>                 shared store of huggingface_hub 1.32 and later
└── models--<org>--<name>/                also datasets--, spaces--, kernels--
    ├── refs/<ref>                        40 hex digits, no newline
    ├── blobs/<etag>                      named by git's sha1 (40 hex) or sha256 (64 hex)
    ├── blobs/<etag>[.<8 hex>].incomplete a partial download, running or abandoned
    ├── trees/<commit>.json               size and digests of every file, since 1.22
    └── snapshots/<commit>/<path>         symlinks to ../../blobs/<etag>
```

Source: huggingface_hub 2.4.0 `file_download.py`, `_tree_cache.py`, `utils/_shared_blobs.py`, and
caches written by 0.36 to 2.4.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cachedoctor.locators import (
    At,
    Leftover,
    Locator,
    Look,
    Origin,
    _notes,
    _repository,
    _units,
    being_written,
    entry_id,
    regular,
    stamp_of,
    stands_in,
)
from cachedoctor.locators._contents import weight
from cachedoctor.locators._recognised import is_repository, names
from cachedoctor.locators._snapshot import links
from cachedoctor.looking import quietly
from cachedoctor.system import apps, in_use
from cachedoctor.values import NamedTuple
from cachedoctor.vocabulary import Artifact, Entry, Evidence, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.locators import Unit
    from cachedoctor.locators._files import Links
    from cachedoctor.system.in_use import Open

Ref = _notes.Ref
Repository = _repository.Repository
BRANCH = _notes.BRANCH
COMMIT = re.compile(r"[0-9a-f]{40}")  # the content of a ref, and the name of a snapshot
_HASH = 64  # hex digits in a payload's name
_DUMMIES = {"dummy_file_src", "dummy_file_dst"}
_BELOW = ("hub", "huggingface/hub", ".cache/huggingface/hub")  # usual places of a cache
_PROBE = re.compile(r"tmp[a-z0-9_]{8}")  # where the client tests whether it can make symlinks
_LEGACY = r"[0-9a-f]{64}\.[0-9a-f]{64}(?:\.h5)?(?:\.json|\.lock)?"


_OLD = ("TRANSFORMERS_CACHE", "PYTORCH_TRANSFORMERS_CACHE")  # read by transformers before 5
_BEFORE_5 = ("2", "3", "4")
LIBRARY = "transformers"  # its version can be given like an engine's


class HubListing(NamedTuple):
    """What one hub cache contains: repositories by folder, and everything that is not one."""

    repositories: Mapping[str, Repository]
    store: Mapping[str, Look] = {}  # payloads of the shared store, by path
    probes: tuple[Leftover, ...] = ()
    legacy: tuple[Leftover, ...] = ()  # files of the flat cache used before 0.8
    locks: tuple[Leftover, ...] = ()  # lock folders whose repository is gone
    unlinked: Mapping[str, frozenset[str]] = {}  # by repository, the blobs no snapshot points to

    def of(self, entry: Entry) -> Repository:
        """Return the repository that has `entry` as a revision."""
        return self.repositories[repository_folder(entry)]


def repository_folder(entry: Entry) -> str:
    """Return the `models--org--name` folder that holds a hub entry."""
    return entry.path.split("/snapshots/")[0] if entry.revision else entry.path


def folder_name(repository: str) -> str:
    """Return the folder name that the client gives a model repository."""
    return "models--" + repository.replace("/", "--")


def old_transformers(host: Host) -> tuple[str, ...]:
    """Return where transformers before 5 looks, in order; empty for any other version.

    Source: transformers 4.46.3 `utils/hub.py` `TRANSFORMERS_CACHE`.
    """
    version = host.engine_versions.get(LIBRARY, "")
    if version.partition(".")[0] not in _BEFORE_5:
        return ()
    if host.environment.get(_OLD[0]) == "":  # then it is the current folder
        return (host.cwd,)
    return tuple(_moved_by_transformers(host))


def _moved_by_transformers(host: Host) -> Iterator[str]:
    for name in _OLD:
        if host.environment.get(name):
            yield host.absolute(host.expand(host.environment[name]))


class HubCache(Locator[HubListing]):
    """The layout of `huggingface_hub` and everything that uses its cache."""

    name = "hub-cache"
    followed = True
    moved_by = "set HF_HUB_CACHE={to}"
    title = "hub cache"
    has_revisions = True
    divided = True

    def roots(self, host: Host) -> Iterator[str]:
        """Yield the hub cache, and the project's `models/` if used as a `download_root`."""
        yield host.hub_cache
        own = host.environment.get("PARAKEET_CACHE_DIR")  # read by parakeet-mlx's command line
        if own:
            yield host.absolute(own)
        if "HF_HUB_CACHE" not in host.environment:
            yield from _moved_by_transformers(host)
        yield from old_transformers(host)
        yield from (place.path for place in apps.places(host, self.name))
        if host.project:
            yield os.path.join(host.project, "models")

    def read(self, path: str, host: Host, wanted: frozenset[str] | None) -> Root:
        """List every repository, or only the model repositories `wanted`."""
        keep = None if wanted is None else frozenset(map(folder_name, wanted))
        return self._read(path, keep, leavings=wanted is None)

    def share(self, path: str, host: Host, folders: frozenset[str], *, rest: bool) -> Root:
        """List these repositories, and with `rest` the clients' leftovers too."""
        return self._read(path, folders, leavings=rest)

    def around(self, path: str) -> At | None:
        """Return the cache at or around `path`, or at a usual place below it."""
        parts = path.split("/")
        for at, part in enumerate(parts):
            if is_repository(part):
                return At("/".join(parts[:at]) or "/")
        for cache in (path, *(f"{path}/{below}" for below in _BELOW)):
            if any(map(is_repository, names(cache))):
                return At(cache)
        return None

    def units(self, path: str) -> Iterator[Unit]:
        """Yield the repositories, grouping those that share payloads of the store."""
        return _units.of(path, _folders(quietly.listed(path)))

    def joined(self, listings: Sequence[HubListing]) -> HubListing:
        """Merge the repositories of all shares; the leftovers are in only one of them."""
        repositories = {k: v for each in listings for k, v in each.repositories.items()}
        unlinked = {k: v for each in listings for k, v in each.unlinked.items()}
        return HubListing(
            repositories={path: repositories[path] for path in sorted(repositories)},
            store={k: v for each in listings for k, v in each.store.items()},
            probes=tuple(left for each in listings for left in each.probes),
            legacy=tuple(left for each in listings for left in each.legacy),
            locks=tuple(left for each in listings for left in each.locks),
            unlinked={path: unlinked[path] for path in sorted(unlinked)},
        )

    def _read(self, path: str, keep: frozenset[str] | None, *, leavings: bool) -> Root:
        entries = quietly.listed(path)
        every = _folders(entries)
        folders = every if keep is None else [name for name in every if name in keep]
        repositories: dict[str, Repository] = {}
        found: list[Entry] = []
        unlinked: dict[str, frozenset[str]] = {}
        store = os.path.isdir(os.path.join(path, "blobs"))
        for name in folders:
            repository = _repository.read(path, name, store=store)
            repositories[repository.path] = repository
            snapshots = {commit: links(path, repository, commit) for commit in repository.commits}
            found.extend(_entries(path, repository, snapshots))
            loose = set(repository.blobs)
            loose.difference_update(*(files.linked() for files in snapshots.values()))
            if loose:
                unlinked[repository.path] = frozenset(loose)
        known = HubListing(repositories, unlinked=unlinked)
        if leavings:
            known = _with_leavings(entries, known, frozenset(every))
        return Root(locator=self.name, path=path, entries=tuple(found), listing=known)

    def place(self, root: str, name: str) -> str:
        """Return the path of the repository `name` below `root`."""
        return os.path.join(root, folder_name(name))

    def missing(self, entry: Entry, name: str) -> Artifact:
        """Return the artifact missing from a snapshot, as a blob if the blob's name is known."""
        path = os.path.join(entry.path, name)
        promise = entry.promises.get(name)
        if promise is None:
            return Artifact(name=name, path=path, file=path, state=State.MISSING)
        size, digest = promise
        blob = os.path.join(repository_folder(entry), "blobs", digest.hex)
        return Artifact(
            name=name,
            path=path,
            file=blob,
            state=State.MISSING,
            expected_bytes=size,
            digest=digest,
            evidence=Evidence.TREE,
        )

    def besides(self, listing: HubListing) -> Iterator[tuple[int, ...]]:
        """Yield payloads, unreferenced blobs, partials and clients' leftovers."""
        loose = (
            listing.repositories[folder].blobs[name]
            for folder, names in listing.unlinked.items()
            for name in names
        )
        yield from (look.stamp[:3] for look in (*listing.store.values(), *loose) if look.stamp)
        yield from (left.stamp[:3] for left in (*listing.legacy, *listing.probes))
        for repository in listing.repositories.values():
            yield from (partial.stamp[:3] for partial in repository.partials)

    def noted_absent(self, entry: Entry, listing: HubListing) -> frozenset[str]:
        """Return the files that the client looked for and did not find on the hub."""
        if not entry.revision:
            return frozenset()
        return frozenset(listing.of(entry).no_exist.get(entry.revision, ()))

    def origin(self, entry: Entry, listing: HubListing) -> Origin | None:
        """Return the repository and commit in an entry's own path."""
        if not entry.revision or not listing.of(entry).is_model:
            return None
        return Origin(entry.name, entry.revision)


LOCATOR = HubCache()


def holder(repository: Repository, opened: Open) -> str:
    """Return the lock or partial held by a live client in `repository`, or an empty string.

    Opens every lock file of the repository, so it is called only when something is wrong.
    """
    try:
        names = [name for name in quietly.names(repository.locks) if name.endswith(".lock")]
    except OSError:
        names = []
    for name in names:
        path = os.path.join(repository.locks, name)
        if in_use.lock_held(path):
            return path
    for partial in repository.partials:
        lock = os.path.join(repository.locks, f"{partial.etag}.lock")
        if in_use.lock_held(lock) is None and being_written(partial.path, partial.stamp, opened):
            return partial.path
        if opened.of((partial.path,)):  # by a program that takes no lock
            return partial.path
    return ""


def _may_be_one(entry: quietly.Listed) -> bool:
    """Return whether an entry could be a repository: a folder, a symlink, or a stand-in for one."""
    return entry.folder or entry.link or stands_in(entry.path) is not None


def _folders(entries: list[quietly.Listed]) -> list[str]:
    return sorted(e.name for e in entries if is_repository(e.name) and _may_be_one(e))


def _with_leavings(
    entries: list[quietly.Listed], known: HubListing, repositories: frozenset[str]
) -> HubListing:
    """Add what the cache contains besides repositories."""
    probes: list[Leftover] = []
    legacy: list[Leftover] = []
    locks: list[Leftover] = []
    store: dict[str, Look] = {}
    for entry in entries:
        folder = entry.folder
        if folder and _PROBE.fullmatch(entry.name) and _is_probe(entry.path):
            probes.append(Leftover(entry.path, stamp_of(entry.stat()), bytes=weight(entry.path)))
        elif folder and entry.name == ".locks":
            locks += [
                Leftover(lock.path, stamp_of(lock.stat()))
                for lock in _notes.listed(entry.path, [])
                if is_repository(lock.name) and lock.name not in repositories
            ]
        elif folder and entry.name == "blobs":
            for shard in _notes.listed(entry.path, []):
                if shard.folder:
                    for payload in _notes.listed(shard.path, []):
                        whole = len(payload.name) == _HASH and payload.name.startswith(shard.name)
                        if whole and payload.file:
                            store[payload.path] = regular(payload.path, payload.stat())
        elif not folder and re.fullmatch(_LEGACY, entry.name):
            status = entry.stat()
            legacy.append(Leftover(entry.path, stamp_of(status), bytes=status.st_size))
    return known._replace(
        store=store, probes=tuple(probes), legacy=tuple(legacy), locks=tuple(locks)
    )


def _is_probe(folder: str) -> bool:
    """Return whether a folder contains only the files with which the client tests symlinks.

    In a cache shared with other files, other programs make folders with such names too.
    """
    return {entry.name for entry in _notes.listed(folder, [])} <= _DUMMIES


def _entries(root: str, repository: Repository, snapshots: Mapping[str, Links]) -> Iterator[Entry]:
    prefix = "" if repository.is_model else f"{repository.kind}s/"
    title = prefix + repository.name
    for commit, files in snapshots.items():
        yield Entry(
            id=entry_id(HubCache.name, root, f"{title}@{commit}"),
            locator=HubCache.name,
            root=root,
            path=f"{repository.path}/snapshots/{commit}",
            name=repository.name,
            artifacts=files,
            revision=commit,
            refs=tuple(ref.name for ref in repository.refs if ref.text.strip() == commit),
            promises=repository.promises(commit),
        )
    if not repository.commits:
        yield Entry(
            id=entry_id(HubCache.name, root, title),
            locator=HubCache.name,
            root=root,
            path=repository.path,
            name=repository.name,
            artifacts=(),
        )
