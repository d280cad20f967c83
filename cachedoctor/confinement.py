"""What a journal may say: the type of every field, and where every path of it may lie.

A journal is believed only as far as its repairs reach: what they change lies in the root that they
name, what they read in the roots that were surveyed, what is ours in the run's own folders. `.git`
is never among it, because what lies there is run by others.
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
    HubFetch,
    Link,
    LocalCopy,
    MakeFolder,
    Put,
    Rename,
    Repair,
    Safety,
    Text,
)
from cachedoctor.ground import below
from cachedoctor.vocabulary import Digest, Stamp

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from cachedoctor.findings import Need, Proof, Source, Step

_INTEGER = 1 << 64
_REPOSITORY = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{32,64}")
_FORMAT = re.compile(r"[a-z][a-z0-9_]*")


class DefectError(Exception):
    """Say which field of a journal is none of ours."""


def check(repair: Repair, place: str, roots: Sequence[str]) -> None:
    """Refuse a repair that leads anywhere but its root, its run's folder `place` and the `roots`.

    Raises `DefectError` for what has the wrong type, `RepairError` for what leads out.
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
            _source(source, (*roots, *([repair.root] if repair.root else ()), place))
    names = {need.name for need in repair.needs}
    for step in repair.steps:
        _step(step, repair.root, names)
    for path in (*(guard.path for guard in repair.guards), *repair.locks):
        inside(path, (repair.root,))


def plain(path: str) -> None:
    """Refuse a path that is not absolute and in its shortest form, or that leads through `.git`."""
    if not (path.startswith("/") and os.path.normpath(path) == path and not path.startswith("//")):
        raise RepairError(f"the journal leads out to `{path}`, which is no plain path")
    _not_git(path)


def relative(name: str) -> None:
    """Refuse a name that is not below where it is put."""
    parts = name.split("/")
    if not name or name.startswith("/") or {"", ".", ".."} & set(parts):
        raise RepairError(f"the journal leads out to `{name}`")
    _not_git(name)


def inside(path: str, folders: Sequence[str]) -> None:
    """Refuse a path that is not in one of these folders."""
    plain(path)
    if not any(path != folder and below(path, folder) for folder in folders if folder):
        raise RepairError(
            f"the journal leads out to `{path}`", hint="nothing there was read or changed"
        )


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value is of an annotated type, down to the last field."""
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
        raise RepairError(f"the journal leads out to `{path}`: `.git` is never touched")


def _step(step: Step, root: str, names: set[str]) -> None:
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
    """Refuse what is no digest of a kind that we make."""
    if digest.algorithm not in ("sha256", "git-sha1") or not _HEX.fullmatch(digest.hex):
        raise DefectError("digest")


def _source(source: Source, folders: Sequence[str]) -> None:
    match source:
        case LocalCopy(files=files, proofs=proofs):
            for name, origin in files:
                if name:
                    relative(name)
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
        case Text():
            pass


def needs_of(repair: Repair) -> dict[str, Need]:
    """Return the needs of a repair by their names."""
    return {need.name: need for need in repair.needs}
