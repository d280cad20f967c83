"""Repairs of the links in a hub cache, from the names in a snapshot to their blobs."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor.findings import (
    Link,
    Repair,
    SetAside,
)
from cachedoctor.locators import inside, listed
from cachedoctor.locators.hub_cache import HubCache, repository_folder
from cachedoctor.repairs._build import built, folders, out_of_the_way
from cachedoctor.system import digest as measure
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Finding, Step
    from cachedoctor.locators.hub_cache import Repository
    from cachedoctor.vocabulary import Digest, Entry, Survey


_READ_BYTES = 8 << 20  # longest blob that is read to compare it with a table's other digest


def relink_text(finding: Finding, survey: Survey) -> Repair | None:
    """Return the repair that turns a link saved as text back into a link, if its target is here.

    A blob of the same repository counts wherever the text leads; any other target must be inside
    the root.
    """
    entry, artifact, *_ = finding.subjects[0]
    if entry is None or artifact is None:
        return None
    target = os.path.normpath(os.path.join(os.path.dirname(artifact.path), artifact.detail))
    if artifact.digest and entry.revision:
        blob = repository_of(entry, survey).blobs.get(artifact.digest.hex)
        if blob and blob.state is State.PRESENT:
            target = os.path.join(repository_folder(entry), "blobs", artifact.digest.hex)
    real = os.path.realpath(target)
    if not inside(real, entry.root) or not os.path.exists(real) or target == artifact.path:
        return None
    steps = (SetAside(artifact.path), Link(artifact.path, to_blob(artifact.path, target)))
    words = f"make a link of `{artifact.name or entry.name}` again"
    return built("relink", words, entry.root, (), steps)


def relink_entry(finding: Finding, survey: Survey) -> Repair | None:
    """Return the repair that links an empty snapshot to its repository's blobs, if all exist."""
    for entry in finding.made_from:
        if entry.revision:
            return relink_snapshot(entry.revision, [entry], survey)
    return None


def relink_snapshot(commit: str, entries: Sequence[Entry], survey: Survey) -> Repair | None:
    """Return the repair that rebuilds a snapshot's links, if all needed blobs exist.

    The names come from the revision's manifest, from the demands of a lock file, or from the
    engine's table, if that is about this revision.
    """
    repository = repository_of(entries[0], survey)
    claims = entries[0].claims
    needs = [n.names for c in claims for n in c.needs.requirements if not n.optional]
    tree = repository.promises(commit)
    here: dict[str, str] = {}
    for name, (size, digest) in (*_published(entries, commit), *tree.items()):
        blob = _blob_with(repository, size, digest)
        if blob:
            here[name] = blob
    whole = (
        all(any(name in here for name in names) for names in needs)
        if claims
        else len(here) == len(tree)
    )
    if not here or not whole:
        return None
    snapshot = os.path.join(repository.path, "snapshots", commit)
    steps: list[Step] = list(folders(snapshot))
    for name in sorted(here):
        link = os.path.join(snapshot, name)
        blob_path = os.path.join(repository.path, "blobs", here[name])
        steps += [*folders(os.path.dirname(link)), Link(link, to_blob(link, blob_path))]
    words = f"link {len(here)} files of {commit[:12]} to their blobs again"
    return built("relink", words, entries[0].root, (), tuple(dict.fromkeys(steps)))


def _published(entries: Sequence[Entry], commit: str) -> Iterator[tuple[str, tuple[int, Digest]]]:
    """Yield what tables and lock files, other than a manifest, say about a revision's files."""
    for entry in entries:
        for claim in entry.claims:
            if claim.revision == commit:
                yield from claim.published.items()
        if entry.revision == commit:
            for artifact in entry.notable:
                if artifact.digest and artifact.expected_bytes is not None:
                    yield artifact.name, (artifact.expected_bytes, artifact.digest)


def _blob_with(repository: Repository, size: int, digest: Digest) -> str:
    """Return the blob with a content, found by its name or, if it is short, by reading it."""
    blob = repository.blobs.get(digest.hex)
    if blob is not None:
        right = blob.stamp is not None and blob.stamp.size_bytes == size
        return digest.hex if right and blob.state is State.PRESENT else ""
    for name, found in repository.blobs.items():
        short = found.stamp is not None and found.stamp.size_bytes == size <= _READ_BYTES
        if short and found.state is State.PRESENT:
            wanted = frozenset((digest.algorithm,))
            with contextlib.suppress(OSError):
                measured = measure.of_file(found.file, wanted, SILENT)
                if measured[digest.algorithm] == digest.hex:
                    return name
    return ""


def relink_relative(finding: Finding) -> Repair | None:
    """Return the repair that makes an absolute link in a snapshot relative."""
    entry, artifact, *_ = finding.subjects[0]
    if entry is None or artifact is None:
        return None
    link = artifact.path
    steps = (SetAside(link), Link(link, to_blob(link, artifact.file)))
    return built("relink", f"make the link `{artifact.name}` relative", entry.root, (), steps)


def links_to(links: Sequence[str], blob: str) -> list[Step]:
    """Return the steps that point each of `links` to `blob`."""
    return [
        step
        for link in links
        for step in (
            *folders(os.path.dirname(link)),
            *out_of_the_way(link),
            Link(link, to_blob(link, blob)),
        )
    ]


def to_blob(link: str, blob: str) -> str:
    """Return the relative path from a link to its blob."""
    return os.path.relpath(blob, os.path.dirname(link))


def repository_of(entry: Entry, survey: Survey) -> Repository:
    """Return the repository of `entry`, as listed by its hub cache."""
    listing = listed(HubCache, survey.root_of(entry))
    if listing is None:
        raise LookupError(entry.id)
    return listing.of(entry)
