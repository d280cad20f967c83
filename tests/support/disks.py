"""Real disks of a file system, made in a file and mounted; needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAST_BYTES = 400 << 20  # what mkfs.xfs requires, and a little more


class CannotMountError(RuntimeError):
    """Report why no disk can be made here."""


@contextlib.contextmanager
def mounted(kind: str, folder: Path, size_bytes: int = LEAST_BYTES) -> Iterator[Path]:
    """Make a disk of this kind in `folder`, and mount it while the block runs."""
    maker = shutil.which(f"mkfs.{kind}", path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
    if maker is None or os.geteuid():
        raise CannotMountError(f"no `mkfs.{kind}` here, or not root")
    image, place = folder / f"{kind}.image", folder / kind
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    try:
        subprocess.run([maker, "-q", str(image)], check=True, capture_output=True)
        mounting = ["mount", "-o", "loop", str(image), str(place)]
        done = subprocess.run(mounting, capture_output=True, check=False)
        if done.returncode:
            said = done.stderr.decode().strip()
            raise CannotMountError(f"nothing can be mounted here: {said}")
        try:
            yield place
        finally:
            subprocess.run(["umount", str(place)], check=True)
    finally:
        image.unlink()


def of_its_own(kind: str, folder: Path) -> Iterator[Path]:
    """Yield a disk for one test, or skip the test, with the reason, if none can be made."""
    import pytest

    try:
        with mounted(kind, folder) as place:
            yield place
    except CannotMountError as why:
        pytest.skip(str(why))
