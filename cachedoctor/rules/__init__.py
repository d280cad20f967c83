"""What can be wrong: one class a code, its docstring the page that `explain` prints.

The hundreds of a code say by what evidence: 1xx present, 2xx well-formed, 3xx right content, 4xx
consistent, 5xx waste, 6xx the machine. A rule only looks; the repair it names is in `repairs`.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from cachedoctor.findings import Finding, Severity, Subject
from cachedoctor.locators import Locator
from cachedoctor.rules._examination import Examination as Examination
from cachedoctor.system import shipped
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Circumstance, Repair
    from cachedoctor.locators import Layout
    from cachedoctor.vocabulary import Artifact, Entry, Root


class Rule:
    """One thing that can be wrong, and what that means for everybody else: its policy."""

    code: ClassVar[str]
    slug: ClassVar[str]
    severity: ClassVar[Severity] = Severity.ERROR
    status: ClassVar[Status | None]  # that an error leaves its entry in; an error rule must say it
    mild_status: ClassVar[Status | None] = None  # the same, of a finding that is no error
    rank: ClassVar[int | None] = None  # of the findings about one file only the lowest is kept
    silent_under: ClassVar[tuple[Circumstance, ...]] = ()
    shows: ClassVar[Circumstance | None] = None
    a_failure: ClassVar[bool] = True  # a fix that leaves it to a person ends with exit code 1
    litter: ClassVar[str] = ""  # what a list calls it, where it lies beside models
    of_a_download: ClassVar[bool] = False  # that was begun and not ended
    prune_order: ClassVar[int | None] = None  # `prune` takes it; what is lower is missed less
    made_again: ClassVar[bool] = False  # by the system or a client; `prune` takes it when asked
    in_a_model: ClassVar[bool] = False  # its bytes are counted with a model
    waste: ClassVar[bool] = False  # nobody would miss it: `fix --waste` takes its notes
    cure_order: ClassVar[int] = 0  # what is higher is cured later
    deep: ClassVar[bool] = False  # found only where every byte was read
    warns: ClassVar[bool] = False  # said by `preflight` although the model is ready
    said: ClassVar[bool] = False  # its notes are listed like errors
    blocks: ClassVar[bool] = False  # of the machine: no file can help
    of_presence: ClassVar[bool] = False  # mild where a shape alone says what a model needs
    unseen: ClassVar[bool] = False  # what it names may be there: nothing is fetched for it
    of_copies: ClassVar[bool] = False  # its path and its links hold the same bytes
    word: ClassVar[str] = "broken"  # what `preflight` calls a model for it
    manual: ClassVar[tuple[str, ...]] = ()  # for a cure by a person its kind, then the command

    def __init_subclass__(cls) -> None:
        """Refuse an error without a word on what it leaves."""
        super().__init_subclass__()
        if "code" in vars(cls) and not hasattr(cls, "status"):
            if cls.severity is Severity.ERROR:
                raise TypeError(f"{cls.__name__} is an error and leaves no `status`")
            cls.status = None

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the repair that cures `finding`, or `None`; here the command to type."""
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

    def of(self, artifact: Artifact, entry: Entry, message: str, **more: Any) -> Finding:
        """Return a finding about one artifact of one entry.

        What no engine opens, in an entry that one does, is no error.
        """
        mild = self.severity is Severity.ERROR and entry.claims and not _needed(artifact, entry)
        mild = mild or (self.of_presence and entry.by_shape)
        values: dict[str, Any] = {
            "severity": Severity.WARNING if mild else self.severity,
            "engines": artifact.required_by or entry.engines,
            "links": (artifact.path,) if artifact.path != artifact.file else (),
            "evidence": artifact.evidence.value if artifact.evidence else None,
            "subjects": (Subject(entry, artifact),),
        }
        return self.about(artifact.file, (entry,), message, **{**values, **more})

    def about(
        self,
        path: str,
        entries: tuple[Entry, ...],
        message: str,
        root: Root | None = None,
        **more: Any,
    ) -> Finding:
        """Return a finding about a path that is no artifact, of entries or only of a root."""
        engines = tuple(dict.fromkeys(name for entry in entries for name in entry.engines))
        finding = Finding(
            code=self.code,
            slug=self.slug,
            severity=self.severity,
            path=path,
            message=message,
            entries=tuple(entry.id for entry in entries),
            engines=engines,
            locator=entries[0].locator if entries else root.locator if root else None,
            shows=self.shows,
            subjects=tuple(Subject(entry) for entry in entries) or (Subject(root=root),),
        )
        finding = finding._replace(**more)
        if "leaves" not in more:
            error = finding.severity is Severity.ERROR
            if finding.severity is Severity.WARNING and self.status is Status.INCOMPLETE:
                error = any(entry.by_shape for entry in entries)  # nobody's row says it is enough
            finding = finding._replace(leaves=self.status if error else self.mild_status)
        return finding


class Restores:
    """What rules share that are cured by bringing the right bytes back."""

    resumes: ClassVar[bool] = False  # what is there is the beginning of the file

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file, or the bundle that it is in, from the nearest source."""
        from cachedoctor import repairs

        return repairs.restore(finding, seen.survey, resume=self.resumes)


class SetsAside:
    """What rules share that are cured by moving what they name into the run folder."""

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Set it aside."""
        from cachedoctor import repairs

        return repairs.set_aside(finding)


class EntryRule(Rule):
    """A rule that checks one entry, of which an engine or a notable file gives reason to ask."""

    applies_to: ClassVar[type[Layout]] = Locator

    def applies(self, layout: Layout) -> bool:
        """Return whether the rule is about entries of a layout."""
        return isinstance(layout, self.applies_to)

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong with `entry`."""
        raise NotImplementedError


class RootRule(Rule):
    """A rule that checks one root."""

    def check(self, root: Root, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong with `root`."""
        raise NotImplementedError


class SurveyRule(Rule):
    """A rule that checks everything together."""

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Yield what is wrong between the roots."""
        raise NotImplementedError


@cache
def every() -> tuple[Rule, ...]:
    """Return one of each rule, in the order of their codes: every class with a code here."""
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
