"""One model, finding or past change in full: files, evidence, who needs it, what would break."""

from __future__ import annotations

import inspect
import re
import time
from typing import TYPE_CHECKING

from cachedoctor import rules
from cachedoctor.errors import CacheDoctorError
from cachedoctor.findings import Finding
from cachedoctor.manager.library import PastRun
from cachedoctor.plans import removal
from cachedoctor.report import holdings_text, scan_text
from cachedoctor.report.folding import Folding, joined
from cachedoctor.text import plural, printable, size
from cachedoctor.vocabulary import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.browse.looking import Look
    from cachedoctor.browse.rows import Subject
    from cachedoctor.plans.holdings import Holding
    from cachedoctor.vocabulary import Artifact, Entry

_MOST_FILES = 300


def lines(subject: Subject, look: Look) -> Iterator[str]:
    """Yield everything known about a row; reads headers, so not on the screen's thread."""
    if isinstance(subject, Finding):
        yield from _finding(subject, look)
    elif isinstance(subject, PastRun):
        yield from _run(subject, look)
    else:
        yield from _model(subject, look)


def title(subject: Subject) -> str:
    """Return the name of a row."""
    if isinstance(subject, Finding):
        return f"{subject.code} {subject.slug}"
    return subject.id if isinstance(subject, PastRun) else subject.entry.title


def _model(one: Holding, look: Look) -> Iterator[str]:
    host, entry = look.host, one.entry
    row = holdings_text.row(one, host, look.now)
    yield joined(printable(host.short(entry.path)))
    yield ""
    yield f"status     {one.status.value}"
    own = "nothing shared" if row.own == row.size else f"{row.own} not shared"
    yield f"size       {row.size}, {own}"
    yield f"refetch    {row.again}"
    yield f"last used  {'not known' if row.used == '–' else row.used}"
    yield f"needed by  {row.needed_by}"
    yield f"where      {row.where}"
    for head, words in (
        ("app", one.apps),
        ("kept by", one.kept_by),
        ("in use by", one.programs),
        ("branches", entry.refs),
    ):
        if words:
            yield f"{head:<9}  {printable(', '.join(words))}"
    if one.superseded_by:
        yield f"newer      {one.superseded_by[:12]}"
    yield from _checked(entry, look)
    found = look.found.report.of(entry)
    if found:
        yield ""
        for finding in found:
            yield from scan_text.finding_lines(finding)
    yield ""
    yield "If it is removed"
    yield from _without(one, look)
    yield ""
    yield from _files(entry, look)


def _checked(entry: Entry, look: Look) -> Iterator[str]:
    checked = look.found.report.checked.get(entry.id)
    if checked is not None:
        kinds = (
            (checked.digest, "by digest"),
            (checked.structure, "by structure"),
            (checked.none, "not at all: no evidence"),
        )
        told = ", ".join(f"{count} {how}" for count, how in kinds if count)
        yield f"checked    {told or 'nothing'}"


def _without(one: Holding, look: Look) -> Iterator[str]:
    """Yield what would break without a model, and what it would free."""
    try:
        change = removal.remove(look.found, [one.entry], even_kept=True)
    except CacheDoctorError as error:
        yield f"  {error.message}"
        return
    for spared in change.spared:
        yield f"  it stays: {printable(spared.why)}"
    for choice in change.choices:
        for line in choice.then:
            yield f"  then  {printable(line)}"
        if not choice.then:
            yield "  nothing known would break"
        yield f"  frees {size(choice.bytes)}"
        yield f"  refetch {removal.cost(choice)}"


def _files(entry: Entry, look: Look) -> Iterator[str]:
    yield f"Files ({len(entry.artifacts)})"
    for artifact in sorted(entry.notable, key=lambda a: -a.size_bytes)[:_MOST_FILES]:
        yield from _file(artifact, look)
    left = _MOST_FILES - len(entry.notable)
    if entry.plain is not None:
        for number, plain in enumerate(entry.plain.plain()):
            if number >= left:
                break
            read = ", every byte read" if plain.proven else ""
            words = f"{size(plain.size_bytes):>10}  {printable(plain.name)}"
            yield Folding(f"{words}  ({plain.evidence.value}{read})", 12)
    if len(entry.artifacts) > _MOST_FILES:
        yield f"{len(entry.artifacts) - _MOST_FILES} more"


def _file(artifact: Artifact, look: Look) -> Iterator[str]:
    there = artifact.state is State.PRESENT
    amount = size(artifact.size_bytes) if there else artifact.state.value
    wanted = artifact.expected_bytes
    notes = [artifact.evidence.value if artifact.evidence else "no evidence"]
    if wanted is not None and (not there or wanted != artifact.size_bytes):
        notes.append(f"expected {size(wanted)}")
    if artifact.outside:
        notes.append(f"is in {look.host.short(artifact.outside)}")
    name = artifact.name or artifact.path.rpartition("/")[2]
    yield Folding(f"{amount:>10}  {printable(name)}  ({printable('; '.join(notes))})", 12)


def _finding(finding: Finding, look: Look) -> Iterator[str]:
    host, report = look.host, look.found.report
    yield from scan_text.finding_lines(finding)
    yield ""
    yield f"path       {joined(printable(host.short(finding.path)))}"
    for link in finding.links:
        yield f"also at    {joined(printable(host.short(link)))}"
    titles = {entry.id: entry.title for entry in report.entries}
    for key in finding.entries:
        yield f"part of    {printable(titles.get(key, key))}"
    for head, value in (("measured", finding.measured), ("expected", finding.expected)):
        if value is not None:
            exact = finding.unit == "bytes" and isinstance(value, int)
            yield f"{head:<9}  {size(int(value)) if exact else printable(str(value))}"
    if finding.evidence:
        yield f"evidence   {printable(finding.evidence)}"
    if finding.bytes:
        yield f"takes up   {size(finding.bytes)}"
    if finding.repair:
        yield f"cure       {printable(finding.repair.describe)} ({finding.repair.safety.value})"
    yield ""
    yield from _prose(inspect.cleandoc(rules.find(finding.code).__doc__ or ""))


def _prose(text: str) -> Iterator[str]:
    """Yield each paragraph, and each list item, as one line that may be broken."""
    for part in re.split(r"\n(?=\n| |-|\d+\.)|(?<=\n)\n", text):
        yield Folding(part.strip("\n").replace("\n", " "), 0)


def _run(run: PastRun, look: Look) -> Iterator[str]:
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_s))
    back = "`u` takes it back" if run.undoable else "it cannot be taken back"
    yield f"{run.id} of {since}: {run.state}; {back}"
    yield f"journal    {joined(printable(look.host.short(run.folder)))}"
    yield ""
    yield plural(len(run.repairs), "thing")
    for words in run.repairs:
        yield Folding(f"  {printable(words)}", 4)
    mine = [item for item in look.kept if item.run == run.id]
    if mine:
        yield ""
        yield f"Set aside, {size(sum(item.size_bytes for item in mine))}"
        for item in mine:
            yield f"{size(item.size_bytes):>10}  {joined(printable(look.host.short(item.origin)))}"
