"""Let engines claim an entry, and add their requirements to its artifacts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import formats, locators
from cachedoctor.errors import FormatError
from cachedoctor.looking import untrusted
from cachedoctor.vocabulary import Artifact, Evidence, Requirement, Root, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.locators import Layout
    from cachedoctor.lockfile import Lock
    from cachedoctor.vocabulary import Claim, Digest, Entry


def absent(root: Root, entry: Entry) -> frozenset[str]:
    """Return the files that a client noted as absent from this revision."""
    if root.listing is None:
        return frozenset()
    return locators.of(root).noted_absent(entry, root.listing)


def locked(entry: Entry, lock: Lock, locator: Layout) -> Entry:
    """Add the files and digests that a lock file demands of an entry."""
    model = lock.of(entry)
    if model is None:
        return entry
    artifacts = {artifact.name: artifact for artifact in entry.artifacts}
    for name, file in model.files.items():
        artifact = artifacts.get(name) or locator.missing(entry, name)
        artifacts[name] = file.expect(artifact, model.engine)
    return entry._replace(artifacts=tuple(artifacts.values()))


def claimed(
    entry: Entry,
    users: Sequence[Engine],
    host: Host,
    locator: Layout,
    absent: frozenset[str] = frozenset(),
) -> Entry:
    """Add to an entry the files that its engines need, whether present or missing.

    `absent` are files that the hub's client noted as missing from the repository.
    """

    def hidden(claim: Claim) -> frozenset[str]:
        return absent if claim.heeds_absence else frozenset()

    claims = [claim for user in users if (claim := user.claim(entry, host)) is not None]
    if any(claim.known_by == "name" for claim in claims):
        claims = [claim for claim in claims if claim.known_by == "name"]
    if not claims:
        retired = next(
            (f"{user.name} {last}" for user in users if (last := user.retired(entry))), ""
        )
        return entry._replace(retired=retired) if retired else entry
    artifacts = {artifact.name: artifact for artifact in entry.artifacts}
    for claim in claims:
        for need in claim.needs.requirements:
            there = [n for n in need.names if n in artifacts and n not in hidden(claim)]
            there.sort(key=lambda name: artifacts[name].state is not State.PRESENT)
            if need.optional and not there:
                continue
            told = entry.promises or claim.published  # to choose between alternative names
            usual = next((n for n in need.names if n in told), need.names[0])
            name = there[0] if there else usual
            artifact = artifacts.get(name) or _separate_tokenizer(entry, claim, need, name)
            artifact = artifact or locator.missing(entry, name)
            artifacts[name] = _expected(artifact, claim, need, entry)
            for other in there[1:]:  # another part of the engine may open these instead
                if artifacts[other].format is None:
                    format_ = need.format_of(other)
                    artifacts[other] = artifacts[other]._replace(format=format_)
            with_it = (other for one, others in need.beside if one == name for other in others)
            for other in (*_shards(artifacts[name]), *with_it):
                part = artifacts.get(other) or locator.missing(entry, other)
                artifacts[other] = _expected(part, claim, _part(claim, other), entry)
        _add_known(artifacts, claim, entry, locator)
    return entry._replace(claims=tuple(claims), artifacts=tuple(artifacts.values()))


def _add_known(artifacts: dict[str, Artifact], claim: Claim, entry: Entry, locator: Layout) -> None:
    """Add what tables and manifests say about files, needed or not."""
    for name, (size, digest) in claim.published.items():
        artifact = artifacts.get(name)
        if artifact is None or artifact.digest is not None or entry.revision is not None:
            continue
        if artifact.size_bytes == size and not artifact.bundle:  # in a folder without revisions
            artifacts[name] = artifact._replace(digest=digest, evidence=Evidence.TABLE)
    for name in _asked_for(claim, entry):
        listed = artifacts.get(name) or locator.missing(entry, name)
        if claim.engine not in listed.required_by:
            needed_by = (*listed.required_by, claim.engine)
            artifacts[name] = listed._replace(required_by=needed_by)


def _expected(artifact: Artifact, claim: Claim, need: Requirement, entry: Entry) -> Artifact:
    """Add an artifact's format, published size and digest, and the engine that needs it."""
    size, digest, evidence = need.bytes, need.digest, Evidence.TABLE
    if artifact.name != need.names[0]:  # published values apply to the usual name only
        size = digest = None
    elif digest is not None and digest.hex in claim.url:
        evidence = Evidence.URL
    if digest is None and claim.revision and claim.revision == entry.revision:
        size, digest = claim.published.get(artifact.name, (None, None))
    if artifact.expected_bytes is None and size is not None:
        artifact = artifact._replace(expected_bytes=size, evidence=artifact.evidence or evidence)
    if artifact.digest is None and digest is not None:
        artifact = artifact._replace(digest=digest, evidence=evidence)
    elif artifact.evidence is Evidence.BLOB_NAME and artifact.digest != digest:
        artifact = artifact._replace(also=digest)
    read = not need.optional or (need.opened and artifact.state is State.PRESENT)
    users = (claim.engine,) if read and claim.engine not in artifact.required_by else ()
    return artifact._replace(
        format=need.format_of(artifact.name), required_by=(*artifact.required_by, *users)
    )


def _shards(artifact: Artifact) -> tuple[str, ...]:
    """Return the shards that `artifact` lists, if it is the index of split weights."""
    if not formats.is_index(artifact.format) or artifact.state is not State.PRESENT:
        return ()
    from cachedoctor.formats import shard_index

    try:
        with untrusted.open_regular(artifact.file, follow=True) as file:
            return shard_index.shards(file, artifact.size_bytes)
    except (FormatError, OSError):  # other rules report this file
        return ()


def _part(claim: Claim, name: str) -> Requirement:
    """Return the requirement for a file that another file pulls in."""
    for need in claim.needs.requirements:
        if name in need.names:
            return need._replace(optional=False)
    return Requirement((name,), (formats.of_part(name),))


def _asked_for(claim: Claim, entry: Entry) -> Iterator[str]:
    """Yield the files in the manifest that the engine asks the hub's client for.

    Since huggingface_hub 1.22 the client, offline, refuses a revision that lacks any of these,
    whether the engine reads it or not.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py` `_raise_if_incomplete_snapshot`.
    """
    if entry.promises and claim.snapshot:
        from fnmatch import fnmatchcase

        for name in entry.promises:
            if any(fnmatchcase(name, pattern) for pattern in claim.snapshot):
                yield name


def _separate_tokenizer(
    entry: Entry, claim: Claim, need: Requirement, name: str
) -> Artifact | None:
    """Look for a tokenizer in its separate folders, if the engine has any."""
    if not (need.tokenizer and claim.tokenizer_folders):
        return None
    tried = [
        (path, locators.look(path, entry.root))
        for path in (os.path.join(folder, name) for folder in claim.tokenizer_folders)
    ]
    path, found = next((pair for pair in tried if pair[1].state is not State.MISSING), tried[0])
    size = found.stamp.size_bytes if found.stamp else 0
    return Artifact(
        name=name,
        path=path,
        file=found.file,
        state=found.state,
        stamp=found.stamp,
        size_bytes=size,
        detail=found.detail,
    )


def with_siblings(roots: list[Root]) -> list[Root]:
    """Give files outside the hub cache the digests of the same files in their hub repository."""
    hub: dict[str, Entry] = {}
    for root in roots:
        for entry in root.entries:
            if locators.of(root).has_revisions and (entry.name not in hub or "main" in entry.refs):
                hub[entry.name] = entry

    def with_digests(entry: Entry) -> Entry:
        sibling = hub.get(entry.claims[0].repository) if entry.claims else None
        if sibling is None:
            return entry
        known: dict[str, tuple[int, Digest]] = {
            a.name.removeprefix(entry.claims[0].prefix): (a.size_bytes, a.digest)
            for a in sibling.artifacts
            if a.digest is not None and a.state is State.PRESENT
        }
        return entry._replace(
            artifacts=tuple(
                a._replace(digest=known[a.name][1], evidence=Evidence.SIBLING)
                # another length may mean another revision, whose digest proves nothing here
                if a.digest is None and known.get(a.name, (-1,))[0] == a.size_bytes
                else a
                for a in entry.artifacts
            )
        )

    return [
        root
        if locators.of(root).has_revisions
        else root._replace(entries=tuple(map(with_digests, root.entries)))
        for root in roots
    ]
