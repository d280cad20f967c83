"""Make a lock from local files or from the hub's listing; check a lock file against the tables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, locators, lockfile
from cachedoctor.doctor import readiness, scanning
from cachedoctor.errors import CannotLookError, FetchError, NotReadyError, UsageError
from cachedoctor.findings import Safety
from cachedoctor.lockfile import LockedFile, LockedModel
from cachedoctor.system import digest
from cachedoctor.vocabulary import SILENT, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.engines import Engine
    from cachedoctor.engines.catalog import Model
    from cachedoctor.host import Host
    from cachedoctor.lockfile import Lock
    from cachedoctor.system import fetch
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Artifact, Claim, Entry, Progress

_ALGORITHMS = frozenset((digest.SHA256, digest.GIT_SHA1))


class Locked(NamedTuple):
    """One model as it would be written, with remarks on it."""

    model: LockedModel
    unproven: tuple[str, ...] = ()  # files with no evidence but their own bytes
    online: bool = False  # taken from the hub's listing, not from files


def read(path: str) -> Lock:
    """Read a lock file and check its names against the tables.

    Raises like `lockfile.read`, and `UsageError` for an unknown engine or model, or for a
    repository that the engine does not load this model from.
    """
    lock = lockfile.read(path)
    for model in lock.models:
        try:
            row = engines.find(model.engine).table.row(model.name)
        except UsageError as error:
            raise UsageError(f"{model.said_by}: {error.message}", hint=error.hint) from error
        hosted = "/".join(row.url.split("/")[3:5]) if "/resolve/" in row.url else ""
        known = {row.repository, row.former[0], hosted} - {""}
        if model.repository and model.repository not in known:
            takes = " or ".join(f"`{name}`" for name in sorted(known)) or "no repository"
            raise UsageError(
                f"{model.said_by}: {model.engine} takes {model.name} from {takes}, "
                f"not `{model.repository}`"
            )
    return lock


def lock(
    host: Host,
    engine_name: str,
    question: str,
    *,
    network: Network | None = None,
    progress: Progress = SILENT,
) -> Locked:
    """Return the exact bytes of a model that is ready here; reads and proves every byte.

    `question` is a size or a model's name. If the model is not ready and there is a `network`, the
    hub's listing of the newest commit is used instead. Raises `NotReadyError` if it is not ready,
    and `FetchError` if the hub cannot be reached.
    """
    engine = engines.find(engine_name)
    given = host.expand(question)
    if os.path.isabs(given) or given.startswith(("./", "../")):
        raise UsageError(
            f"`{question}` is a path: a lock file names models by their repository and commit",
            hint=f"{engine.name} knows its models by name: `cachedoctor engines {engine.name}`",
        )
    sized = question in engine.table.sizes
    models = readiness.answers(
        engine, size=question if sized else None, model=None if sized else question
    )
    report = scanning.scan(
        host, [engine.name], models=[m.name for m in models], deep=True, progress=progress
    )
    answer = readiness.ready(engine, report, models, question if sized else None)
    if answer.ready:
        entry = next(entry for entry in report.entries if entry.id == answer.entry)
        claim = next(c for c in entry.claims if (c.engine, c.model) == (engine.name, answer.model))
        return _from_files(entry, claim, report, progress)
    if network is not None:
        return _from_listing(engine, models[0], network)
    command = host.command("fix", engine.name, "--size" if sized else "--model", question)
    cause = (f for f in report.findings if f.code == answer.code and answer.entry in f.entries)
    cure = next((f.repair for f in cause if f.repair), None)
    if cure is not None and cure.safety is Safety.MANUAL:
        command = cure.describe
    raise NotReadyError(
        f"{engine.name} {answer.model or question} is not ready: {answer.why}", hint=f"`{command}`"
    )


def _from_files(entry: Entry, claim: Claim, report: Report, progress: Progress) -> Locked:
    """Take the files that the engine reads, each just proven by a deep scan."""
    mine = list(_needed(entry, claim))
    held = {a.file: dict(report.contents.digests.get(a.file, {})) for a in mine}
    work = [
        digest.Work(*os.path.split(artifact.file), artifact.size_bytes, _ALGORITHMS)
        for artifact in mine
        if digest.SHA256 not in held[artifact.file]
    ]
    progress.start("reading", sum(item.size_bytes for item in work))
    for item, found in digest.of_many(work, progress):
        if isinstance(found, OSError):
            raise CannotLookError(f"`{item.path}` cannot be read: {found.strerror}") from found
        held[item.path].update(found)
    progress.finish()
    files = {
        a.name: LockedFile(
            a.size_bytes, {key: held[a.file][key] for key in _ALGORITHMS & held[a.file].keys()}
        )
        for a in mine
    }
    revision = entry.revision or locators.commit_of(entry, report.survey.root_of(entry))
    model = LockedModel(
        engine=claim.engine,
        name=claim.model,
        files=files,
        repository=claim.repository,
        revision=revision,
        url="" if revision else claim.url,
    )
    return Locked(model, tuple(a.name for a in mine if a.digest is None))


def _needed(entry: Entry, claim: Claim) -> Iterator[Artifact]:
    """Yield the files that one engine opens, including each file of its bundles."""
    names = {name for need in claim.needs.requirements for name in need.names}
    bundles = tuple(f"{a.name}/" for a in entry.artifacts if a.bundle and a.name in names)
    for artifact in entry.artifacts:
        opened = artifact.name in names or claim.engine in artifact.required_by
        inside = bool(bundles) and artifact.name.startswith(bundles)
        if artifact.state is State.PRESENT and not artifact.bundle and (opened or inside):
            yield artifact


def _from_listing(engine: Engine, model: Model, network: Network) -> Locked:
    """Take the hub's listing of the newest commit, or the table's row for a single file."""
    claim = engine.table.claim(model, network.host.engine_versions.get(engine.name, ""))
    if not claim.repository:
        files = {
            need.names[0]: LockedFile(need.bytes, {need.digest.algorithm: need.digest.hex})
            for need in claim.needs.requirements
            if need.bytes is not None and need.digest is not None
        }
        return Locked(
            LockedModel(engine=engine.name, name=model.name, files=files, url=claim.url),
            online=True,
        )
    from cachedoctor.system.network import allowed

    allowed(network)
    with network.hub() as hub:
        listing = hub.listing(claim.repository, "main")
    rows = {
        file.path.removeprefix(claim.prefix): LockedFile(
            file.bytes, {file.digest.algorithm: file.digest.hex}
        )
        for file in listing.files
        if file.path.startswith(claim.prefix)
    }
    chosen = claim.needs.chosen(rows)
    if not chosen:
        raise FetchError(f"{claim.repository} has nothing that {engine.name} reads")
    files = {name: row for name, row in rows.items() if name in chosen}
    locked = LockedModel(
        engine=engine.name,
        name=model.name,
        files=files,
        repository=claim.repository,
        revision=listing.commit,
    )
    return Locked(locked, online=True)


def differs(files: Sequence[fetch.Listed], locked: LockedModel, prefix: str) -> str:
    """Return how a repository's listing differs from a lock, or an empty string."""
    listed = {file.path: file for file in files}
    for name, wanted in locked.files.items():
        found = listed.get(prefix + name)
        if found is None:
            return f"`{name}` is missing"
        told = wanted.digests.get(found.digest.algorithm, found.digest.hex)
        if found.bytes != wanted.bytes or told != found.digest.hex:
            return f"`{name}` has other content"
    return ""
