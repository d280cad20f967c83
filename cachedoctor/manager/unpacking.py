"""Put the models of a pack where their engines look for them, whatever the layout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cachedoctor import engines, locators, verdict
from cachedoctor.errors import UsageError
from cachedoctor.findings import HubFetch, LocalCopy, Need, Parts, Proof, Source
from cachedoctor.lockfile import Lock
from cachedoctor.plans import cures, packs
from cachedoctor.plans.changes import Change, Choice, Spared
from cachedoctor.repairs import built, folder, hub, single
from cachedoctor.vocabulary import Digest, Root, State, Survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.engines import Engine
    from cachedoctor.engines.catalog import Model
    from cachedoctor.findings import Repair
    from cachedoctor.host import Host
    from cachedoctor.lockfile import LockedFile, LockedModel
    from cachedoctor.plans.packs import Pack
    from cachedoctor.vocabulary import Claim

_NO_COMMIT = "main"


def unpack(
    pack: Pack,
    host: Host,
    survey: Survey,
    *,
    for_engines: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Change:
    """Return the change that puts a pack's models in their places.

    `for_engines` are the engines that should load them, if not the packed one: another engine gets
    a model with the same files. `names` are `engine:model` in the pack. Raises `UsageError` for a
    name that the pack does not have.
    """
    models = list(_chosen(pack.lock, names))
    choices: list[Choice] = []
    spared: list[Spared] = []
    for locked in models:
        for engine, model, here in _targets(locked, for_engines):
            title = f"{engine.name}/{model.name}"
            path, root, claim = cures.wanted_model(engine, model, host)
            why = _obstacle(pack, locked, engine, model, host, path)
            lacking = "" if why else _lacking(pack, here, survey)
            size = sum(file.bytes for file in here.values())
            repair = None
            if not (why or lacking):
                repair = _repair(engine, claim, path, root, locked, here, survey)
                if not repair.steps:  # all files exist, but not all are right
                    cure = host.command("fix", engine.name, "--model", model.name)
                    lacking = f"what is here is damaged: `{cure}`"
            if repair is None or lacking:
                spared.append(
                    Spared(
                        title=title, path=path, why=why or lacking, bytes=size, named=bool(lacking)
                    )
                )
                continue
            repair = _from_pack(repair, claim, here, pack, survey)
            choices.append(
                Choice(
                    title=title,
                    path=path,
                    reason=f"from {pack.folder}",
                    bytes=size,
                    repair=repair,
                    brings=(engine.name, model.name),
                )
            )
        spared += _without_these_files(locked, for_engines)
    return Change(verb="unpack", choices=tuple(choices), spared=tuple(spared))


def with_source(report: Report, pack: Pack) -> Report:
    """Add the pack's folder to a look, because `apply` reads only from places in the survey."""
    seen = Root(locator="pack", path=os.path.abspath(pack.folder), entries=())
    survey = report.survey.with_roots((*report.survey.roots, seen))
    return report._replace(survey=survey)


def _chosen(lock: Lock, names: Sequence[str]) -> Iterator[LockedModel]:
    known = {f"{model.engine}:{model.name}": model for model in lock.models}
    for name in names:
        if name not in known:
            raise UsageError(f"the pack has no `{name}`", hint=f"it has {', '.join(known)}")
    return (known[name] for name in names or known)


def _without_these_files(locked: LockedModel, for_engines: Sequence[str]) -> Iterator[Spared]:
    """Yield a spared item for each named engine that has no model with these files."""
    fitting = {engine.name for engine, _, _ in _targets(locked, for_engines)}
    for name in dict.fromkeys(for_engines):
        if name not in fitting:
            yield Spared(
                title=f"{locked.engine}/{locked.name}",
                path="",
                why=f"{name} has no known model with the same files",
                bytes=sum(file.bytes for file in locked.files.values()),
                named=True,
            )


def _targets(
    locked: LockedModel, for_engines: Sequence[str]
) -> Iterator[tuple[Engine, Model, Mapping[str, LockedFile]]]:
    """Yield each engine and model that a packed model can serve, with the files it needs.

    Another engine's model is the same if the pack has each file that it needs, by digest.
    """
    own = engines.find(locked.engine)
    for name in for_engines or (locked.engine,):
        engine = engines.find(name)
        if engine.name == own.name:
            yield engine, own.table.row(locked.name), locked.files
            continue
        by_digest = {file.digests["sha256"]: file for file in locked.files.values()}
        for model in engine.table.models.values():
            files: dict[str, LockedFile] = {}
            for need in model.sets[0].requirements:
                digest = need.digest or model.published.get(need.names[0], (0, None))[1]
                if digest is not None and digest.hex in by_digest:
                    files[need.names[0]] = by_digest[digest.hex]
                elif not need.optional:
                    break
            else:
                if files:
                    yield engine, model, files


def _obstacle(
    pack: Pack, locked: LockedModel, engine: Engine, model: Model, host: Host, path: str
) -> str:
    """Return why a model is not put in its place, or an empty string."""
    same = engine.name == locked.engine
    lock = Lock(pack.lock.path, (locked,)) if same else None
    now = verdict.preflight(engine.name, model=model.name, lock=lock, host=host)
    if now.ready:
        return "it is already here, and ready"
    if os.path.lexists(path) and not locators.find(engine.locators[0]).has_revisions:
        return f"something is already at `{host.short(path)}`"
    return ""


def _lacking(pack: Pack, files: Mapping[str, LockedFile], survey: Survey) -> str:
    """Return which file is neither in the pack nor here, or an empty string."""
    for name, file in files.items():
        digest = file.digests["sha256"]
        why = packs.missing(pack, digest)
        if why and not _copy_here(digest, survey):
            return f"`{name}`: {why}"
    return ""


def _repair(
    engine: Engine,
    claim: Claim,
    path: str,
    root: str,
    locked: LockedModel,
    files: Mapping[str, LockedFile],
    survey: Survey,
) -> Repair:
    """Return the repair that would fetch the model into its layout."""
    layout = locators.find(engine.locators[0])
    rows = [
        (claim.prefix + name, Proof("", file.bytes, _digest(file))) for name, file in files.items()
    ]
    commit = locked.revision or _NO_COMMIT
    if layout.single_file:
        need = claim.needs.requirements[0]
        file = files[need.names[0]]
        need = need._replace(bytes=file.bytes, digest=Digest("sha256", file.digests["sha256"]))
        claim = claim._replace(
            needs=claim.needs._replace(requirements=(need, *claim.needs.requirements[1:]))
        )
        return single.whole_file(claim, path, root, survey)
    if layout.has_revisions:
        if not locked.revision:
            raise UsageError(
                f"{locked.said_by}: a hub cache needs the revision of {claim.repository}"
            )
        return hub.whole_model(claim, path, root, commit, rows)
    tokenizer = None
    if claim.tokenizer:
        names = {n for need in claim.needs.requirements if need.tokenizer for n in need.names}
        mine = [(n, Proof("", f.bytes, _digest(f))) for n, f in files.items() if n in names]
        tokenizer = folder.Remote(_NO_COMMIT, mine) if mine else None
    noted = layout.keeps_notes and bool(locked.revision)
    remote = folder.Remote(commit, rows)
    return folder.whole_folder(claim, path, root, remote, tokenizer, noted=noted)


def _from_pack(
    repair: Repair, claim: Claim, files: Mapping[str, LockedFile], pack: Pack, survey: Survey
) -> Repair:
    """Return the repair with the pack as its source, in place of downloads."""

    def source_of(digest: str) -> Source:
        here = _copy_here(digest, survey)
        if packs.missing(pack, digest) and here:
            return LocalCopy((("", here),), "another local copy")
        parts = pack.files[digest]
        paths = tuple(pack.path(part) for part in parts)
        return Parts(paths, tuple(part.digest for part in parts), "the pack")

    needs: list[Need] = []
    for need in repair.needs:
        fetch = need.sources[-1]
        name = fetch.path if isinstance(fetch, HubFetch) else need.name
        plain = name.removeprefix(claim.prefix)
        if need.folder and name.endswith("/"):
            needs.append(_bundle(need, plain, files, source_of))
        elif plain in files:
            digest = files[plain].digests["sha256"]
            proof = Proof("", files[plain].bytes, Digest("sha256", digest))
            needs.append(need._replace(sources=(source_of(digest),), proofs=(proof, *need.proofs)))
        elif need.name == "file":
            digest = next(iter(files.values())).digests["sha256"]
            needs.append(need._replace(sources=(source_of(digest),)))
        else:
            needs.append(need)  # a branch, a note: a few characters
    describe = f"unpack {claim.model} of {claim.engine}"
    made = built("unpack-model", describe, repair.root, tuple(needs), repair.steps)
    return made._replace(locks=repair.locks)


def _bundle(
    need: Need,
    below: str,
    files: Mapping[str, LockedFile],
    source_of: Callable[[str], Source],
) -> Need:
    """Return the need for a whole folder, with each of its files from the pack."""
    mine = {name[len(below) :]: file for name, file in files.items() if name.startswith(below)}
    copied: list[tuple[str, str]] = []
    proofs = list(need.proofs)
    for name, file in mine.items():
        digest = file.digests["sha256"]
        source = source_of(digest)
        if isinstance(source, Parts):
            if len(source.paths) != 1:
                raise UsageError(f"`{below}{name}` is in several parts; pack it in larger ones")
            copied.append((name, source.paths[0]))
        elif isinstance(source, LocalCopy):
            copied.append((name, source.files[0][1]))
        proofs.append(Proof(name, file.bytes, Digest("sha256", digest)))
    return need._replace(sources=(LocalCopy(tuple(copied), "the pack"),), proofs=tuple(proofs))


def _digest(file: LockedFile) -> Digest:
    """Return the digest by which the hub names a file: git's for a small one."""
    large = "git-sha1" not in file.digests
    return (
        Digest("sha256", file.digests["sha256"])
        if large
        else Digest("git-sha1", file.digests["git-sha1"])
    )


def _copy_here(digest: str, survey: Survey) -> str:
    """Return a local file that should have this digest, or an empty string; staging proves it."""
    found = (a.file for a in survey.holding(digest) if a.state is State.PRESENT)
    return next(found, "")
