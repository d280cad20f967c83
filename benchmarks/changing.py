"""Commands that move bytes, compared with the plain programs that would do the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import homes
from benchmarks.caches import HUB
from benchmarks.place import PYTHON, TOOL, Place
from benchmarks.reading import LARGE
from benchmarks.timing import in_turn
from tests.support import disks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.place import Scale
    from benchmarks.timing import Cost, Ratio

_FILES = 4  # of a place that is moved


def copy(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare a fix that copies from another repository with `cp`, `sync` and a digest check."""
    yield from _copies(home, scale, "", "auto")
    try:
        with disks.mounted("xfs", Path(home), 3 * scale.copied_bytes + disks.LEAST_BYTES) as disk:
            yield from _copies(f"{disk}/home", scale, ", on XFS", "always")
    except disks.CannotMountError as why:
        print(f"not on XFS: {why}", file=sys.stderr)


def _copies(home: str, scale: Scale, where: str, reflink: str) -> Iterator[Ratio]:
    place = Place(home, scale.few)
    (source,) = homes.weights(place.home, 1, scale.copied_bytes)
    lost = homes.again(place.home, source, "again", there=False)
    target = place.home / "copied"

    def lose() -> None:
        lost.unlink(missing_ok=True)
        place.forget()

    made = f"cp --reflink={reflink} {source} {target} && sync {target}"
    proven = ["sh", "-c", f"{made} && sha256sum {target} && rm {target}"]
    amount = f"{scale.copied_bytes >> 20} MiB"
    title = f"fix by copying {amount}{where} / cp, sync, sha256sum"
    note = "the fix also looks, before and after, and journals"
    yield place.against(title, [TOOL, "fix", "--yes"], proven, before=lose, note=note)


def dedupe(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare sharing the blocks of two files on XFS with hashing both once."""
    with disks.mounted("xfs", Path(home), 4 * scale.copied_bytes + disks.LEAST_BYTES) as disk:
        place = Place(disk / "home", scale.few)
        (source,) = homes.weights(place.home, 1, scale.copied_bytes)
        twin = homes.again(place.home, source, "again", there=True)
        listed = place.home / "blobs"
        listed.write_text(f"{source}\n{twin}")

        def apart() -> None:
            twin.unlink()
            shutil.copyfile(source, twin)  # on a disk of its own: nothing is shared yet
            subprocess.run(["sync", "-f", str(disk)], check=True)
            place.forget()

        bare = [PYTHON, "-c", LARGE, str(listed)]
        title = f"dedupe, 2 x {scale.copied_bytes >> 20} MiB on XFS / hashing both"
        command = [TOOL, "dedupe", "--yes"]
        yield place.against(title, command, bare, bound=1.1, before=apart)


def move(home: str, scale: Scale) -> Iterator[Ratio]:
    """Compare moving a hub to another file system with copying and hashing it."""
    with disks.mounted("xfs", Path(home), 3 * scale.copied_bytes + disks.LEAST_BYTES) as disk:
        place = Place(f"{home}/home", scale.few)
        hub, target, plain = place.home / HUB, disk / "hub", disk / "plain"

        def anew() -> None:
            shutil.rmtree(place.home, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            for each in disk.glob("*"):
                shutil.rmtree(each)
            homes.weights(place.home, _FILES, scale.copied_bytes // _FILES)
            subprocess.run(["sync", "-f", str(disk)], check=True)

        def ours() -> Cost:
            anew()
            return place.cost([TOOL, "move", str(hub), str(target), "--yes"])

        def theirs() -> Cost:
            anew()
            made = f"cp -a {hub} {plain} && sync -f {plain}"
            hashed = f"find {plain} -type f -size +9k | xargs sha256sum"
            return place.cost(["sh", "-c", f"{made} && {hashed}"])

        title = f"move of {scale.copied_bytes >> 20} MiB to XFS / cp -a, sync, sha256sum"
        yield in_turn(title, ours, theirs, scale.few, bound=1 / 0.9)
