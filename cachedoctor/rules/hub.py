"""Rules about the hub cache's own files: 404, 405, 407, 408."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Circumstance, Severity, Subject
from cachedoctor.locators.hub_cache import HubCache
from cachedoctor.rules import EntryRule, Restores, SetsAside
from cachedoctor.rules._entries import in_store
from cachedoctor.rules._kinds import HubRule
from cachedoctor.vocabulary import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.locators.hub_cache import HubListing
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Root


class StaleNoExist(SetsAside, HubRule):
    """A marker says that a revision lacks a file, but the file exists.

    When the client asks the hub for a file that does not exist, it leaves an empty marker below
    `.no_exist`, and looks there before it looks for the file itself: a file added since then stays
    hidden from transformers. Programs that load a whole revision ignore the marker.

    `fix` sets the marker aside.
    Source: huggingface_hub 2.4.0 `file_download.py` `try_to_load_from_cache`.
    """

    code = "CD404"
    slug = "stale-no-exist"
    severity = Severity.WARNING
    waste = True
    status = Status.INCOMPLETE

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Compare the markers with each revision's files."""
        for entry in root.entries:
            repository = listing.of(entry)
            for name in repository.no_exist.get(entry.revision or "", ()):
                there = entry.find(name)
                if there is not None and there.state is State.PRESENT:
                    heeds = any(claim.heeds_absence for claim in entry.claims)
                    needed = heeds and there.required_by
                    yield self.about(
                        f"{repository.path}/.no_exist/{entry.revision}/{name}",
                        (entry,),
                        f"hides `{name}`, which exists",
                        severity=Severity.ERROR if needed else Severity.WARNING,
                    )


class BadTreeManifest(SetsAside, HubRule):
    """The list of a revision's files cannot be parsed.

    The write was interrupted, or the file is another program's. The client ignores it and asks the
    network, so offline a half-downloaded model passes for a whole one, and nothing can be verified
    against it.

    `fix` sets it aside; the client writes a new one with the next download.
    Source: huggingface_hub 2.4.0 `_tree_cache.py`.
    """

    code = "CD405"
    slug = "bad-tree-manifest"
    severity = Severity.WARNING

    def within(self, listing: HubListing, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report what the locator could not read."""
        for repository, mine in seen.repositories(root):
            for path, why in repository.bad_trees:
                name = path.rpartition("/")[2]
                yield self.about(path, mine, f"`trees/{name}`: {why}")


class LinkAbsolute(EntryRule):
    """A snapshot's link names its blob by an absolute path.

    Early clients made such links, and scripts still do. They work until the cache is moved, or
    mounted somewhere else.

    `fix CD407` makes it relative.
    Source: huggingface_hub 0.13 `file_download.py`; huggingface/huggingface_hub issue 4022.
    """

    applies_to = HubCache
    code = "CD407"
    slug = "link-absolute"
    severity = Severity.NOTE

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each link whose target is an absolute path."""
        for artifact in entry.notable:
            absolute = artifact.detail.startswith("/") and artifact.state is State.PRESENT
            if absolute and not artifact.outside:
                message = f"`{artifact.name}` is an absolute link"
                of = (Subject(entry, artifact),)
                yield self.about(artifact.path, (entry,), message, subjects=of)

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Link to the same file by a relative path."""
        from cachedoctor.repairs import links

        return links.relink_relative(finding)


class SharedStoreBroken(Restores, EntryRule):
    """A repository's blob links to the shared store, but the payload is missing.

    Since huggingface_hub 1.32 a cache keeps one copy of a file for all its repositories, below
    `blobs/` of the cache, and the repositories' blobs are links to it. Older clients and other
    tools do not know this: when they delete a revision of one repository, all of them lose the
    payload.

    `fix` restores the payload; then every repository that shares it is whole again.
    Source: huggingface_hub 2.4.0 `utils/_shared_blobs.py`; 0.36.2 and 1.28.0
    `delete_revisions()`, tried on such a cache.
    """

    applies_to = HubCache
    code = "CD408"
    slug = "shared-store-broken"
    status = Status.INCOMPLETE
    rank = 40
    silent_under = (Circumstance.DOWNLOADING,)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each missing payload that a link points to."""
        for artifact in entry.notable:
            if artifact.state is State.DANGLING and in_store(artifact):
                yield self.of(
                    artifact,
                    entry,
                    f"`{artifact.name}` is gone from the store that repositories share",
                    links=(artifact.path,),
                    expected=artifact.expected_bytes,
                    unit="bytes" if artifact.expected_bytes else None,
                )
