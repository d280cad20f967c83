"""A pack: models as parts named by their digests, for machines without a network.

```
<folder>/
├── pack.json                which parts each file consists of
├── models.lock              which files each model consists of: see `lockfile`
└── parts/<sha256>           4 GB at most, to fit any USB stick; a smaller file is one part
```

As a stream, a pack is a tar archive of the same names, the two lists first. A pack is foreign
input: names that are not digests are refused, lengths must match the files, there is no
compression, and no link is followed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from typing import IO, TYPE_CHECKING, NamedTuple

from cachedoctor import lockfile, locking
from cachedoctor.errors import CannotLookError, RepairError, UsageError
from cachedoctor.system import disk
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from cachedoctor.lockfile import Lock
    from cachedoctor.vocabulary import Progress

PART_BYTES = 4_000_000_000
INDEX, LOCK, PARTS = "pack.json", "models.lock", "parts"
_VERSION = 1
_LIMIT_BYTES = 16 << 20  # of the two lists
_MOST_PARTS = 1 << 16
_CHUNK_BYTES = 4 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Part(NamedTuple):
    """One part of a file: its digest, its length, and its offset in the file."""

    digest: str
    bytes: int
    offset: int


class Pack(NamedTuple):
    """A pack's folder and its two lists."""

    folder: str
    lock: Lock
    files: Mapping[str, tuple[Part, ...]]  # by the digest of the whole file

    def bytes_of(self, digest: str) -> int:
        """Return the length of a file."""
        return sum(part.bytes for part in self.files[digest])

    def path(self, part: Part) -> str:
        """Return the path of a part."""
        return os.path.join(os.path.abspath(self.folder), PARTS, part.digest)


def split(
    path: str, digest: str, size: int, part_bytes: int, progress: Progress
) -> tuple[Part, ...]:
    """Return the parts of a file; reads one that is longer than a part, to hash its parts."""
    if size <= part_bytes:
        return (Part(digest, size, 0),)
    parts = []
    with open(path, "rb", buffering=0) as file:
        for offset in range(0, size, part_bytes):
            length = min(part_bytes, size - offset)
            state = hashlib.sha256()
            for chunk in _pieces(file, offset, length):
                state.update(chunk)
                progress.advance(len(chunk))
            parts.append(Part(state.hexdigest(), length, offset))
    return tuple(parts)


def index(files: Mapping[str, Sequence[Part]]) -> bytes:
    """Return the content of the list of parts."""
    rows = {
        digest: [[part.digest, part.bytes] for part in parts] for digest, parts in files.items()
    }
    return json.dumps({"pack": _VERSION, "files": rows}, indent=1, sort_keys=True).encode() + b"\n"


def write_part(source: str, part: Part, folder: str, progress: Progress) -> bool:
    """Write one part unless it exists; returns whether it was written.

    Raises `RepairError` if the file has changed since it was hashed.
    """
    target = os.path.join(folder, PARTS, part.digest)
    if _is_whole(target, part.bytes):
        return False
    disk.remove_tree(target)
    begun = f"{target}.partial"
    disk.remove_tree(begun)
    state = hashlib.sha256()
    with open(source, "rb", buffering=0) as file, open(begun, "xb") as made:
        for chunk in _pieces(file, part.offset, part.bytes):
            state.update(chunk)
            made.write(chunk)
            progress.advance(len(chunk))
        made.flush()
        os.fsync(made.fileno())
    if state.hexdigest() != part.digest:
        disk.remove_tree(begun)
        raise RepairError(f"`{source}` changed while being packed", hint="pack it again")
    disk.rename(begun, target)
    return True


def write_lists(folder: str, files: Mapping[str, Sequence[Part]], lock: str) -> None:
    """Write the two lists, which complete a pack, replacing older ones."""
    for name, content in ((LOCK, lock.encode()), (INDEX, index(files))):
        disk.remove_tree(os.path.join(folder, name))
        disk.write(os.path.join(folder, name), content)


def read(folder: str) -> Pack:
    """Read a pack's lists and check them.

    Raises `CannotLookError` if there is no pack, and `UsageError` if its lists are invalid or
    contradict each other.
    """
    place = os.path.join(folder, INDEX)
    content = _read_list(place)
    try:
        raw = json.loads(content)
        if raw.get("pack") != _VERSION:
            raise UsageError(f"`{place}` has an unknown version: {raw.get('pack')!r}")
        rows = dict(raw["files"].items())
        files = {digest: tuple(_parts(digest, row)) for digest, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"`{place}` is not a list of parts: {error}") from error
    if sum(map(len, files.values())) > _MOST_PARTS:
        raise UsageError(f"`{place}` names more than {_MOST_PARTS} parts")
    if os.path.islink(os.path.join(folder, PARTS)):
        raise UsageError(
            f"`{os.path.join(folder, PARTS)}` is a link; links in a pack are not followed"
        )
    _read_list(os.path.join(folder, LOCK))
    pack = Pack(folder, locking.read(os.path.join(folder, LOCK)), files)
    for digest, size in wanted(pack.lock).items():
        if digest in files and pack.bytes_of(digest) != size:
            raise UsageError(f"`{folder}`: the two lists differ in the length of {digest[:12]}")
    return pack


def wanted(lock: Lock) -> dict[str, int]:
    """Return the digests and lengths of all files in a lock file.

    Raises `UsageError` for a file without a SHA-256.
    """
    found: dict[str, int] = {}
    for model in lock.models:
        for name, file in model.files.items():
            if "sha256" not in file.digests:
                raise UsageError(f"{model.said_by}: `{name}` has no `sha256`")
            found[file.digests["sha256"]] = file.bytes
    return found


def missing(pack: Pack, digest: str) -> str:
    """Return which part of a file is missing or has the wrong length, or an empty string."""
    for part in pack.files.get(digest, ()):
        if not _is_whole(pack.path(part), part.bytes):
            return f"the part {part.digest[:12]} is missing or incomplete"
    return "" if digest in pack.files else "it is not in the pack"


def to_stream(
    stream: IO[bytes],
    files: Mapping[str, Sequence[Part]],
    sources: Mapping[str, str],
    lock: str,
    progress: Progress = SILENT,
) -> None:
    """Write a pack as a tar archive, the lists first; `sources` are the files by digest."""
    import io
    import tarfile

    with tarfile.open(fileobj=stream, mode="w|") as archive:

        def add(name: str, size: int, content: IO[bytes]) -> None:
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, content)

        for name, text in ((INDEX, index(files)), (LOCK, lock.encode())):
            add(name, len(text), io.BytesIO(text))
        for digest, part in _each_part(files):
            with open(sources[digest], "rb", buffering=0) as file:
                file.seek(part.offset)
                add(f"{PARTS}/{part.digest}", part.bytes, file)
            progress.advance(part.bytes)


def from_stream(stream: IO[bytes], folder: str, progress: Progress = SILENT) -> Pack:
    """Extract a pack from a tar archive into a new folder; accepts only the parts it lists.

    Raises `UsageError` at the first member that does not belong, before writing any of it.
    """
    import tarfile

    disk.make_folders(os.path.join(folder, PARTS))
    expected: dict[str, int] = {}
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for number, member in enumerate(archive):
                if number < 2:
                    limit = _LIMIT_BYTES if member.name == (INDEX, LOCK)[number] else -1
                else:
                    limit = expected.get(member.name, -1)
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or member.size > limit:
                    raise UsageError(f"not a pack: it holds `{member.name}`, {member.size} bytes")
                with open(os.path.join(folder, member.name), "xb") as made:
                    while chunk := content.read(_CHUNK_BYTES):
                        made.write(chunk)
                        progress.advance(len(chunk))
                if number == 1:
                    files = read(folder).files
                    expected = {
                        f"{PARTS}/{part.digest}": part.bytes for _, part in _each_part(files)
                    }
    except tarfile.TarError as error:
        raise UsageError(f"not a pack: {error}") from error
    return read(folder)


def _each_part(files: Mapping[str, Sequence[Part]]) -> Iterator[tuple[str, Part]]:
    """Yield the parts of files, each once."""
    seen: set[str] = set()
    for digest, parts in sorted(files.items()):
        for part in parts:
            if part.digest not in seen:
                seen.add(part.digest)
                yield digest, part


def _parts(digest: str, rows: Iterable[Sequence[object]]) -> Iterator[Part]:
    offset = 0
    for name, size in rows:
        right = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if not (isinstance(name, str) and isinstance(size, int) and right):
            raise ValueError(f"a part of {digest!r} has no digest or length")
        for word in (digest, name):
            if not _SHA256.fullmatch(word):
                raise ValueError(f"{word!r} is not a SHA-256")
        yield Part(name, size, offset)
        offset += size


def _pieces(file: IO[bytes], offset: int, length: int) -> Iterator[bytes]:
    file.seek(offset)
    while length > 0 and (chunk := file.read(min(_CHUNK_BYTES, length))):
        length -= len(chunk)
        yield chunk


def _is_whole(path: str, size: int) -> bool:
    """Return whether a path is a regular file, not a link, of this length."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _read_list(path: str) -> bytes:
    """Read one of the lists: a regular file, not a link, of a sane length."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise CannotLookError(f"not a pack: `{path}` cannot be read: {error.strerror}") from error
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UsageError(f"`{path}` is not a file")
        content = file.read(_LIMIT_BYTES + 1)
    if len(content) > _LIMIT_BYTES:
        raise UsageError(f"`{path}` is too long for the list of a pack")
    return content


def lock_text(models: Iterable[lockfile.LockedModel], tool: str) -> str:
    """Return the text of a pack's lock file."""
    return lockfile.text(models, tool)
