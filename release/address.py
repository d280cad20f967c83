"""Say in the package's metadata where this repository is, and let README's links lead there.

    python release/address.py https://github.com/OWNER/cachedoctor v0.2.0

In a checkout, links are relative, so that they work wherever it lies; the package index shows the
README alone. A release runs this in its own checkout before anything is built: whoever releases
says where, and nothing here has to guess it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>(?!https?:|#|mailto:)[^)\s]+)\)"
)


def absolute(text: str, address: str, revision: str) -> str:
    """Return Markdown whose links into the repository lead to a revision of it."""

    def led(match: re.Match[str]) -> str:
        kind = "raw" if match["picture"] else "blob"
        target = f"{address}/{kind}/{revision}/{match['target']}"
        return f"{match['picture']}[{match['text']}]({target})"

    return _LINK.sub(led, text)


def with_addresses(project: str, address: str, revision: str) -> str:
    """Return `pyproject.toml` with the addresses that the index shows beside a package."""
    urls = (
        "[project.urls]",
        f'Documentation = "{address}/blob/{revision}/docs/index.md"',
        f'Source = "{address}"',
        f'Issues = "{address}/issues"',
        f'Changelog = "{address}/blob/{revision}/CHANGELOG.md"',
    )
    before, table, after = project.partition("[project.scripts]\n")
    if not table or "[project.urls]" in project:
        raise SystemExit("pyproject.toml has addresses already, or no scripts")
    return before + "\n".join(urls) + "\n\n" + table + after


def main(address: str, revision: str, root: Path = ROOT) -> None:
    """Rewrite README and `pyproject.toml` of a checkout."""
    address = address.rstrip("/")
    if not re.fullmatch(r"https://[^/\s\"]+/[^/\s\"]+/[^/\s\"]+", address):
        raise SystemExit(f"`{address}` is no repository's address")
    readme, project = root / "README.md", root / "pyproject.toml"
    written = with_addresses(project.read_text(encoding="utf-8"), address, revision)
    project.write_text(written, encoding="utf-8")
    text = absolute(readme.read_text(encoding="utf-8"), address, revision)
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("Usage: python release/address.py ADDRESS REVISION")
    main(sys.argv[1], sys.argv[2])
