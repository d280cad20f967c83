"""Hostile caches: looked at without harm, and repaired without reaching outside."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from tests import test_faults
from tests.conftest import fingerprint
from tests.support import builders_models, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SECONDS = 5  # to look at anything; the ordinary world takes 20 milliseconds
_EVIL = "evil\x1b[2J\nname"


class Trap(NamedTuple):
    """A hostile cache beside files that nobody may touch."""

    world: test_faults.World
    outside: Path

    def instead(self, name: str) -> Path:
        """Remove a file's link and return its place."""
        path = self.world.snapshot / name
        path.unlink()
        return path


def _hard_link(trap: Trap) -> None:
    """Make the bad blob a hard link to somebody's own file."""
    blob = trap.world.blob("model.bin")
    blob.unlink()
    os.link(trap.outside / "thesis.txt", blob)


def _device(trap: Trap) -> None:
    blob = trap.world.blob("model.bin")
    blob.unlink()
    os.mknod(blob, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero


def _pipe(trap: Trap) -> None:
    blob = trap.world.blob("model.bin")
    blob.unlink()
    os.mkfifo(blob)


def _manifest(trap: Trap, name: str) -> None:
    """Promise a file at a place outside the cache."""
    path = test_faults.manifest(trap.world)
    raw = json.loads(path.read_text())
    raw["files"][name] = {"size": 4, "blob_id": "a" * 40}
    path.write_text(json.dumps(raw))


def _moved(path: Path, trap: Trap) -> None:
    """Put a link to a folder outside in place of a folder."""
    shutil.rmtree(path)
    path.symlink_to(trap.outside)


def _bomb(trap: Trap) -> None:
    """Leave an archive of a few KiB that unpacks to hundreds of MB."""
    bomb = builders_models.zip_of({"weight.npy": bytes(256 << 20)}, packed=True)
    files = {"config.json": b'{"n_mels": 80}', "weights.npz": bomb}
    worlds.repository(worlds.hub_of(trap.world.home), "mlx-community/whisper-tiny", files)


def _long_header(trap: Trap) -> None:
    """Claim a header of 100 MB in weights in an engine's repository."""
    head = (100 << 20).to_bytes(8, "little") + b'{"a":'
    path = worlds.repository(
        worlds.hub_of(trap.world.home),
        "mlx-community/whisper-tiny",
        {"config.json": b'{"n_mels": 80}', "weights.safetensors": head + b" " * 4096},
    )
    assert path.is_dir()


def _deep_json(trap: Trap) -> None:
    trap.world.blob("config.json").write_bytes(b"[" * 10_000 + b"]" * 10_000)


def _endless_ref(trap: Trap) -> None:
    ref = trap.world.repository / "refs" / "main"
    ref.unlink()
    with ref.open("wb") as file:
        file.truncate(1 << 40)


def _names(trap: Trap) -> None:
    """Use control characters in every place that can have a name."""
    hub = worlds.hub_of(trap.world.home)
    worlds.repository(hub, f"some/{_EVIL}", {_EVIL: b"{}", "weights.bin": b"\n"})
    (trap.world.repository / "refs" / _EVIL).write_text(_EVIL)
    (trap.world.repository / "blobs" / _EVIL).write_text("x")
    trap.world.blob("vocabulary.txt").unlink()


CASES: dict[str, Callable[[Trap], object]] = {
    "a link to a file outside": lambda t: t.instead("config.json").symlink_to(
        t.outside / "thesis.txt"
    ),
    "a link to a folder outside": lambda t: t.instead("config.json").symlink_to(t.outside),
    "links in a circle": lambda t: t.instead("config.json").symlink_to("config.json"),
    "a blob that is a pipe": _pipe,
    "a blob that is an endless device": _device,
    "a blob that is one file with somebody's own": _hard_link,
    "the snapshot is a link to elsewhere": lambda t: _moved(t.world.snapshot, t),
    "the blobs are a link to elsewhere": lambda t: _moved(t.world.repository / "blobs", t),
    "the refs are a link to elsewhere": lambda t: _moved(t.world.repository / "refs", t),
    "the manifests are a link to elsewhere": lambda t: _moved(t.world.repository / "trees", t),
    "the repository is a link to elsewhere": lambda t: _moved(t.world.repository, t),
    "a manifest that climbs out": lambda t: _manifest(t, "../../../../../outside/thesis.txt"),
    "a manifest with an absolute name": lambda t: _manifest(t, str(t.outside / "thesis.txt")),
    "a manifest nested ten thousand deep": lambda t: test_faults.manifest(t.world).write_text(
        "[" * 10_000
    ),
    "a configuration nested ten thousand deep": _deep_json,
    "an archive that unpacks to a thousand times its size": _bomb,
    "a header that claims 100 MB": _long_header,
    "a branch of a terabyte": _endless_ref,
    "names with line ends and terminal escapes": _names,
}


def refuse(case: str, folder: Path) -> float:
    """Set one trap, look, fix, undo; return how many seconds the look took."""
    home, outside = folder / "home", folder / "outside"
    home.mkdir(parents=True)
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work")
    host = Host.look(home=str(home), platform="linux")._replace(state=str(folder / "state"))
    trap = Trap(test_faults.build(home, host), outside)
    CASES[case](trap)
    there, before = fingerprint(outside), _caches(home)
    began = time.perf_counter()
    report = scanning.scan(host)
    deep = scanning.scan(host, deep=True)
    took = time.perf_counter() - began
    assert "CD000" not in {finding.code for finding in deep.findings}, case
    assert took < _SECONDS, f"{case}: looking took {took:.1f} s"
    assert _caches(home) == before, f"{case}: looking changed something"
    assert "CD000" not in {finding.code for finding in report.findings}, case
    shown = cachedoctor("scan", "--home", str(home), "-v")
    assert "\x1b" not in shown.output, f"{case}: raw escapes on a terminal"
    network = Network(host, offline=True)
    try:
        applying.apply(cures.plan(report, waste=True, network=network), report, network)
    except RepairError:
        assert _caches(home) == before, f"{case}: a refused fix changed something"
    assert fingerprint(outside) == there, f"{case}: the fix reached outside"
    while applying.undo(host):
        pass
    assert fingerprint(outside) == there, f"{case}: undo reached outside"
    assert _caches(home) == before, f"{case}: undo is not exact"
    return took


def _caches(home: Path) -> dict[str, tuple[object, ...]]:
    """Return what identifies every file, except our own folders and the sizes of holes."""
    found: dict[str, tuple[object, ...]] = {}
    for base, folders, files in os.walk(home):
        folders[:] = [name for name in folders if name != ".cachedoctor"]
        for name in (*folders, *files):
            path = os.path.join(base, name)
            status = os.lstat(path)
            content: object = status.st_size
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode) and status.st_size < 1 << 24:
                with open(path, "rb") as file:
                    content = file.read()
            found[os.path.relpath(path, home)] = (status.st_mode, status.st_ino, content)
    return found
