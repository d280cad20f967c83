"""What can be wrong: one class per code, whose docstring is the page that `explain` prints.

The hundreds digit says what is checked: 1xx present, 2xx well-formed, 3xx right content, 4xx
consistent, 5xx waste, 6xx the machine. A rule only looks; the repairs it names are in `repairs`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from cachedoctor import locators
from cachedoctor.findings import Finding, Severity, Subject
from cachedoctor.locators import Locator
from cachedoctor.rules._examination import Examination as Examination
from cachedoctor.system import shipped
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypedDict, Unpack

    from cachedoctor.findings import Circumstance, Repair
    from cachedoctor.locators import Layout
    from cachedoctor.vocabulary import Artifact, Entry, Root

    class Details(TypedDict, total=False):
        """What a rule can say of a finding beyond its place and message: fields of `Finding`."""

        severity: Severity
        engines: tuple[str, ...]
        links: tuple[str, ...]
        measured: int | str | None
        expected: int | str | None
        unit: str | None
        evidence: str | None
        bytes: int
        leaves: Status | None
        shows: Circumstance | None
        subjects: tuple[Subject, ...]

    class Weight(TypedDict):
        """The details of what takes up space."""

        measured: int
        unit: str
        bytes: int


class Rule:
    """One thing that can be wrong, and what that means for everybody else: its policy."""

    code: ClassVar[str]
    slug: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    status: ClassVar[Status | None]  # of an entry with this error; an error rule must set it
    mild_status: ClassVar[Status | None] = None  # the same, for a finding that is not an error
    rank: ClassVar[int | None] = None  # of several findings about one file, the lowest is kept
    silent_under: ClassVar[tuple[Circumstance, ...]] = ()
    shows: ClassVar[Circumstance | None] = None
    a_failure: ClassVar[bool] = True  # `fix` exits with code 1 if it leaves this to the user
    litter: ClassVar[str] = ""  # its name in lists, for files that belong to no model
    of_a_download: ClassVar[bool] = False  # that was started and never finished
    prune_order: ClassVar[int | None] = None  # `prune` takes it, lowest (the least loss) first
    made_again: ClassVar[bool] = False  # by the system or a client; `prune` takes it when asked
    in_a_model: ClassVar[bool] = False  # its bytes already count as a model's
    waste: ClassVar[bool] = False  # nobody would miss it: `fix --waste` cures its notes
    cure_order: ClassVar[int] = 0  # higher is cured later
    deep: ClassVar[bool] = False  # found only if every byte was read
    warns: ClassVar[bool] = False  # `preflight` reports it even if the model is ready
    said: ClassVar[bool] = False  # its notes are listed like errors
    blocks: ClassVar[bool] = False  # a fault of the machine: no file can help
    of_presence: ClassVar[bool] = False  # a warning if only a shape says what the model needs
    unseen: ClassVar[bool] = False  # the files may exist out of sight: nothing is fetched
    closed: ClassVar[bool] = False  # a part of the model cannot be read
    of_copies: ClassVar[bool] = False  # its path and its links hold the same bytes
    absent: ClassVar[bool] = False  # the code of a model of which nothing is there
    by_commit: ClassVar[bool] = False  # a model asked for by its commit loads all the same
    tolerable: ClassVar[bool] = False  # some engines load the file, up to their `most_trailing`
    a_run: ClassVar[bool] = False  # an interrupted fix, which a plan shows as such
    undermines: ClassVar[bool] = False  # after it, no model counts as ready
    tells_size: ClassVar[bool] = False  # its message says how large the thing is
    word: ClassVar[str] = "broken"  # `preflight`'s word for a model with this finding
    manual: ClassVar[tuple[str, ...]] = ()  # for a manual cure: its kind, then the command

    def __init_subclass__(cls) -> None:
        """Reject an error rule that sets no `status`."""
        super().__init_subclass__()
        if "code" in vars(cls) and not hasattr(cls, "status"):
            if cls.severity is Severity.ERROR:
                raise TypeError(f"{cls.__name__} is an error and leaves no `status`")
            cls.status = None

    def found(self, seen: Examination, entries: Sequence[Entry]) -> Iterator[Finding]:
        """Yield what is wrong in a survey, whose `entries` are worth a look; by default nothing."""
        yield from ()

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the repair that cures `finding`, or `None`; by default the manual command."""
        if not self.manual:
            return None
        from cachedoctor import repairs

        kind, *words = self.manual
        many = {"{links}": finding.links or (finding.path,), "{engines}": finding.engines}
        command = [each for word in words for each in many.get(word, (word,))]
        words = [word.replace("{path}", finding.path) for word in command]
        if words[0] != "cachedoctor":
            return repairs.manual(kind, *words)
        return repairs.manual(kind)._replace(describe=seen.host.command(*words[1:]))

    @classmethod
    def title(cls) -> str:
        """Return the first line of the rule's page."""
        return (cls.__doc__ or "").splitlines()[0]

    def of(
        self, artifact: Artifact, entry: Entry, message: str, **more: Unpack[Details]
    ) -> Finding:
        """Return a finding about one artifact of one entry.

        In an entry that an engine claims, a file that no engine opens is never an error.
        """
        mild = self.severity is Severity.ERROR and entry.claims and not _needed(artifact, entry)
        mild = mild or (self.of_presence and entry.by_shape)
        mine: Details = {
            "severity": Severity.WARNING if mild else self.severity,
            "engines": artifact.required_by or entry.engines,
            "links": (artifact.path,) if artifact.path != artifact.file else (),
            "evidence": artifact.evidence.value if artifact.evidence else None,
            "subjects": (Subject(entry, artifact),),
        }
        mine.update(more)
        return self.about(artifact.file, (entry,), message, **mine)

    def about(
        self,
        path: str,
        entries: tuple[Entry, ...],
        message: str,
        root: Root | None = None,
        **more: Unpack[Details],
    ) -> Finding:
        """Return a finding about a path that is not an artifact, of entries or only of a root."""
        finding = Finding(
            code=self.code,
            slug=self.slug,
            severity=self.severity,
            path=path,
            message=message,
            entries=tuple(entry.id for entry in entries),
            engines=tuple(dict.fromkeys(name for entry in entries for name in entry.engines)),
            locator=entries[0].locator if entries else root.locator if root else None,
            shows=self.shows,
            subjects=tuple(map(Subject, entries)) or (Subject(root=root),),
        )._replace(**more)
        if "leaves" in more:
            return finding
        error = finding.severity is Severity.ERROR
        if finding.severity is Severity.WARNING and self.status is Status.INCOMPLETE:
            error = any(entry.by_shape for entry in entries)  # no table says this is enough
        return finding._replace(leaves=self.status if error else self.mild_status)


def weighing(size: int) -> Weight:
    """Return the details of a finding about something that takes up space."""
    return {"measured": size, "unit": "bytes", "bytes": size}


class Restores:
    """Mixin for rules that are cured by restoring the right bytes."""

    resumes: ClassVar[bool] = False  # the existing bytes are the beginning of the file

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file, or the bundle it is in, from the nearest source."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey, resume=self.resumes)


class SetsAside:
    """Mixin for rules that are cured by moving the named files into the run folder."""

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set the named files aside."""
        from cachedoctor import repairs

        return repairs.set_aside(finding)


class EntryRule(Rule):
    """A rule that checks one entry at a time: claimed, retired, or with notable files."""

    applies_to: ClassVar[type[Layout]] = Locator

    def applies(self, layout: Layout) -> bool:
        """Return whether the rule applies to the entries of a layout."""
        return isinstance(layout, self.applies_to)

    def found(self, seen: Examination, entries: Sequence[Entry]) -> Iterator[Finding]:
        """Check each entry of the layouts to which the rule applies."""
        layouts = {entry.locator for entry in entries}
        meant = {name for name in layouts if self.applies(locators.find(name))}
        for entry in entries:
            if entry.locator in meant:
                yield from self.check(entry, seen)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong with `entry`."""
        raise NotImplementedError


class RootRule(Rule):
    """A rule that checks one root at a time."""

    def found(self, seen: Examination, entries: Sequence[Entry]) -> Iterator[Finding]:
        """Check each root."""
        for root in seen.survey.roots:
            yield from self.check(root, seen)

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong with `root`."""
        raise NotImplementedError


class SurveyRule(Rule):
    """A rule that checks the whole survey at once."""

    def found(self, seen: Examination, entries: Sequence[Entry]) -> Iterator[Finding]:
        """Check the survey."""
        return self.check(seen)

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong in the survey as a whole."""
        raise NotImplementedError


@cache
def every() -> tuple[Rule, ...]:
    """Return an instance of each rule, that is of each class with a code, ordered by code."""
    for module in shipped.modules(__name__):
        importlib.import_module(f"{__name__}.{module}")
    found: list[type[Rule]] = []
    kinds: list[type[Rule]] = [Rule]
    while kinds:
        below = kinds.pop().__subclasses__()
        kinds.extend(below)
        found.extend(kind for kind in below if "code" in vars(kind))
    return tuple(kind() for kind in sorted(found, key=lambda kind: kind.code))


@cache
def _by_code() -> dict[str, Rule]:
    return {rule.code: rule for rule in every()}


def find(code: str) -> Rule:
    """Return the rule of a code; raises `KeyError`."""
    return _by_code()[code]


def policy(code: str | None) -> Rule:
    """Return the rule of a code; for `None`, one that sets nothing."""
    return find(code) if code else _NO_RULE


_NO_RULE = Rule()


def _needed(artifact: Artifact, entry: Entry) -> bool:
    """Return whether an engine opens this file, alone or in a bundle, or it is the whole entry."""
    return (
        bool(artifact.required_by)
        or not artifact.name
        or any(
            bundle.bundle and bundle.required_by and artifact.name.startswith(bundle.name + "/")
            for bundle in entry.notable
        )
    )
