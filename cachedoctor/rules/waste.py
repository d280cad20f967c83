"""Rules about what only takes up room: 5xx."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.locators import FolderListing
from cachedoctor.locators.hub_cache import HubListing
from cachedoctor.rules import RootRule
from cachedoctor.rules.present import by_repository
from cachedoctor.vocabulary import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Entry, Finding, Repair, Root


class LeftoverPartial(RootRule):
    """A download that was killed left its partial behind.

    Clients since huggingface_hub 1.18 give each attempt a name of its own and never resume it, so
    such a file is waste; older names can be resumed by older clients only. FluidAudio 0.15.5 and
    later resume theirs. A partial whose digest is already right is used by `fix` in place of a
    download.

    `fix --waste` or `fix CD502` sets it aside.
    Source: huggingface_hub 1.18.0 (pull request 4306); FluidInference/FluidAudio
    `FileDownloader.swift` v0.15.5.
    """

    code = "CD502"
    slug = "leftover-partial"
    severity = Severity.NOTE

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Report each partial that the locators listed; a live one is another rule's."""
        if isinstance(root.listing, HubListing):
            revisions = by_repository(root)
            for repository in root.listing.repositories.values():
                for partial in repository.partials:
                    yield self._of(
                        partial.path, partial.stamp.size_bytes, revisions.get(repository.path, ())
                    )
        elif isinstance(root.listing, FolderListing):
            by_id = {entry.id: entry for entry in root.entries}
            for key, leftovers in root.listing.partials.items():
                for leftover in leftovers:
                    yield self._of(leftover.path, leftover.stamp.size_bytes, (by_id[key],))

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set the partial aside."""
        from cachedoctor import repairs

        return repairs.set_aside(finding, seen.survey)

    def _of(self, path: str, size: int, mine: tuple[Entry, ...]) -> Finding:
        message = f"`{path.rsplit('/', 1)[-1]}` is what a killed download left"
        return self.about(path, mine, message, measured=size, unit="bytes", bytes=size)
