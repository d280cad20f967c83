"""Rules about files that cannot be read, or not now: 107, 108, 109."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import ModelFolders, being_written, inside, listed, of
from cachedoctor.locators.hub_cache import HubCache, holder
from cachedoctor.rules import EntryRule, RootRule
from cachedoctor.rules._entries import missing, nothing_in
from cachedoctor.system import in_use
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root


class Evicted(EntryRule):
    """The file's content is in iCloud, not on this disk.

    When the disk fills up, macOS moves the content of files in `~/Documents` and on the desktop to
    iCloud; their name, length and digest stay. An engine that opens such a file waits for the
    download, forever if there is no network, and Core ML stops without any message.

    Download it again with `brctl download PATH`, or move the models out of Documents.
    Source: macOS `sys/stat.h` `SF_DATALESS`; digimata/parrot issue 12.
    """

    code = "CD107"
    slug = "evicted"
    of_presence = True
    status = Status.UNKNOWN
    rank = 30
    word = "evicted"
    manual = ("download-evicted", "brctl", "download", "{path}")

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each file whose content is elsewhere."""
        for artifact in entry.notable:
            if artifact.state is State.EVICTED:
                yield self.of(artifact, entry, f"`{artifact.name}` is in iCloud, not on this disk")


class Unreadable(RootRule):
    """A file or folder cannot be read: no permission, or the disk reports an error.

    This says nothing about the content, so nothing is removed or fetched because of it: unreadable
    is neither corrupt nor absent. A folder that cannot be entered hides everything below it. The
    engine, run as the same user, fails on it too. The usual causes are downloads that keep the mode
    of a temporary file (0600), caches shared between users, and folders that macOS shows only to
    programs with permission. Other apps' containers, which macOS closes, are reported in one note.

    Grant yourself the permission that the message names (on a Mac: Full Disk Access for the
    terminal, in System Settings), or check the disk's health.
    Source: POSIX `open`; argmaxinc/WhisperKit and huggingface_hub keep temporary files' modes.
    """

    code = "CD108"
    slug = "unreadable"
    closed = True
    of_presence = True
    status = Status.UNKNOWN
    rank = 20
    unseen = True
    warns = True
    word = "unreadable"
    manual = ("allow-reading", "chmod", "u+rX", "{path}")

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report what could not be listed or opened."""
        if root.closed:
            yield self._closed(root, seen)
        for entry in root.entries:
            if entry.notable:
                yield from self._unreadable_in(entry, seen)
        if folders := listed(ModelFolders, root):
            by_id = {entry.id: entry for entry in root.entries}
            for key, closed in folders.closed.items():
                for path, why in closed:
                    yield self._notes(path, why, (by_id[key],))
        if hub := listed(HubCache, root):
            seen.opened.expect(p.path for r in hub.repositories.values() for p in r.partials)
            for repository, mine in seen.repositories(root):
                for path, why in repository.unreadable:
                    message = f"the folder cannot be read: {why}"
                    shows = Circumstance.CLOSED
                    yield self.about(path, mine, message, unit="folder", shows=shows)
                for path, why in repository.notes_closed:
                    yield self._notes(path, why, mine)

    def _unreadable_in(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report the files and folders of one entry that could not be listed or opened."""
        seen.faults(entry)
        for artifact in entry.notable:
            why = artifact.detail if artifact.state is State.UNREADABLE else ""
            error = seen.unreadable.get(artifact.file)
            if why or error:
                said = why or (error.strerror if error else "")
                what = f"`{artifact.name}`" if artifact.name else "the folder"
                message = f"{what} cannot be read: {said}"
                if os.path.isdir(artifact.file):  # files that an engine needs may be in it
                    yield self.of(
                        artifact,
                        entry,
                        message,
                        severity=self.severity,
                        unit="folder",
                        shows=Circumstance.CLOSED,
                    )
                else:
                    yield self.of(artifact, entry, message)

    def _closed(self, root: Root, seen: Examination) -> Finding:
        """Report a closed folder on the way to a root.

        Other apps' containers, which macOS closes, share a single note: engines look there only
        for that app.
        """
        path, severity = root.closed, self.severity if root.users else Severity.WARNING
        message = f"the place cannot be read: {root.error}"
        if path != root.path:
            message = f"the folder cannot be entered: {root.error}"
        containers = f"{seen.host.home}/Library/Containers"
        if inside(path, containers):
            path, severity = containers, Severity.NOTE
            message = f"apps' own folders cannot be read: {root.error}"
        return self.about(
            path,
            (),
            message,
            root,
            severity=severity,
            engines=root.users,
            unit="folder",
            shows=Circumstance.CLOSED,
        )

    def _notes(self, path: str, why: str, mine: tuple[Entry, ...]) -> Finding:
        """Report an unreadable folder of the client's notes; the model may still be whole."""
        message = f"the client's notes cannot be read: {why}"
        return self.about(path, mine, message, severity=Severity.WARNING)

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the command; only the user can grant the permission."""
        return None if finding.severity is Severity.NOTE else super().cure(finding, seen)


class InProgress(RootRule):
    """Something is being downloaded to this place right now.

    The client holds its lock, or has the file open. Until it is done, nothing here is reported as
    missing or left over, and `fix` keeps away.

    Wait until it is done, then scan again.
    Source: huggingface_hub 2.4.0 `file_download.py` `WeakFileLock`; openai-whisper `_download`,
    which writes the final name in place.
    """

    code = "CD109"
    slug = "in-progress"
    of_presence = True
    severity = Severity.NOTE
    status = mild_status = Status.IN_PROGRESS
    rank = 10
    shows = Circumstance.DOWNLOADING
    word = "busy"

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report running downloads; looks for a lock's holder only if something is amiss.

        Looking for a holder opens files.
        """
        if hub := listed(HubCache, root):
            seen.opened.expect(p.path for r in hub.repositories.values() for p in r.partials)
            for repository, mine in seen.repositories(root):
                amiss = any(missing(entry) or nothing_in(entry) for entry in mine)
                broken = any(ref.text not in repository.commits for ref in repository.refs)
                if amiss or broken or repository.partials:
                    path = holder(repository, seen.opened)
                    if path:
                        held = path.endswith(".lock")
                        how = "lock is held" if held else "partial is being written"
                        yield self.about(path, mine, f"a download is running: its {how}")
        elif folders := listed(ModelFolders, root):
            by_id = {entry.id: entry for entry in root.entries}
            seen.opened.expect(p.path for found in folders.partials.values() for p in found)
            for key, partials in folders.partials.items():
                for partial in partials:
                    if being_written(partial.path, partial.stamp, seen.opened):
                        message = "a download is running: its partial is being written"
                        yield self.about(partial.path, (by_id[key],), message)
            for key, locks in folders.locks.items():
                begun = missing(by_id[key]) or folders.partials.get(key)
                for lock in locks if begun else ():
                    if in_use.lock_held(lock):
                        message = "a download is running: its lock is held"
                        yield self.about(lock, (by_id[key],), message)
        if of(root).written_in_place:
            yield from self._in_place(root, seen)

    def _in_place(self, root: Root, seen: Examination) -> Iterator[Finding]:
        unlike = [
            (entry, artifact, artifact.stamp)
            for entry in root.entries
            for artifact in entry.notable
            if artifact.stamp and artifact.expected_bytes not in (None, artifact.size_bytes)
        ]
        seen.opened.expect(artifact.file for _, artifact, _ in unlike)
        for entry, artifact, stamp in unlike:
            if being_written(artifact.file, stamp, seen.opened):
                yield self.of(artifact, entry, f"`{artifact.name}` is being written")
