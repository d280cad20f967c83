"""Which files running programs have open or mapped into memory, and which programs those are.

Weights are often mapped and their descriptor closed, so `/proc/<pid>/fd` alone misses an engine at
work. Asking changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


def programs(
    paths: Collection[str], inodes: Mapping[str, tuple[int, int]] = {}
) -> Mapping[str, tuple[str, ...]] | None:
    """Return by path the programs, other than this one, that use these files now.

    `inodes` are devices and inodes by path that are known already.

    `None` where that is not shown. Linux shows our own processes, and everybody's to root.
    """
    if not paths:
        return {}
    if sys.platform == "darwin":
        return _lsof(paths)
    wanted: dict[tuple[int, int], list[str]] = {}  # hard links: several names for one file
    for path in paths:
        if key := inodes.get(path) or _identity(path):
            wanted.setdefault(key, []).append(path)
    mapped: dict[str, tuple[int, int] | None] = {}  # many programs map the same libraries
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return None
    found: dict[str, set[str]] = {}
    for process in processes:
        if int(process) == os.getpid():
            continue
        used = {path for key in _opened(process) for path in wanted.get(key, ())}
        for name in _mapped(process):
            if name not in mapped:
                mapped[name] = _identity(name)
            used.update(wanted.get(mapped[name] or (0, 0), ()))
        for path in used:
            found.setdefault(path, set()).add(_named(process))
    return {path: tuple(sorted(names)) for path, names in found.items()}


def _identity(path: str) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def _opened(process: str) -> Iterator[tuple[int, int]]:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{process}/fd/{name}")
                yield status.st_dev, status.st_ino


def _mapped(process: str) -> Iterator[str]:
    """Yield the paths of mapped files; paths, because btrfs shows another device number here."""
    with (
        contextlib.suppress(OSError),
        open(f"/proc/{process}/maps", encoding="utf-8", errors="surrogateescape") as file,
    ):
        for line in file:
            parts = line.rstrip("\n").split(None, 5)
            if len(parts) == 6 and parts[5].startswith("/"):
                yield parts[5].replace("\\012", "\n")


def _named(process: str) -> str:
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
            return f"{file.read().strip()} ({process})"
    except OSError:
        return f"process {process}"


def _lsof(paths: Collection[str]) -> Mapping[str, tuple[str, ...]] | None:
    """Ask `lsof`, which lists open and mapped files alike."""
    import subprocess

    command = ["/usr/sbin/lsof", "-F", "pcn", "--", *paths]
    try:
        shown = subprocess.run(command, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    process, name = "", ""
    found: dict[str, set[str]] = {}
    for line in os.fsdecode(shown.stdout).splitlines():
        if line.startswith("p"):
            process = line[1:]
        elif line.startswith("c"):
            name = line[1:]
        elif line.startswith("n") and process != str(os.getpid()) and line[1:] in paths:
            found.setdefault(line[1:], set()).add(f"{name} ({process})")
    return {path: tuple(sorted(names)) for path, names in found.items()}
