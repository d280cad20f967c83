"""Questions about an entry that several rules ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.locators import ModelFolders, is_litter, listed
from cachedoctor.looking import quietly
from cachedoctor.vocabulary import WEIGHTS, State

if TYPE_CHECKING:
    from cachedoctor.locators import Leftover
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Claim, Entry, FileSet

_LAYOUTS = (
    ("model.bin", "CTranslate2's `model.bin`"),
    ("weights.npz", "mlx-whisper's `weights.npz`"),
    ("weights.safetensors", "mlx-whisper's `weights.safetensors`"),
    ("model.safetensors", "the `model.safetensors` of transformers and mlx-audio"),
    ("pytorch_model.bin", "the `pytorch_model.bin` of transformers"),
)
_GONE = (State.MISSING, State.OTHER)


def missing(entry: Entry) -> tuple[Artifact, ...]:
    """Return the artifacts of `entry` that an engine needs and does not find."""
    return tuple(a for a in entry.notable if a.required_by and a.state in _GONE)


def nothing_in(entry: Entry) -> bool:
    """Return whether no file of `entry` exists, not even as a link."""
    notable = entry.notable
    none_else = len(notable) == len(entry.artifacts)
    return none_else and all(artifact.state is State.MISSING for artifact in notable)


def is_folder(entry: Entry) -> bool:
    """Return whether an entry is a folder of its own, not a single file or a revision."""
    return entry.revision is None and not any(a.path == entry.path for a in entry.notable)


def any_begun(entry: Entry, seen: Examination) -> bool:
    """Return whether an entry has a partial download, in its folder or in the client's."""
    folders = listed(ModelFolders, seen.survey.root_of(entry))
    return folders is not None and bool(folders.partials.get(entry.id))


def outdated(entry: Entry, artifact: Artifact) -> FileSet | None:
    """Return the newest other file set that `entry` satisfies without `artifact`, if any."""
    beyond = [
        files
        for claim in entry.claims
        for files in claim.others
        if artifact.name not in _names(files)
    ]
    there = entry.present if beyond else set()
    for files in beyond:
        if all(there.intersection(need.names) for need in files.requirements):
            return files
    return None


def span(files: FileSet) -> str:
    """Return the versions of a file set in words."""
    if files.since and files.until:
        return f"{files.since} to {files.until}"
    if files.until:
        return f"up to {files.until}"
    return f"{files.since} and later" if files.since else "every version"


def other_layout(entry: Entry) -> str:
    """Return whose weights `entry` has in place of an engine's missing ones, or nothing."""
    weights = [a for a in missing(entry) if a.name.endswith(WEIGHTS)]
    if not weights:
        return ""
    there = {name.rpartition("/")[2] for name in entry.present}
    mine = {
        name for claim in entry.claims for need in claim.needs.requirements for name in need.names
    }
    return next((whose for name, whose in _LAYOUTS if name in there and name not in mine), "")


def stuck(partial: Leftover, entry: Entry, seen: Examination) -> bool:
    """Return whether a partial is as long as the file it should become, which is missing."""
    if partial.digest is None or not partial.bytes:
        return False
    if any(a.name == partial.name and a.state is State.PRESENT for a in entry.artifacts):
        return False
    sizes = [
        artifact.expected_bytes or artifact.size_bytes
        for artifact in seen.survey.holding(partial.digest.hex)
        if artifact.expected_bytes or artifact.state is State.PRESENT
    ]
    return bool(sizes) and partial.bytes >= min(sizes)


def in_store(artifact: Artifact) -> bool:
    """Return whether a hub file's content belongs in the store that repositories share."""
    folder, name = os.path.split(artifact.file)
    shard, above = os.path.basename(folder), os.path.basename(os.path.dirname(folder))
    return above == "blobs" and len(shard) == 2 and name.startswith(shard)


def holds_any(folder: str) -> bool:
    """Return whether a folder holds anything; the client creates it before it downloads."""
    try:
        return not all(map(is_litter, quietly.names(folder)))
    except OSError:
        return False


def _names(files: FileSet) -> set[str]:
    return {name for need in files.requirements for name in need.names}


def is_tokenizer(entry: Entry, artifact: Artifact) -> bool:
    """Return whether an engine that claims `entry` uses the artifact as its tokenizer."""

    def says(claim: Claim) -> bool:
        return any(n.tokenizer and artifact.name in n.names for n in claim.needs.requirements)

    return any(says(claim) for claim in entry.claims)


def in_bundle(entry: Entry, artifact: Artifact) -> bool:
    """Return whether a file is in a bundle, which is judged as a whole."""
    return any(
        a.bundle and a.format and artifact.name.startswith(a.name + "/") for a in entry.notable
    )
