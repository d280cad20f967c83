"""What `verify` read, as text and as data; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.report.folding import Folding
from cachedoctor.report.scan_text import counting, findings_lines
from cachedoctor.text import plural, printable, size
from cachedoctor.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cachedoctor.doctor.contents import Counted, FileVerdict
    from cachedoctor.doctor.scanning import Report

Json = dict[str, object]

_WORDS = {"ok": "proven", "bad": "wrong", "unreadable": "unreadable", "unknown": "unknown"}


class Tally:
    """Count verdicts by their evidence, and keep those worth listing."""

    def __init__(self, files: Iterable[FileVerdict], proven: Iterable[Counted] = ()) -> None:
        """Count these, and add what is counted already."""
        self.rows: dict[tuple[str, str], Row] = {}
        self.doubtful: list[FileVerdict] = []
        self.read_bytes = 0
        for file in files:
            key = _WORDS[file.verdict], _evidence(file)
            row = self.rows.get(key) or self.rows.setdefault(key, Row())
            row.files += 1
            row.bytes += file.size_bytes
            row.remembered += file.remembered
            if file.verdict in ("unknown", "unreadable"):
                self.doubtful.append(file)
            elif not file.remembered:
                self.read_bytes += file.size_bytes
        for each in proven:
            row = self.rows.setdefault((_WORDS["ok"], each.evidence), Row())
            row.files += each.files
            row.bytes += each.bytes
            row.remembered += each.files if each.remembered else 0
            self.read_bytes += 0 if each.remembered else each.bytes

    def files(self, word: str = "") -> int:
        """Count the files of one verdict, or of all."""
        return sum(row.files for (said, _), row in self.rows.items() if word in ("", said))

    @property
    def wrong(self) -> bool:
        """Return whether a file is not what it must be, or could not be read."""
        return bool(self.files("wrong") or self.files("unreadable"))


class Row:
    """How many files one kind of evidence proved, their bytes, and how many were not read now."""

    def __init__(self) -> None:
        """Start at zero."""
        self.files = self.bytes = self.remembered = 0


def verify_lines(report: Report, tally: Tally, *, verbose: bool = False) -> Iterator[str]:
    """Yield a verify: what is wrong, what proved the rest, and files without evidence."""
    total = sum(row.bytes for row in tally.rows.values())
    rate = f", {size(int(tally.read_bytes / report.seconds))}/s" if report.seconds >= 1 else ""
    yield (
        f"cachedoctor {VERSION} · {printable(report.host.short(report.host.home))} on "
        f"{report.host.platform} · {plural(tally.files(), 'file')}, {size(total)}; "
        f"{size(tally.read_bytes)} read in {report.seconds:.1f} s{rate}"
    )
    yield from findings_lines(report, verbose=verbose)
    yield ""
    for (word, evidence), row in sorted(tally.rows.items()):
        again = f", {row.remembered} remembered" if row.remembered else ""
        count = plural(row.files, "file")
        yield f"{word:<10} {count:>12} {size(row.bytes):>11}  {evidence}{again}"
    for repository, why in report.unanswered:
        yield f"not asked  {printable(repository)}: {printable(why)}"
    for file in sorted(tally.doubtful) if verbose else ():
        why = f": {printable(file.error)}" if file.error else ""
        yield f"  {_WORDS[file.verdict]}  {printable(report.host.short(file.path))}{why}"
    counted = [f"{tally.files(word)} {word}" for word in _WORDS.values() if tally.files(word)]
    said = ", ".join(counted) or "no files"
    yield Folding(f"{said}; {counting(report.findings)}")


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


def _evidence(file: FileVerdict) -> str:
    if file.unproven:
        return "nothing says what they must be"
    return file.evidence or "they cannot be read"
