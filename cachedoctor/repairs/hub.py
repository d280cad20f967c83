"""Repairs of a hub cache: blobs, links, branches, whole models."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor import digest as measure
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
from cachedoctor.locators import inside, listed
from cachedoctor.locators.hub_cache import COMMIT, HubCache, repository_folder
from cachedoctor.repairs._build import built, copies, folders, out_of_the_way, sentence
from cachedoctor.repairs._nearby import nearby
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Finding, Source, Step
    from cachedoctor.locators._repository import Repository
    from cachedoctor.vocabulary import Artifact, Claim, Digest, Entry, Survey

_READ_BYTES = 8 << 20  # of a blob that may be what a table names by another digest


def rewrite_ref(finding: Finding, survey: Survey) -> Repair | None:
    """Write the commit that a ref means, or the one complete snapshot's, or fetch the model."""
    entries = finding.made_from
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
            (
                *folders(os.path.dirname(finding.path)),
                *out_of_the_way(finding.path),
                Put("ref", finding.path),
            ),
        )
    if not complete and entries:
        again = _relink_snapshot(text, entries, survey) if COMMIT.fullmatch(text) else None
        if again is not None:
            return again
        fetched = fetch_entry(finding)
        if fetched is not None:
            return fetched
    return None


def relink_text(finding: Finding, survey: Survey) -> Repair | None:
    """Make a link of a file that says where one led, if what it names is here.

    A blob of the same repository counts wherever the text leads; anything else must lie inside the
    root.
    """
    entry, artifact, *_ = finding.subjects[0]
    if entry is None or artifact is None:
        return None
    target = os.path.normpath(os.path.join(os.path.dirname(artifact.path), artifact.detail))
    if artifact.digest and entry.revision:
        blob = _repository(entry, survey).blobs.get(artifact.digest.hex)
        if blob and blob.state is State.PRESENT:
            target = os.path.join(repository_folder(entry), "blobs", artifact.digest.hex)
    real = os.path.realpath(target)
    if not inside(real, entry.root) or not os.path.exists(real) or target == artifact.path:
        return None
    steps = (SetAside(artifact.path), Link(artifact.path, _to_blob(artifact.path, target)))
    words = f"make a link of `{artifact.name or entry.name}` again"
    return built("relink", words, entry.root, (), steps)


def relink_entry(finding: Finding, survey: Survey) -> Repair | None:
    """Link an empty snapshot to the blobs that lie in its repository, where they are all there."""
    for entry in finding.made_from:
        if entry.revision:
            return _relink_snapshot(entry.revision, [entry], survey)
    return None


def _relink_snapshot(commit: str, entries: Sequence[Entry], survey: Survey) -> Repair | None:
    """Make a snapshot again, where the blobs that are needed are there.

    Their names come from the revision's manifest, from what a lock file demands, or from the table
    of the engine, where that is about this revision.
    """
    repository = _repository(entries[0], survey)
    claims = entries[0].claims
    needs = [n.names for c in claims for n in c.needs.requirements if not n.optional]
    tree = repository.promises(commit)
    here: dict[str, str] = {}
    for name, (size, digest) in (*_told(entries, commit), *tree.items()):
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
        steps += [*folders(os.path.dirname(link)), Link(link, _to_blob(link, blob_path))]
    words = f"link {len(here)} files of {commit[:12]} to their blobs again"
    return built("relink", words, entries[0].root, (), tuple(dict.fromkeys(steps)))


def _told(entries: Sequence[Entry], commit: str) -> Iterator[tuple[str, tuple[int, Digest]]]:
    """Go through what else than a manifest says of a revision's files."""
    for entry in entries:
        for claim in entry.claims:
            if claim.revision == commit:
                yield from claim.published.items()
        if entry.revision == commit:
            for artifact in entry.notable:
                if artifact.digest and artifact.expected_bytes is not None:
                    yield artifact.name, (artifact.expected_bytes, artifact.digest)


def _blob_with(repository: Repository, size: int, digest: Digest) -> str:
    """Return the blob that holds a content, by its name or, of a short one, by reading it."""
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


def write_main(entry: Entry) -> Repair:
    """Write the branch `main`, of which a repository has none, to lead to `entry`."""
    repository = entry.path.partition("/snapshots/")[0]
    commit, ref = entry.revision or "", os.path.join(repository, "refs", "main")
    need = Need("ref", (Text(commit),), (Proof("", len(commit), None),))
    steps = (*folders(os.path.dirname(ref)), Put("ref", ref))
    return built(
        "rewrite-ref", f"let `refs/main` lead to {commit[:12]}", entry.root, (need,), steps
    )


def fetch_entry(finding: Finding) -> Repair | None:
    """Return a fetch of the model that the finding's entry is meant to be."""
    for entry in finding.made_from:
        if entry.claims:
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


def relink_relative(finding: Finding) -> Repair | None:
    """Make an absolute link of a snapshot lead to the same file by a relative path."""
    entry, artifact, *_ = finding.subjects[0]
    if entry is None or artifact is None:
        return None
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
        return fetch_entry(finding)  # the hub knows which of the names it has
    repository = _repository(entry, survey)
    digest = artifact.digest
    target = artifact.file
    links = [a.path for _, a in at if a.path != a.file and a.state is State.MISSING]
    away = artifact.state in (State.DANGLING, State.TEXT) or artifact.outside
    if digest and away and target == artifact.path:
        target = os.path.join(repository.path, "blobs", digest.hex)  # the link leads elsewhere
        links = [artifact.path]
    steps: list[Step] = []
    blob = repository.blobs.get(digest.hex) if digest else None
    lost = artifact.state in (State.MISSING, State.DANGLING) or links
    if digest and lost and blob and blob.state is State.PRESENT:
        target = os.path.join(repository.path, "blobs", digest.hex)
        links = [a.path for _, a in at if a.path != target]
        words = f"link `{artifact.name}` to its blob again"
        return built("relink", words, entry.root, (), tuple(_links(links, target)))
    size = artifact.expected_bytes
    partials = [p for p in repository.partials if digest and p.etag == digest.hex]
    sources: list[Source] = [
        LocalCopy((("", p.path),), "a finished partial")
        for p in partials
        if size is None or p.stamp.size_bytes == size
    ]
    others = survey.holding(digest.hex) if digest else ()
    sources += [*copies(others, target, size), *nearby(artifact, survey, size, digest)]
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
    there = all(artifact.state is State.PRESENT for artifact in entry.notable)
    listed = bool(entry.claims) or entry.present.issuperset(entry.promises)
    return bool(entry.artifacts) and there and listed


def _repository(entry: Entry, survey: Survey) -> Repository:
    listing = listed(HubCache, survey.root_of(entry))
    if listing is None:
        raise LookupError(entry.id)
    return listing.of(entry)


def _text_of(path: str) -> str:
    try:
        with untrusted.open_regular(path) as file:
            return file.read(4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _ref_name(path: str) -> str:
    return path.rpartition("/refs/")[2]
