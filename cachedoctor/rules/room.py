"""Rules about what only takes up space: 501, 504, 505, 506, 508, 510."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from cachedoctor.engines.catalog import ordinal
from cachedoctor.findings import Circumstance, Severity
from cachedoctor.locators import Leaving, ModelFolders
from cachedoctor.looking import quietly
from cachedoctor.rules import EntryRule, SetsAside, SurveyRule, weighing
from cachedoctor.rules._copies import blobs_beside, place_of, repeated
from cachedoctor.rules._entries import missing, span
from cachedoctor.rules._kinds import HubRule, LeavingsRule
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.locators import LeavingsListing
    from cachedoctor.locators.hub_cache import HubListing
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Artifact, Entry, FileSet, Root

_WORTH_A_WORD_BYTES = 16 << 20  # smaller duplicates are normal: every model has the same tokenizer
_MOST_ASKED = 2000  # files of a cache checked for programs that have them open
_SUPERSEDED = "another revision has a branch"
_LARGE_BYTES = 100 << 20  # smaller rebuildable caches are not reported


class OrphanBlob(SetsAside, HubRule):
    """A blob that no revision uses.

    Somebody deleted a snapshot's folder, or a tool followed its links and removed the names. The
    hub's own commands neither list nor count such blobs.

    `fix --waste` sets it aside.
    Source: huggingface_hub 2.4.0 `_scan_cache.py` `scan_cache_dir`, which starts at the snapshots.
    """

    code = "CD501"
    litter = "a blob that nothing uses"
    prune_order = 40
    slug = "orphan-blob"
    severity = Severity.NOTE
    waste = True
    silent_under = (Circumstance.DOWNLOADING,)

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Look for blobs, in each repository and in the shared store, that nothing uses."""
        revisions = seen.revisions(root)
        if listing.store:
            repositories = listing.repositories.values()
            linked = {look.file for r in repositories for look in r.blobs.values()}
            for path, payload in listing.store.items():
                if path not in linked and payload.stamp:
                    yield self._of(root, path, payload.stamp.size_bytes, ())
        for folder, unlinked in listing.unlinked.items():
            mine = revisions.get(folder, ())
            repository = listing.repositories[folder]
            if repository.unreadable or repository.lost or _may_need_any(mine):
                continue  # a folder that is unlisted or lost its links may use it
            promised = {
                digest.hex
                for commit in (*repository.commits, *(ref.text for ref in repository.refs))
                for _, digest in repository.promises(commit).values()
            }
            promised |= {a.digest.hex for e in mine for a in e.notable if a.digest}
            promised |= repeated(repository, mine).keys()  # a copy, which another rule reports
            for name in sorted(unlinked):
                blob = repository.blobs[name]
                path = f"{repository.blobs.folder}/{name}"
                if blob.file == path and blob.stamp and name not in promised:
                    yield self._of(root, path, blob.stamp.size_bytes, mine)

    def _of(self, root: Root, path: str, size: int, mine: tuple[Entry, ...]) -> Finding:
        message = f"no revision uses the blob `{os.path.basename(path)[:12]}`"
        return self.about(path, mine, message, root=root, **weighing(size))


class Duplicate(SurveyRule):
    """The same content is stored in several places.

    Engines that could share a file each keep their own: the same weights under three names of one
    repository, in the hub and in Application Support, or in two folders of `.pt` files. Or a cache
    was copied with `cp -rL`, which turns each link into a file and keeps the blobs. Files count as
    the same if their length and their expected digest agree; those below 16 MiB are ignored.

    `fix` does not remove healthy copies: choose which engine should keep its own.
    Source: the digests in the hub's names, OpenAI's addresses and the published tables.
    """

    code = "CD504"
    slug = "duplicate"
    severity = Severity.NOTE
    of_copies = True

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report the files that hold the same content, with the bytes of all but one."""
        owners: dict[str, list[Entry]] = {}
        same: dict[str, list[Artifact]] = {}
        least = 1 if self.code in seen.codes else _WORTH_A_WORD_BYTES
        for entry in seen.survey.entries:
            for artifact in entry.notable:
                if artifact.size_bytes >= least and artifact.digest:
                    owners.setdefault(artifact.file, []).append(entry)
                    same.setdefault(artifact.digest.hex, []).append(artifact)
        for revisions, digest, blob, twin in blobs_beside(seen):
            if blob.size_bytes >= least:
                owners.setdefault(blob.file, []).extend(revisions)
                copies = same.setdefault(digest, [])
                copies += [blob] if twin in copies else [blob, twin]
                owners.setdefault(twin.file, []).extend(revisions)
        for artifacts in same.values():
            files = [a for a in _files(artifacts) if _may_hold(a, seen)]
            if len(files) < 2:
                continue
            paths = sorted(artifact.file for artifact in files)
            mine = [entry for path in paths for entry in owners.get(path, ())]
            size = (len(files) - 1) * files[0].size_bytes
            places = ", ".join(dict.fromkeys(place_of(path, seen.host) for path in paths))
            titles = ", ".join(dict.fromkeys(entry.title for entry in mine))
            name = max((artifact.name for artifact in files), key=len)
            yield self.about(
                paths[0],
                tuple({entry.id: entry for entry in mine}.values()),
                f"`{name}` of {titles} is stored {len(files)} times, in {places}",
                links=tuple(paths[1:]),
                **weighing(size),
            )


class UnusedFile(SetsAside, EntryRule):
    """A part of the model that the assumed version of the engine does not read.

    WhisperKit stopped loading `TextDecoderContextPrefill.mlmodelc` in 1.0.0; FluidAudio replaced
    bundles under the same repository name. The rest of the model is whole without it. But apps
    carry the framework that they were built with, and an older one still reads it, so it is never
    part of `--waste`. Files below 16 MiB are not reported.

    `fix CD505` sets it aside; an app with the older framework would download it again.
    Source: argmaxinc/argmax-oss-swift pull request 467; FluidInference/FluidAudio
    `ModelNames.swift`, pull request 815.
    """

    applies_to = ModelFolders  # a repository is never removed in part
    code = "CD505"
    litter = "a variant that nothing reads"
    prune_order = 90
    in_a_model = True
    slug = "unused-file"
    severity = Severity.NOTE
    rank = 330

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report files that only other versions read, in an entry that is whole."""
        if not entry.claims or missing(entry):
            return
        least = 0 if self.code in seen.codes else _WORTH_A_WORD_BYTES
        for artifact in entry.notable:
            unread = artifact.state is State.PRESENT and artifact.format is None
            if unread and artifact.size_bytes >= least:
                files = _older_use(entry, artifact)
                if files is not None:
                    engine = entry.claims[0].engine
                    message = f"`{artifact.name}`: only {engine} {span(files)} reads it"
                    size = artifact.size_bytes
                    yield self.of(artifact, entry, message, **weighing(size))


class CompileCache(SetsAside, LeavingsRule):
    """Models that Core ML compiled for this Mac, per app and build of macOS.

    Core ML compiles them again if they are gone; only the first load is slow. They grow with every
    build of macOS and with every place a model is loaded from. Below 100 MiB they are not reported.

    `fix CD506` sets them aside if no program has them open.
    Source: argmaxinc/WhisperKit issue 300; apple/coremltools issues 2507 and 2549.
    """

    leaves = Leaving.COMPILED
    code = "CD506"
    litter = "compiled models"
    made_again = True
    slug = "compile-cache"
    severity = Severity.NOTE
    waste = True

    def within(self, listing: LeavingsListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each app's compiled models, with their builds of macOS."""
        for left in listing.leftovers:
            if left.bytes >= _LARGE_BYTES or self.code in seen.codes:
                app = os.path.basename(os.path.dirname(left.path))
                builds = ", ".join(sorted(_names(left.path)))
                message = f"compiled models of `{app}` for macOS {builds}"
                yield self.about(
                    left.path,
                    (),
                    message,
                    root=root,
                    **weighing(left.bytes),
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set them aside unless a program has one open."""
        files = list(islice(quietly.files(finding.path), _MOST_ASKED))
        users = seen.opened.of(files)
        return super().cure(finding, seen) if users == set() else None


class DetachedSnapshot(HubRule):
    """A revision that no branch points to.

    It was superseded by a newer download, or somebody asked for exactly this commit: the cache
    keeps no record that tells the two apart. A pinned revision works if it is asked for by its
    commit, and offline only that way.

    `fix CD508` sets such revisions aside, with the blobs that no other revision uses. They are
    never part of `--waste`: a pinned model is not waste.
    Source: huggingface_hub 2.4.0 `_scan_cache.py`; huggingface/huggingface_hub issue 1013.
    """

    code = "CD508"
    slug = "detached-snapshot"
    severity = Severity.NOTE
    silent_under = (Circumstance.BROKEN_REF,)

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each revision without a branch, with the bytes that only it uses."""
        for folder, mine in seen.revisions(root).items():
            if listing.repositories[folder].unreadable:
                continue  # a branch may still be there
            detached = [e for e in mine if e.revision and not e.refs and e.artifacts]
            if not detached:
                continue
            attached = any(entry.refs for entry in mine)
            for entry in detached:
                size = sum(seen.alone(entry).values())
                yield self.about(
                    entry.path,
                    (entry,),
                    f"no branch points to {(entry.revision or '')[:12]}; pinned or superseded",
                    evidence=_SUPERSEDED if attached else None,
                    shows=Circumstance.SUPERSEDED if attached else None,
                    **weighing(size),
                )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set the revision aside, with the blobs that only it uses."""
        from cachedoctor.repairs import hub

        entry = finding.made_from[0]
        blobs = sorted(file for file in seen.alone(entry) if "/blobs/" in file)
        return hub.detach(entry, blobs, finding.bytes)


class RebuildableCache(SetsAside, LeavingsRule):
    """Pieces of files that hf_xet keeps for faster downloads, and can fetch again.

    None of the hub's commands counts or clears them. Below 100 MiB they are not reported.

    `fix CD510` sets them aside; nothing breaks.
    Source: huggingface_hub's documentation of Xet; huggingface/huggingface_hub issue 4777.
    """

    leaves = Leaving.PIECES
    code = "CD510"
    litter = "pieces of downloads"
    made_again = True
    slug = "rebuildable-cache"
    severity = Severity.NOTE
    waste = True

    def within(self, listing: LeavingsListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report all pieces in one finding."""
        found = listing.leftovers
        size = sum(left.bytes for left in found)
        if found and (size >= _LARGE_BYTES or self.code in seen.codes):
            yield self.about(
                found[0].path,
                (),
                "hf_xet's own cache of pieces",
                root=root,
                links=tuple(left.path for left in found[1:]),
                **weighing(size),
            )


def _may_need_any(revisions: Sequence[Entry]) -> bool:
    """Return whether a revision lacks a file whose blob is not known."""
    lost = (State.DANGLING, State.GONE, State.TEXT)
    for entry in revisions:
        if entry.revision and not len(entry.artifacts):
            return True
        for artifact in entry.notable:
            needed = artifact.required_by and artifact.state is State.MISSING
            if (needed or artifact.state in lost) and artifact.digest is None:
                return True
    return False


def _files(artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Return one artifact for each large file, counting hard links once."""
    found = {
        (a.stamp.device, a.stamp.inode): a
        for a in artifacts
        if a.stamp and a.state is State.PRESENT and a.size_bytes == artifacts[0].size_bytes
    }
    return list(found.values())


def _may_hold(artifact: Artifact, seen: Examination) -> bool:
    """Return whether a file may hold its expected content: it is proven, or was not judged."""
    return not seen.judged(artifact) or seen.proven(artifact)


def _older_use(entry: Entry, artifact: Artifact) -> FileSet | None:
    """Return the newest older file set that reads an artifact, if the assumed one does not."""
    for claim in entry.claims:
        for files in claim.others:
            older = files.until and claim.needs.since  # all others are, for the newest version
            if older and claim.version and ordinal(files.until) >= ordinal(claim.needs.since):
                continue
            if older and any(artifact.name in need.names for need in files.requirements):
                return files
    return None


def _names(folder: str) -> list[str]:
    try:
        return quietly.names(folder)
    except OSError:
        return []
