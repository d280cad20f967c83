"""This program as one file, for machines without it: a script for `sh`, followed by a zip.

    python -m cachedoctor.fleet.single_file cachedoctor.pyz

It holds cachedoctor as it is installed here, with click and platformdirs and their licences. It
looks, verifies and repairs from local bytes; the code that fetches is not in it. The script looks
for a Python, proves what follows it, runs it, and removes the file and its folder.

Source: Python's `zipapp`: what is before a zip does not matter to the import from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import sys
import tempfile
import zipfile
from importlib import metadata, resources
from typing import TYPE_CHECKING

from cachedoctor.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

FOLDER = ".cachedoctor-fleet"  # in the home of the user who runs it
_PACKAGES = ("cachedoctor", "click", "platformdirs")
_LICENCES = ("click", "platformdirs")
_WHEN = (1980, 1, 1, 0, 0, 0)  # so that the same files give the same bytes
_MAIN = b"from cachedoctor.__main__ import main\n\nmain()\n"
_PYTHONS = "python3 python3.14 python3.13 python3.12 python3.11"
CLEAN = f"""\
here=$(dirname "$0")
place=$(dirname "$here")
clean() {{
  rm -f ${{at:+"$at"}}
  if [ "$(basename "$place")" = {FOLDER} ]; then
    rm -rf "$here"
    find "$place" -mindepth 1 -maxdepth 1 -name "ansible-tmp-*" -mtime +0 -exec rm -rf {{}} +
    rmdir "$place" 2>/dev/null
  fi
}}"""
_HEAD = """\
#!/bin/sh
# cachedoctor and what it needs, as one file; run as: sh FILE MARK LOCK WORD...
mark=$1 lock=$2
shift 2
PATH=$PATH:$HOME/.local/bin:/opt/homebrew/bin:/usr/local/bin
CLEAN
trap "clean; exit 1" HUP INT TERM PIPE # a caller that is gone, at any moment
missing() {
  clean
  echo
  echo "$mark missing $1"
  exit 0
}
for python in PYTHONS none; do
  "$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && break
done
[ "$python" != none ] || missing "Python 3.11 or later"
found=$("$python" -c "import hashlib, sys
print(hashlib.sha256(open(sys.argv[1], 'rb').read()[OFFSET:]).hexdigest())" "$0")
[ "$found" = DIGEST ] || missing "cachedoctor as it was sent"
if [ -n "$lock" ]; then
  at=$(mktemp) || missing "room for a lock file"
  printf %b "$lock" >"$at"
  set -- "$@" --lock "$at"
fi
echo
echo "$mark begin"
"$python" -B "$0" "$@" </dev/null
code=$?
clean
echo
echo "$mark end $code"
exit 0
"""


@contextlib.contextmanager
def made() -> Iterator[str]:
    """Make the file in a temporary folder, and keep it while it is needed."""
    with tempfile.TemporaryDirectory(prefix="cachedoctor-push-") as folder:
        path = os.path.join(folder, "cachedoctor.pyz")
        with open(path, "wb") as file:
            file.write(content())
        yield path


def content() -> bytes:
    """Return the file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(_files().items()):
            archive.writestr(zipfile.ZipInfo(name, _WHEN), data, zipfile.ZIP_DEFLATED)
    body = packed.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    head = _HEAD.replace("DIGEST", digest).replace("CLEAN", CLEAN).replace("PYTHONS", _PYTHONS)
    length = len(head.replace("OFFSET", "00000"))
    return head.replace("OFFSET", f"{length:<5}").encode() + body


def _files() -> dict[str, bytes]:
    found = {"__main__.py": _MAIN}
    for package in _PACKAGES:
        found.update(_below(resources.files(package), package))
    for name in _LICENCES:
        for path in metadata.files(name) or ():
            if "licen" in path.name.lower() and ".dist-info" in str(path):
                found[str(path)] = path.read_binary()
    return found


def _below(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for each in folder.iterdir():
        if each.is_dir() and each.name != "__pycache__":
            yield from _below(each, f"{name}/{each.name}")
        elif each.is_file() and not each.name.endswith((".pyc", ".so", ".pyd")):
            yield f"{name}/{each.name}", each.read_bytes()


def main() -> None:
    """Write the file to the path on the command line."""
    if len(sys.argv) != 2:
        raise UsageError("name the file to write")
    with open(sys.argv[1], "wb") as file:
        file.write(content())


if __name__ == "__main__":
    main()
