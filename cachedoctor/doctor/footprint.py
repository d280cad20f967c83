"""Count files and their bytes, each once however many names it has."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from cachedoctor import locators, rules
from cachedoctor.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cachedoctor.findings import Finding
    from cachedoctor.vocabulary import Entry, Survey


class Held:
    """Count files and their bytes, each once however many names it has."""

    def __init__(self, files: Iterable[tuple[int, ...]] = ()) -> None:
        """Count the files given, each by its device, inode and length."""
        self._inodes: dict[int, set[int]] = {}
        self.files = 0
        self.bytes = 0
        self.add(files)

    def add(self, files: Iterable[tuple[int, ...]]) -> None:
        """Count the files that were not counted yet."""
        known: set[int] = set()
        last = None
        count = total = 0
        for device, inode, length in files:
            if device != last:
                known, last = self._inodes.setdefault(device, set()), device
            if inode not in known:
                known.add(inode)
                count += 1
                total += length
        self.files += count
        self.bytes += total

    def holds(self, device: int, inode: int) -> bool:
        """Return whether a file was counted."""
        return inode in self._inodes.get(device, ())


def held(entries: Iterable[Entry]) -> Held:
    """Count the files of entries."""
    return Held(chain.from_iterable(entry.held for entry in entries))


def held_everywhere(survey: Survey) -> Held:
    """Count every file in the roots, including those that belong to no model."""
    found = held(survey.entries)
    for root in survey.roots:
        if root.listing is not None:
            found.add(locators.of(root).besides(root.listing))
    return found


def reclaimable(findings: Iterable[Finding], entries: Iterable[Entry]) -> int:
    """Return the bytes that the notes among `findings` take up, counting each file once.

    One of several copies is kept, unless another note takes it anyway.
    """
    notes = [f for f in findings if f.severity is Severity.NOTE and f.bytes]
    by_path = {entry.path: entry for entry in entries if entry.revision}
    files_too = any(note.path not in by_path for note in notes)
    gone: set[str] = set()
    total = 0
    for note in sorted(notes, key=lambda f: (rules.find(f.code).of_copies, len(f.path))):
        paths = (note.path, *note.links)
        if rules.find(note.code).of_copies:
            left = [path for path in paths if not _within(path, gone)]
            kept = 1 if len(left) == len(paths) else min(len(left), 1)
            total += (len(left) - kept) * (note.bytes // max(len(paths) - 1, 1))
            gone.update(left[kept:])
            continue
        total += 0 if _within(note.path, gone) else note.bytes
        gone.update(paths)
        if files_too and note.path in by_path:
            gone.update(by_path[note.path].sizes)
    return total


def _within(path: str, folders: set[str]) -> bool:
    """Return whether `path` is one of `folders` or below one."""
    end = len(path)
    while end > 0:
        if path[:end] in folders:
            return True
        end = path.rfind("/", 0, end)
    return False
