r"""Make `cachedoctor.pyz`: the whole program in one file that any Python 3.11 or later runs.

    python release/pyz.py --wheel dist/model_cache_doctor-0.2.0-py3-none-any.whl \\
        --wheels build/pyz --output dist/cachedoctor.pyz

It holds the wheel and the wheels that `pyz-requirements.txt` pins, which lie in the folder
`--wheels` or are fetched into it; no bridges, and no `huggingface_hub`, which is larger than the
rest and taken from the Python that runs it, as is Jinja2, which needs a compiled wheel. The same
wheels make the same bytes.
"""

from __future__ import annotations

import argparse
import os
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "pyz-requirements.txt"
_FIRST_LINE = b"#!/usr/bin/env python3\n"
_OLDEST = 315532800  # 1980, where a zip's time begins
_START = """\
import sys

if sys.version_info < (3, 11):
    sys.exit("cachedoctor needs Python 3.11 or later, and this is " + sys.version.split()[0])

from cachedoctor.__main__ import main

main()
"""


def fetch(folder: Path) -> None:
    """Fetch what is pinned, each proven by its digest; what is there is not fetched again."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    chosen = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--platform",
        "any",
        "--python-version",
        "3.11",
    ]
    place = ["--dest", str(folder), "--find-links", str(folder), "--requirement", str(REQUIREMENTS)]
    subprocess.run([*pip, *chosen, "--require-hashes", *place], check=True)


def gather(wheels: list[Path]) -> dict[str, bytes]:
    """Return the files of all wheels by name; raises `SystemExit` where two hold one name."""
    found: dict[str, bytes] = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if _wanted(name):
                    if name in found:
                        raise SystemExit(f"two wheels hold `{name}`, the second is `{wheel}`")
                    found[name] = archive.read(name)
    return found


def write(files: dict[str, bytes], output: Path) -> None:
    """Write the program: names in order, one time for all, as `SOURCE_DATE_EPOCH` says."""
    moment = max(_OLDEST, int(os.environ.get("SOURCE_DATE_EPOCH", _OLDEST)))
    when = time.gmtime(moment)[:6]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("wb") as file:
        file.write(_FIRST_LINE)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in sorted(files):
                entry = zipfile.ZipInfo(name, when)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.create_system = 3
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, files[name])
    output.chmod(0o755)


def _wanted(name: str) -> bool:
    """Leave out what only an installer reads, or nobody; licences and metadata stay."""
    folder, _, rest = name.partition("/")
    if folder.endswith(".data"):
        return False
    return not (folder.endswith(".dist-info") and rest in ("RECORD", "WHEEL", "INSTALLER"))


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\\n")[0])
    parser.add_argument("--wheel", type=Path, required=True, help="of cachedoctor")
    parser.add_argument("--wheels", type=Path, required=True, help="a folder for those it needs")
    parser.add_argument("--output", type=Path, default=Path("dist/cachedoctor.pyz"))
    asked = parser.parse_args()
    fetch(asked.wheels)
    files = gather([asked.wheel, *sorted(asked.wheels.glob("*.whl"))])
    write({**files, "__main__.py": _START.encode()}, asked.output)


if __name__ == "__main__":
    main()
