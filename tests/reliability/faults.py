"""Every fault of the tables: exact codes, a cure if local bytes have one, an exact undo."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

from cachedoctor.doctor import scanning
from cachedoctor.runs import applying
from tests import test_faults, test_faults_folders
from tests.reliability import kills

if TYPE_CHECKING:
    from pathlib import Path


class Injected(NamedTuple):
    """How many faults were injected, and their outcomes."""

    faults: int
    told: int  # by their exact codes
    silent: int  # damage that is not a fault
    cured: int  # the second scan was clean, and undo brought the damage back


def inject(folder: Path) -> Injected:
    """Inject each fault into a healthy world of its own."""
    told = silent = cured = 0
    rows = [
        *((f, kills.hub_scene, row[1], row[3]) for f, row in test_faults.FAULTS.items()),
        *((f, kills.mac_scene, row[1], row[2]) for f, row in test_faults_folders.FAULTS.items()),
    ]
    for number, (fault, build, codes, curable) in enumerate(rows):
        place = folder / str(number)
        scene = build(fault, place)
        before = kills.state(scene)
        found = sorted(f.code for f in scanning.scan(scene.host, deep=scene.deep).findings)
        assert found == codes, f"{fault}: {found}"
        assert kills.state(scene) == before, f"{fault}: looking changed something"
        told += bool(codes)
        silent += not codes
        if codes and curable:
            scene.fix()
            assert scene.findings() == set(), f"{fault}: {scene.findings()} after the fix"
            while applying.undo(scene.host):
                pass
            assert kills.state(scene) == before, f"{fault}: undo is not exact"
            cured += 1
        shutil.rmtree(place)
    return Injected(len(rows), told, silent, cured)
