"""Check what a journal may say: the type of every field, and where every path may be.

A journal is trusted only within the reach of its repairs: they change files in the root they name,
read files in the surveyed roots, and keep our own files in the run's folders. `.git` is never
allowed, because other programs execute what is in it.
"""

from __future__ import annotations

import os
import re
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, cast, get_args, get_origin, get_type_hints

from cachedoctor import findings
from cachedoctor.errors import RepairError
from cachedoctor.findings import (
    CdnFetch,
    Clone,
    HubFetch,
    Link,
    LocalCopy,
    MakeFolder,
    Parts,
    Put,
    Rename,
    Repair,
    Safety,
    Text,
)
from cachedoctor.system.ground import below
from cachedoctor.vocabulary import Digest, Stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from cachedoctor.findings import Need, Proof, Source, Step

_INTEGER = 1 << 64
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{32,64}")
_FORMAT = re.compile(r"[a-z][a-z0-9_]*")


class DefectError(Exception):
    """Report a field of a journal that we did not write."""


def check(repair: Repair, place: str, roots: Sequence[str], made: Collection[str] = ()) -> None:
    """Refuse a repair that points outside its root, its run's folder `place` and the `roots`.

    `made` is what the run itself puts in place: a symlink in another root may point there.
    Raises `DefectError` for a value of the wrong type, `RepairError` for a path outside.
    """
    if not fits(repair, Repair):
        raise DefectError("repair")
    if repair.root:
        plain(repair.root)
    elif repair.steps:
        raise DefectError("root")
    for need in repair.needs:
        relative(need.name)
        resumed = any(isinstance(source, CdnFetch) for source in need.sources)
        if not need.sources or (resumed and not need.proofs):
            raise DefectError("sources")
        for proof in need.proofs:
            _proof(proof)
        for source in need.sources:
            _source(source, need, (*roots, *([repair.root] if repair.root else ()), place))
    names = {need.name for need in repair.needs}
    for step in repair.steps:
        _step(step, repair.root, names, made)
        if isinstance(step, Clone):
            inside(step.source, (*roots, repair.root))
    for path in (*(guard.path for guard in repair.guards), *repair.locks):
        inside(path, (repair.root,))


def plain(path: str) -> None:
    """Refuse a path that is not absolute and normalised, or that leads through `.git`."""
    if not (path.startswith("/") and os.path.normpath(path) == path and not path.startswith("//")):
        raise RepairError(f"the journal points outside, to `{path}`, which is not a plain path")
    _not_git(path)


def relative(name: str) -> None:
    """Refuse a name that points outside the folder it is put in."""
    parts = name.split("/")
    if not name or name.startswith("/") or {"", ".", ".."} & set(parts):
        raise RepairError(f"the journal points outside, to `{name}`")
    _not_git(name)


def inside(path: str, folders: Sequence[str]) -> None:
    """Refuse a path that is not in one of these folders."""
    plain(path)
    if not any(path != folder and below(path, folder) for folder in folders if folder):
        raise RepairError(
            f"the journal points outside, to `{path}`", hint="nothing there was read or changed"
        )


def fits(value: Any, kind: Any) -> bool:
    """Return whether a value matches an annotated type, down to the last field."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if origin is tuple:
        if type(value) is not tuple:
            return False
        if inner[-1] is Ellipsis:
            return all(fits(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    if kind is int:
        return type(value) is int and -_INTEGER < value < _INTEGER
    if kind is float:
        return type(value) is float
    if kind is str:
        return type(value) is str and _is_name(value)
    if kind in (bool, NoneType, Safety):
        return type(value) is kind
    if type(value) is not kind:
        return False
    hints: dict[str, Any] = _hints(cast("Hashable", kind))
    return all(fits(getattr(value, name), hint) for name, hint in hints.items())


@cache
def _hints(kind: object) -> dict[str, Any]:
    known = {**vars(findings), "Digest": Digest, "Stamp": Stamp}
    return get_type_hints(cast("Any", kind), known)


def _is_name(value: str) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def _not_git(path: str) -> None:
    if ".git" in path.casefold().split("/"):
        raise RepairError(f"the journal points outside, to `{path}`: `.git` is never touched")


def placed_by(repairs: Sequence[Repair]) -> frozenset[str]:
    """Return every path at which these repairs place something."""
    steps = [step for repair in repairs for step in repair.steps]
    renamed = {step.target for step in steps if isinstance(step, Rename)}
    return frozenset(renamed | {step.path for step in steps if isinstance(step, Put)})


def _step(step: Step, root: str, names: set[str], made: Collection[str]) -> None:
    if isinstance(step, MakeFolder):
        plain(step.path)
        if not (below(step.path, root) or below(root, step.path)):
            inside(step.path, (root,))
        return
    inside(step.path, (root,))
    if isinstance(step, Rename):
        inside(step.target, (root,))
    elif isinstance(step, Put):
        if step.name not in names:
            raise DefectError("need")
    elif isinstance(step, Link):
        leads = os.path.normpath(os.path.join(os.path.dirname(step.path), step.target))
        if not step.target:
            raise DefectError("target")
        if leads not in made:
            inside(leads, (root,))


def _proof(proof: Proof) -> None:
    if proof.name:
        relative(proof.name)
    if proof.bytes is not None and proof.bytes < 0:
        raise DefectError("bytes")
    if proof.format is not None and not _FORMAT.fullmatch(proof.format):
        raise DefectError("format")
    if proof.digest is not None:
        check_digest(proof.digest)


def check_digest(digest: Digest) -> None:
    """Refuse anything that is not a digest of a kind we write."""
    if digest.algorithm not in ("sha256", "git-sha1") or not _HEX.fullmatch(digest.hex):
        raise DefectError("digest")


def _source(source: Source, need: Need, folders: Sequence[str]) -> None:
    match source:
        case LocalCopy(files=files, proofs=proofs):
            # the digest is fixed in advance, so the source's location cannot change the outcome
            told = {proof.name for proof in (*need.proofs, *proofs) if proof.digest}
            for name, origin in files:
                if name:
                    relative(name)
                if name in told and os.path.normpath(origin) == origin and os.path.isabs(origin):
                    continue
                inside(origin, folders)
            for proof in proofs:
                _proof(proof)
        case HubFetch(repository=repository, revision=revision, path=path):
            relative(path.rstrip("/"))
            named = _REPOSITORY.fullmatch(repository) and _REVISION.fullmatch(revision)
            if not named or ".." in (*repository.split("/"), *revision.split("/")):
                raise DefectError("repository")
        case CdnFetch(url=url, resume=resume):
            if not url.startswith("https://"):
                raise DefectError("url")
            if resume:
                inside(resume, folders)
        case Parts():
            _parts(source)
        case Text():
            pass


def _parts(source: Parts) -> None:
    """Refuse unnamed parts of a pack; they can be anywhere, because their bytes are proven."""
    if len(source.paths) != len(source.digests):
        raise DefectError("parts")
    for path, name in zip(source.paths, source.digests, strict=True):
        plain(path)
        check_digest(Digest("sha256", name))


def needs_of(repair: Repair) -> dict[str, Need]:
    """Return the needs of a repair by name."""
    return {need.name: need for need in repair.needs}
