"""Say whether everything that names the version names the same one, and a tag's.

    python release/agree.py            # of the checkout
    python release/agree.py v0.2.0     # and of the tag that is to be released

A release also needs a section of its own in the changelog that no longer says *in development*.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LITERALS = {
    "cachedoctor/version.py": r'^VERSION = "([^"]+)"$',
    "swift/Sources/BridgeKit/BridgeError.swift": r'^public let bridgeVersion = "([^"]+)"$',
    "docs/man/cachedoctor.1": r'^\.TH CACHEDOCTOR 1 "" "cachedoctor ([^"]+)"',
    "CHANGELOG.md": r"^## ([0-9][^ \n]*)",  # the newest is the first
}


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return the version by the file that says it; empty where one says none."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    found = {"pyproject.toml": str(project["project"]["version"])}
    for name, pattern in _LITERALS.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = match[1] if match else ""
    return found


def troubles(tag: str | None = None, root: Path = ROOT) -> list[str]:
    """Return what does not agree, a line each."""
    said = versions(root)
    wanted = said["pyproject.toml"]
    found = [
        f"{name} says `{version}`, pyproject.toml `{wanted}`"
        for name, version in said.items()
        if version != wanted
    ]
    if tag is not None:
        if tag != f"v{wanted}":
            found.append(f"the tag is `{tag}`, the version `{wanted}`")
        changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
        if re.search(rf"^## {re.escape(wanted)} \(in development\)$", changes, re.MULTILINE):
            found.append(f"CHANGELOG.md calls `{wanted}` in development")
    return found


if __name__ == "__main__":
    lines = troubles(sys.argv[1] if len(sys.argv) > 1 else None)
    print("\n".join(lines) or f"version {versions()['pyproject.toml']} everywhere")
    sys.exit(1 if lines else 0)
