"""Choose what goes into a pack: models that are ready, every byte read and proven."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor import engines, locking
from cachedoctor.doctor import readiness, scanning
from cachedoctor.errors import RepairError, UsageError
from cachedoctor.plans import naming, packs
from cachedoctor.system import disk
from cachedoctor.text import size
from cachedoctor.version import VERSION
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import IO

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.host import Host
    from cachedoctor.lockfile import LockedModel
    from cachedoctor.plans.packs import Part
    from cachedoctor.vocabulary import Progress


class Packing(NamedTuple):
    """The contents of a pack to be written."""

    models: tuple[LockedModel, ...]  # the models of its lock file
    sources: Mapping[str, str]  # the paths of the files here, by digest
    files: Mapping[str, tuple[Part, ...]]  # the parts of all files, by digest
    left_out: frozenset[str] = frozenset()  # digests of files that the other machine has

    @property
    def bytes(self) -> int:
        """Return how many bytes will be written."""
        return sum(part.bytes for parts in self.written.values() for part in parts)

    @property
    def written(self) -> Mapping[str, tuple[Part, ...]]:
        """Return the files that will be written."""
        return {d: parts for d, parts in self.files.items() if d not in self.left_out}

    @property
    def lock(self) -> str:
        """Return the pack's lock file."""
        return packs.lock_text(self.models, f"cachedoctor {VERSION}")


def pack(
    host: Host,
    names: Sequence[str],
    *,
    have: Collection[str] = (),
    part_bytes: int = packs.PART_BYTES,
    progress: Progress = SILENT,
) -> Packing:
    """Return the contents of a pack of these models; reads every byte, and writes nothing.

    A name is `engine:size`, or one that `naming.resolve` knows. `have` are digests of files that
    the other side has. Raises `UsageError` for a model that no known engine loads, and
    `CannotLookError` for a model that is not ready.
    """
    report = scanning.scan(host)
    models: dict[tuple[str, str], LockedModel] = {}
    sources: dict[str, str] = {}
    files: dict[str, tuple[Part, ...]] = {}
    for engine, what in _questions(names, report):
        model = locking.lock(host, engine, what, progress=progress).model
        models[model.engine, model.name] = model
        here = _files_of(model, report)
        for name, file in model.files.items():
            digest = file.digests["sha256"]
            sources[digest] = here[name]
            if digest not in files:
                files[digest] = packs.split(here[name], digest, file.bytes, part_bytes, progress)
    left_out = frozenset(digest for digest in files if digest in have)
    return Packing(tuple(models.values()), sources, files, left_out)


def write(packing: Packing, folder: str, progress: Progress = SILENT) -> int:
    """Write a pack, or resume one; returns how many bytes were written now.

    Raises `RepairError` if there is no space or a file changed; what was written is kept for the
    next time.
    """
    done = 0
    progress.start("packing", packing.bytes)
    try:
        disk.make_folders(os.path.join(folder, packs.PARTS))
        for digest, parts in packing.written.items():
            for part in parts:
                if disk.free_bytes(folder) < part.bytes + (1 << 20):
                    raise RepairError(
                        f"no space in `{folder}` for a part of {size(part.bytes)}",
                        hint="the parts already written stay; continue where there is space",
                    )
                if packs.write_part(packing.sources[digest], part, folder, progress):
                    done += part.bytes
        packs.write_lists(folder, packing.written, packing.lock)
    except OSError as error:
        raise RepairError(f"`{error.filename or folder}`: {error.strerror}") from error
    finally:
        progress.finish()
    return done


def stream(packing: Packing, target: IO[bytes], progress: Progress = SILENT) -> None:
    """Write a pack as a stream."""
    packs.to_stream(target, packing.written, packing.sources, packing.lock, progress)


def digests_here(host: Host) -> list[str]:
    """Return the SHA-256 of every model file on this host, which a pack can leave out."""
    report = scanning.scan(host, cure_notes=False)
    return sorted(
        {
            artifact.digest.hex
            for entry in report.entries
            for artifact in entry.artifacts
            if artifact.digest
            and artifact.digest.algorithm == "sha256"
            and artifact.stamp
            and artifact.expected_bytes in (None, artifact.size_bytes)
        }
    )


def _questions(names: Sequence[str], report: Report) -> list[tuple[str, str]]:
    found = []
    for name in names:
        engine, colon, what = name.partition(":")
        if colon and engine in engines.names() and what in engines.find(engine).table.sizes:
            found.append((engine, what))
            continue
        for entry in naming.resolve((name,), report):
            if not entry.claims:
                raise UsageError(f"no known engine loads `{entry.id}`", hint="copy it as a folder")
            found.append((entry.claims[0].engine, entry.claims[0].model))
    return list(dict.fromkeys(found))


def _files_of(model: LockedModel, report: Report) -> dict[str, str]:
    """Return the physical files of the entry that answers for a model, by name."""
    engine = engines.find(model.engine)
    answer = readiness.ready(engine, report, (engine.table.row(model.name),))
    entry = next(entry for entry in report.entries if entry.id == answer.entry)
    return {artifact.name: artifact.file for artifact in entry.artifacts}
