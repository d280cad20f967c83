"""Rules about the notes that clients keep beside downloaded files: 412, 413, 419."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import of
from cachedoctor.rules import SetsAside, weighing
from cachedoctor.rules._entries import stuck
from cachedoctor.rules._kinds import FolderRule
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.locators import FolderListing, Layout
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root

_GRAIN_S = 1  # the client's own tolerance
_BY_FILE = "1.1.0"  # since then the client needs notes only for the requested files


class MetadataMismatch(SetsAside, FolderRule):
    """The client's note about a file does not match the file.

    The note is not the three lines that it should be, or the file was changed after it was written.
    The Python client then downloads the file again; the Swift client believes the note.

    `fix` sets the note aside, so that the client looks at the file itself.
    Source: huggingface_hub 2.4.0 `_local_folder.py` `read_download_metadata`;
    argmaxinc/argmax-oss-swift 1.0.0 `HubApi.swift`.
    """

    code = "CD412"
    slug = "metadata-mismatch"
    severity = Severity.WARNING

    def within(self, listing: FolderListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Check each note's form, and compare its time with the file's."""
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
    every later start does the same. This happens if an app is closed between the last byte and the
    rename, or if a server sends the whole file and the client appends it.

    `fix` sets it aside; if its content is right, it becomes the source of the file.
    Source: argmaxinc/argmax-oss-swift 1.0.0 `External/Hub/Downloader.swift`.
    """

    code = "CD413"
    prune_order = 10
    slug = "stuck-partial"
    status = mild_status = Status.INCOMPLETE
    rank = 270
    silent_under = (Circumstance.DOWNLOADING,)

    def applies(self, layout: Layout) -> bool:
        """Return whether the client resumes a partial, and fails if there is no rest."""
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
                        f"the download of `{partial.name}` is complete but was not put in place",
                        **weighing(partial.bytes),
                    )


class MetadataMissing(FolderRule):
    """A file has no download metadata, although its neighbours do.

    Offline, WhisperKit's hub client requires metadata for files that are not hidden. Up to 1.0.0
    that is every file in the repository's folder, so one file without metadata makes it refuse all
    variants; since 1.1.0 it is only the requested files, so it refuses just this variant. With
    `modelFolder` set it needs none.

    Download the variant again while online, or pass the model's folder to the app.
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
        """Report each model that was downloaded with metadata and lost some, in one finding."""
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
        """Return whether the assumed version refuses the whole repository."""
        from cachedoctor.engines import catalog

        assumed = next((c.version for entry in root.entries for c in entry.claims), "")
        return bool(assumed) and catalog.ordinal(assumed) < catalog.ordinal(_BY_FILE)

    def _of(self, entry: Entry, path: str, what: str, *, old: bool) -> Finding:
        refused = "the whole repository" if old else "this model"
        message = f"no download metadata for {what}: offline, {refused} cannot be loaded by name"
        return self.about(entry.path, (entry,), message, links=(path,))
