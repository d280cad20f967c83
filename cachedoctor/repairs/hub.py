"""Repairs of a hub cache: blobs, links, branches, whole models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import untrusted
from cachedoctor.errors import RepairError
from cachedoctor.findings import (
    HubFetch,
    Link,
    LocalCopy,
    Need,
    Proof,
    Put,
    Repair,
    Safety,
    SetAside,
    Text,
)
from cachedoctor.locators.hub_cache import COMMIT, HubListing
from cachedoctor.repairs._build import built, copies, folders, out_of_the_way, sentence
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.findings import Finding, Source, Step
    from cachedoctor.locators._repository import Repository
    from cachedoctor.vocabulary import Artifact, Claim, Entry, Survey


def rewrite_ref(finding: Finding, survey: Survey) -> Repair | None:
    """Write the commit that a ref means, or the one complete snapshot's, or fetch the model."""
    entries = [entry for entry in survey.entries if entry.id in finding.entries]
    named = [entry for entry in entries if COMMIT.fullmatch(entry.revision or "")]
    complete = [entry.revision for entry in named if entry.revision and _complete(entry)]
    text = _text_of(finding.path).strip()
    revisions = [entry.revision for entry in named if entry.revision and entry.artifacts]
    if text in revisions:
        complete = [text]
    elif not complete and len(revisions) == 1:  # what it lacks is cured by findings of its own
        complete = revisions
    if len(complete) == 1 and complete[0]:
        need = Need("ref", (Text(complete[0]),), (Proof("", len(complete[0]), None),))
        return built(
            "rewrite-ref",
            f"write {complete[0][:12]} into `refs/{_ref_name(finding.path)}`",
            entries[0].root,
            (need,),
            (SetAside(finding.path), Put("ref", finding.path)),
        )
    if not complete:
        again = _relink_snapshot(text, entries, survey)
        if again is not None:
            return again
        fetched = fetch_entry(finding, survey)
        if fetched is not None:
            return fetched
    return None


def _relink_snapshot(commit: str, entries: Sequence[Entry], survey: Survey) -> Repair | None:
    """Make a snapshot again from its manifest, where the blobs that are needed are there."""
    repository = _repository(entries[0], survey)
    tree = repository.promises(commit)
    claims = entries[0].claims
    needs = [n.names for c in claims for n in c.needs.requirements if not n.optional]
    here = {
        name: repository.blobs[digest.hex].file
        for name, (size, digest) in tree.items()
        if (blob := repository.blobs.get(digest.hex))
        and blob.stamp
        and blob.stamp.size_bytes == size
    }
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
        blob_path = os.path.join(repository.path, "blobs", tree[name][1].hex)
        steps += [*folders(os.path.dirname(link)), Link(link, _to_blob(link, blob_path))]
    words = f"link {len(here)} files of {commit[:12]} to their blobs again"
    return built("relink", words, entries[0].root, (), tuple(dict.fromkeys(steps)))


def write_main(entry: Entry) -> Repair:
    """Write the branch `main`, of which a repository has none, to lead to `entry`."""
    repository = entry.path.partition("/snapshots/")[0]
    commit, ref = entry.revision or "", os.path.join(repository, "refs", "main")
    need = Need("ref", (Text(commit),), (Proof("", len(commit), None),))
    steps = (*folders(os.path.dirname(ref)), Put("ref", ref))
    return built(
        "rewrite-ref", f"let `refs/main` lead to {commit[:12]}", entry.root, (need,), steps
    )


def fetch_entry(finding: Finding, survey: Survey) -> Repair | None:
    """Return a fetch of the model that the finding's entry is meant to be."""
    for entry in survey.entries:
        if entry.id in finding.entries and entry.claims:
            claim = entry.claims[0]
            size = sum(size for size, _ in claim.published.values())
            return fetch_claim(claim, entry.root, size)
    return None


def fetch_claim(claim: Claim, root: str, size: int) -> Repair:
    """Return a fetch of a whole model, without steps until the hub has said what it holds."""
    return Repair(
        "fetch-model",
        Safety.FETCHES,
        f"fetch {claim.model} from {claim.repository}",
        root=root,
        fetch_bytes=size,
    )


def detach(entry: Entry, blobs: Sequence[str], size: int) -> Repair:
    """Set a revision aside: its snapshot, its manifest and markers, and the blobs it alone uses."""
    repository, _, commit = entry.path.partition("/snapshots/")
    paths = [
        entry.path,
        *blobs,
        f"{repository}/trees/{commit}.json",
        f"{repository}/.no_exist/{commit}",
    ]
    steps = tuple(SetAside(path) for path in paths if os.path.lexists(path))
    words = f"set the revision {commit[:12]} of {entry.name} aside"
    return built("set-revision-aside", words, entry.root, (), steps, size)


def relink_relative(finding: Finding, survey: Survey) -> Repair | None:
    """Make an absolute link of a snapshot lead to the same file by a relative path."""
    at = [(e, a) for e in survey.entries for a in e.artifacts if a.path == finding.path]
    if not at:
        return None
    entry, artifact = at[0]
    link = artifact.path
    steps = (SetAside(link), Link(link, _to_blob(link, artifact.file)))
    return built("relink", f"make the link `{artifact.name}` relative", entry.root, (), steps)


def whole_model(
    claim: Claim, path: str, root: str, commit: str, files: Sequence[tuple[str, Proof]]
) -> Repair:
    """Return a fetch of the whole of a hub model into the cache at `root`.

    `path` is the repository's folder there; `files` are the names below the repository with what
    the hub promises of each; only what the engine reads is fetched. Raises `RepairError` when the
    hub has not all that the engine needs.
    """
    listed = {name for name, _ in files}
    for need in claim.needs.requirements:
        if not need.optional and listed.isdisjoint(need.names):
            lacking = " or ".join(f"`{name}`" for name in need.names)
            raise RepairError(
                f"{claim.repository} has no {lacking}, which {claim.engine} needs",
                hint="nothing was changed; another repository may have the model",
            )
    wanted = claim.needs.chosen(listed)
    snapshot = os.path.join(path, "snapshots", commit)
    needs: list[Need] = []
    steps: list[Step] = [*folders(os.path.join(path, "blobs")), *folders(snapshot)]
    placed: set[str] = set()
    for name, proof in files:
        if name not in wanted or proof.digest is None:
            continue
        source = HubFetch(claim.repository, commit, name, proof.bytes or 0)
        blob = os.path.join(path, "blobs", proof.digest.hex)
        if not os.path.lexists(blob) and blob not in placed:  # two names may have one content
            placed.add(blob)
            needs.append(Need(name, (source,), (proof,)))
            steps.append(Put(name, blob))
        link = os.path.join(snapshot, name)
        if not os.path.lexists(link):
            steps += [*folders(os.path.dirname(link)), Link(link, _to_blob(link, blob))]
    ref = os.path.join(path, "refs", "main")
    if _text_of(ref) != commit:
        needs.append(Need("ref", (Text(commit),), (Proof("", len(commit), None),)))
        steps += folders(os.path.dirname(ref))
        steps += out_of_the_way(ref)
        steps.append(Put("ref", ref))
    words = f"fetch {claim.model} from {claim.repository} at {commit[:12]}"
    return built("fetch-model", words, root, tuple(needs), tuple(dict.fromkeys(steps)))


def restore_blob(
    finding: Finding, survey: Survey, at: Sequence[tuple[Entry, Artifact]]
) -> Repair | None:
    """Make one blob right, or link a snapshot to a blob that is there."""
    entry, artifact = at[0]
    if _may_be_called_otherwise(entry, artifact):
        return fetch_entry(finding, survey)  # the hub knows which of the names it has
    repository = _repository(entry, survey)
    digest = artifact.digest
    target = artifact.file
    links = [a.path for _, a in at if a.path != a.file and a.state is State.MISSING]
    if digest and artifact.state is State.DANGLING and target == artifact.path:
        target = os.path.join(repository.path, "blobs", digest.hex)  # the link leads elsewhere
        links = [artifact.path]
    steps: list[Step] = []
    blob = repository.blobs.get(digest.hex) if digest else None
    lost = artifact.state is State.MISSING or links
    if lost and blob and blob.state is State.PRESENT:
        words = f"link `{artifact.name}` to its blob again"
        return built("relink", words, entry.root, (), tuple(_links(links, target)))
    size = artifact.expected_bytes
    partials = [p for p in repository.partials if digest and p.etag == digest.hex]
    sources: list[Source] = [
        LocalCopy((("", p.path),), "a finished partial")
        for p in partials
        if size is None or p.stamp.size_bytes == size
    ]
    others = survey.digests.get(digest.hex, ()) if digest else ()
    sources += copies(others, target, size)
    if repository.kind == "model" and entry.revision:
        sources.append(HubFetch(entry.name, entry.revision, artifact.name, size or 0))
    if not sources:
        return None
    steps += out_of_the_way(target) or folders(os.path.dirname(target))
    steps.append(Put("blob", target))
    steps += [SetAside(partial.path) for partial in partials]
    steps += _links(links, target)
    need = Need("blob", tuple(sources), (Proof("", size, digest, artifact.format),))
    made = built(
        "restore-file",
        sentence(sources[0], artifact.name),
        entry.root,
        (need,),
        tuple(steps),
        finding.bytes + sum(partial.stamp.size_bytes for partial in partials),
    )
    lock = os.path.join(repository.locks, f"{digest.hex}.lock") if digest else ""
    return made._replace(locks=(lock,) if lock else ())


def _may_be_called_otherwise(entry: Entry, artifact: Artifact) -> bool:
    """Say whether a missing file has several names, and nothing here tells which the hub has."""
    if artifact.state is not State.MISSING or artifact.digest or "main" not in entry.refs:
        return False
    needs = (need for claim in entry.claims for need in claim.needs.requirements)
    return any(artifact.name in need.names and len(need.names) > 1 for need in needs)


def _links(links: Sequence[str], blob: str) -> list[Step]:
    return [
        step
        for link in links
        for step in (
            *folders(os.path.dirname(link)),
            *out_of_the_way(link),
            Link(link, _to_blob(link, blob)),
        )
    ]


def _to_blob(link: str, blob: str) -> str:
    return os.path.relpath(blob, os.path.dirname(link))


def _complete(entry: Entry) -> bool:
    """Say whether a snapshot has all that an engine needs, or all that its manifest lists."""
    there = all(a.state is State.PRESENT for a in entry.artifacts)
    names = {artifact.name for artifact in entry.artifacts}
    listed = bool(entry.claims) or not entry.promises or set(entry.promises) <= names
    return bool(entry.artifacts) and there and listed


def _repository(entry: Entry, survey: Survey) -> Repository:
    for root in survey.roots:
        if root.path == entry.root and isinstance(root.listing, HubListing):
            return root.listing.of(entry)
    raise LookupError(entry.id)


def _text_of(path: str) -> str:
    try:
        with untrusted.open_regular(path) as file:
            return file.read(4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _ref_name(path: str) -> str:
    return path.rpartition("/refs/")[2]
