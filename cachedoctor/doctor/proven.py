"""What each of several processes has read and proven, and how to merge it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.doctor.contents import Contents, mark, notable_by_file, plain_by_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cachedoctor.vocabulary import Entry

Proofs = dict[str, tuple[list[str], list[str]]]  # by folder: plain files read now, remembered


def only(contents: Contents, mine: Callable[[str], bool]) -> Contents:
    """Return the contents of the files whose paths `mine` accepts."""
    return Contents(
        {path: held for path, held in contents.digests.items() if mine(path)},
        frozenset(filter(mine, contents.remembered)),
        {path: why for path, why in contents.errors.items() if mine(path)},
    )


def proofs(entries: Sequence[Entry], mine: Callable[[str], bool]) -> Proofs:
    """Return the proven plain files whose paths `mine` accepts."""
    found: Proofs = {}
    for folder, lists in plain_by_folder(entries).items():
        proven = {
            file.file: file.remembered
            for files in lists
            for file in files.plain()
            if file.proven and mine(f"{folder}/{file.file}")
        }
        if proven:
            read_now = [name for name, remembered in proven.items() if not remembered]
            found[folder] = read_now, [name for name, remembered in proven.items() if remembered]
    return found


def joined(entries: Sequence[Entry], parts: Iterable[tuple[Contents, Proofs]]) -> Contents:
    """Merge what several processes read of these entries, and mark the plain files."""
    digests: dict[str, Mapping[str, str]] = {}
    remembered: set[str] = set()
    errors: dict[str, str] = {}
    by_folder = plain_by_folder(entries)
    notable = notable_by_file(entries)
    for contents, proven in parts:
        digests.update(contents.digests)
        remembered.update(contents.remembered)
        errors.update(contents.errors)
        for folder, names in proven.items():
            for again, mine in enumerate(names):
                for name in mine if folder in by_folder else ():
                    mark(by_folder[folder], name, right=True, remembered=bool(again))
    for path in digests:
        folder, _, name = path.rpartition("/")
        if path not in notable and folder in by_folder:
            mark(by_folder[folder], name, right=False, remembered=False)
    return Contents(digests, frozenset(remembered), errors)
