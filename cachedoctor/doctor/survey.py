"""Bring together what lies in the locators' roots and what the engines would load of it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from cachedoctor import engines, formats, locators
from cachedoctor.errors import FormatError, UsageError
from cachedoctor.looking import quietly, untrusted
from cachedoctor.vocabulary import Artifact, Evidence, Requirement, Root, State, Survey, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from cachedoctor.engines import Engine
    from cachedoctor.host import Host
    from cachedoctor.locators import Layout, Share, Way, Ways
    from cachedoctor.lockfile import Lock
    from cachedoctor.vocabulary import Claim, Digest, Entry


_NOWHERE = "/nowhere"
_MOVES = re.compile("HF_|HUGGINGFACE_|XDG_|TRANSFORMERS_|PARAKEET_|TORCH_|WHISPER_")


def look(
    host: Host,
    chosen: Sequence[Engine],
    only: frozenset[str] | None = None,
    lock: Lock | None = None,
    share: Share | None = None,
) -> Survey:
    """List every root of the layouts and let the `chosen` engines claim what they would load.

    Every layout is listed when nothing is narrowed: one holds what can repair another. What `lock`
    demands of its models comes before all other evidence.
    Of a `share` only what is its own is listed.
    Raises `UsageError` for a layout in a configuration file that is not known.
    """
    kinds, ways = _kinds(host, chosen, only), locators.Ways()
    places = [(kind, *place) for kind in kinds for place in _places(kind, host, ways)]
    if share is not None:
        return Survey(tuple(_shared(places, host, chosen, lock, share)), _around(host))
    roots = with_siblings(
        [
            _read(locator, path, host, chosen, only, lock)
            if not way.barred
            else _barred(locator, path, way, chosen)
            for locator, path, way in places
        ]
    )
    return Survey(tuple(roots), _around(host))


def joined(roots: Sequence[Sequence[Root]], host: Host) -> Survey:
    """Return the survey of which several processes have each looked at a share."""
    shares: dict[tuple[str, str], list[Root]] = {}
    for root in (root for part in roots for root in part):
        shares.setdefault((root.locator, root.path), []).append(root)
    found = []
    for mine in shares.values():
        whole = mine[0]
        listings = [root.listing for root in mine if root.listing is not None]
        if len(mine) > 1 and listings:
            entries = {entry.id: entry for root in mine for entry in root.entries}
            # as the layout lists them: by folder, then by revision
            ordered = tuple(sorted(entries.values(), key=lambda entry: entry.path.split("/")))
            whole = whole._replace(entries=ordered, listing=locators.of(whole).joined(listings))
        found.append(whole)
    return Survey(tuple(with_siblings(found)), _around(host))


def divided(host: Host, chosen: Sequence[Engine]) -> Iterator[tuple[Layout, str]]:
    """Go through the roots that several processes can look at, each at a share."""
    ways = locators.Ways()
    for locator in _kinds(host, chosen, None):
        if locator.divided:
            for path, way in _places(locator, host, ways):
                if way.there and not way.barred:
                    yield locator, path


def _around(host: Host) -> tuple[str, ...]:
    return (os.path.join(host.home, "Downloads"),)


def _shared(
    places: Sequence[tuple[Layout, str, Way]],
    host: Host,
    chosen: Sequence[Engine],
    lock: Lock | None,
    share: Share,
) -> list[Root]:
    """List a share; with the rest also what tells the digests of files outside divided roots."""
    found: list[Root] = []
    for locator, path, way in places:
        if way.barred:
            if share.rest:
                found.append(_barred(locator, path, way, chosen))
        elif locator.divided:
            found.append(_read(locator, path, host, chosen, share, lock))
        elif share.rest:
            found.append(_read(locator, path, host, chosen, None, lock))
    whole = (root for root in found if not locators.of(root).divided)
    asked = frozenset(e.claims[0].repository for r in whole for e in r.entries if e.claims)
    told = [
        _read(locator, path, host, chosen, asked, lock)
        for locator, path, way in (places if asked else ())
        if locator.divided and not way.barred
    ]
    return with_siblings([*told, *found])[len(told) :]


def _kinds(host: Host, chosen: Sequence[Engine], only: frozenset[str] | None) -> list[Layout]:
    layouts = dict.fromkeys(name for engine in chosen for name in engine.locators)
    for name in (*host.engine_versions, *host.said_by):
        _known_engine(name, host.said_by.get(name, "--engine-version"))
    for place in host.places:
        _known_engine(place.engine, place.said_by)
        if place.kind not in locators.names():
            near = nearest(place.kind, locators.names())
            raise UsageError(f"{place.said_by}: no layout `{place.kind}`{near}")
        if not place.engine or any(place.engine == engine.name for engine in chosen):
            layouts.setdefault(place.kind)
    if only is None:
        layouts.update(dict.fromkeys(locators.names()))
    return [locators.find(name) for name in layouts]


def closed_named(host: Host, layouts: Collection[str]) -> tuple[str, str] | None:
    """Return the first place of these layouts that somebody named and that is closed, and why.

    Named is what a variable or a configuration file says; the usual places are not.
    """
    ways = locators.Ways()
    for locator in map(locators.find, layouts):
        named = _named(locator, host)
        for path, way in _places(locator, host, ways):
            if not {path, os.path.realpath(path)} & named:
                continue
            if way.closed:
                return way.closed, way.why
            try:
                quietly.names(way.real)
            except NotADirectoryError:
                continue
            except OSError as error:
                return way.real, locators.reason(error)
    return None


def _named(locator: Layout, host: Host) -> set[str]:
    """Return the roots that a variable or a configuration file names."""
    roots = set(locator.roots(host))
    found = {place.path for place in host.places if place.kind == locator.name}
    for name in host.environment:
        if _MOVES.match(name):
            other = host._replace(environment={**host.environment, name: _NOWHERE})
            found |= roots.difference(locator.roots(other))
    return found | set(map(os.path.realpath, found))


def _barred(locator: Layout, path: str, way: Way, chosen: Sequence[Engine]) -> Root:
    """Return the root of which nothing can be seen, because of what is on the way to it."""
    users = tuple(engine.name for engine in chosen if locator.name in engine.locators)
    return Root(
        locator.name,
        path,
        (),
        error=way.why,
        closed=way.closed,
        gone=way.gone,
        text=way.text,
        aim=way.aim,
        users=users,
    )


def _known_engine(name: str, said_by: str) -> None:
    known = engines.names()
    if name and name not in known:
        raise UsageError(f"{said_by}: no engine `{name}`{nearest(name, known)}")


def _places(locator: Layout, host: Host, ways: Ways) -> Iterator[tuple[str, Way]]:
    """Go through the roots that exist or may, each once however many names lead to it.

    A place that was named and lies on a volume which is not there counts as gone, too.
    """
    seen = set()
    usual = set(locator.roots(host._replace(environment={}, places=())))
    added = (place.path for place in host.places if place.kind == locator.name)
    for path in (*locator.roots(host), *added):
        if host.platform == "windows":
            path = host.absolute(path)  # noqa: PLW2901 - as it is spelled there
        way = ways.to(path)
        if not (way.there or way.barred) and path not in usual:
            volume = locators.volume_gone(path)
            way = way._replace(gone=volume, aim=volume)
        if way.closed and locators.inside(host.cwd, way.closed) and not host.project:
            continue  # whoever starts an engine there sees what is in it all the same
        mark = way.real if way.there else path
        if mark not in seen and (way.there or way.barred):
            seen.add(mark)
            yield (way.real if way.there else path), way


def _read(
    locator: Layout,
    path: str,
    host: Host,
    chosen: Sequence[Engine],
    only: frozenset[str] | Share | None,
    lock: Lock | None,
) -> Root:
    named = [p.only for p in host.places if (p.kind, p.path) == (locator.name, path)]
    if only is None and named and None not in named and path not in locator.roots(host):
        only = frozenset().union(*(names for names in named if names))
    try:
        if isinstance(only, locators.Share):
            mine = only.folders.get(path, frozenset())
            root = locator.share(path, host, mine, rest=only.rest)
        else:
            root = locator.read(path, host, only)
    except NotADirectoryError:
        return _barred(locator, path, locators.Ways().to(f"{path}/."), chosen)
    except FileNotFoundError:  # gone since it was looked for
        return Root(locator.name, path, ())
    except OSError as error:
        why = locators.reason(error)
        return _barred(locator, path, locators.Way(path, closed=path, why=why), chosen)
    users = [engine for engine in chosen if host.places or locator.name in engine.locators]
    entries = tuple(
        _claimed(entry, users, host, locator, _absent(root, entry)) for entry in root.entries
    )
    if lock is not None:
        entries = tuple(_locked(entry, lock, locator) for entry in entries)
    return root._replace(entries=entries)


def _absent(root: Root, entry: Entry) -> frozenset[str]:
    """Name the files of which a client noted that this revision has none."""
    if root.listing is None:
        return frozenset()
    return locators.of(root).noted_absent(entry, root.listing)


def _locked(entry: Entry, lock: Lock, locator: Layout) -> Entry:
    """Add to an entry what a lock file demands of it."""
    model = lock.of(entry)
    if model is None:
        return entry
    artifacts = {artifact.name: artifact for artifact in entry.artifacts}
    for name, file in model.files.items():
        artifact = artifacts.get(name) or locator.missing(entry, name)
        artifacts[name] = file.expect(artifact, model.engine)
    return entry._replace(artifacts=tuple(artifacts.values()))


def _claimed(
    entry: Entry,
    users: Sequence[Engine],
    host: Host,
    locator: Layout,
    absent: frozenset[str] = frozenset(),
) -> Entry:
    """Add to an entry what the engines that would load it need, there or not.

    `absent` are files of which the hub's client noted that the repository has none.
    """

    def hidden(claim: Claim) -> frozenset[str]:
        return absent if claim.heeds_absence else frozenset()

    claims = [claim for user in users if (claim := user.claim(entry, host)) is not None]
    if any(claim.known_by == "name" for claim in claims):
        claims = [claim for claim in claims if claim.known_by == "name"]
    if not claims:
        retired = next(
            (f"{user.name} {last}" for user in users if (last := user.retired(entry))), ""
        )
        return entry._replace(retired=retired) if retired else entry
    artifacts = {artifact.name: artifact for artifact in entry.artifacts}
    for claim in claims:
        for need in claim.needs.requirements:
            there = [n for n in need.names if n in artifacts and n not in hidden(claim)]
            there.sort(key=lambda name: artifacts[name].state is not State.PRESENT)
            if need.optional and not there:
                continue
            told = entry.promises or claim.published  # of several names, the one it has
            usual = next((n for n in need.names if n in told), need.names[0])
            name = there[0] if there else usual
            artifact = artifacts.get(name) or _elsewhere(entry, claim, need, name)
            artifact = artifact or locator.missing(entry, name)
            artifacts[name] = _expected(artifact, claim, need, entry)
            for other in there[1:]:  # what another part of the engine may open in its place
                if artifacts[other].format is None:
                    format_ = need.format_of(other)
                    artifacts[other] = artifacts[other]._replace(format=format_)
            with_it = (other for one, others in need.beside if one == name for other in others)
            for other in (*_shards(artifacts[name]), *with_it):
                part = artifacts.get(other) or locator.missing(entry, other)
                artifacts[other] = _expected(part, claim, _part(claim, other), entry)
        _add_told(artifacts, claim, entry, locator)
    return entry._replace(claims=tuple(claims), artifacts=tuple(artifacts.values()))


def _add_told(artifacts: dict[str, Artifact], claim: Claim, entry: Entry, locator: Layout) -> None:
    """Add what tables and manifests say of files, needed or not."""
    for name, (size, digest) in claim.published.items():
        artifact = artifacts.get(name)
        if artifact is None or artifact.digest is not None or entry.revision is not None:
            continue
        if artifact.size_bytes == size and not artifact.bundle:  # of a folder without revision
            artifacts[name] = artifact._replace(digest=digest, evidence=Evidence.TABLE)
    for name in _asked_for(claim, entry):
        listed = artifacts.get(name) or locator.missing(entry, name)
        if claim.engine not in listed.required_by:
            needed_by = (*listed.required_by, claim.engine)
            artifacts[name] = listed._replace(required_by=needed_by)


def _expected(artifact: Artifact, claim: Claim, need: Requirement, entry: Entry) -> Artifact:
    """Add to an artifact who needs it, its format and what is published of it."""
    size, digest, evidence = need.bytes, need.digest, Evidence.TABLE
    if artifact.name != need.names[0]:  # what is published is of the usual name
        size = digest = None
    elif digest is not None and digest.hex in claim.url:
        evidence = Evidence.URL
    if digest is None and claim.revision and claim.revision == entry.revision:
        size, digest = claim.published.get(artifact.name, (None, None))
    if artifact.expected_bytes is None and size is not None:
        artifact = artifact._replace(expected_bytes=size, evidence=artifact.evidence or evidence)
    if artifact.digest is None and digest is not None:
        artifact = artifact._replace(digest=digest, evidence=evidence)
    elif artifact.evidence is Evidence.BLOB_NAME and artifact.digest != digest:
        artifact = artifact._replace(also=digest)
    read = not need.optional or (need.opened and artifact.state is State.PRESENT)
    users = (claim.engine,) if read else ()
    return artifact._replace(
        format=need.format_of(artifact.name), required_by=(*artifact.required_by, *users)
    )


def _shards(artifact: Artifact) -> tuple[str, ...]:
    """Return the files that weights were split into, where `artifact` is their index."""
    if not formats.is_index(artifact.format) or artifact.state is not State.PRESENT:
        return ()
    from cachedoctor.formats import shard_index

    try:
        with untrusted.open_regular(artifact.file, follow=True) as file:
            return shard_index.shards(file, artifact.size_bytes)
    except (FormatError, OSError):  # its own findings speak
        return ()


def _part(claim: Claim, name: str) -> Requirement:
    """Return what is to be said of a file that another brings along."""
    for need in claim.needs.requirements:
        if name in need.names:
            return need._replace(optional=False)
    return Requirement((name,), ("safetensors" if name.endswith(".safetensors") else None,))


def _asked_for(claim: Claim, entry: Entry) -> Iterator[str]:
    """Go through what the manifest lists and the engine asks the hub's client for.

    Since huggingface_hub 1.22 the client refuses a revision offline of which one of these is
    missing, whether the engine reads it or not.
    Source: huggingface_hub 2.4.0 `_snapshot_download.py` `_raise_if_incomplete_snapshot`.
    """
    if entry.promises and claim.snapshot:
        from fnmatch import fnmatchcase

        for name in entry.promises:
            if any(fnmatchcase(name, pattern) for pattern in claim.snapshot):
                yield name


def _elsewhere(entry: Entry, claim: Claim, need: Requirement, name: str) -> Artifact | None:
    """Look for a tokenizer in the folders of its own, where the engine has such."""
    if not (need.tokenizer and claim.tokenizer_folders):
        return None
    tried = [
        (path, locators.look(path, entry.root))
        for path in (os.path.join(folder, name) for folder in claim.tokenizer_folders)
    ]
    path, found = next((pair for pair in tried if pair[1].state is not State.MISSING), tried[0])
    size = found.stamp.size_bytes if found.stamp else 0
    return Artifact(name, path, found.file, found.state, found.stamp, size, detail=found.detail)


def with_siblings(roots: list[Root]) -> list[Root]:
    """Give files outside the hub cache the digests of the same files in their hub repository."""
    hub: dict[str, Entry] = {}
    for root in roots:
        for entry in root.entries:
            if locators.of(root).has_revisions and (entry.name not in hub or "main" in entry.refs):
                hub[entry.name] = entry

    def with_digests(entry: Entry) -> Entry:
        sibling = hub.get(entry.claims[0].repository) if entry.claims else None
        if sibling is None:
            return entry
        known: dict[str, tuple[int, Digest]] = {
            a.name.removeprefix(entry.claims[0].prefix): (a.size_bytes, a.digest)
            for a in sibling.artifacts
            if a.digest is not None and a.state is State.PRESENT
        }
        return entry._replace(
            artifacts=tuple(
                a._replace(digest=known[a.name][1], evidence=Evidence.SIBLING)
                # another length may be another revision, which says nothing about this file
                if a.digest is None and known.get(a.name, (-1,))[0] == a.size_bytes
                else a
                for a in entry.artifacts
            )
        )

    return [
        root
        if locators.of(root).has_revisions
        else root._replace(entries=tuple(map(with_digests, root.entries)))
        for root in roots
    ]
