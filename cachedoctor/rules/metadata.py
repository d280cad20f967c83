"""Rules about what clients write down beside the files they download: 412, 413, 419."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import of
from cachedoctor.rules import SetsAside
from cachedoctor.rules._kinds import FolderRule
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.locators import FolderListing, Layout, Leftover
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root

_GRAIN_S = 1  # the client's own tolerance
_BY_FILE = "1.1.0"  # since then the client asks for the notes of what it was asked for alone


def stuck(partial: Leftover, entry: Entry, seen: Examination) -> bool:
    """Say whether a partial is as long as the file that it was to become, which is not there."""
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


class MetadataMismatch(SetsAside, FolderRule):
    """What the client wrote down about a file is not about this file.

    It is not the three lines that it should be, or the file was changed after it was written: the
    Python client then downloads the file again, the Swift one believes it.

    `fix` sets the note aside, so that the client looks at the file itself.
    Source: huggingface_hub 2.4.0 `_local_folder.py` `read_download_metadata`;
    argmaxinc/argmax-oss-swift 1.0.0 `HubApi.swift`.
    """

    code = "CD412"
    slug = "metadata-mismatch"
    severity = Severity.WARNING

    def within(self, listing: FolderListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Compare each note with its own form and with its file's time."""
        for entry in root.entries:
            notes = listing.metadata.get(entry.id, {})
            files = {artifact.name: artifact for artifact in entry.artifacts} if notes else {}
            for name, note in notes.items():
                artifact = files.get(name)
                why = note.error
                if not why and artifact and artifact.stamp and of(root).compares_times:
                    changed_s = artifact.stamp.mtime_ns / 1e9
                    if changed_s - _GRAIN_S > note.time_s and not seen.proven(artifact):
                        why = "the file was changed after it was downloaded"
                if why:
                    yield self.about(note.path, (entry,), f"`{name}`: {why}")


class StuckPartial(SetsAside, FolderRule):
    """A partial download is as long as the whole file, so the client can never finish it.

    WhisperKit asks the server for the rest, there is none, and the answer 416 ends the download;
    each later start does the same. It happens when an app was closed between the last byte and the
    rename, or when a server answered with the whole file and the client appended it.

    `fix` sets it aside; where its content is right, it serves as the source of the file.
    Source: argmaxinc/argmax-oss-swift 1.0.0 `External/Hub/Downloader.swift`.
    """

    code = "CD413"
    prune_order = 10
    slug = "stuck-partial"
    status = mild_status = Status.INCOMPLETE
    rank = 270
    silent_under = (Circumstance.DOWNLOADING,)

    def applies(self, layout: Layout) -> bool:
        """Return whether the client asks for the rest of a partial, and gives up without one."""
        return layout.gets_stuck

    def within(self, listing: FolderListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Compare the length of each partial of the Swift client with the file's."""
        by_id = {entry.id: entry for entry in root.entries}
        for key, partials in listing.partials.items():
            for partial in partials:
                if stuck(partial, by_id[key], seen):
                    yield self.about(
                        partial.path,
                        (by_id[key],),
                        f"the download of `{partial.name}` is complete and was not put in place",
                        measured=partial.bytes,
                        unit="bytes",
                        bytes=partial.bytes,
                    )


class MetadataMissing(FolderRule):
    """A file has no download metadata where its neighbours have.

    Offline, WhisperKit's hub client demands the metadata of files that are not hidden: up to 1.0.0
    of every one in the repository's folder, so that it refuses all variants for one file that has
    none; since 1.1.0 of those that were asked for, so that it refuses this variant. With
    `modelFolder` set it does not ask.

    Download the variant again while online, or give the app the model's folder itself.
    Source: argmaxinc/argmax-oss-swift 1.0.0 `HubApi.swift` `verifyOfflineFiles`, 1.1.0 (pull
    request 495); huggingface/swift-transformers issue 294.
    """

    code = "CD419"
    slug = "metadata-missing"
    severity = Severity.WARNING

    def applies(self, layout: Layout) -> bool:
        """Return whether the client refuses files without a note."""
        return layout.demands_notes

    def within(self, listing: FolderListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report one finding for each model that was downloaded with metadata and lost some."""
        old = self._is_old(root)
        for entry in root.entries:
            notes = listing.metadata.get(entry.id, {})
            bare = [
                artifact
                for artifact in entry.artifacts
                if artifact.state is State.PRESENT
                and not artifact.bundle
                and artifact.name not in notes
                and artifact.path.startswith(entry.path + "/")
                and not artifact.name.startswith("models/")  # a tokenizer of 0.13.1
                and not any(part.startswith(".") for part in artifact.name.split("/"))
            ]
            if notes and bare and (old or entry.claims):
                more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
                yield self._of(entry, bare[0].path, f"`{bare[0].name}`{more}", old=old)

    def _is_old(self, root: Root) -> bool:
        """Say whether the assumed version refuses the whole repository."""
        from cachedoctor.engines import catalog

        assumed = next((c.version for entry in root.entries for c in entry.claims), "")
        return bool(assumed) and catalog.ordinal(assumed) < catalog.ordinal(_BY_FILE)

    def _of(self, entry: Entry, path: str, what: str, *, old: bool) -> Finding:
        refused = "the whole repository" if old else "this model"
        message = f"no download metadata for {what}: offline, {refused} is refused by its name"
        return self.about(entry.path, (entry,), message, links=(path,))
