"""Build a whole model in the hub cache from local files that have other names."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor.findings import Link, LocalCopy, Need, Proof, Put, Text
from cachedoctor.repairs._build import built, folders
from cachedoctor.system import digest as measure
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Repair, Step
    from cachedoctor.vocabulary import Artifact, Claim, Digest, Survey

_SHORT_BYTES = 16 << 20  # longest file that is read to learn its other digest
_GIT = "git-sha1"


def from_copies(claim: Claim, path: str, root: str, survey: Survey) -> Repair | None:
    """Return the repair that assembles a model from copies, or `None` if a file is not here.

    The same files are published under several names: `guillaumekln/…` is `Systran/…`. The table
    must list every file that the model needs. `path` is the repository's folder in the hub cache
    at `root`.
    """
    published, commit = claim.published, claim.revision
    required = [need.names for need in claim.needs.requirements if not need.optional]
    wanted = {
        name: published[name]
        for names in required
        if (name := next((each for each in names if each in published), ""))
    }
    if not commit or len(wanted) < len(required):
        return None
    snapshot = os.path.join(path, "snapshots", commit)
    needs: list[Need] = []
    steps: list[Step] = [*folders(os.path.join(path, "blobs")), *folders(snapshot)]
    for name, (size, digest) in wanted.items():
        found = next(_holding(claim, name, size, digest, survey), None)
        if found is None:
            return None
        copy, etag = found
        blob, link = os.path.join(path, "blobs", etag), os.path.join(snapshot, name)
        proof = Proof("", size, digest)
        needs.append(Need(name, (LocalCopy((("", copy.file),), _where(copy)),), (proof,)))
        target = os.path.relpath(blob, os.path.dirname(link))
        steps += [Put(name, blob), *folders(os.path.dirname(link)), Link(link, target)]
    ref = os.path.join(path, "refs", "main")
    if os.path.lexists(ref):
        return None
    needs.append(Need("ref", (Text(commit),), (Proof("", len(commit), None),)))
    steps += [*folders(os.path.dirname(ref)), Put("ref", ref)]
    words = f"put {claim.model} together from copies on this machine"
    return built("copy-model", words, root, tuple(needs), tuple(dict.fromkeys(steps)))


def _holding(
    claim: Claim, name: str, size: int, digest: Digest, survey: Survey
) -> Iterator[tuple[Artifact, str]]:
    """Yield files that may hold this content, each with the name its blob must have."""
    for artifact in survey.holding(digest.hex):
        if artifact.state is State.PRESENT and artifact.size_bytes == size:
            yield artifact, digest.hex
    last = claim.repository.rpartition("/")[2]
    for entry in survey.entries:
        if entry.name.rpartition("/")[2] != last or size > _SHORT_BYTES:
            continue
        for artifact in entry.artifacts:
            same = artifact.name == name and artifact.size_bytes == size
            if same and artifact.state is State.PRESENT:
                with contextlib.suppress(OSError):
                    wanted = frozenset((digest.algorithm, _GIT))
                    held = measure.of_file(artifact.file, wanted, SILENT)
                    if held[digest.algorithm] == digest.hex:
                        yield artifact, held[_GIT]


def _where(artifact: Artifact) -> str:
    _, found, rest = artifact.file.partition("/models--")
    return rest.partition("/")[0].replace("--", "/", 1) if found else f"`{artifact.file}`"
