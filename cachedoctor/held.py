"""How many files there are and how many bytes they take, each once however many names it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.locators import FolderListing
from cachedoctor.locators.hub_cache import HubListing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cachedoctor.vocabulary import Entry, Survey


class Held:
    """Count files and their bytes, each once however many names it has."""

    def __init__(self, files: Iterable[tuple[int, ...]] = ()) -> None:
        """Count these: device, inode and length of each."""
        self._inodes: dict[int, set[int]] = {}
        self.files = 0
        self.bytes = 0
        self.add(files)

    def add(self, files: Iterable[tuple[int, ...]]) -> None:
        """Count what was not counted yet."""
        known: set[int] = set()
        last = None
        for device, inode, length in files:
            if device != last:
                known, last = self._inodes.setdefault(device, set()), device
            if inode not in known:
                known.add(inode)
                self.files += 1
                self.bytes += length

    def holds(self, device: int, inode: int) -> bool:
        """Say whether a file was counted."""
        return inode in self._inodes.get(device, ())


def held(entries: Iterable[Entry]) -> Held:
    """Count the files of entries."""
    return Held(file for entry in entries for file in entry.held)


def held_everywhere(survey: Survey) -> Held:
    """Count every file in the models' places, also what is in no model."""
    found = held(survey.entries)
    for root in survey.roots:
        listing = root.listing
        if isinstance(listing, HubListing):
            looks = [
                *listing.store.values(),
                *(
                    listing.repositories[folder].blobs[name]
                    for folder, names in listing.unlinked.items()
                    for name in names
                ),
            ]
            found.add(look.stamp[:3] for look in looks if look.stamp)
            found.add(left.stamp[:3] for left in (*listing.legacy, *listing.probes))
            for repository in listing.repositories.values():
                found.add(partial.stamp[:3] for partial in repository.partials)
        elif isinstance(listing, FolderListing):
            found.add(left.stamp[:3] for lefts in listing.partials.values() for left in lefts)
    return found
