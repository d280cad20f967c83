"""Base classes for rules about what one kind of layout lists besides models."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from cachedoctor.locators import (
    FolderListing,
    Leavings,
    LeavingsListing,
    ModelFolders,
    find,
    listed,
)
from cachedoctor.locators.hub_cache import HubCache, HubListing
from cachedoctor.rules import RootRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding
    from cachedoctor.locators import Layout, Leaving
    from cachedoctor.rules import Examination
    from cachedoctor.vocabulary import Root

L = TypeVar("L")


class ListingRule(RootRule, Generic[L]):
    """A rule that checks the listings of one kind of layout, and gets them typed."""

    applies_to: ClassVar[type[Layout]]

    def applies(self, layout: Layout) -> bool:
        """Return whether the rule applies to this layout, which is of the right kind."""
        return True

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Check the listing of a root, if it is of the right kind and could be read."""
        listing: L | None = listed(self.applies_to, root)
        if listing is not None and self.applies(find(root.locator)):
            yield from self.within(listing, root, seen)

    def within(self, listing: L, root: Root, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong in the listing of `root`."""
        raise NotImplementedError


class HubRule(ListingRule[HubListing]):
    """A rule about a hub cache's own files."""

    applies_to = HubCache


class FolderRule(ListingRule[FolderListing]):
    """A rule about what clients leave beside the files in a model's folder."""

    applies_to = ModelFolders


class LeavingsRule(ListingRule[LeavingsListing]):
    """A rule about a place that holds leavings, not models."""

    applies_to = Leavings
    leaves: ClassVar[Leaving]

    def applies(self, layout: Layout) -> bool:
        """Return whether the place holds the kind of leavings that the rule is about."""
        return isinstance(layout, Leavings) and layout.leaves is self.leaves
