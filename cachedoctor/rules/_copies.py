"""Questions about copies that several rules ask: where they are, and which blobs have copies."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import digest_of, listed
from cachedoctor.locators.hub_cache import HubCache
from cachedoctor.system import apps
from cachedoctor.vocabulary import Artifact, Evidence, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.host import Host
    from cachedoctor.locators.hub_cache import Repository
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry


def repeated(repository: Repository, revisions: Sequence[Entry]) -> dict[str, Artifact]:
    """Return the snapshot files that duplicate blobs, by blob: `cp -rL` turns links into files.

    They are matched by digest if the manifest gives it, otherwise by length.
    """
    real = [
        artifact
        for entry in revisions
        for artifact in entry.notable
        if artifact.state is State.PRESENT
        and artifact.size_bytes
        and "/snapshots/" in artifact.file
    ]
    by_digest = {a.digest.hex: a for a in real if a.digest}
    by_length = {a.size_bytes: a for a in real if a.digest is None}
    found = {}
    for name, look in repository.blobs.items():
        if look.state is State.PRESENT and look.stamp:
            twin = by_digest.get(name) or by_length.get(look.stamp.size_bytes)
            if twin is not None:
                found[name] = twin
    return found


def blobs_beside(seen: Examination) -> Iterator[tuple[tuple[Entry, ...], str, Artifact, Artifact]]:
    """Yield the revisions, digest, blob and duplicate of each duplicated blob."""
    for root in seen.survey.roots:
        hub = listed(HubCache, root)
        if hub is None:
            continue
        revisions = seen.revisions(root)
        for folder, unlinked in hub.unlinked.items():
            repository, mine = hub.repositories[folder], revisions.get(folder, ())
            for name, twin in repeated(repository, mine).items():
                look = repository.blobs[name]
                if name in unlinked and look.stamp:
                    digest, size = digest_of(name), look.stamp.size_bytes
                    blob = Artifact(
                        name=f"blobs/{name[:12]}",
                        path=look.file,
                        file=look.file,
                        state=State.PRESENT,
                        stamp=look.stamp,
                        size_bytes=size,
                        digest=digest,
                        evidence=Evidence.BLOB_NAME,
                    )
                    yield mine, name, blob, twin


def place_of(path: str, host: Host) -> str:
    """Return a file's folder as shown to people, with the app that owns the copy, if any."""
    folder = host.short(os.path.dirname(path))
    if "/models--" in path:
        folder = host.short(path.partition("/models--")[0])
    app = apps.owner(host, os.path.realpath(path))
    return f"{app}'s copy in `{folder}`" if app else f"`{folder}`"
