"""Repairs of a hub cache: blobs, links, branches, whole models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
from cachedoctor.locators.hub_cache import COMMIT
from cachedoctor.looking import untrusted
from cachedoctor.repairs._build import (
    built,
    copies,
    folders,
    out_of_the_way,
    owned,
    sentence,
)
from cachedoctor.repairs._nearby import nearby
from cachedoctor.repairs.links import links_to, relink_snapshot, repository_of, to_blob
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.findings import Finding, Source, Step
    from cachedoctor.vocabulary import Artifact, Claim, Entry, Survey


def rewrite_ref(finding: Finding, survey: Survey) -> Repair | None:
    """Return the repair of a ref: write the commit it means, or the one complete snapshot's.

    If there is no such snapshot, relink or fetch the model.
    """
    entries = finding.made_from
    named = [entry for entry in entries if COMMIT.fullmatch(entry.revision or "")]
    complete = [entry.revision for entry in named if entry.revision and _complete(entry)]
    text = _text_of(finding.path).strip()
    revisions = [entry.revision for entry in named if entry.revision and entry.artifacts]
    if text in revisions:
        complete = [text]
    elif not complete and len(revisions) == 1:  # what it lacks has findings of its own
        complete = revisions
    if len(complete) == 1 and complete[0]:
        need = Need("ref", (Text(complete[0]),), (Proof("", len(complete[0]), None),))
        return built(
            "rewrite-ref",
            f"write {complete[0][:12]} into `refs/{_ref_name(finding.path)}`",
            entries[0].root,
            (need,),
            (
                *folders(os.path.dirname(finding.path)),
                *out_of_the_way(finding.path),
                Put("ref", finding.path),
            ),
        )
    if not complete and entries:
        again = relink_snapshot(text, entries, survey) if COMMIT.fullmatch(text) else None
        if again is not None:
            return again
        fetched = fetch_entry(finding)
        if fetched is not None:
            return fetched
    return None


def write_main(entry: Entry) -> Repair:
    """Return the repair that writes a missing branch `main`, which points to `entry`."""
    repository = entry.path.partition("/snapshots/")[0]
    commit, ref = entry.revision or "", os.path.join(repository, "refs", "main")
    need = Need("ref", (Text(commit),), (Proof("", len(commit), None),))
    steps = (*folders(os.path.dirname(ref)), Put("ref", ref))
    return built("rewrite-ref", f"point `refs/main` to {commit[:12]}", entry.root, (need,), steps)


def fetch_entry(finding: Finding) -> Repair | None:
    """Return a fetch of the model that the finding's entry should be."""
    for entry in finding.made_from:
        if entry.claims:
            claim = entry.claims[0]
            size = sum(size for size, _ in claim.published.values())
            return fetch_claim(claim, entry.root, size)
    return None


def fetch_claim(claim: Claim, root: str, size: int) -> Repair:
    """Return a fetch of a whole model; it has no steps until the hub has listed its files."""
    return Repair(
        kind="fetch-model",
        safety=Safety.FETCHES,
        describe=f"fetch {claim.model} from {claim.repository}",
        root=root,
        fetch_bytes=size,
        deferred=True,
    )


def detach(entry: Entry, blobs: Sequence[str], size: int) -> Repair:
    """Return the repair that sets a revision aside: snapshot, manifest, markers and own blobs."""
    repository, _, commit = entry.path.partition("/snapshots/")
    notes = (f"{repository}/trees/{commit}.json", f"{repository}/.no_exist/{commit}")
    steps = tuple(map(SetAside, (entry.path, *blobs, *filter(os.path.lexists, notes))))
    words = f"set the revision {commit[:12]} of {entry.name} aside"
    files, seen = entry.plain, {}
    if files is not None:
        seen = {blob: files.stamp_of(blob.removeprefix(f"{files.folder}/")) for blob in blobs}
    return built("set-revision-aside", words, entry.root, (), steps, size, seen)


def whole_model(
    claim: Claim, path: str, root: str, commit: str, files: Sequence[tuple[str, Proof]]
) -> Repair:
    """Return a fetch of a whole hub model into the cache at `root`.

    `path` is the repository's folder there; `files` are the names in the repository, each with the
    hub's proof. Only what the engine reads is fetched. Raises `RepairError` if the repository lacks
    a file that the engine needs.
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
            steps += [*folders(os.path.dirname(link)), Link(link, to_blob(link, blob))]
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
    """Return the repair that restores one blob, or links a snapshot to a blob that is there."""
    entry, artifact = at[0]
    if _has_other_names(entry, artifact):
        return fetch_entry(finding)  # the hub knows which name it has
    repository = repository_of(entry, survey)
    digest = artifact.digest
    target = artifact.file
    links = [a.path for _, a in at if a.path != a.file and a.state is State.MISSING]
    away = artifact.state in (State.DANGLING, State.TEXT) or artifact.outside
    if digest and away and target == artifact.path:
        target = os.path.join(repository.path, "blobs", digest.hex)  # the link points elsewhere
        links = [artifact.path]
    steps: list[Step] = []
    blob = repository.blobs.get(digest.hex) if digest else None
    lost = artifact.state in (State.MISSING, State.DANGLING) or links
    if digest and lost and blob and blob.state is State.PRESENT:
        target = os.path.join(repository.path, "blobs", digest.hex)
        links = [a.path for _, a in at if a.path != target]
        words = f"link `{artifact.name}` to its blob again"
        return built("relink", words, entry.root, (), tuple(links_to(links, target)))
    size = artifact.expected_bytes
    partials = [p for p in repository.partials if digest and p.etag == digest.hex]
    sources: list[Source] = [
        LocalCopy((("", p.path),), "a finished partial")
        for p in partials
        if size is None or p.stamp.size_bytes == size
    ]
    others = survey.holding(digest.hex) if digest else ()
    sources += [*copies(others, target, size), *nearby(artifact, survey, size, digest)]
    if repository.is_model and entry.revision:
        sources.append(HubFetch(entry.name, entry.revision, artifact.name, size or 0))
    if not sources:
        return None
    sources = owned(sources, entry.root, survey)
    steps += out_of_the_way(target) or folders(os.path.dirname(target))
    steps.append(Put("blob", target))
    steps += [SetAside(partial.path) for partial in partials]
    steps += links_to(links, target)
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


def _has_other_names(entry: Entry, artifact: Artifact) -> bool:
    """Return whether a missing file has several names, and it is not known which the hub uses."""
    if artifact.state is not State.MISSING or artifact.digest or "main" not in entry.refs:
        return False
    needs = (need for claim in entry.claims for need in claim.needs.requirements)
    return any(artifact.name in need.names and len(need.names) > 1 for need in needs)


def _complete(entry: Entry) -> bool:
    """Return whether a snapshot has all files that an engine needs, or that its manifest lists."""
    there = all(artifact.state is State.PRESENT for artifact in entry.notable)
    listed = bool(entry.claims) or entry.present.issuperset(entry.promises)
    return bool(entry.artifacts) and there and listed


def _text_of(path: str) -> str:
    try:
        with untrusted.open_regular(path) as file:
            return file.read(4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _ref_name(path: str) -> str:
    return path.rpartition("/refs/")[2]
