"""Move a place or a model to another disk: copy, prove, switch, and leave a link if engines follow.

```
TO.part      the copy, until it is whole and proven; the same command resumes it
TO           the copy, renamed
PLACE        set aside; replaced by a link to TO if the engines are known to follow one
```

A place is the folder of a layout, or a folder above several. A model is a file, a folder, or a
whole hub repository; TO must end like its path, so that the layout recognises it there.

The new place is written into the user's own `cachedoctor.toml`, so that the models there are judged
and managed at their own path; the link is only a second name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import config, locators
from cachedoctor.errors import CannotLookError, RepairError, UsageError
from cachedoctor.findings import Guard, Link, Need, Proof, Put, Rename, SetAside, Text
from cachedoctor.host import config_folder
from cachedoctor.locators import inside
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.plans import naming
from cachedoctor.plans.changes import Change, Choice
from cachedoctor.repairs import built, folders
from cachedoctor.system import copying, disk, open_files
from cachedoctor.text import size
from cachedoctor.vocabulary import SILENT, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Repair
    from cachedoctor.host import Host
    from cachedoctor.system.copying import Tree
    from cachedoctor.vocabulary import Digest, Entry, Progress


class Relocation(NamedTuple):
    """A place, its target, and what is in it."""

    place: str
    target: str
    rows: tuple[tuple[str, str], ...]  # the layouts in it, and where they will be
    left: tuple[str, ...]  # configured places that will be empty afterwards
    entries: tuple[Entry, ...]
    tree: Tree
    same_disk: bool
    linked: bool
    back: bool  # the target is the link that an earlier move left

    @property
    def part(self) -> str:
        """Return the path of the copy until it is whole."""
        return f"{self.target}.part"


def relocate(report: Report, place: str, target: str, *, link: bool = True) -> Relocation:
    """Examine what a move would take; changes nothing.

    Raises `UsageError` for a place without a known layout, and for a target that exists or is in
    the place; `CannotLookError` for a place that cannot be read; `RepairError` for one in use.
    """
    here, entries = _what_to_move(report, place)
    to = os.path.normpath(os.path.join(report.host.cwd, os.path.expanduser(target)))
    to = os.path.join(os.path.realpath(os.path.dirname(to)), os.path.basename(to))
    if inside(to, here):
        raise UsageError(f"`{target}` is inside `{place}`")
    back = os.path.islink(to) and os.path.realpath(to) == here
    if os.path.lexists(to) and not back:
        raise UsageError(
            f"`{target}` already exists", hint="TO is the new path itself, not its folder"
        )
    rows, left = _rows(report, here, to, entries)
    above = disk.folder_above(os.path.dirname(to))
    _free(report, here, entries)
    try:
        tree = copying.listed(here)
    except OSError as error:
        raise CannotLookError(f"`{error.filename}` cannot be read: {error.strerror}") from error
    # apps with FluidAudio or WhisperKit may be sandboxed, and then follow no link
    sandboxed = "/Library/Containers/" in here
    followed = link and not sandboxed and all(locators.find(kind).followed for kind, _ in rows)
    return Relocation(
        place=here,
        target=to,
        rows=rows,
        left=left,
        entries=entries,
        tree=tree,
        same_disk=disk.same_file_system(here, above),
        linked=followed and not back,
        back=back,
    )


def _what_to_move(report: Report, place: str) -> tuple[str, tuple[Entry, ...]]:
    """Return the path to move, and its entries; `place` can be a place, or any name of a model."""
    here = os.path.realpath(os.path.join(report.host.cwd, os.path.expanduser(place)))
    roots = [root for root in report.survey.roots if inside(root.path, here)]
    if roots:
        return here, tuple(entry for root in roots for entry in root.entries)
    path = os.path.join(report.host.cwd, os.path.expanduser(place))
    if not os.path.lexists(path) and place.startswith(("/", "./", "../", "~")):
        raise CannotLookError(f"`{place}` does not exist")
    if os.path.islink(path):
        raise UsageError(
            f"`{place}` is a link", hint=f"move what it points to: `{os.path.realpath(path)}`"
        )
    name = os.path.normpath(path) if os.path.lexists(path) else place
    path = repository_folder(naming.resolve((name,), report)[0])
    return path, tuple(one for one in report.survey.entries if repository_folder(one) == path)


def _rows(
    report: Report, here: str, to: str, entries: Sequence[Entry]
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Return the layouts and their folders at the new path, and the folders that will be empty."""
    roots = [root for root in report.survey.roots if inside(root.path, here)]
    if roots:
        return tuple((root.locator, to + root.path[len(here) :]) for root in roots), (here,)
    root = next(each for each in report.survey.roots if entries[0] in each.entries)
    within = os.path.relpath(here, root.path)
    if not to.endswith(f"/{within}"):
        raise UsageError(
            f"`{to}` must end with `{within}`, the name that its engine looks for",
            hint=f"`{report.host.command('move', here, os.path.join(to, within))}`",
        )
    alone = all(entry in entries for entry in root.entries)
    row = (root.locator, to.removesuffix(f"/{within}") or "/")
    return (row,), ((root.path,) if alone else ())


def bring(found: Relocation, report: Report, progress: Progress = SILENT) -> None:
    """Copy and prove, if the target is on another disk; the same call resumes after an interrupt.

    Raises `RepairError` if there is no space, a file cannot be read, or anything in the place has
    changed since the look; the copy is kept for the next time.
    """
    if found.same_disk:
        return
    hint = f"the copy stays in `{found.part}`: the same command continues"
    have = copying.listed(found.part).bytes if os.path.isdir(found.part) else 0
    above = disk.folder_above(found.part)
    free = disk.free_bytes(above)
    if free + have < found.tree.bytes + (1 << 20):
        needed = f"{size(found.tree.bytes - have)} needed, {size(free)} free"
        raise RepairError(
            f"no space in `{above}`: {needed}", hint=hint if have else "nothing was changed"
        )
    known = _known_digests(report)
    progress.start("copying", found.tree.bytes)
    try:
        written = copying.copy(found.place, found.part, found.tree, known, progress)
        progress.start("proving", found.tree.bytes)
        copying.prove(found.place, found.part, found.tree, known, progress, written)
        now = copying.listed(found.place)
    except OSError as error:
        where = error.filename2 or error.filename or found.part
        raise RepairError(f"`{where}`: {error.strerror}", hint=hint) from error
    finally:
        progress.finish()
    if now.stamps != found.tree.stamps:
        raise RepairError(f"`{found.place}` changed while being copied", hint=hint)
    _free(report, found.place, found.entries)


def switch(found: Relocation, report: Report) -> Change:
    """Return the change that switches to the copy: everything except the copying."""
    title = report.host.short(found.place)
    choices = [
        Choice(title=title, path=found.place, reason=f"to {found.target}", bytes=0, repair=repair)
        for repair in _repairs(found, report.host)
    ]
    how = "a link stays" if found.linked else _link_or_setting(found)
    notes = (f"{title} to {found.target}: {how}",)
    copied = 0 if found.same_disk else found.tree.bytes
    return Change(
        "move",
        tuple(choices),
        by_the_way=notes,
        copied_bytes=copied,
        report=report,
        copies=found,
    )


def _repairs(found: Relocation, host: Host) -> list[Repair]:
    """Return the repairs in order: put the copy in place, set the old one aside, configure it."""
    near, far = os.path.dirname(found.place), os.path.dirname(found.target)
    guard = Guard(found.place, disk.stamp(found.place), found.tree.stamps)
    if found.same_disk:
        root = os.path.commonpath((near, far))
        steps = (
            *((SetAside(found.target),) if found.back else ()),
            *folders(far),
            Rename(found.place, found.target),
            *((Link(found.place, found.target),) if found.linked else ()),
        )
        moved = [built("move-place", f"rename to `{found.target}`", root, (), steps)]
    else:
        there = (
            *((SetAside(found.target),) if found.back else ()),
            Rename(found.part, found.target),
        )
        here = (
            SetAside(found.place),
            *((Link(found.place, found.target),) if found.linked else ()),
        )
        moved = [
            built("move-place", f"put the copy at `{found.target}`", far, (), there),
            built("move-place", f"set `{found.place}` aside", near, (), here, found.tree.bytes),
        ]
    last = moved[-1]  # the repair that moves the place itself, whose root covers the guard
    others = tuple(each for each in last.guards if each.path != found.place)
    moved[-1] = last._replace(guards=(guard, *others))
    return [*moved, *_registered(found, host)]


def _registered(found: Relocation, host: Host) -> list[Repair]:
    """Return the repair that writes the new place into the user's configuration."""
    path = os.path.join(config_folder(), config.NAME)
    before = ""
    if os.path.lexists(path):
        with open(path, encoding="utf-8") as file:
            before = file.read()
    rows = [
        (kind, path) for kind, path in found.rows if path not in locators.find(kind).roots(host)
    ]
    text = config.with_places(before, rows, without=found.left)
    if text == before:
        return []
    need = Need("configuration", (Text(text),), (Proof("", len(text.encode()), None),))
    steps = (
        *folders(os.path.dirname(path)),
        *((SetAside(path),) if os.path.lexists(path) else ()),
        *((Put("configuration", path),) if text else ()),
    )
    root = disk.folder_above(os.path.dirname(path))
    return [
        built(
            "register-place", f"record the place in `{path}`", root, (need,) if text else (), steps
        )
    ]


def _link_or_setting(found: Relocation) -> str:
    kinds = dict.fromkeys(kind for kind, _ in found.rows)
    settings = [locators.find(kind).moved_by for kind in kinds]
    words = [each.format(to=found.target) for each in settings if each]
    return "no link stays" + (f"; {'; '.join(words)}" if words and not found.back else "")


def _free(report: Report, place: str, mine: Sequence[Entry]) -> None:
    """Refuse a place with a running download or with a file that a program has open."""
    for entry in mine:
        if report.statuses.get(entry.id) is Status.IN_PROGRESS:
            raise RepairError(f"somebody is downloading {entry.title} to `{place}` right now")
    users = open_files.programs({file for entry in mine for file in entry.sizes})
    names = sorted({name for each in (users or {}).values() for name in each})
    if names:
        raise RepairError(f"`{place}` is in use by {', '.join(names)}", hint="end it first")


def _known_digests(report: Report) -> Mapping[str, Digest]:
    """Return the expected digests of files, by path."""
    return {
        artifact.file: artifact.digest
        for entry in report.survey.entries
        for artifact in entry.notable
        if artifact.digest
    }
