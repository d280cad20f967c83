"""Bring what a repair needs into the run folder, and prove it there, without touching a cache."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.errors import CacheDoctorError, FormatError, RepairError
from cachedoctor.findings import CdnFetch, HubFetch, LocalCopy, Parts, Text
from cachedoctor.system import cdn, digest, disk, moves
from cachedoctor.system.network import allowed
from cachedoctor.vocabulary import SILENT, Digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cachedoctor.findings import Need, Proof, Source
    from cachedoctor.system import fetch
    from cachedoctor.system.network import Network
    from cachedoctor.vocabulary import Progress

    Measured = Mapping[str, Mapping[str, str]]  # digests by the name in a need, then by algorithm

_NOTHING: Measured = {}


def stage(need: Need, path: str, network: Network, hub: fetch.Hub) -> dict[str, Digest]:
    """Bring `need` to `path` from its first source that works, prove it, and return its digests.

    The digests are by name within the need. An interrupted download at `path` is resumed.
    Raises `RepairError`, with the reason why each source failed.
    """
    if os.path.lexists(path) and not _resumable(need):
        disk.remove_tree(path)  # it was never proven, or has changed since
    failures = []
    for source in need.sources:
        try:
            disk.make_folders(os.path.dirname(path))
            if isinstance(source, LocalCopy):
                return _copied(source, need, path, network.progress)
            _bring(source, need, path, network, hub)
            known = _prove(need, path)
            return _digests(path, known)
        except (OSError, FormatError, RepairError) as error:
            failures.append(_reason(error))
            if not isinstance(source, CdnFetch) and os.path.lexists(path):
                disk.remove_tree(path)
    raise RepairError(
        f"no source worked for `{need.name}`: {'; '.join(failures)}",
        hint="nothing was changed; name an engine or a code to repair the rest",
    )


def _resumable(need: Need) -> bool:
    return isinstance(need.sources[-1], CdnFetch)


def _bring(
    source: Text | Parts | HubFetch | CdnFetch,
    need: Need,
    path: str,
    network: Network,
    hub: fetch.Hub,
) -> None:
    match source:
        case Text(text=text):
            disk.write(path, text.encode("utf-8", "surrogateescape"))
        case Parts():
            _join(source, path, network)
        case HubFetch():
            allowed(network)
            _from_hub(source, path, hub, network.progress)
        case CdnFetch():
            allowed(network)
            proof = need.proofs[0]
            if proof.digest is None:
                raise RepairError(f"no digest is known for `{need.name}`")
            if source.resume and not os.path.lexists(path):
                with contextlib.suppress(OSError):
                    disk.copy(source.resume, path, SILENT)
            cdn.fetch_cdn(
                source, path, proof.digest, network.host, network.mirrors, network.progress
            )


def _copied(source: LocalCopy, need: Need, path: str, progress: Progress) -> dict[str, Digest]:
    """Copy local files, prove what was written, and sync it; shows two progress bars.

    Bytes hashed while they are copied are not read again; a clone is.
    """
    total = sum(os.stat(origin).st_size for _, origin in source.files)
    title = os.path.basename(need.name)
    wanted = _algorithms((*need.proofs, *source.proofs))
    measured: dict[str, dict[str, str]] = {}
    progress.start(f"copying {title}", total)
    try:
        for name, origin in source.files:
            target = os.path.join(path, name) if name else path
            disk.make_folders(os.path.dirname(target))
            kinds = wanted.get(name, frozenset((digest.SHA256,)))
            measured[name] = disk.copy(origin, target, progress, algorithms=kinds, sync=False)
        progress.start(f"proving {title}", total)
        for name, found in measured.items():
            target = os.path.join(path, name) if name else path
            if found:
                disk.settle(target, progress)
            else:
                kinds = wanted.get(name, frozenset((digest.SHA256,)))
                measured[name] = digest.of_file(target, kinds, progress)
                disk.settle(target)
        known = _prove(need, path, source, measured)
        return _digests(path, known, measured)
    finally:
        progress.finish()


def _algorithms(proofs: Iterable[Proof]) -> dict[str, frozenset[str]]:
    """Return the digest algorithms for each file of a need, by its name within the need."""
    found: dict[str, frozenset[str]] = {}
    for proof in proofs:
        if proof.digest is not None:
            kinds = found.get(proof.name, frozenset())
            found[proof.name] = kinds | {proof.digest.algorithm}
    return found


def _join(source: Parts, path: str, network: Network) -> None:
    """Prove each part of a pack, then join them into one file."""
    total = sum(os.stat(part).st_size for part in source.paths)
    network.progress.start("unpacking", total)
    try:
        for part, wanted in zip(source.paths, source.digests, strict=True):
            found = digest.of_file(part, frozenset((digest.SHA256,)), SILENT)[digest.SHA256]
            if found != wanted:
                raise RepairError(f"the part `{part}` is damaged: it has the sha256 {found}")
        disk.join(source.paths, path, network.progress)
    finally:
        network.progress.finish()


def _from_hub(source: HubFetch, path: str, hub: fetch.Hub, progress: Progress) -> None:
    """Fetch into a folder beside `path`, then move the requested file or folder to `path`."""
    folder = f"{path}.fetch"
    if os.path.lexists(folder):
        disk.remove_tree(folder)
    disk.make_folders(folder)
    try:
        hub.fetch(source, folder, progress)
        disk.rename(os.path.join(folder, source.path.rstrip("/")), path)
    finally:
        disk.remove_tree(folder)


def _prove(
    need: Need, path: str, source: Source | None = None, measured: Measured = _NOTHING
) -> dict[str, Digest]:
    """Check what was staged against every proof; raises `RepairError` or `FormatError`.

    Files `measured` while they were written are not read again. Returns the proven digests by name.
    """
    own = source.proofs if isinstance(source, LocalCopy) else ()
    known: dict[str, Digest] = {}
    for proof in (*need.proofs, *own):
        file = os.path.join(path, proof.name) if proof.name else path
        try:
            if proof.format and need.folder and not proof.name:
                formats.find_bundle(proof.format).inspect(file)
            elif not os.path.isdir(file):
                _prove_file(proof, file, need.name, measured.get(proof.name, {}))
                if proof.digest:
                    known[proof.name] = proof.digest
        except (ImportError, AttributeError) as error:  # the journal names an unknown format
            raise RepairError(f"no format `{proof.format}`") from error
    return known


def _digests(
    path: str, known: Mapping[str, Digest], measured: Measured = _NOTHING
) -> dict[str, Digest]:
    """Add the digests that no proof required, so that a later look recognises what was placed."""
    found = dict(known)
    for row in moves.inventory(path):
        file = os.path.join(path, row.name) if row.name else path
        if not row.folder and row.name not in found and not os.path.islink(file):
            value = _measured(file, digest.SHA256, measured.get(row.name, {}))
            found[row.name] = Digest(digest.SHA256, value)
    return found


def _measured(file: str, algorithm: str, known: Mapping[str, str]) -> str:
    if algorithm in known:
        return known[algorithm]
    return digest.of_file(file, frozenset((algorithm,)), SILENT)[algorithm]


def _prove_file(proof: Proof, file: str, name: str, known: Mapping[str, str]) -> None:
    size = os.stat(file).st_size
    if proof.bytes is not None and size != proof.bytes:
        raise RepairError(f"`{name}` is {size} bytes, expected {proof.bytes}")
    if proof.digest is not None:
        measured = _measured(file, proof.digest.algorithm, known)
        if measured != proof.digest.hex:
            raise RepairError(
                f"`{name}` has the {proof.digest.algorithm} {measured}, expected {proof.digest.hex}"
            )
    if proof.format:
        with open(file, "rb") as opened:
            formats.find(proof.format).read(opened, size)


def _reason(error: Exception) -> str:
    if isinstance(error, CacheDoctorError):
        return error.message
    return str(error)
