"""A pack as one file that unpacks itself: a script for `sh`, followed by the stream of `pack -o -`.

The machine that packs leaves room for the script, which is written here: nothing that one machine
said runs on another. What follows the script is foreign until `unpack` has proven it.
"""

from __future__ import annotations

import shlex

from cachedoctor.fleet import line, single_file

HEAD_BYTES = 2048
_HEAD = """\
#!/bin/sh
# models for `cachedoctor unpack -`; run as: sh FILE MARK TOOL WORD...
mark=$1 tool=$2
shift 2
case $tool in "~/"*) tool=$HOME/${tool#"~/"} ;; esac
PATH=$PATH:PLACES
CLEAN
trap "clean; exit 1" HUP INT TERM PIPE # a caller that is gone, at any moment
if ! command -v "$tool" >/dev/null 2>&1; then
  clean
  echo
  echo "$mark missing cachedoctor"
  exit 0
fi
echo
echo "$mark begin"
tail -c +OFFSET "$0" | "$tool" "$@"
code=$?
clean
echo
echo "$mark end $code"
exit 0
"""


def begin(path: str) -> None:
    """Write the script into the room left for it at the beginning of a packed file."""
    head = _HEAD.replace("CLEAN", single_file.CLEAN).replace("PLACES", line.PLACES)
    content = head.replace("OFFSET", str(HEAD_BYTES + 1)).encode()
    with open(path, "r+b") as file:
        file.write(content.ljust(HEAD_BYTES, b"\n"))


def packing(models: list[str], *, tool: str, marked: str, deadline_s: int) -> str:
    """Return the line that packs models into the file `place(home, marked)` of a machine.

    If the caller disappears, writing a line fails, and the file is removed. Otherwise it is removed
    once it was fetched, or when the deadline has passed.
    """
    words = ["pack", *models, "-o", "-", "--json", "--deadline", f"{deadline_s}s"]
    folder = f'"$HOME/{single_file.FOLDER}"'
    gone = f'rm -f "$at"; rmdir {folder} 2>/dev/null'
    return "/bin/sh -c " + shlex.quote(
        f"PATH=$PATH:{line.PLACES}; tool={line.expanded(tool)}; "
        f'if ! command -v "$tool" >/dev/null 2>&1; then '
        f"echo; echo {marked} missing cachedoctor; exit 1; fi; "
        f"umask 077; mkdir -p {folder}; at={folder}/{marked}; packer=; "
        f"gone() {{ kill $packer 2>/dev/null; {gone}; exit 1; }}; "
        "trap gone HUP INT TERM PIPE; "
        f"echo; echo {marked} begin; "
        f'( head -c {HEAD_BYTES} /dev/zero; exec "$tool" {shlex.join(words)} ) '
        '</dev/null 2>&1 >"$at" & packer=$!; '
        "while kill -0 $packer 2>/dev/null; do sleep 1; echo; done; wait $packer; code=$?; "
        f'[ $code = 0 ] || {{ tail -c +{HEAD_BYTES + 1} "$at" | head -c 9999; {gone}; }}; '
        f"echo; echo {marked} end $code; "
        f'( trap "{_quoted(gone)}; exit" HUP INT TERM; left={deadline_s}; '
        'while [ -e "$at" ] && [ $left -gt 0 ]; do sleep 1; left=$((left - 1)); done; '
        f"{gone} ) </dev/null >/dev/null 2>&1 & exit $code"
    )


def place(home: str, marked: str) -> str:
    """Return the path of the file on a machine."""
    return f"{home}/{single_file.FOLDER}/{marked}"


def removing(marked: str) -> str:
    """Return the line that removes the file."""
    folder = f'"$HOME/{single_file.FOLDER}"'
    return line.wrapped(f"rm -f {folder}/{marked}; rmdir {folder} 2>/dev/null")


def unpacking(model: str, *, tool: str, marked: str, deadline_s: int) -> str:
    """Return the arguments for the file on a machine that unpacks it."""
    words = ["unpack", "-", model, "--yes", "--json", "--deadline", f"{deadline_s}s"]
    return shlex.join([marked, tool, *words])


def _quoted(script: str) -> str:
    return script.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
