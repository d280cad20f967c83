"""A folder seen through a file system with late answers, as over a network: FUSE, every call.

`python -m benchmarks.latency SOURCE MOUNT MILLISECONDS` runs until it is unmounted. The kernel
caches nothing, so each look-up costs a trip; needs root or fusermount3, libfuse3 and mfusepy.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import caches
from benchmarks.place import HF, PYTHON, TOOL, Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.place import Scale
    from benchmarks.timing import Ratio

_ROOT = Path(__file__).parent.parent
_DELAY_MS = 0.5  # a round trip within a building
_PATIENCE_S = 10.0
_PART = 20  # of the repositories one in so many: a whole cache would take minutes


class CannotBeLateError(RuntimeError):
    """Report why no such file system can be mounted here."""


def far(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare a first look where every call takes half a millisecond; a figure without a bound."""
    place = Place(f"{home}/near", scale.few)
    caches.hub(place.home, max(scale.repositories // _PART, 1), 3, 15)
    mount = Path(home, "far")
    mount.mkdir()
    with mounted(place.home, mount):
        there = Place(mount, scale.few, XDG_STATE_HOME=f"{home}/state")
        title = f"scan / hf cache ls, {_DELAY_MS} ms a call"
        yield there.against(title, [TOOL, "scan"], [HF, "cache", "ls"])


@contextlib.contextmanager
def mounted(source: Path, mount: Path, delay_ms: float = _DELAY_MS) -> Iterator[None]:
    """Show a folder in another for as long as the block lasts; raises `CannotBeLateError`."""
    command = [PYTHON, "-m", "benchmarks.latency", str(source), str(mount), str(delay_ms)]
    child = subprocess.Popen(
        command,
        cwd=_ROOT,  # where `benchmarks` is found from any folder
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + _PATIENCE_S
        while not os.path.ismount(mount):
            if child.poll() is not None or time.monotonic() > until:
                child.kill()
                _, said = child.communicate()
                why = (said.strip().splitlines() or ["it said nothing"])[-1]
                raise CannotBeLateError(f"nothing is mounted: {why}")
            time.sleep(0.05)
        yield
    finally:
        if os.path.ismount(mount):
            subprocess.run(["umount", str(mount)], check=True)
        child.wait(_PATIENCE_S)
        if child.stderr is not None:
            child.stderr.close()


def main() -> None:
    """Serve a folder until it is unmounted."""
    import mfusepy

    source, mount, milliseconds = sys.argv[1:]
    delay_s = float(milliseconds) / 1000

    class Late(mfusepy.Operations):  # type: ignore[misc, unused-ignore]
        """Pass every call on after a delay."""

        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
            found = os.lstat(_at(path)) if fh is None else os.fstat(fh)
            names = (name for name in dir(found) if name.startswith("st_"))
            kept = {name: getattr(found, name) for name in names}
            for name in ("st_atime", "st_mtime", "st_ctime"):
                kept[name] = kept[f"{name}_ns"]
            return kept

        def readdir(self, path: str, fh: int) -> list[str]:
            return [".", "..", *os.listdir(_at(path))]

        def readlink(self, path: str) -> str:
            return os.readlink(_at(path))

        def open(self, path: str, flags: int) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR):
                raise mfusepy.FuseOSError(errno.EROFS)
            return os.open(_at(path), os.O_RDONLY)

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            time.sleep(delay_s)
            return os.pread(fh, size, offset)

        def release(self, path: str, fh: int) -> int:
            os.close(fh)
            return 0

    def _at(path: str) -> str:
        time.sleep(delay_s)
        return source + path

    kept = {"attr_timeout": 0, "entry_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(Late(), mount, foreground=True, ro=True, **kept)


if __name__ == "__main__":
    main()
