"""Rules about files that must be there: 1xx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault
from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import of
from cachedoctor.locators.hub_cache import HubCache
from cachedoctor.rules import EntryRule, Restores, weighing
from cachedoctor.rules._entries import (
    any_begun,
    holds_any,
    in_bundle,
    in_store,
    is_folder,
    is_tokenizer,
    missing,
    nothing_in,
    other_layout,
    outdated,
    span,
)
from cachedoctor.vocabulary import WEIGHTS, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Entry


class MissingFile(Restores, EntryRule):
    """A file or bundle that the engine opens is missing.

    An interrupted download leaves the folder, the small files and the name of the branch, so the
    model looks cached; offline the engine fails, online it downloads again. A file that the
    repository has but no engine reads (a README, other weights) is reported only if the client has
    kept the repository's listing: since huggingface_hub 1.22, the client refuses offline a revision
    that lacks any file the engine asked for, and mlx-whisper asks for everything. If only an empty
    folder or the client's notes are left of a model, it was deleted, and nothing is reported.

    `fix` takes the file from a finished partial download or an identical file of another
    repository, and fetches that one file only if there is none. If you no longer need the model,
    leave it: nothing else breaks.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py`; faster-whisper 1.2.1 `utils.py`.
    """

    code = "CD101"
    slug = "missing-file"
    absent = True
    of_presence = True
    status = Status.INCOMPLETE
    rank = 70
    silent_under = (
        Circumstance.DOWNLOADING,
        Circumstance.CLOSED,
        Circumstance.GONE,
        Circumstance.SUPERSEDED,
    )

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each required file that is missing, unless another rule covers it."""
        if of(entry).has_revisions and nothing_in(entry):
            return
        if is_folder(entry) and entry.nothing_here and not entry.promises:
            if any_begun(entry, seen):
                yield self.about(entry.path, (entry,), "only part of a download has arrived")
            return  # deleted by its user or its app
        foreign = other_layout(entry)
        for artifact in missing(entry):
            if foreign and artifact.name.endswith(WEIGHTS):
                continue
            if not is_tokenizer(entry, artifact) and not outdated(entry, artifact):
                there = f"{artifact.detail} is in its place" if artifact.detail else "is missing"
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` {there}",
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file, or fetch the whole model if none of it is here."""
        from cachedoctor.repairs import hub

        return super().cure(finding, seen) or hub.fetch_entry(finding)


class HollowBundle(Restores, EntryRule):
    """A Core ML bundle lacks an essential part: `coremldata.bin`, `model.mil` or its weights.

    A compiled model is a folder, so an interrupted download, or a copy that kept the hub cache's
    links, leaves a folder of a few KiB that passes for the model. FluidAudio reacts to such a
    bundle by deleting the whole repository and downloading it all again.

    `fix` completes the bundle from a copy in the hub cache, following links and proving digests, or
    fetches this one bundle. The hollow one is set aside, not deleted.
    Source: FluidInference/FluidAudio `ModelCache.swift`, `ModelHub.swift` v0.15.6; the bundles'
    listings on the hub.
    """

    code = "CD102"
    slug = Fault.HOLLOW.value
    tells_size = True
    of_presence = True
    status = Status.INCOMPLETE
    rank = 80
    silent_under = (Circumstance.DOWNLOADING, Circumstance.SUPERSEDED)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each bundle that its inspection found hollow."""
        for artifact, fault in seen.faults(entry):
            if fault.fault is Fault.HOLLOW:
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` {fault.message}",
                    **weighing(artifact.size_bytes),
                )


class DanglingLink(Restores, EntryRule):
    """A snapshot links to a blob that is missing.

    Somebody deleted the blob, copied one repository out of a cache without its store, or copied a
    snapshot with its links. The model is listed as cached, but the engine cannot open it; the hub
    client's own verification silently skips such a file.

    `fix` restores the blob from a finished partial download, from an identical blob of another
    repository, or by fetching that one file; then the link works again.
    Source: huggingface_hub 2.4.0 `utils/_verification.py`, `file_download.py`.
    """

    code = "CD103"
    slug = "dangling-link"
    of_presence = True
    status = Status.INCOMPLETE
    rank = 50
    silent_under = (Circumstance.DOWNLOADING, Circumstance.SUPERSEDED)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each broken link; one that no engine reads is only a warning."""
        for artifact in entry.notable:
            if artifact.state is not State.DANGLING or in_bundle(entry, artifact):
                continue
            if not in_store(artifact):  # another rule reports those
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` is a link to {_target(artifact)}, which does not exist",
                    links=(artifact.path,),
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )


class MissingTokenizer(Restores, EntryRule):
    """The tokenizer is missing, and the engine fetches one from the network without saying so.

    faster-whisper falls back to the tokenizer of `openai/whisper-tiny`, or `-tiny.en` for English
    models. Offline that fails unless it is in the cache, too, and models with 128 mel bins are
    decoded with the wrong table.

    `fix` restores that one file.
    Source: faster-whisper 1.2.1 `transcribe.py` `WhisperModel.__init__`; SYSTRAN/faster-whisper
    issues 34, 116, 405, 870.
    """

    code = "CD104"
    slug = "missing-tokenizer"
    of_presence = True
    status = Status.INCOMPLETE
    rank = 90
    silent_under = (
        Circumstance.DOWNLOADING,
        Circumstance.CLOSED,
        Circumstance.GONE,
        Circumstance.SUPERSEDED,
    )

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report a required file that the catalogue marks as the tokenizer."""
        if nothing_in(entry) or (is_folder(entry) and entry.nothing_here):
            return
        for artifact in missing(entry):
            if is_tokenizer(entry, artifact):
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` is missing; the engine would fetch one from the network",
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )


class EmptySnapshot(EntryRule):
    """The repository of a known model has no snapshot, or an empty one.

    A download stopped before its first file, a cleaning tool removed the files and left the
    folders, or a copy dropped every link (`rsync` without `-l`). The engine finds the repository,
    but nothing in it.

    `fix` links the files to the blobs in the repository, if its manifest, a lock file or a
    published table says which is which; otherwise it resolves a commit and fetches the model's
    files at that commit.
    Source: huggingface_hub 2.4.0 `file_download.py`, which makes the folders before it downloads;
    mlverse/hfhub issue 9.
    """

    applies_to = HubCache
    code = "CD105"
    slug = "empty-snapshot"
    of_presence = True
    status = Status.INCOMPLETE
    rank = 100
    silent_under = (
        Circumstance.DOWNLOADING,
        Circumstance.CLOSED,
        Circumstance.GONE,
        Circumstance.BROKEN_REF,
        Circumstance.SUPERSEDED,
    )

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report an entry of a known engine that holds no file at all."""
        if not (entry.claims and nothing_in(entry)):
            return
        if entry.revision or holds_any(os.path.join(entry.path, "blobs")):
            what = "the snapshot is empty" if entry.revision else "the repository has no snapshot"
            yield self.about(entry.path, (entry,), what, measured=0, unit="files")

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Link the files to their blobs again, or fetch the model if some blobs are missing."""
        from cachedoctor.repairs import hub, links

        relinked = links.relink_entry(finding, seen.survey)
        return relinked or hub.fetch_entry(finding)


class OutdatedFileSet(Restores, EntryRule):
    """The folder is whole for older versions of the engine, but the newest needs more.

    FluidAudio changed its required bundles several times under one repository name: a v3 folder of
    0.14.0 or before lacks `JointDecisionv3.mlmodelc`, which 0.14.1 and later load instead of
    `JointDecision.mlmodelc`. For an app with the older framework the folder is right as it is: name
    that version with `--engine-version fluidaudio=0.13.7`.

    `fix` adds what is missing and removes nothing, so the older version keeps working.
    Source: FluidInference/FluidAudio `ModelNames.swift` v0.14.0 and v0.14.1 (pull request 515).
    """

    code = "CD106"
    slug = "outdated-file-set"
    of_presence = True
    severity = Severity.WARNING
    status = mild_status = Status.INCOMPLETE
    rank = 110
    silent_under = (
        Circumstance.DOWNLOADING,
        Circumstance.CLOSED,
        Circumstance.GONE,
        Circumstance.SUPERSEDED,
    )

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report what the newest version needs beyond an older file set that is whole."""
        for artifact in missing(entry):
            older = outdated(entry, artifact)
            if older:
                newer = span(entry.claims[0].needs)
                yield self.of(
                    artifact,
                    entry,
                    f"whole for {entry.claims[0].engine} {span(older)}; {newer} also needs "
                    f"`{artifact.name}`",
                )


def _target(artifact: Artifact) -> str:
    blob = f"the blob {artifact.digest.hex[:12]}" if artifact.digest else ""
    return blob or f"`{artifact.detail or artifact.file}`"
