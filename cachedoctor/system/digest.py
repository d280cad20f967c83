"""Compute all digests of a file in one pass, and of many files on all cores."""

from __future__ import annotations

import hashlib
import os
import stat
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cachedoctor.looking import quietly, untrusted
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import FileIO

    from cachedoctor.vocabulary import Progress

_CHUNK_BYTES = 1 << 20  # hashlib releases the GIL while it hashes; larger gains nothing

_LARGE_BYTES = 8 << 20  # smaller files drive nothing out
_WINDOW_BYTES = 1 << 30  # of a file, of which it is asked at once what is in memory
SMALL_BYTES = 1 << 18  # what is read at once; handing such a file to a thread costs more than it
_BATCH_FILES, _BATCH_BYTES = 128, 4 << 20  # of small files, which a thread reads in a row
_AHEAD = 4  # pieces of work that wait for each thread
_MOST_UNPACKED = 100  # times the archive's length; weights hardly pack at all
_MOST_UNPACKED_BYTES = 32 << 30
_LONGEST_DIRECTORY_BYTES = 16 << 20  # of an archive; Whisper large needs 100 KiB
_METHODS = (0, 8)  # stored and deflate; no engine reads others

SHA256 = "sha256"
GIT_SHA1 = "git-sha1"
SHA1 = "sha1"  # of the content alone, as some proxies send as ETag
CRC32 = "crc32"  # of an archive's members: `ok`, or the name of the first bad one


READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Work(NamedTuple):
    """One file to read, and the digest algorithms wanted for it."""

    folder: str
    name: str
    size_bytes: int
    algorithms: frozenset[str]

    @property
    def path(self) -> str:
        """Return the path of the file."""
        return f"{self.folder}/{self.name}"


class Hashes:
    """The digests of one file, computed while its bytes stream past."""

    def __init__(self, algorithms: frozenset[str], size: int) -> None:
        """Start; git's digest needs the length before the first byte."""
        self._states = {name: _STARTS[name](size) for name in algorithms if name in _STARTS}

    def update(self, piece: bytes | memoryview) -> None:
        """Hash the next bytes."""
        for state in self._states.values():
            state.update(piece)

    def found(self) -> dict[str, str]:
        """Return the digests of all bytes so far."""
        return {name: state.hexdigest() for name, state in self._states.items()}


_STARTS: dict[str, Callable[[int], hashlib._Hash]] = {
    SHA256: lambda _: hashlib.sha256(),
    SHA1: lambda _: hashlib.sha1(usedforsecurity=False),
    GIT_SHA1: lambda size: hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False),
}


def of_file(path: str, algorithms: frozenset[str], progress: Progress) -> dict[str, str]:
    r"""Return the hex digests of the file at `path`; reads it once, in constant memory.

    `git-sha1` is git's blob id: the SHA-1 of `blob <size>\0` and the content. Pages that this read
    brought into the page cache are dropped again, so that they do not evict others.
    Raises `OSError` if the file cannot be read to its end or changes meanwhile.
    """
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with untrusted.open_regular(path, follow=True) as file:
        size = os.fstat(file.fileno()).st_size
        hashes = Hashes(algorithms, size)
        strange = _not_cached(file.fileno(), size)
        at = 0
        while count := file.readinto(buffer):
            hashes.update(buffer[:count])
            if at in strange:
                os.posix_fadvise(file.fileno(), at, count, os.POSIX_FADV_DONTNEED)
            at += count
            progress.advance(count)
        if at != size or os.fstat(file.fileno()).st_size != size:
            raise untrusted.changed(path)
    return hashes.found()


def _not_cached(descriptor: int, size: int) -> frozenset[int]:
    """Return the offsets of those pieces of a large file that have no page in the page cache.

    Empty where that is unknown, or where pages cannot be dropped.
    Source: mincore(2); posix_fadvise(2).
    """
    if size < _LARGE_BYTES or not hasattr(os, "posix_fadvise"):
        return frozenset()
    import ctypes
    import mmap

    found = set()
    mincore = ctypes.CDLL(None, use_errno=True).mincore
    mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    marks = ctypes.create_string_buffer(_CHUNK_BYTES // mmap.PAGESIZE)
    kind = mmap.PROT_READ | mmap.PROT_WRITE  # a private mapping: nothing is ever written
    for start in range(0, size, _WINDOW_BYTES):
        length = min(_WINDOW_BYTES, size - start)
        try:
            view = mmap.mmap(descriptor, length, mmap.MAP_PRIVATE, kind, offset=start)
        except (OSError, ValueError):  # not supported by the file system, or truncated meanwhile
            return frozenset()
        with view:
            place = ctypes.c_char.from_buffer(view)
            first = ctypes.addressof(place)
            del place  # otherwise the mapping could not be closed
            for at in range(0, length, _CHUNK_BYTES):
                if mincore(first + at, 1, marks):
                    return frozenset()
                if marks[0] != b"\0":  # testing every page is slow
                    continue
                piece = min(_CHUNK_BYTES, length - at)
                mincore(first + at, piece, marks)
                if not any(marks.raw[: -(-piece // mmap.PAGESIZE)]):
                    found.add(start + at)
    return frozenset(found)


def of_archive(path: str, progress: Progress) -> str:
    """Compare each member of the zip archive at `path` with its checksum; reads it once.

    Returns `ok`, or the name of the first bad member; members with a compression that no engine
    reads are not unpacked. Raises `OSError` if the archive cannot be read to its end or changes
    meanwhile.
    """
    with untrusted.open_regular(path, follow=True) as opened:
        before = os.fstat(opened.fileno())
        wrong = _first_wrong(_Measured(opened), before.st_size, progress)
        after = os.fstat(opened.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise untrusted.changed(path)
    return wrong


class _Measured:
    """A file that returns no more per read than a sensible archive directory needs."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def seekable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            count = _LONGEST_DIRECTORY_BYTES
        if count > _LONGEST_DIRECTORY_BYTES:
            raise ValueError("more than a directory may have")
        pieces = []
        while count and (piece := self._file.read(count)):
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


def _first_wrong(file: _Measured, size_bytes: int, progress: Progress) -> str:
    import struct
    import zipfile
    import zlib

    broken = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error)
    most = min(_MOST_UNPACKED * size_bytes, _MOST_UNPACKED_BYTES)
    try:
        with zipfile.ZipFile(file) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
            if claimed > most:
                return "the archive itself"
            for member in archive.infolist():
                if member.compress_type not in _METHODS:
                    return member.filename
                try:
                    with archive.open(member) as content:
                        while chunk := content.read(_CHUNK_BYTES):
                            progress.advance(len(chunk))
                except broken:
                    return member.filename
    except (*broken, ValueError, RuntimeError, OverflowError, MemoryError):
        return "the archive itself"
    return "ok"


Found = tuple[Work, dict[str, str] | OSError]
T = TypeVar("T")


def of_many(
    work: Sequence[Work], progress: Progress, threads: int | None = None
) -> Iterator[Found]:
    """Yield the digests of many files as they are done, on all cores or so many `threads`."""
    return chain.from_iterable(shared_out(pieces(work, progress), threads))


def pieces(work: Sequence[Work], progress: Progress) -> Iterator[Callable[[], list[Found]]]:
    """Yield the reading of files: the largest first, each alone; then small ones, many in a row."""

    def one(item: Work) -> list[Found]:
        return [(item, of_work(item, progress))]

    def several(items: Sequence[Work]) -> list[Found]:
        found = [(item, _of_small(item)) for item in items]
        progress.advance(sum(item.size_bytes for item in items))
        return found

    large = [item for item in work if item.size_bytes > SMALL_BYTES or CRC32 in item.algorithms]
    large.sort(key=lambda item: -item.size_bytes)
    small = _batches(item for item in work if item.size_bytes <= SMALL_BYTES)
    yield from (partial(one, item) for item in large)
    yield from (partial(several, items) for items in small)


def shared_out(work: Iterator[Callable[[], T]], threads: int | None = None) -> Iterator[T]:
    """Yield what pieces of work give, as they are done, on all cores or so many `threads`.

    They are begun in the order that they come in.
    """
    begun = list(islice(work, 1))
    if not begun:
        return
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

    work = chain(begun, work)
    cores = threads or os.cpu_count() or 1
    pool = ThreadPoolExecutor(cores)
    waiting: set[Future[T]] = set()
    try:
        while True:
            more = islice(work, _AHEAD * cores - len(waiting))
            waiting.update(map(pool.submit, more))
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(work: Iterable[Work]) -> Iterator[list[Work]]:
    """Yield batches of small files, each read by one thread in a row."""
    batch: list[Work] = []
    size = 0
    for item in work:
        if CRC32 in item.algorithms:
            continue
        batch.append(item)
        size += item.size_bytes
        if len(batch) == _BATCH_FILES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def of_work(item: Work, progress: Progress = SILENT) -> dict[str, str] | OSError:
    """Return the digests of one file, or why it could not be read."""
    try:
        if CRC32 in item.algorithms:
            return {CRC32: of_archive(item.path, progress)}
        return of_file(item.path, item.algorithms, progress)
    except OSError as error:
        return error


def _of_small(item: Work) -> dict[str, str] | OSError:
    """Return the digests of a file that was small when listed, with as few calls as possible.

    It was a regular file then; if it is something else by now, this must not block.
    """
    folder, name, _, algorithms = item
    try:
        descriptor = quietly.opener(f"{folder}/{name}", READ)
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            if size <= SMALL_BYTES and stat.S_ISREG(status.st_mode):
                content = os.read(descriptor, size + 1)
                if len(content) == size:
                    hashes = Hashes(algorithms, size)
                    hashes.update(content)
                    return hashes.found()
        finally:
            os.close(descriptor)
    except OSError as error:
        return error
    except ValueError:  # a NUL in the name: the error says so itself
        pass
    return of_work(item)
