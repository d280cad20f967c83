"""Tag a wheel for Linux with the oldest C library that its bridges run on.

    python release/manylinux.py built/NAME-py3-none-linux_x86_64.whl dist

The index takes no wheel that says `linux` alone. `auditwheel` reads which symbols of which version
the programs need, and gives the wheel that tag; nothing is copied into it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Write the wheel under its new name into a folder; fails where a library would be needed."""
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    auditwheel = [sys.executable, "-m", "auditwheel"]
    said = subprocess.run(
        [*auditwheel, "show", str(wheel)], capture_output=True, text=True, check=True
    )
    found = re.search(r'platform\s+tag:\s+"(manylinux_\d+_\d+_\w+)"', " ".join(said.stdout.split()))
    if found is None:
        raise SystemExit(f"`{wheel.name}` fits no manylinux:\n{said.stdout}")
    tags = [sys.executable, "-m", "wheel", "tags", "--platform-tag", found[1], str(wheel)]
    named = subprocess.run(tags, capture_output=True, text=True, check=True).stdout.split()[-1]
    (wheel.parent / named).rename(folder / named)
    print(folder / named)


if __name__ == "__main__":
    main()
