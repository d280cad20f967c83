"""Rules about what is there: 1xx."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cachedoctor.errors import Fault
from cachedoctor.locators import FolderListing, held
from cachedoctor.locators.hub_cache import HubListing, holder, repository_folder
from cachedoctor.rules import EntryRule, RootRule
from cachedoctor.vocabulary import Finding, Severity, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Claim, Entry, FileSet, Repair, Root

_GONE = (State.MISSING, State.OTHER)


class MissingFile(EntryRule):
    """A file or bundle that the engine opens is not there.

    An interrupted download leaves the folder, the small files and the name of the branch, so the
    model looks cached; offline the engine fails, online it downloads again. A file that the
    repository has and no engine reads (a README, other weights) is not missed.

    `fix` takes it from a finished partial or an identical file of another repository, and fetches
    that one file only when there is none. Not needed any more? Leave it: nothing else breaks.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py`; faster-whisper 1.2.1 `utils.py`.
    """

    code = "CD101"
    slug = "missing-file"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each required file that is not there, unless another rule says it better."""
        if entry.locator == "hub-cache" and nothing_in(entry):
            return
        for artifact in missing(entry):
            if not _is_tokenizer(entry, artifact) and not outdated(entry, artifact):
                there = f"{artifact.detail} is in its place" if artifact.detail else "is not there"
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` {there}",
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file from the nearest source."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class HollowBundle(EntryRule):
    """A Core ML bundle lacks what it is made of: `coremldata.bin`, `model.mil` or its weights.

    A compiled model is a folder, so an interrupted download or a copy that kept the hub cache's
    links leaves a folder of a few KiB that passes for the model. FluidAudio answers such a bundle
    by deleting the whole repository and downloading it all again.

    `fix` completes the bundle from a copy in the hub cache, links followed and digests proven, or
    fetches this one bundle. The hollow one is set aside, not deleted.
    Source: FluidInference/FluidAudio `ModelCache.swift`, `ModelHub.swift` v0.15.6; the bundles'
    listings on the hub.
    """

    code = "CD102"
    slug = Fault.HOLLOW.value

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each bundle whose inspection calls it hollow."""
        for artifact, fault in seen.faults(entry):
            if fault.fault is Fault.HOLLOW:
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` {fault.message}",
                    measured=artifact.size_bytes,
                    unit="bytes",
                    bytes=artifact.size_bytes,
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Replace the bundle as a whole."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class DanglingLink(EntryRule):
    """A snapshot's link leads to a blob that is not there.

    Somebody deleted the blob, copied one repository out of a cache without its store, or copied a
    snapshot with its links. The model is listed as cached and the engine cannot open it; the hub
    client's own verification passes over such a file in silence.

    `fix` brings the blob back from a finished partial, an identical blob of another repository, or
    by fetching that one file; the link then works again.
    Source: huggingface_hub 2.4.0 `utils/_verification.py`, `file_download.py`.
    """

    code = "CD103"
    slug = "dangling-link"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each link that leads nowhere; what no engine reads is only worth a warning."""
        for artifact in entry.artifacts:
            if artifact.state is State.DANGLING and not _in_bundle(entry, artifact):
                needed = artifact.required_by or not entry.claims
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` is a link to {_target(artifact)}, which is not there",
                    severity=Severity.ERROR if needed else Severity.WARNING,
                    links=(artifact.path,),
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the blob."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class MissingTokenizer(EntryRule):
    """The tokenizer is missing, and the engine goes to the network for one without a word.

    faster-whisper falls back to `openai/whisper-tiny`'s: offline it fails, and for the models with
    128 mel bins it decodes with the wrong table.

    `fix` restores that one file.
    Source: faster-whisper 1.2.1 `transcribe.py` `WhisperModel.__init__`; SYSTRAN/faster-whisper
    issues 34, 116, 405, 870.
    """

    code = "CD104"
    slug = "missing-tokenizer"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report a required file that the catalogue marks as the tokenizer."""
        if nothing_in(entry):
            return
        for artifact in missing(entry):
            if _is_tokenizer(entry, artifact):
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` is not there; the engine would ask the network for one",
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file from the nearest source."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class EmptySnapshot(EntryRule):
    """The repository of a known model has no snapshot, or an empty one.

    A download that was stopped before its first file, or a cleaning tool that removed files and
    left the folders. The engine finds the repository and nothing in it.

    `fix` fetches the model's files at a commit that it resolves first.
    Source: huggingface_hub 2.4.0 `file_download.py`, which makes the folders before it downloads.
    """

    code = "CD105"
    slug = "empty-snapshot"

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report an entry of a known engine that holds no file at all."""
        if not (entry.claims and entry.locator == "hub-cache" and nothing_in(entry)):
            return
        if entry.revision or _holds_any(os.path.join(entry.path, "blobs")):
            what = "the snapshot is empty" if entry.revision else "the repository has no snapshot"
            yield self.about(entry.path, (entry,), what, measured=0, unit="files")

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Fetch the model."""
        from cachedoctor import repairs

        return repairs.fetch_entry(finding, seen.survey)


class OutdatedFileSet(EntryRule):
    """The folder is whole for older versions of the engine, and the newest needs more.

    FluidAudio changed its required bundles several times under one repository name: a v3 folder of
    0.14.0 and before lacks `JointDecisionv3.mlmodelc`, which 0.14.1 and later load instead of
    `JointDecision.mlmodelc`. An app with the older framework is right to leave it so: say which
    with `--engine-version fluidaudio=0.13.7`.

    `fix` adds what is missing and removes nothing, so the older version keeps working.
    Source: FluidInference/FluidAudio `ModelNames.swift` v0.14.0 and v0.14.1 (pull request 515).
    """

    code = "CD106"
    slug = "outdated-file-set"
    severity = Severity.WARNING

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report what the newest version needs beyond a file set that is whole."""
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

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Add what is missing."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class Unreadable(RootRule):
    """A file or folder cannot be read: no permission, or the disk reports an error.

    This says nothing about the content, so nothing is removed or fetched for it (unreadable is not
    corrupt). The engine, run as the same user, fails on it too. Downloads that keep the mode of a
    temporary file (0600) and caches shared between users are the usual reasons.

    Give yourself the permission that the message names, or look at the disk's health.
    Source: POSIX `open`; argmaxinc/WhisperKit and huggingface_hub keep temporary files' modes.
    """

    code = "CD108"
    slug = "unreadable"

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report what could not be listed or opened."""
        if root.error:
            message = f"the place cannot be read: {root.error}"
            yield self.about(root.path, (), message, locator=root.locator)
        for entry in root.entries:
            seen.faults(entry)
            for artifact in entry.artifacts:
                why = artifact.detail if artifact.state is State.UNREADABLE else ""
                error = seen.unreadable.get(artifact.file)
                if why or error:
                    said = why or (error.strerror if error else "")
                    folder = os.path.isdir(artifact.file)
                    what = f"`{artifact.name}`" if artifact.name else "the folder"
                    message = f"{what} cannot be read: {said}"
                    yield self.of(artifact, entry, message, unit="folder" if folder else None)
        if isinstance(root.listing, HubListing):
            revisions = by_repository(root)
            for repository in root.listing.repositories.values():
                for path, why in repository.unreadable:
                    mine = revisions.get(repository.path, ())
                    message = f"the folder cannot be read: {why}"
                    yield self.about(path, mine, message, unit="folder")

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Name the command; the permission is the user's to give."""
        from cachedoctor import repairs

        return repairs.manual("allow-reading", "chmod", "u+rX", finding.path)


class InProgress(RootRule):
    """Somebody is downloading into this place right now.

    The client holds its lock, or has the file open. Nothing is reported as missing or left over
    while it does, and `fix` keeps away.

    Wait for it, then look again.
    Source: huggingface_hub 2.4.0 `file_download.py` `WeakFileLock`; openai-whisper `_download`,
    which writes the final name in place.
    """

    code = "CD109"
    slug = "in-progress"
    severity = Severity.NOTE

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Ask for a holder only where something is amiss: that opens files."""
        if isinstance(root.listing, HubListing):
            revisions = by_repository(root)
            for repository in root.listing.repositories.values():
                mine = revisions.get(repository.path, ())
                amiss = any(missing(entry) or nothing_in(entry) for entry in mine)
                broken = any(ref.text not in repository.commits for ref in repository.refs)
                if amiss or broken or repository.partials:
                    path = holder(repository)
                    if path:
                        yield self.about(path, mine, "a download is running: its lock is held")
        elif isinstance(root.listing, FolderListing):
            by_id = {entry.id: entry for entry in root.entries}
            for key, partials in root.listing.partials.items():
                for partial in partials:
                    if held(partial.path, partial.stamp, time.time()):
                        message = "a download is running: its partial is being written"
                        yield self.about(partial.path, (by_id[key],), message)
        else:
            yield from self._in_place(root)

    def _in_place(self, root: Root) -> Iterator[Finding]:
        for entry in root.entries:
            for artifact in entry.artifacts:
                stamp, expected = artifact.stamp, artifact.expected_bytes
                if stamp is None or expected is None or artifact.size_bytes == expected:
                    continue
                if held(artifact.file, stamp, time.time()):
                    yield self.of(artifact, entry, f"`{artifact.name}` is being written")


def missing(entry: Entry) -> tuple[Artifact, ...]:
    """Return what an engine needs of `entry` and does not find."""
    return tuple(a for a in entry.artifacts if a.required_by and a.state in _GONE)


def nothing_in(entry: Entry) -> bool:
    """Say whether no file of `entry` is there, not even as a link."""
    return all(artifact.state is State.MISSING for artifact in entry.artifacts)


def outdated(entry: Entry, artifact: Artifact) -> FileSet | None:
    """Return the newest other file set that is whole in `entry`, if `artifact` is beyond it."""
    there = {a.name for a in entry.artifacts if a.state is State.PRESENT}
    for claim in entry.claims:
        for files in claim.others:
            if artifact.name not in _names(files) and all(
                there.intersection(need.names) for need in files.requirements
            ):
                return files
    return None


def span(files: FileSet) -> str:
    """Return the versions of a file set in words."""
    if files.since and files.until:
        return f"{files.since} to {files.until}"
    if files.until:
        return f"up to {files.until}"
    return f"{files.since} and later" if files.since else "every version"


def by_repository(root: Root) -> dict[str, tuple[Entry, ...]]:
    """Return the revisions of each hub repository by its folder."""
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in root.entries:
        folder = repository_folder(entry)
        found[folder] = (*found.get(folder, ()), entry)
    return found


def _holds_any(folder: str) -> bool:
    """Say whether a folder holds anything; the client makes one before it downloads."""
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except OSError:
        return False


def _target(artifact: Artifact) -> str:
    blob = f"the blob {artifact.digest.hex[:12]}" if artifact.digest else ""
    return blob or f"`{artifact.detail or artifact.file}`"


def _names(files: FileSet) -> set[str]:
    return {name for need in files.requirements for name in need.names}


def _is_tokenizer(entry: Entry, artifact: Artifact) -> bool:
    def says(claim: Claim) -> bool:
        return any(n.tokenizer and artifact.name in n.names for n in claim.needs.requirements)

    return any(says(claim) for claim in entry.claims)


def _in_bundle(entry: Entry, artifact: Artifact) -> bool:
    """Say whether a bundle's own verdict speaks for this file."""
    return any(
        a.bundle and a.format and artifact.name.startswith(a.name + "/") for a in entry.artifacts
    )
