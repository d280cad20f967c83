"""What cures what: needs and steps, as data. Nothing here changes or fetches anything.

Sources are listed in the order of law 6: relink or rename in place, a partial that may be complete,
another local copy with a known digest, then a fetch of just the file that is bad.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from cachedoctor import disk
from cachedoctor.errors import FormatError
from cachedoctor.formats import find_bundle
from cachedoctor.locators.hub_cache import HubListing
from cachedoctor.vocabulary import (
    CdnFetch,
    Guard,
    HubFetch,
    Link,
    LocalCopy,
    MakeFolder,
    Need,
    Proof,
    Put,
    Rename,
    Repair,
    Safety,
    SetAside,
    Severity,
    State,
    Text,
)

ONE_FILE = ("openai-cdn", "ggml-folder")  # layouts in which a model is one file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cachedoctor.locators._repository import Repository
    from cachedoctor.vocabulary import Artifact, Claim, Entry, Finding, Source, Step, Survey


def restore(finding: Finding, survey: Survey) -> Repair | None:
    """Return how the file or bundle of `finding` is made right, or `None` if nothing is known."""
    at = survey.at(finding.path) or _bundle_around(finding.path, survey)
    if not at:
        return None
    at = tuple(sorted(at, key=lambda pair: not pair[0].claims))
    entry, artifact = at[0]
    if entry.locator == "hub-cache":
        return _restore_blob(finding, survey, at)
    if entry.locator in ONE_FILE and artifact.name == entry.name:
        return _restore_file(finding, survey, entry, artifact)
    return _restore_in_folder(survey, entry, artifact)


def rewrite_ref(finding: Finding, survey: Survey) -> Repair | None:
    """Write the commit that a ref means, or the one complete snapshot's, or fetch the model."""
    entries = [entry for entry in survey.entries if entry.id in finding.entries]
    complete = [entry.revision for entry in entries if entry.revision and _complete(entry)]
    text = _text_of(finding.path).strip()
    revisions = [entry.revision for entry in entries if entry.revision and entry.artifacts]
    if text in revisions:
        complete = [text]
    elif not complete and len(revisions) == 1:  # what it lacks is cured by findings of its own
        complete = revisions
    if len(complete) == 1 and complete[0]:
        need = Need("ref", (Text(complete[0]),), (Proof("", len(complete[0]), None),))
        return _repair(
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
    return manual("choose-revision", "printf", "%s", "COMMIT", ">", finding.path)


def _relink_snapshot(commit: str, entries: Sequence[Entry], survey: Survey) -> Repair | None:
    """Make a snapshot again from its manifest, where the blobs that are needed are there."""
    repository = _repository(entries[0], survey)
    tree = repository.trees.get(commit, {})
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
    steps: list[Step] = list(_folders(snapshot))
    for name in sorted(here):
        link = os.path.join(snapshot, name)
        blob_path = os.path.join(repository.path, "blobs", tree[name][1].hex)
        steps += [*_folders(os.path.dirname(link)), Link(link, _to_blob(link, blob_path))]
    words = f"link {len(here)} files of {commit[:12]} to their blobs again"
    return _repair("relink", words, entries[0].root, (), tuple(dict.fromkeys(steps)))


def write_main(entry: Entry) -> Repair:
    """Write the branch `main`, of which a repository has none, to lead to `entry`."""
    repository = entry.path.partition("/snapshots/")[0]
    commit, ref = entry.revision or "", os.path.join(repository, "refs", "main")
    need = Need("ref", (Text(commit),), (Proof("", len(commit), None),))
    steps = (*_folders(os.path.dirname(ref)), Put("ref", ref))
    return _repair(
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


def rename_folder(finding: Finding, survey: Survey) -> Repair | None:
    """Rename a folder to the name that is looked for, or set it aside where that is taken."""
    entry = next(entry for entry in survey.entries if entry.id in finding.entries)
    claim = next(claim for claim in entry.claims if claim.needs.folder not in ("", entry.name))
    target = os.path.join(entry.root, claim.needs.folder)
    if os.path.lexists(target):
        return set_aside(finding, survey) if finding.severity is Severity.NOTE else None
    return _repair(
        "rename-folder",
        f"rename `{entry.name}` to `{claim.needs.folder}`",
        entry.root,
        (),
        (*_folders(os.path.dirname(target)), Rename(entry.path, target)),
    )


def set_aside(finding: Finding, survey: Survey) -> Repair | None:
    """Move what a finding names into the run folder."""
    root = _root_of(finding.path, survey)
    if root is None:
        return None
    name = os.path.basename(finding.path)
    more = f" and {len(finding.links)} more" if finding.links else ""
    steps = tuple(SetAside(path) for path in (finding.path, *finding.links))
    return _repair("set-aside", f"set `{name}`{more} aside", root, (), steps, finding.bytes)


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
    return _repair("set-revision-aside", words, entry.root, (), steps, size)


def relink_relative(finding: Finding, survey: Survey) -> Repair | None:
    """Make an absolute link of a snapshot lead to the same file by a relative path."""
    at = [(e, a) for e in survey.entries for a in e.artifacts if a.path == finding.path]
    if not at:
        return None
    entry, artifact = at[0]
    link = artifact.path
    steps = (SetAside(link), Link(link, _to_blob(link, artifact.file)))
    return _repair("relink", f"make the link `{artifact.name}` relative", entry.root, (), steps)


def manual(kind: str, *command: str) -> Repair:
    """Return a repair that only a person can do, with the exact command."""
    words = [word if word in (">", "%s") else shlex.quote(word) for word in command]
    return Repair(kind, Safety.MANUAL, " ".join(words))


def whole_model(
    claim: Claim, path: str, root: str, commit: str, files: Sequence[tuple[str, Proof]]
) -> Repair:
    """Return a fetch of the whole of a hub model into the cache at `root`.

    `path` is the repository's folder there; `files` are the names below the repository with what
    the hub promises of each; only what the engine reads is fetched.
    """
    wanted = _chosen(claim, {name for name, _ in files})
    snapshot = os.path.join(path, "snapshots", commit)
    needs: list[Need] = []
    steps: list[Step] = [*_folders(os.path.join(path, "blobs")), *_folders(snapshot)]
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
            steps += [*_folders(os.path.dirname(link)), Link(link, _to_blob(link, blob))]
    ref = os.path.join(path, "refs", "main")
    if _text_of(ref) != commit:
        needs.append(Need("ref", (Text(commit),), (Proof("", len(commit), None),)))
        steps += _folders(os.path.dirname(ref))
        steps += _out_of_the_way(ref)
        steps.append(Put("ref", ref))
    words = f"fetch {claim.model} from {claim.repository} at {commit[:12]}"
    return _repair("fetch-model", words, root, tuple(needs), tuple(dict.fromkeys(steps)))


def _chosen(claim: Claim, listed: Collection[str]) -> set[str]:
    """Choose what an engine opens, of several names the first; an index brings all shards."""
    found = (next((n for n in need.names if n in listed), "") for need in claim.needs.requirements)
    chosen = {name for name in found if name}
    if any(name.endswith(".safetensors.index.json") for name in chosen):
        chosen |= {name for name in listed if name.endswith(".safetensors") and "/" not in name}
    return chosen


def whole_folder(
    claim: Claim, path: str, root: str, commit: str, files: Sequence[tuple[str, Proof]]
) -> Repair:
    """Return a fetch of every bundle and file of a model that lives in a folder of its own."""
    needs = []
    steps: list[Step] = list(_folders(path))
    size = 0
    for requirement in claim.needs.requirements:
        if requirement.tokenizer and claim.tokenizer_folders:
            target = os.path.join(claim.tokenizer_folders[0], requirement.names[0])
            if not os.path.lexists(target):
                needs.append(_tokenizer_need(claim, requirement.names[0]))
                steps += [*_folders(os.path.dirname(target)), Put(requirement.names[0], target)]
            continue
        if requirement.optional:
            continue
        name = requirement.names[0]
        format_ = requirement.formats[0]
        remote = claim.prefix + name + ("/" if format_ == "coreml" else "")
        mine = [proof for file, proof in files if file == remote or file.startswith(remote)]
        expected = sum(proof.bytes or 0 for proof in mine)
        size += expected
        source = HubFetch(claim.repository, commit, remote, expected)
        needs.append(_need(name, (source,), format_))
        steps.append(Put(name, os.path.join(path, name)))
    words = f"fetch {claim.model} from {claim.repository} at {commit[:12]}"
    made = _repair("fetch-model", words, root, tuple(needs), tuple(steps))
    return made._replace(fetch_bytes=size)


def whole_file(claim: Claim, path: str, root: str, copies: Sequence[Artifact]) -> Repair:
    """Return a copy or fetch of a model that is one file."""
    requirement = claim.needs.requirements[0]
    name = requirement.names[0]
    sources = [*_copies(copies, path), _download(claim, name, requirement.bytes or 0)]
    proof = Proof("", requirement.bytes, requirement.digest, requirement.formats[0])
    need = Need("file", tuple(sources), (proof,))
    steps = (*_folders(os.path.dirname(path)), Put("file", path))
    words = _words(sources[0], os.path.basename(path))
    return _repair("fetch-model", words, root, (need,), steps)


def _restore_blob(
    finding: Finding, survey: Survey, at: Sequence[tuple[Entry, Artifact]]
) -> Repair | None:
    """Make one blob right, or link a snapshot to a blob that is there."""
    entry, artifact = at[0]
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
        return _repair("relink", words, entry.root, (), tuple(_links(links, target)))
    size = artifact.expected_bytes
    partials = [p for p in repository.partials if digest and p.etag == digest.hex]
    sources: list[Source] = [
        LocalCopy((("", p.path),), "a finished partial")
        for p in partials
        if size is None or p.stamp.size_bytes == size
    ]
    others = survey.digests.get(digest.hex, ()) if digest else ()
    sources += _copies(others, target, size)
    if repository.kind == "model" and entry.revision:
        sources.append(HubFetch(entry.name, entry.revision, artifact.name, size or 0))
    if not sources:
        return None
    steps += _out_of_the_way(target) or _folders(os.path.dirname(target))
    steps.append(Put("blob", target))
    steps += [SetAside(partial.path) for partial in partials]
    steps += _links(links, target)
    need = Need("blob", tuple(sources), (Proof("", size, digest, artifact.format),))
    made = _repair(
        "restore-file",
        _words(sources[0], artifact.name),
        entry.root,
        (need,),
        tuple(steps),
        finding.bytes + sum(partial.stamp.size_bytes for partial in partials),
    )
    lock = os.path.join(repository.locks, f"{digest.hex}.lock") if digest else ""
    return made._replace(locks=(lock,) if lock else ())


def _restore_file(
    finding: Finding, survey: Survey, entry: Entry, artifact: Artifact
) -> Repair | None:
    """Make a model right that is one file, of the hub or of OpenAI's."""
    size, digest = artifact.expected_bytes, artifact.digest
    if not entry.claims or (digest is None and size is None):
        return None
    claim = entry.claims[0]
    known = survey.digests.get(digest.hex, ()) if digest else ()
    sources = _copies(known, artifact.file, size)
    begun = finding.code == "CD201" and artifact.size_bytes < (size or 0)
    resume = artifact.file if begun and not claim.repository else ""
    sources.append(_download(claim, artifact.name, size or 0, resume))
    need = Need("file", tuple(sources), (Proof("", size, artifact.digest, artifact.format),))
    made = _repair(
        "restore-file",
        _words(sources[0], artifact.name),
        entry.root,
        (need,),
        (*_out_of_the_way(artifact.path), Put("file", artifact.path)),
        finding.bytes,
    )
    if resume and made.fetch_bytes:
        made = made._replace(fetch_bytes=made.fetch_bytes - artifact.size_bytes)
    return made


def _restore_in_folder(survey: Survey, entry: Entry, artifact: Artifact) -> Repair | None:
    """Make one bundle or loose file of a model folder right, always as a whole."""
    owner = next(
        (a for a in entry.artifacts if a.bundle and artifact.name.startswith(a.name + "/")),
        artifact,
    )
    if not entry.claims:
        return None
    claim = entry.claims[0]
    sources: list[Source] = []
    for (files, known), why in _siblings(survey, entry, claim, owner):
        sources.append(LocalCopy(files, why, known))
    whole = owner.bundle or owner.format == "coreml"  # a file may be where the bundle belongs
    remote = claim.prefix + owner.name + ("/" if whole else "")
    tokenizer = claim.tokenizer and owner.name in _tokenizer_names(claim)
    repository = claim.tokenizer if tokenizer else claim.repository
    if repository and not (whole and entry.locator in ONE_FILE):  # encoders are published packed
        remote = owner.name if tokenizer else remote
        sources.append(HubFetch(repository, "main", remote, owner.expected_bytes or 0))
    if not sources:
        return None
    need = _need(owner.name, tuple(sources), "coreml" if whole else owner.format)
    return _repair(
        "restore-bundle" if whole else "restore-file",
        _words(sources[0], owner.name),
        entry.root,
        (need,),
        (
            *_folders(os.path.dirname(owner.path)),
            *_out_of_the_way(owner.path),
            Put(owner.name, owner.path),
        ),
        owner.size_bytes,
    )


def _download(claim: Claim, name: str, size: int, resume: str = "") -> Source:
    """Return where a model's one file comes from: a hub repository, or OpenAI's address."""
    if claim.repository:
        return HubFetch(claim.repository, "main", claim.prefix + name, size)
    return CdnFetch(claim.url, size, resume)


_Files = tuple[tuple[str, str], ...]


def _siblings(
    survey: Survey, entry: Entry, claim: Claim, owner: Artifact
) -> Iterator[tuple[tuple[_Files, tuple[Proof, ...]], str]]:
    """Find the same bundle or file in the engine's other folder, then in the hub cache."""
    tokenizer = claim.tokenizer and owner.name in _tokenizer_names(claim)
    repository, above = (claim.tokenizer, "") if tokenizer else (claim.repository, claim.prefix)
    for other in survey.entries:
        same = any(c.engine == claim.engine and c.model == claim.model for c in other.claims)
        hub = other.locator == "hub-cache" and other.name == repository
        if other.id == entry.id or not (same or hub):
            continue
        prefix = (above if hub else "") + owner.name
        mine = [a for a in other.artifacts if a.name == prefix or a.name.startswith(prefix + "/")]
        files = [a for a in mine if not a.bundle]
        if not files or any(a.state is not State.PRESENT for a in files):
            continue
        if owner.name.endswith(".mlmodelc") and not _is_whole(os.path.join(other.path, prefix)):
            continue
        names = tuple((a.name[len(prefix) + 1 :], a.file) for a in files)
        proofs = tuple(Proof(a.name[len(prefix) + 1 :], a.size_bytes, a.digest) for a in files)
        if hub:
            yield (names, proofs), "the hub cache"
        else:
            yield (names, proofs), f"`{other.name}`"


def _is_whole(path: str) -> bool:
    try:
        find_bundle("coreml").inspect(path)
    except (FormatError, OSError):
        return False
    return True


def _copies(artifacts: Sequence[Artifact], target: str, size: int | None = None) -> list[Source]:
    """List other files that are said to have the same content; staging proves them."""
    found: dict[str, Source] = {}
    for artifact in artifacts:
        right = size is None or artifact.size_bytes == size
        if artifact.state is State.PRESENT and artifact.file != target and right:
            hub = "/blobs/" in artifact.file and "models--" in artifact.file
            why = "another repository" if hub else f"`{artifact.file}`"
            found[artifact.file] = LocalCopy((("", artifact.file),), why)
    return list(found.values())


def _tokenizer_names(claim: Claim) -> set[str]:
    return {name for need in claim.needs.requirements if need.tokenizer for name in need.names}


def _tokenizer_need(claim: Claim, name: str) -> Need:
    source = HubFetch(claim.tokenizer, "main", name, 0)
    return _need(name, (source,), "json_text")


def _need(name: str, sources: tuple[Source, ...], format_: str | None) -> Need:
    return Need(name, sources, (Proof("", None, None, format_),), folder=format_ == "coreml")


def _repair(
    kind: str,
    describe: str,
    root: str,
    needs: tuple[Need, ...],
    steps: tuple[Step, ...],
    aside_bytes: int = 0,
) -> Repair:
    """Fill in what follows from the needs and steps: safety, bytes and guards."""
    fetch = copy = 0
    fetches = False
    for need in needs:
        size = sum(proof.bytes or 0 for proof in need.proofs)
        match need.sources[0]:
            case HubFetch(bytes=known) | CdnFetch(bytes=known):
                fetches = True
                fetch += known
            case LocalCopy(files=files):
                copy += size or sum(os.stat(path).st_size for _, path in files)
            case Text():
                pass
    guards = []
    for step in steps:
        match step:
            case SetAside(path=path):
                guards.append(Guard(path, disk.stamp(path)))
            case Put(path=path) | Link(path=path) if SetAside(path) not in steps:
                guards.append(Guard(path, None))
            case _:
                pass
    safety = Safety.FETCHES if fetches else Safety.SAFE
    return Repair(
        kind, safety, describe, needs, steps, tuple(guards), fetch, copy, aside_bytes, root
    )


def _links(links: Sequence[str], blob: str) -> list[Step]:
    return [
        step
        for link in links
        for step in (
            *_folders(os.path.dirname(link)),
            *_out_of_the_way(link),
            Link(link, _to_blob(link, blob)),
        )
    ]


def _out_of_the_way(path: str) -> list[Step]:
    return [SetAside(path)] if os.path.lexists(path) else []


def _to_blob(link: str, blob: str) -> str:
    return os.path.relpath(blob, os.path.dirname(link))


def _folders(path: str) -> list[Step]:
    """Make `path` and what is missing above it."""
    found: list[Step] = []
    while path and not os.path.isdir(path):
        found.append(MakeFolder(path))
        path = os.path.dirname(path)
    return found[::-1]


def _words(source: Source, name: str) -> str:
    """Say in one imperative line what taking `name` from its first source is."""
    match source:
        case LocalCopy(why=why):
            return f"copy `{name}` from {why}"
        case HubFetch(repository=repository):
            return f"fetch `{name}` from {repository}"
        case CdnFetch(resume=resume):
            start = "go on with the download of" if resume else "fetch"
            return f"{start} `{name}` from OpenAI"
        case Text():
            return f"write `{name}`"


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


def _bundle_around(path: str, survey: Survey) -> tuple[tuple[Entry, Artifact], ...]:
    return tuple(
        (entry, artifact)
        for entry in survey.entries
        for artifact in entry.artifacts
        if artifact.bundle and path.startswith(artifact.file + "/")
    )


def _root_of(path: str, survey: Survey) -> str | None:
    """Return the root in which `path` lies; of one that is a root itself, the folder above."""
    roots = sorted((root.path for root in survey.roots), key=len, reverse=True)
    for root in roots:
        if path == root:
            return os.path.dirname(root)
        if path.startswith(root.rstrip("/") + "/"):
            return root
    return None


def _text_of(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(4096).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _ref_name(path: str) -> str:
    return path.rpartition("/refs/")[2]
