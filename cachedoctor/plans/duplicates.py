"""Find identical files on one disk that could share their storage.

They may belong to anyone: engines, apps, unknown programs. Names, inodes and times stay the same,
so nobody notices. Left alone are small files, files that already share their blocks, running
downloads, other users' files, and read-only snapshots.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.findings import Clone
from cachedoctor.plans.changes import Change, Choice, Spared
from cachedoctor.repairs import built
from cachedoctor.system import digest, extents, sharing
from cachedoctor.vocabulary import SILENT, WEIGHTY_BYTES, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.plans.holdings import Holdings
    from cachedoctor.system.extents import Extent
    from cachedoctor.vocabulary import Progress

_SHA256 = frozenset((digest.SHA256,))


class _File(NamedTuple):
    """One physical file, which several entries may use."""

    path: str
    root: str
    title: str
    key: tuple[int, int]  # device and inode
    bytes: int
    blocks: int
    hex: str  # of its expected SHA-256, if that is known


def dedupe(holdings: Holdings, progress: Progress = SILENT) -> Change:
    """Return the change that lets identical files share their blocks.

    Reads files of equal length if their digest is not known. If a disk cannot share blocks, its
    files are spared, and each group of them is reported once.
    """
    choices: list[Choice] = []
    spared: list[Spared] = []
    unable: dict[int, bool] = {}
    for group in _groups(holdings, progress):
        by_disk: dict[int, list[_File]] = {}
        for file in group:
            by_disk.setdefault(file.key[0], []).append(file)
        for device, files in by_disk.items():
            if device not in unable:
                unable[device] = not sharing.can_share(files[0].path)
            if len(files) > 1 and unable[device]:
                size = sum(file.bytes for file in files[1:])
                why = "its disk cannot share blocks; `remove` can remove one copy by name"
                spared.append(Spared(title=files[1].title, path=files[1].path, why=why, bytes=size))
            elif len(files) > 1:
                choices += _clones(files)
    return Change(verb="dedupe", choices=tuple(choices), spared=tuple(spared))


def _clones(files: Sequence[_File]) -> Iterator[Choice]:
    """Yield the files that can share the blocks of the one with the fewest, so holes stay holes."""
    first, *others = sorted(files, key=lambda file: (file.blocks, file.path))
    known = extents.of(first.path) or ()
    mine = {(extent.logical, extent.physical) for extent in known}
    for file in others:
        saved = _saved(extents.of(file.path), mine, file.bytes)
        if saved:
            step = Clone(first.path, file.path, file.bytes)
            name = os.path.basename(file.path)[:16]
            describe = f"let `{name}` share the blocks of `{os.path.basename(first.path)[:16]}`"
            repair = built("share-blocks", describe, file.root, (), (step,))
            reason = f"the same bytes as {first.title}"
            yield Choice(
                title=file.title,
                path=file.path,
                reason=reason,
                bytes=saved,
                repair=repair,
                waste=True,
            )


def _saved(found: tuple[Extent, ...] | None, known: set[tuple[int, int]], size: int) -> int:
    """Return how many bytes sharing would free, without blocks that are already shared."""
    if found is None:
        return size
    return sum(
        extent.bytes
        for extent in found
        if not extent.shared and (extent.logical, extent.physical) not in known
    )


def _groups(holdings: Holdings, progress: Progress) -> Iterator[list[_File]]:
    """Yield groups of identical files, each inode once."""
    by_size: dict[int, dict[tuple[int, int], _File]] = {}
    for file in _files(holdings):
        by_size.setdefault(file.bytes, {}).setdefault(file.key, file)
    alike = [list(files.values()) for files in by_size.values() if len(files) > 1]
    unknown = [file for files in alike for file in files if not file.hex]
    work = [digest.Work(*os.path.split(f.path), f.bytes, _SHA256) for f in unknown]
    progress.start("reading", sum(item.size_bytes for item in work))
    read = {
        item.path: found[digest.SHA256]
        for item, found in digest.of_many(work, progress)
        if not isinstance(found, OSError)
    }
    progress.finish()
    for files in sorted(alike, key=lambda files: -files[0].bytes):
        same: dict[str, list[_File]] = {}
        for file in files:
            known = file.hex or read.get(file.path, "")
            if known:
                same.setdefault(known, []).append(file)
        yield from (group for group in same.values() if len(group) > 1)


def _files(holdings: Holdings) -> Iterator[_File]:
    user = os.geteuid()
    for one in holdings.models:
        if one.status is Status.IN_PROGRESS:
            continue
        for artifact in one.entry.notable:
            if artifact.bundle or artifact.outside or artifact.state is not State.PRESENT:
                continue
            if artifact.size_bytes < WEIGHTY_BYTES or not artifact.stamp:
                continue
            status = os.lstat(artifact.file)
            # a read-only snapshot refuses writes in its folders, even from root
            if status.st_uid != user or not os.access(os.path.dirname(artifact.file), os.W_OK):
                continue
            known = artifact.digest
            yield _File(
                path=artifact.file,
                root=one.entry.root,
                title=f"{one.apps[0]}'s copy of {one.entry.title}" if one.apps else one.entry.title,
                key=(status.st_dev, status.st_ino),
                bytes=status.st_size,
                blocks=status.st_blocks,
                hex=known.hex if known and known.algorithm == digest.SHA256 else "",
            )
