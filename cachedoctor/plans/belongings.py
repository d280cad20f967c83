"""What belongs to one model only: the paths that are removed with it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import BOOKS, ModelFolders, inside, listed
from cachedoctor.locators.ggml_folder import encoder_of
from cachedoctor.locators.hub_cache import HubCache, HubListing
from cachedoctor.looking import quietly

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cachedoctor.locators.hub_cache import Repository
    from cachedoctor.vocabulary import Entry, Root


def of(root: Root, mine: Sequence[Entry], gone: Collection[str]) -> Iterator[str]:
    """Yield the existing paths that belong only to the entries `mine`."""
    hub = listed(HubCache, root)
    if hub is not None:
        named = _in_hub(hub, mine, gone)
    else:
        named = (path for entry in mine for path in _in_folder(root, entry))
    return (path for path in named if os.path.lexists(path))


def _in_hub(
    listing: HubListing, mine: Sequence[Entry], gone_before: Collection[str]
) -> Iterator[str]:
    """Yield the paths of some revisions, or of the whole repository if these are all it has.

    A payload in the shared store goes with the last repository that links to it.
    """
    repository = listing.of(mine[0])
    commits = {entry.revision for entry in mine}
    left = [commit for commit in repository.commits if commit not in commits]
    used = {
        look.file
        for other in listing.repositories.values()
        if other.path != repository.path and other.path not in gone_before
        for name, look in other.blobs.items()
        if f"{other.blobs.folder}/{name}" not in gone_before
    }
    if not left:
        yield repository.path
        yield repository.locks
        gone = {look.file for look in repository.blobs.values()}
    else:
        needed = {blob for commit in left for blob in _blobs(repository, commit)}
        names: set[str] = set()
        for commit in sorted(filter(None, commits)):
            yield f"{repository.path}/snapshots/{commit}"
            yield f"{repository.path}/trees/{commit}.json"
            yield f"{repository.path}/.no_exist/{commit}"
            yield from (ref.path for ref in repository.refs if ref.text.strip() == commit)
            names |= _blobs(repository, commit) - needed
        for name in sorted(names):
            yield f"{repository.blobs.folder}/{name}"
            yield f"{repository.locks}/{name}.lock"
        gone = {repository.blobs[name].file for name in names if name in repository.blobs}
        used |= {repository.blobs[name].file for name in needed if name in repository.blobs}
    for payload in sorted((gone - used) & set(listing.store)):
        yield payload
        yield f"{payload}.refs"
        yield f"{payload}.lock"


def _blobs(repository: Repository, commit: str | None) -> set[str]:
    """Return the names of the blobs that a revision's links point to, at the first hop."""
    found = set()
    folder = f"{repository.path}/snapshots/{commit}"
    for path in quietly.files(folder):
        if os.path.islink(path):
            aim = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
            if os.path.dirname(aim) == repository.blobs.folder:
                found.add(os.path.basename(aim))
    return found


def _in_folder(root: Root, entry: Entry) -> Iterator[str]:
    """Yield a model that is a file or a folder, and its client's notes about it."""
    if not os.path.isdir(entry.path) or os.path.islink(entry.path):
        yield entry.path
        encoder = encoder_of(entry.name)
        shared = any(encoder_of(e.name) == encoder for e in root.entries if e.id != entry.id)
        for artifact in entry.notable:
            top = os.path.join(root.path, artifact.name.partition("/")[0])
            if top != entry.path and not (shared and artifact.name.startswith(encoder)):
                yield top
    else:
        alone = [e for e in root.entries if e.id != entry.id and inside(e.path, entry.path)]
        if alone:  # only the loose files: the folder holds other models, too
            yield from (a.path for a in entry.notable if not a.bundle and "/" not in a.name)
            return
        yield entry.path
        yield from _notes(entry)
    folders = listed(ModelFolders, root)
    if folders is not None:
        yield from (left.path for left in folders.partials.get(entry.id, ()))


def _notes(entry: Entry) -> Iterator[str]:
    """Yield the folders above the model where a client keeps notes on what it downloaded."""
    folder = os.path.dirname(entry.path)
    while inside(folder, entry.root) or folder == os.path.dirname(entry.root):
        yield os.path.join(folder, BOOKS, os.path.relpath(entry.path, folder))
        if folder == os.path.dirname(folder):
            return
        folder = os.path.dirname(folder)
