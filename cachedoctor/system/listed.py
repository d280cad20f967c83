"""Check what a hub lists before fetching a byte: names, digests, lengths, the commit.

Anybody can run a hub, and the client writes wherever a listing points: huggingface_hub 1.x follows
`..` up to four levels above its target folder. The child that talks to the hub checks the listing,
and its caller checks it again.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from cachedoctor.looking import untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CLIENTS_OWN = ".cache/huggingface/"  # metadata somebody uploaded; the client keeps its own there
MOST_FILES = 100_000
MOST_BYTES = 1 << 43  # 8 TiB in one repository
_LONGEST_PATH_BYTES = 1024
_LONGEST_PART_BYTES = 240  # the client appends a suffix
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "git-sha1": re.compile(r"[0-9a-f]{40}")}


def wrong(commit: object, rows: object) -> str:
    """Return what is wrong with a listing, quoting nothing unprintable; empty if it is fine.

    `rows` are tables of `path`, `bytes`, `algorithm` and `hex`.
    """
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        return f"something that is not a commit: {_shown(commit)}"
    if not isinstance(rows, list) or len(rows) > MOST_FILES:
        return f"more than {MOST_FILES} files"
    total = 0
    for row in rows:
        if not isinstance(row, dict):
            return "a file without a name"
        path = row.get("path")
        why = _wrong_path(path)
        if why:
            return f"{why}: {_shown(path)}"
        count = untrusted.count(row.get("bytes"), MOST_BYTES)
        if count is None:
            return f"no length for {_shown(path)}"
        total += count
        digits = _HEX.get(str(row.get("algorithm")))
        if digits is None or not digits.fullmatch(str(row.get("hex"))):
            return f"no digest for {_shown(path)}"
    if total > MOST_BYTES:
        return f"{total} bytes in all, more than any repository has"
    return _clash([row["path"] for row in rows])


def _wrong_path(path: object) -> str:
    checked = untrusted.text(path)
    if checked is None or not checked:
        return "an empty name"
    if not untrusted.below(checked) or "\\" in checked:
        return "a path that points elsewhere"
    if any(unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") for letter in checked):
        return "a name with control characters"
    parts = [len(part.encode()) for part in checked.split("/")]
    if sum(parts) + len(parts) > _LONGEST_PATH_BYTES or max(parts) > _LONGEST_PART_BYTES:
        return "a name that is too long"
    return ""


def _clash(paths: Sequence[str]) -> str:
    """Return which two names would clash: as one file on a Mac, or as a file and a folder."""
    seen: set[str] = set()
    for path in paths:
        folded = _folded(path)
        if folded in seen:
            return f"two files that are one on a Mac: {_shown(path)}"
        seen.add(folded)
    for path in paths:
        if any(above in seen for above in _above(_folded(path))):
            return f"a file that is also a folder: {_shown(path)}"
    return ""


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _shown(value: object) -> str:
    return f"`{value:.80}`" if isinstance(value, str) else f"a {type(value).__name__}"
