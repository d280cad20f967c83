"""Repairs of a model that is one file, from the hub or from OpenAI."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.findings import CdnFetch, HubFetch, Need, Proof, Put
from cachedoctor.repairs._build import (
    built,
    copies,
    folders,
    out_of_the_way,
    owned,
    sentence,
)
from cachedoctor.repairs._nearby import nearby
from cachedoctor.vocabulary import Artifact, State

if TYPE_CHECKING:
    from cachedoctor.findings import Finding, Repair, Source
    from cachedoctor.vocabulary import Claim, Entry, Survey


def restore_file(
    finding: Finding, survey: Survey, entry: Entry, artifact: Artifact, *, begun: bool
) -> Repair | None:
    """Return the repair that restores a model that is one file."""
    size, digest = artifact.expected_bytes, artifact.digest
    if not entry.claims or (digest is None and size is None):
        return None
    claim = entry.claims[0]
    known = survey.holding(digest.hex) if digest else ()
    sources = [*copies(known, artifact.file, size), *nearby(artifact, survey, size, digest)]
    begun = begun and artifact.size_bytes < (size or 0)
    resume = artifact.file if begun and not claim.repository else ""
    sources.append(_download(claim, artifact.name, size or 0, resume))
    sources = owned(sources, entry.root, survey)
    need = Need("file", tuple(sources), (Proof("", size, artifact.digest, artifact.format),))
    made = built(
        "restore-file",
        sentence(sources[0], artifact.name),
        entry.root,
        (need,),
        (*out_of_the_way(artifact.path), Put("file", artifact.path)),
        finding.bytes,
    )
    if resume and made.fetch_bytes:
        made = made._replace(fetch_bytes=made.fetch_bytes - artifact.size_bytes)
    return made


def whole_file(claim: Claim, path: str, root: str, survey: Survey) -> Repair:
    """Return a copy or fetch of a model that is one file."""
    requirement = claim.needs.requirements[0]
    name, digest = requirement.names[0], requirement.digest
    known = survey.holding(digest.hex) if digest else ()
    missing = Artifact(name=name, path=path, file=path, state=State.MISSING)
    near = nearby(missing, survey, requirement.bytes, digest)
    sources = [*copies(known, path), *near, _download(claim, name, requirement.bytes or 0)]
    proof = Proof("", requirement.bytes, requirement.digest, requirement.formats[0])
    need = Need("file", tuple(sources), (proof,))
    steps = (*folders(os.path.dirname(path)), Put("file", path))
    words = sentence(sources[0], os.path.basename(path))
    return built("fetch-model", words, root, (need,), steps)


def _download(claim: Claim, name: str, size: int, resume: str = "") -> Source:
    """Return the source of a model's one file: a hub repository, or OpenAI's address."""
    if claim.repository:
        return HubFetch(claim.repository, "main", claim.prefix + name, size)
    return CdnFetch(claim.url, size, resume)
