"""What `verify` read, to text and to data; pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from cachedoctor.report import WIDTH, counting, findings_lines, plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.doctor import Report
    from cachedoctor.verification import FileVerdict

Json = dict[str, object]

_WORDS = {"ok": "proven", "bad": "wrong", "unreadable": "unreadable", "unknown": "unknown"}


def verify_lines(
    report: Report, files: Sequence[FileVerdict], *, verbose: bool = False
) -> Iterator[str]:
    """Go through a verify: what is wrong, what proved the rest, and what nothing is known of."""
    total = sum(file.size_bytes for file in files)
    read = [f for f in files if not f.remembered and f.verdict in ("ok", "bad")]
    read_bytes = sum(file.size_bytes for file in read)
    rate = f", {size(int(read_bytes / report.seconds))}/s" if report.seconds >= 1 else ""
    yield (
        f"cachedoctor {VERSION} · {printable(report.host.short(report.host.home))} on "
        f"{report.host.platform} · {plural(len(files), 'file')}, {size(total)}; "
        f"{size(read_bytes)} read in {report.seconds:.1f} s{rate}"
    )
    yield from findings_lines(report, verbose=verbose)
    yield ""
    yield from _by_evidence(files)
    for repository, why in report.unanswered:
        yield f"not asked  {printable(repository)}: {printable(why)}"
    if verbose:
        for file in files:
            if file.verdict in ("unknown", "unreadable"):
                why = f": {printable(file.error)}" if file.error else ""
                yield f"  {_WORDS[file.verdict]}  {printable(report.host.short(file.path))}{why}"
    yield from textwrap.wrap(f"{_counted(files)}; {counting(report.findings)}", WIDTH)


def files_json(files: Sequence[FileVerdict]) -> list[Json]:
    """Return every file's verdict as data."""
    return [
        {
            "path": printable(file.path),
            "links": [printable(link) for link in file.links],
            "engines": list(file.engines),
            "size_bytes": file.size_bytes,
            "verdict": file.verdict,
            "evidence": file.evidence,
            "algorithm": file.algorithm,
            "digest": file.measured,
            "expected": file.expected,
            "remembered": file.remembered,
            "error": file.error or None,
        }
        for file in files
    ]


def _by_evidence(files: Sequence[FileVerdict]) -> Iterator[str]:
    """Go through how many files each kind of evidence spoke of."""
    rows: dict[tuple[str, str], list[FileVerdict]] = {}
    for file in files:
        rows.setdefault((_WORDS[file.verdict], _evidence(file)), []).append(file)
    for (word, evidence), found in sorted(rows.items()):
        held = size(sum(file.size_bytes for file in found))
        old = sum(file.remembered for file in found)
        again = f", {old} remembered" if old else ""
        yield f"{word:<10} {plural(len(found), 'file'):>12} {held:>11}  {evidence}{again}"


def _evidence(file: FileVerdict) -> str:
    if file.verdict == "unknown":
        return "nothing says what they must be"
    return file.evidence or "they cannot be read"


def _counted(files: Sequence[FileVerdict]) -> str:
    count = {word: sum(f.verdict == word for f in files) for word in _WORDS}
    parts = [f"{count[word]} {shown}" for word, shown in _WORDS.items() if count[word]]
    return ", ".join(parts) or "no files"
