"""The pieces that repairs are made of: sources, needs, steps, and what follows from them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.findings import (
    CdnFetch,
    Guard,
    HubFetch,
    Link,
    LocalCopy,
    MakeFolder,
    Need,
    Parts,
    Proof,
    Put,
    Repair,
    Safety,
    SetAside,
    Text,
)
from cachedoctor.system import disk
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cachedoctor.findings import Source, Step
    from cachedoctor.vocabulary import Artifact, Stamp, Survey


def copies(artifacts: Iterable[Artifact], target: str, size: int | None = None) -> list[Source]:
    """Return other files that should have the same content, as sources; staging proves them."""
    found: dict[str, Source] = {}
    for artifact in artifacts:
        right = size is None or artifact.size_bytes == size
        if artifact.state is State.PRESENT and artifact.file != target and right:
            hub = "/blobs/" in artifact.file and "models--" in artifact.file
            why = "another repository" if hub else f"`{artifact.file}`"
            found[artifact.file] = LocalCopy((("", artifact.file),), why)
    return list(found.values())


def owned(sources: Iterable[Source], root: str, survey: Survey) -> list[Source]:
    """Name the app that a source is copied from, if `root` is not in its folder as well."""

    def named(source: Source) -> Source:
        match source:
            case LocalCopy(files=((_, path), *_)):
                app = survey.owner(os.path.realpath(path))
                if app and app != survey.owner(os.path.realpath(root)):
                    return source._replace(why=f"{app}'s copy")
            case _:
                pass
        return source

    return list(map(named, sources))


def need_of(name: str, sources: tuple[Source, ...], format_: str | None) -> Need:
    return Need(name, sources, (Proof("", None, None, format_),), folder=formats.is_bundle(format_))


def built(
    kind: str,
    describe: str,
    root: str,
    needs: tuple[Need, ...],
    steps: tuple[Step, ...],
    aside_bytes: int = 0,
    seen: Mapping[str, Stamp | None] = {},
) -> Repair:
    """Build a repair, and derive its safety, bytes and guards from its needs and steps.

    `seen` are the stamps that the look already has, by path; all others are taken now.
    """
    fetch = copy = 0
    fetches = False
    for need in needs:
        size = sum(proof.bytes or 0 for proof in need.proofs)
        match need.sources[0]:
            case HubFetch(bytes=known) | CdnFetch(bytes=known):
                fetches = True
                fetch += known
            case LocalCopy(files=files):
                copy += size or sum(os.stat(path).st_size for _, path in files)
            case Parts(paths=paths):
                copy += size or sum(os.stat(path).st_size for path in paths)
            case Text():
                pass
    guards = []
    for step in steps:
        match step:
            case SetAside(path=path):
                guards.append(Guard(path, seen.get(path) or disk.stamp(path)))
            case Put(path=path) | Link(path=path) if SetAside(path) not in steps:
                guards.append(Guard(path, None))
            case _:
                pass
    safety = Safety.FETCHES if fetches else Safety.SAFE
    return Repair(
        kind=kind,
        safety=safety,
        describe=describe,
        needs=needs,
        steps=steps,
        guards=tuple(guards),
        fetch_bytes=fetch,
        copy_bytes=copy,
        aside_bytes=aside_bytes,
        root=root,
    )


def folders(path: str) -> list[Step]:
    """Return the steps that make `path` and the missing folders above it."""
    found: list[Step] = []
    while path and not os.path.isdir(path):
        found.append(MakeFolder(path))
        path = os.path.dirname(path)
    return found[::-1]


def out_of_the_way(path: str) -> list[Step]:
    return [SetAside(path)] if os.path.lexists(path) else []


def sentence(source: Source, name: str) -> str:
    """Return one imperative line that says how `name` comes from `source`."""
    match source:
        case LocalCopy(why=why):
            return f"copy `{name}` from {why}"
        case HubFetch(repository=repository):
            return f"fetch `{name}` from {repository}"
        case CdnFetch(resume=resume):
            start = "resume the download of" if resume else "fetch"
            return f"{start} `{name}` from OpenAI"
        case Parts(why=why):
            return f"unpack `{name}` from {why}"
        case Text():
            return f"write `{name}`"
