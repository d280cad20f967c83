"""Rules about leftovers of downloads: 415, 416, 502, 503, 507, 509."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import LIVE_S, Leaving, ModelFolders, being_written, is_litter, listed, of
from cachedoctor.looking import quietly
from cachedoctor.rules import EntryRule, RootRule, SetsAside, weighing
from cachedoctor.rules._entries import missing, stuck
from cachedoctor.rules._kinds import HubRule, LeavingsRule
from cachedoctor.system import in_use

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.locators import LeavingsListing, Leftover
    from cachedoctor.locators.hub_cache import HubListing
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root

_STALE_S = 24 * 3600  # no download holds a lock for longer


class StaleLock(SetsAside, HubRule):
    """A lock that nobody will ever release, or locks of a repository that is gone.

    On a file system without locks, the client creates a file and takes its existence for the lock;
    if it is killed, the file stays and every later download waits forever. Removing a repository
    leaves its locks behind, which costs nothing but names.

    `fix` sets aside locks that nobody holds and that are older than a day.
    Source: huggingface_hub 2.4.0 `file_download.py` `WeakFileLock`; huggingface/huggingface_hub
    issue 2543, pull request 3944.
    """

    code = "CD415"
    prune_order = 70
    slug = "stale-lock"
    severity = Severity.NOTE
    waste = True

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report locks without a repository, and old soft locks where something is amiss."""
        for lock in listing.locks:
            name = os.path.basename(lock.path)
            yield self._of(root, lock.path, (), f"locks of `{name}`, which is gone")
        for repository, mine in seen.repositories(root):
            if repository.partials or any(missing(entry) for entry in mine):
                for path in _soft_locks(repository.locks):
                    message = f"`{os.path.basename(path)}` is a lock that its owner left behind"
                    yield self._of(root, path, mine, message, Severity.WARNING)

    def _of(
        self,
        root: Root,
        path: str,
        mine: tuple[Entry, ...],
        message: str,
        severity: Severity = Severity.NOTE,
    ) -> Finding:
        return self.about(path, mine, message, severity=severity, root=root)


class LeftoverProbe(SetsAside, HubRule):
    """A temporary file of the hub client was left behind.

    It is a folder for testing whether links can be made, or a blob or branch before its rename. The
    client removes these at once unless it is killed; some tools then call the cache invalid.

    `fix --waste` sets it aside.
    Source: huggingface_hub 2.4.0 `file_download.py` `are_symlinks_supported`,
    `utils/_shared_blobs.py`.
    """

    code = "CD416"
    litter = "a killed client's leftovers"
    prune_order = 80
    slug = "leftover-probe"
    severity = Severity.NOTE
    waste = True
    rank = 290

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report the temporary files that are too old to be in use."""
        found: list[tuple[tuple[Entry, ...], Leftover]] = [((), probe) for probe in listing.probes]
        for repository, mine in seen.repositories(root):
            found += [(mine, probe) for probe in repository.probes]
        for mine, probe in found:
            if time.time() - probe.stamp.mtime_ns / 1e9 > LIVE_S:
                name = os.path.basename(probe.path)
                yield self.about(
                    probe.path,
                    mine,
                    f"`{name}` was left behind by a killed client",
                    root=root,
                    bytes=probe.bytes,
                )


class LeftoverPartial(SetsAside, RootRule):
    """A download that was killed left a partial file behind.

    Since huggingface_hub 1.18, clients give each attempt a name of its own and never resume it, so
    such a file is waste; only older clients resume files with older names. FluidAudio 0.15.5 and
    later resume theirs, so those are not waste while the file is missing. If a partial already has
    the right digest, `fix` uses it instead of a download.

    `fix --waste` or `fix CD502` sets it aside.
    Source: huggingface_hub 1.18.0 (pull request 4306); FluidInference/FluidAudio
    `FileDownloader.swift` v0.15.5.
    """

    code = "CD502"
    litter = "partial download"
    of_a_download = True
    prune_order = 20
    slug = "leftover-partial"
    severity = Severity.NOTE
    waste = True
    rank = 280
    silent_under = (Circumstance.DOWNLOADING,)
    cure_order = 2  # it may be a source for other repairs

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each partial that the locators listed; another rule reports live ones."""
        for repository, mine in seen.repositories(root):
            for partial in repository.partials:
                yield self._of(partial.path, partial.stamp.size_bytes, mine)
        if folders := listed(ModelFolders, root):
            by_id = {entry.id: entry for entry in root.entries}
            for key, leftovers in folders.partials.items():
                for leftover in leftovers:
                    if _resumed(leftover, by_id[key]):
                        continue
                    if not of(root).gets_stuck or not stuck(leftover, by_id[key], seen):
                        yield self._of(leftover.path, leftover.stamp.size_bytes, (by_id[key],))

    def _of(self, path: str, size: int, mine: tuple[Entry, ...]) -> Finding:
        message = f"`{path.rsplit('/', 1)[-1]}` was left behind by a killed download"
        return self.about(path, mine, message, **weighing(size))


class OrphanDownload(SetsAside, LeavingsRule):
    """Apple's network framework left a download in the temporary folder.

    A framework that downloads with a system task gets a file of this name when the task is done,
    and loses it if it is killed before it moves the file. There is no telling whose it is.

    `fix --waste` sets it aside if nobody has it open.
    Source: huggingface/swift-transformers 0.1.17 `Downloader.swift`; FluidInference/FluidAudio
    v0.7.12 to v0.15.4.
    """

    leaves = Leaving.DOWNLOADS
    code = "CD503"
    litter = "a download that was never moved into place"
    of_a_download = True
    prune_order = 30
    slug = "orphan-download"
    severity = Severity.NOTE
    waste = True

    def within(self, listing: LeavingsListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each download that is not being written."""
        seen.opened.expect(left.path for left in listing.leftovers)
        for left in listing.leftovers:
            if not being_written(left.path, left.stamp, seen.opened):
                name = os.path.basename(left.path)
                message = f"`{name}` was downloaded but never moved into place"
                size = left.stamp.size_bytes
                yield self.about(
                    left.path,
                    (),
                    message,
                    root=root,
                    **weighing(size),
                )


class OrphanFolder(SetsAside, EntryRule):
    """A model's folder that its engine no longer reads.

    FluidAudio dropped or replaced models from one release to the next and left their folders.

    `fix --waste` sets it aside; an app with the older framework would download it again.
    Source: FluidInference/FluidAudio `ModelNames.swift` at its tags.
    """

    code = "CD507"
    litter = "a folder that its engine no longer reads"
    prune_order = 50
    in_a_model = True
    slug = "orphan-folder"
    severity = Severity.NOTE
    waste = True
    rank = 310

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report an entry that its engine no longer reads."""
        if entry.retired:
            size = sum(a.size_bytes for a in entry.artifacts if not a.bundle)
            engine, _, last = entry.retired.rpartition(" ")
            message = f"`{entry.name}`: only {engine} up to {last} reads it"
            yield self.about(entry.path, (entry,), message, **weighing(size))


class LegacyLayout(SetsAside, HubRule):
    """Files of the flat cache that huggingface_hub used before 0.8.

    They lie loose in the cache, named by two digests, and no client since 2022 reads them.

    `fix --waste` sets them aside.
    Source: huggingface_hub 0.7 `file_download.py` `url_to_filename`.
    """

    code = "CD509"
    litter = "files of the cache layout before 2022"
    prune_order = 60
    slug = "legacy-layout"
    severity = Severity.NOTE
    waste = True
    rank = 320

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report all such files of a cache in one finding."""
        files = listing.legacy
        if files:
            size = sum(file.bytes for file in files)
            yield self.about(
                files[0].path,
                (),
                f"{len(files)} files of the cache layout before 0.8 in `{root.path}`",
                root=root,
                links=tuple(file.path for file in files[1:]),
                **weighing(size),
            )


def _resumed(leftover: Leftover, entry: Entry) -> bool:
    """Return whether a client will resume a partial: FluidAudio's, while its file is missing."""
    ours = leftover.path.endswith((".partial", ".partial.etag"))
    return ours and bool(entry.claims) and leftover.name not in entry.present


def _soft_locks(folder: str) -> Iterator[str]:
    """Yield the old locks that contain their owner's name and that nobody holds."""
    try:
        entries = quietly.listed(folder)
    except OSError:
        return
    for entry in entries:
        if entry.name.endswith(".lock") and entry.file and not is_litter(entry.name):
            status = entry.stat()
            old = time.time() - status.st_mtime > _STALE_S
            if old and status.st_size and not in_use.lock_held(entry.path):
                yield entry.path
