"""What can be wrong: one class a code, its docstring the page that `explain` prints.

The hundreds of a code say by what evidence: 1xx present, 2xx well-formed, 3xx right content, 4xx
consistent, 5xx waste, 6xx the machine. A rule only looks; the repair it names is in `repairs`.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from cachedoctor import formats, small_files
from cachedoctor.errors import Fault, FormatError
from cachedoctor.findings import Finding, Severity
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.vocabulary import WEIGHTS, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cachedoctor.findings import Repair
    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Artifact, Entry, Root, Survey

_SOON_PARSED_BYTES = 1 << 17  # a text that is understood sooner than its digest is made


class Examination:
    """What rules may ask: the survey, the host, and what the bytes said, each file read once."""

    def __init__(
        self,
        survey: Survey,
        host: Host,
        measured: Mapping[str, Mapping[str, str]] | None = None,
        *,
        deep: bool = False,
        unloadable: Mapping[str, str] | None = None,
        unfinished: tuple[tuple[str, str], ...] = (),
        published: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """Take `measured` digests by file and algorithm; `deep` also parses whole JSON files.

        `unloadable` says why Core ML refused it, by the path of a bundle or folder.
        `unfinished` names the folder of each fix without an end, and says what it was doing.
        `published` returns the model's name by digest, of every file that a table knows.
        """
        self.survey = survey
        self.unfinished = unfinished
        self.host = host
        self.deep = deep
        self.unloadable = unloadable or {}
        self.published = published
        self._measured = measured or {}
        self._small: set[str] = set()  # files that were proven in passing
        self._faults: dict[tuple[str, str | None], FormatError | OSError | None] = {}
        self._by_entry: dict[str, tuple[tuple[Artifact, FormatError], ...]] = {}
        self._revisions: dict[str, Mapping[str, tuple[Entry, ...]]] = {}
        self.unreadable: dict[str, OSError] = {}

    def revisions(self, root: Root) -> Mapping[str, tuple[Entry, ...]]:
        """Return the revisions of each repository of a hub cache by its folder."""
        known = self._revisions.get(root.path)
        if known is None:
            found: dict[str, list[Entry]] = {}
            for entry in root.entries:
                found.setdefault(repository_folder(entry), []).append(entry)
            known = {folder: tuple(entries) for folder, entries in found.items()}
            self._revisions[root.path] = known
        return known

    def measured(self, artifact: Artifact) -> str | None:
        """Return the digest that the file really has, where it was read or is remembered."""
        if artifact.digest is None:
            return None
        return self._measured.get(artifact.file, {}).get(artifact.digest.algorithm)

    def altered(self, entry: Entry) -> Iterator[tuple[Artifact, str]]:
        """Go through the files whose measured digest is not the expected one, each with it."""
        for artifact in entry.notable if self._measured else ():
            measured = self.measured(artifact) if artifact.state is State.PRESENT else None
            if measured is not None and artifact.digest and measured != artifact.digest.hex:
                yield artifact, measured
            elif artifact.digest is None:
                wrong = self._measured.get(artifact.file, {}).get("crc32", "ok")
                if wrong != "ok":
                    yield artifact, wrong

    def proven(self, artifact: Artifact) -> bool:
        """Say whether the whole content is known to be what is expected."""
        return artifact.digest is not None and self.measured(artifact) == artifact.digest.hex

    def faults(self, entry: Entry) -> tuple[tuple[Artifact, FormatError], ...]:
        """Return what the headers of an entry's files are wrong in, and remember it."""
        if entry.id not in self._by_entry:
            found = []
            escaping = [a.name for a in entry.notable if a.state is State.ESCAPING]
            for artifact in entry.notable:
                inside = f"{artifact.name}/"  # a bundle is not opened through a link out of it
                if any(name.startswith(inside) for name in escaping):
                    continue
                if artifact.state is State.PRESENT:
                    fault = self._fault(artifact)
                    if isinstance(fault, FormatError):
                        found.append((artifact, fault))
                    elif fault is not None:
                        self.unreadable[artifact.file] = fault
            faulty = {artifact.name for artifact, _ in found}
            found += [pair for pair in self.keys(entry) if pair[0].name not in faulty]
            self._by_entry[entry.id] = tuple(found)
        return self._by_entry[entry.id]

    def _fault(self, artifact: Artifact) -> FormatError | OSError | None:
        if not artifact.size_bytes and artifact.required_by and not artifact.bundle:
            return FormatError(Fault.TRUNCATED, "is empty", measured=0)
        if artifact.format is None and (artifact.bundle or not _worth_a_sniff(artifact)):
            return None
        text = artifact.format == "json_text" and artifact.required_by
        long = artifact.size_bytes > _SOON_PARSED_BYTES
        if text and long and self.measured(artifact) is None:
            self._prove(artifact)
        if artifact.file in self._small or (self.proven(artifact) and (long or not text)):
            return None  # a proven digest outranks structure
        key = (artifact.file, artifact.format)
        if key not in self._faults:
            try:
                self._faults[key] = self._read(artifact)
            except OSError as error:
                self._faults[key] = error
        return self._faults[key]

    def _prove(self, artifact: Artifact) -> None:
        """Compare a small file with its digest, which costs less than to understand it."""
        digest = artifact.digest
        if digest is not None and small_files.holds(artifact, digest):
            self._small.add(artifact.file)

    def keys(self, entry: Entry) -> Iterator[tuple[Artifact, FormatError]]:
        """Go through JSON files that lack what their engine cannot do without."""
        needs = [need for claim in entry.claims for need in claim.needs.requirements]
        for artifact in entry.notable if needs else ():
            if artifact.format != "json_text" or not artifact.required_by:
                continue
            if artifact.file in self._small:
                continue
            for need in needs:
                if artifact.name in need.names and (need.keys or need.values):
                    fault = small_files.lacks(artifact, need)
                    if fault is not None:
                        yield artifact, fault
                    break

    def _read(self, artifact: Artifact) -> FormatError | None:
        try:
            if artifact.format == "coreml":
                if not artifact.bundle:
                    return FormatError(Fault.HOLLOW, "is a file where a bundle belongs")
                formats.find_bundle(artifact.format).inspect(artifact.file)
                return None
            with open(artifact.file, "rb", buffering=0) as file:
                if artifact.format is None:
                    what = formats.foreign(file.read(512))
                    if what:
                        message = f"holds {what}"
                        return FormatError(Fault.WRONG_MAGIC, message, measured=artifact.size_bytes)
                    return None
                reader = formats.find(artifact.format)
                reader.read(file, artifact.size_bytes)
                if artifact.format == "json_text" and (artifact.required_by or self.deep):
                    from cachedoctor.formats import json_text

                    file.seek(0)
                    json_text.parse(file, artifact.size_bytes)
        except FormatError as error:
            return error
        return None


def _worth_a_sniff(artifact: Artifact) -> bool:
    """Sniff a file of no known engine only where its size proves nothing and it looks like weights.

    Files in bundles are read with their bundle.
    """
    if artifact.size_bytes == artifact.expected_bytes or not artifact.name.endswith(WEIGHTS):
        return False
    return ".mlmodelc/" not in artifact.name and ".mlpackage/" not in artifact.name


class Rule:
    """One thing that can be wrong."""

    code: ClassVar[str]
    slug: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the repair that cures `finding`, or `None`."""
        return None

    @classmethod
    def title(cls) -> str:
        """Return the first line of the rule's page."""
        return (cls.__doc__ or "").splitlines()[0]

    def of(self, artifact: Artifact, entry: Entry, message: str, **more: Any) -> Finding:
        """Return a finding about one artifact of one entry.

        What no engine opens, in an entry that one does, is no error.
        """
        mild = self.severity is Severity.ERROR and entry.claims and not _needed(artifact, entry)
        by_shape = bool(entry.claims) and all(c.known_by == "shape" for c in entry.claims)
        mild = mild or (by_shape and self.code.startswith("CD1"))
        values: dict[str, Any] = {
            "severity": Severity.WARNING if mild else self.severity,
            "engines": artifact.required_by or entry.engines,
            "links": (artifact.path,) if artifact.path != artifact.file else (),
            "evidence": artifact.evidence.value if artifact.evidence else None,
        }
        return self.about(artifact.file, (entry,), message, **{**values, **more})

    def about(self, path: str, entries: tuple[Entry, ...], message: str, **more: Any) -> Finding:
        """Return a finding about a path that is no artifact."""
        engines = tuple(dict.fromkeys(name for entry in entries for name in entry.engines))
        finding = Finding(
            self.code,
            self.slug,
            self.severity,
            path,
            message,
            tuple(entry.id for entry in entries),
            engines,
            entries[0].locator if entries else None,
        )
        return finding._replace(**more)


class Restores:
    """What rules share that are cured by bringing the right bytes back."""

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file, or the bundle that it is in, from the nearest source."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey)


class SetsAside:
    """What rules share that are cured by moving what they name into the run folder."""

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set it aside."""
        from cachedoctor import repairs

        return repairs.set_aside(finding, seen.survey)


class EntryRule(Rule):
    """A rule that checks one entry, of which an engine or a notable file gives reason to ask."""

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Go through what is wrong with `entry`."""
        raise NotImplementedError


class RootRule(Rule):
    """A rule that checks one root."""

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Go through what is wrong with `root`."""
        raise NotImplementedError


class SurveyRule(Rule):
    """A rule that checks everything together."""

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Go through what is wrong between the roots."""
        raise NotImplementedError


@cache
def every() -> tuple[Rule, ...]:
    """Return one of each rule, in the order of their codes: every class with a code here."""
    for entry in os.scandir(__path__[0]):
        if entry.name.endswith(".py") and not entry.name.startswith("_"):
            importlib.import_module(f"{__name__}.{entry.name[:-3]}")
    found: list[type[Rule]] = []
    kinds: list[type[Rule]] = [Rule]
    while kinds:
        below = kinds.pop().__subclasses__()
        kinds.extend(below)
        found.extend(kind for kind in below if "code" in vars(kind))
    return tuple(kind() for kind in sorted(found, key=lambda kind: kind.code))


def _needed(artifact: Artifact, entry: Entry) -> bool:
    """Say whether an engine opens this file, alone or in a bundle, or whether it is everything."""
    return (
        bool(artifact.required_by)
        or not artifact.name
        or any(
            bundle.bundle and bundle.required_by and artifact.name.startswith(bundle.name + "/")
            for bundle in entry.notable
        )
    )
