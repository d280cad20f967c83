"""Repairs of a model that is a folder: bundles, loose files, tokenizers, whole models."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import formats, locators
from cachedoctor.errors import FormatError
from cachedoctor.findings import HubFetch, LocalCopy, Need, Proof, Put, Rename, Text
from cachedoctor.locators import BOOKS, ModelFolders
from cachedoctor.locators.hub_cache import HubCache
from cachedoctor.repairs._build import (
    built,
    copies,
    folders,
    need_of,
    out_of_the_way,
    owned,
    sentence,
)
from cachedoctor.repairs._nearby import nearby, pointed_at
from cachedoctor.vocabulary import State

_LONGEST_S = 3600  # from planning to placing a file, whose note must not be older

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Finding, Repair, Source, Step
    from cachedoctor.vocabulary import Artifact, Claim, Entry, Survey


def restore_in_folder(survey: Survey, entry: Entry, artifact: Artifact) -> Repair | None:
    """Return the repair that restores one bundle or loose file of a model folder, as a whole."""
    owner = next(
        (a for a in entry.artifacts if a.bundle and artifact.name.startswith(a.name + "/")),
        artifact,
    )
    size, digest = owner.expected_bytes, owner.digest
    if digest is None and not owner.bundle:
        size, digest = pointed_at(owner) or (size, None)
    near = [] if owner.bundle else [*nearby(owner, survey, size, digest)]
    if not entry.claims:
        return _copy_repair(entry, owner, owned(near, entry.root, survey)) if near else None
    claim = entry.claims[0]
    if owner.name == claim.marker[0]:
        need, steps = _marker(claim, entry.path)
        words = sentence(need.sources[0], owner.name)
        return built("restore-file", words, entry.root, (need,), tuple(steps), 0)
    sources: list[Source] = [*near]
    if digest and not owner.bundle:
        sources += copies(survey.holding(digest.hex), owner.file, size)
    finished = _with_partials(survey, entry, owner)
    if finished is not None:
        sources.append(finished)
    for (files, known), why in _siblings(survey, entry, claim, owner):
        sources.append(LocalCopy(files, why, known))
    # a file may be where the bundle belongs
    whole = owner.bundle or formats.is_bundle(owner.format)
    remote = claim.prefix + owner.name + ("/" if whole else "")
    tokenizer = claim.tokenizer and owner.name in _tokenizer_names(claim)
    repository = claim.tokenizer if tokenizer else claim.repository
    # encoders are published as archives, which cannot be placed as they are
    if repository and not (whole and locators.of(entry).packs_bundles):
        remote = owner.name if tokenizer else remote
        revision = "main" if tokenizer else claim.marker[1] or _commit_of(survey, entry)
        sources.append(HubFetch(repository, revision, remote, owner.expected_bytes or 0))
    if not sources:
        return None
    sources = owned(sources, entry.root, survey)
    need = need_of(owner.name, tuple(sources), "coreml" if whole else owner.format)
    noted, steps = _renewed_note(survey, entry, owner)
    return built(
        "restore-bundle" if whole else "restore-file",
        sentence(sources[0], owner.name),
        entry.root,
        (need, *noted),
        (
            *folders(os.path.dirname(owner.path)),
            *out_of_the_way(owner.path),
            Put(owner.name, owner.path),
            *steps,
        ),
        owner.size_bytes,
    )


def _renewed_note(survey: Survey, entry: Entry, owner: Artifact) -> tuple[list[Need], list[Step]]:
    """Return what gives a file's note a new time, if its client compares the two.

    Otherwise the restored file would be newer than its note, and the client would fetch it again.
    """
    listing = locators.listed(ModelFolders, survey.root_of(entry))
    if not locators.of(entry).compares_times or listing is None:
        return [], []
    note = listing.metadata.get(entry.id, {}).get(owner.name)
    if note is None or note.error:
        return [], []
    text = f"{note.commit}\n{note.etag}\n{time.time() + _LONGEST_S}\n"
    name = f"notes/{owner.name}.metadata"
    need = Need(name, (Text(text),), (Proof("", len(text), None),))
    return [need], [*out_of_the_way(note.path), Put(name, note.path)]


def _copy_repair(entry: Entry, owner: Artifact, near: Sequence[Source]) -> Repair:
    """Return the repair that replaces a file of unknown origin with a copy."""
    need = need_of(owner.name, tuple(near), owner.format)
    steps = (*out_of_the_way(owner.path), Put(owner.name, owner.path))
    words = sentence(near[0], owner.name)
    return built("restore-file", words, entry.root, (need,), steps, owner.size_bytes)


class Remote(NamedTuple):
    """The hub's listing of a repository at one commit: its files, and a proof of each."""

    commit: str
    files: Sequence[tuple[str, Proof]]

    def below(self, name: str) -> list[tuple[str, Proof]]:
        """Return the file `name`, or all files below it if it ends with a slash."""
        inside = name.endswith("/")
        return [row for row in self.files if row[0] == name or (inside and row[0].startswith(name))]


def whole_folder(
    claim: Claim, path: str, root: str, model: Remote, tokenizer: Remote | None, *, noted: bool
) -> Repair:
    """Return a fetch of every bundle and file of a model that has a folder of its own.

    `noted` also writes the notes that the engine's own client would keep on each file: without
    them, that client does not recognise the files and downloads them again.
    """
    needs: list[Need] = []
    steps: list[Step] = list(folders(path))
    base = path.removesuffix("/" + claim.prefix.rstrip("/"))
    for requirement in claim.needs.requirements:
        name, format_ = requirement.names[0], requirement.formats[0]
        repository, remote, place, above = claim.repository, model, path, base
        wanted = claim.prefix + name + ("/" if formats.is_bundle(format_) else "")
        if requirement.tokenizer and claim.tokenizer_folders and tokenizer:
            place = above = claim.tokenizer_folders[0]
            repository, remote, wanted = claim.tokenizer, tokenizer, name
            if os.path.lexists(os.path.join(place, name)):
                continue
        elif requirement.optional:
            continue
        mine = remote.below(wanted)
        source = HubFetch(
            repository, remote.commit, wanted, sum(proof.bytes or 0 for _, proof in mine)
        )
        needs.append(need_of(name, (source,), format_))
        steps += [*folders(place), Put(name, os.path.join(place, name))]
        for file, proof in mine if noted else ():
            need, placed = _note(above, file, remote.commit, proof)
            needs.append(need)
            steps += placed
    if claim.marker[1] == model.commit:
        need, placed = _marker(claim, path)
        needs.append(need)
        steps += placed
    words = f"fetch {claim.model} from {claim.repository} at {model.commit[:12]}"
    return built("fetch-model", words, root, tuple(needs), tuple(dict.fromkeys(steps)))


def _marker(claim: Claim, path: str) -> tuple[Need, list[Step]]:
    """Return the marker of the commit in the folder at `path`; without one, it is fetched again."""
    name, commit = claim.marker
    text = f"{commit}\n"
    place = os.path.join(path, name)
    need = Need(name, (Text(text),), (Proof("", len(text), None),))
    return need, [*folders(path), *out_of_the_way(place), Put(name, place)]


def _note(base: str, file: str, commit: str, proof: Proof) -> tuple[Need, list[Step]]:
    """Return the note, three lines, that a client keeps on a file it downloaded below `base`."""
    etag = proof.digest.hex if proof.digest else ""
    text = f"{commit}\n{etag}\n{time.time()}\n"
    name = f"notes/{file}.metadata"
    path = os.path.join(base, BOOKS, f"{file}.metadata")
    need = Need(name, (Text(text),), (Proof("", len(text), None),))
    return need, [*folders(os.path.dirname(path)), *out_of_the_way(path), Put(name, path)]


def rename_folder(finding: Finding) -> Repair | None:
    """Return the repair that renames a folder to the wanted name, or `None` if that is taken."""
    entry = finding.made_from[0]
    claim = next(claim for claim in entry.claims if claim.needs.folder not in ("", entry.name))
    target = os.path.join(entry.root, claim.needs.folder)
    if os.path.lexists(target):
        return None
    return built(
        "rename-folder",
        f"rename `{entry.name}` to `{claim.needs.folder}`",
        entry.root,
        (),
        (*folders(os.path.dirname(target)), Rename(entry.path, target)),
    )


_Files = tuple[tuple[str, str], ...]


def _siblings(
    survey: Survey, entry: Entry, claim: Claim, owner: Artifact
) -> Iterator[tuple[tuple[_Files, tuple[Proof, ...]], str]]:
    """Yield the same bundle or file from the engine's other folder, then from the hub cache."""
    tokenizer = claim.tokenizer and owner.name in _tokenizer_names(claim)
    repository, above = (claim.tokenizer, "") if tokenizer else (claim.repository, claim.prefix)
    for other in survey.answering((claim.engine, claim.model), (HubCache.name, repository)):
        if other.id == entry.id:
            continue
        hub = locators.of(other).has_revisions and other.name == repository
        prefix = (above if hub else "") + owner.name
        mine = [a for a in other.artifacts if a.name == prefix or a.name.startswith(prefix + "/")]
        files = [a for a in mine if not a.bundle]
        if not files or any(a.state is not State.PRESENT for a in files):
            continue
        if any(a.outside for a in mine) and not all(a.digest for a in files):
            continue  # files outside the cache are copied only if a digest proves them
        if owner.name.endswith(".mlmodelc") and not _is_whole(os.path.join(other.path, prefix)):
            continue
        names = tuple((a.name[len(prefix) + 1 :], a.file) for a in files)
        proofs = tuple(Proof(a.name[len(prefix) + 1 :], a.size_bytes, a.digest) for a in files)
        if hub:
            yield (names, proofs), "the hub cache"
        else:
            yield (names, proofs), f"`{other.name}`"


def _with_partials(survey: Survey, entry: Entry, owner: Artifact) -> LocalCopy | None:
    """Return the existing files of a bundle with finished partials for the rest, as one source."""
    inside = f"{owner.name}/"
    found: dict[str, str] = {
        a.name: a.file
        for a in entry.artifacts
        if a.name.startswith(inside) and a.state is State.PRESENT
    }
    proofs = []
    listing = locators.listed(ModelFolders, survey.root_of(entry))
    if listing is not None:
        for partial in listing.partials.get(entry.id, ()):
            mine = partial.name == owner.name or partial.name.startswith(inside)
            if mine and partial.digest and partial.bytes:
                found[partial.name] = partial.path
                proofs.append(Proof(partial.name[len(inside) :], None, partial.digest))
    files = tuple((name[len(inside) :], path) for name, path in sorted(found.items()))
    return LocalCopy(files, "a finished partial", tuple(proofs)) if proofs else None


def _commit_of(survey: Survey, entry: Entry) -> str:
    """Return the commit that all notes of an entry name, or `main` if they name none or several."""
    return locators.commit_of(entry, survey.root_of(entry)) or "main"


def _is_whole(path: str) -> bool:
    try:
        formats.find_bundle("coreml").inspect(path)
    except (FormatError, OSError):
        return False
    return True


def _tokenizer_names(claim: Claim) -> set[str]:
    return {name for need in claim.needs.requirements if need.tokenizer for name in need.names}
