"""What can be wrong: one class a code, its docstring the page that `explain` prints.

The hundreds of a code say by what evidence: 1xx present, 2xx well-formed, 3xx right content, 4xx
consistent, 5xx waste, 6xx the machine. A rule only looks; the repair it names is in `repairs`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import struct
from collections import Counter
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from cachedoctor import formats
from cachedoctor.errors import Fault, FormatError
from cachedoctor.findings import Finding, Severity, Subject
from cachedoctor.locators import Locator
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.looking import untrusted
from cachedoctor.system import small_files
from cachedoctor.vocabulary import WEIGHTS, Evidence, State, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cachedoctor.findings import Circumstance, Repair
    from cachedoctor.host import Host
    from cachedoctor.locators import Layout
    from cachedoctor.vocabulary import Artifact, Entry, Requirement, Root, Survey


_AWAY = (State.GONE, State.TEXT, State.EVICTED, State.UNREADABLE)

_WORDS = ((51_864,), (51_865,), (51_866,))  # of every Whisper
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
        beside: tuple[str, ...] = (),
        published: Callable[[], Mapping[str, str]] = dict,
        codes: frozenset[str] = frozenset(),
    ) -> None:
        """Take `measured` digests by file and algorithm; `deep` also parses whole JSON files.

        `unloadable` says why Core ML refused it, by the path of a bundle or folder.
        `unfinished` names the folder of each fix without an end, and says what it was doing;
        `beside` the folders beside roots in which fixes may have left bytes.
        `published` returns the model's name by digest, of every file that a table knows.
        `codes` were asked for by name: of these even little is worth a word.
        """
        self.survey = survey
        self.codes = codes
        self.unfinished = unfinished
        self.beside = beside
        self.host = host
        self.deep = deep
        self.unloadable = unloadable or {}
        self.published = published
        self._measured = measured or {}
        self._small: set[str] = set()  # files that were proven in passing
        self._faults: dict[tuple[str, str | None], FormatError | OSError | None] = {}
        self._by_entry: dict[str, tuple[tuple[Artifact, FormatError], ...]] = {}
        self._revisions: dict[str, Mapping[str, tuple[Entry, ...]]] = {}
        self._users: dict[str, Mapping[str, int]] = {}
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

    def users(self, root: Root, folder: str) -> Mapping[str, int]:
        """Count by physical file the revisions that a repository in `folder` has of it."""
        if folder not in self._users:
            mine = self.revisions(root).get(folder, ())
            self._users[folder] = Counter(chain.from_iterable(entry.sizes for entry in mine))
        return self._users[folder]

    def measured(self, artifact: Artifact) -> str | None:
        """Return the digest that the file really has, where it was read or is remembered."""
        if artifact.digest is None:
            return None
        return self._measured.get(artifact.file, {}).get(artifact.digest.algorithm)

    def altered(self, entry: Entry) -> Iterator[tuple[Artifact, str]]:
        """Go through the files whose measured digest is not the expected one, each with it."""
        for artifact in entry.notable if self._measured else ():
            measured = self.measured(artifact) if artifact.state is State.PRESENT else None
            if measured is not None and self._judged(artifact) is False:
                yield artifact, measured
            elif artifact.digest is None:
                wrong = self._measured.get(artifact.file, {}).get("crc32", "ok")
                if wrong != "ok":
                    yield artifact, wrong

    def proven(self, artifact: Artifact) -> bool:
        """Say whether the whole content is known to be what is expected."""
        return bool(self._judged(artifact))

    def judged(self, artifact: Artifact) -> bool:
        """Say whether the content was read and told something."""
        return self._judged(artifact) is not None

    def _judged(self, artifact: Artifact) -> bool | None:
        return artifact.judge(self._measured.get(artifact.file, {}))

    def faults(self, entry: Entry) -> tuple[tuple[Artifact, FormatError], ...]:
        """Return what the headers of an entry's files are wrong in, and remember it."""
        if entry.id not in self._by_entry:
            found = []
            away = [artifact.name for artifact in entry.notable if artifact.state in _AWAY]
            for artifact in entry.notable:
                inner = f"{artifact.name}/"  # what is said of a part of it says enough
                if artifact.bundle and any(name.startswith(inner) for name in away):
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
        text = formats.is_text(artifact.format) and artifact.required_by
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
        if needs and self._superseded(entry):
            return  # of an old revision nothing is missed
        for artifact in entry.notable if needs else ():
            if not artifact.required_by or artifact.bundle or artifact.state is not State.PRESENT:
                continue
            for need in needs:
                if artifact.name in need.names:
                    fault = self._lacks(artifact, need, entry)
                    if fault is not None:
                        yield artifact, fault
                    break

    def _lacks(self, artifact: Artifact, need: Requirement, entry: Entry) -> FormatError | None:
        """Say what a small file lacks, or says otherwise than the weights, unless it is proven."""
        text = formats.is_text(artifact.format)
        asked = text and (
            need.keys or need.values or need.needed or need.only or need.among or need.agrees
        )
        fault = self._says_wrong(artifact, need, entry) if asked else None
        mute = fault is None and need.speaks and small_files.is_mute(artifact)
        if mute and any(shape[:1] in _WORDS for shape in self._shapes(entry).values()):
            return FormatError(Fault.MALFORMED, "has none of Whisper's own words")
        return fault

    def _says_wrong(
        self, artifact: Artifact, need: Requirement, entry: Entry
    ) -> FormatError | None:
        """Compare what a configuration says with what is asked, and with the weights.

        The weights' front is not read where more than its blob's name proves the configuration.
        """
        if artifact.file in self._small and artifact.size_bytes > _SOON_PARSED_BYTES:
            return None
        proven = self._is_proven(artifact)
        shapes: Mapping[str, tuple[int, ...]] = {}
        if need.agrees and not (proven and artifact.evidence not in (None, Evidence.BLOB_NAME)):
            shapes = self._shapes(entry)
        if (proven or need.agrees) and not small_files.tells(need, shapes):
            need = need._replace(needed=(), only=(), among=(), agrees=())  # nothing to compare
        return small_files.lacks(artifact, need) or small_files.differs(artifact, need, shapes)

    def _is_proven(self, artifact: Artifact) -> bool:
        self._prove(artifact)
        return artifact.file in self._small

    def _shapes(self, entry: Entry) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of an entry's weights, of the first that tell."""
        for artifact in entry.notable:
            weighty = artifact.required_by and not formats.is_text(artifact.format)
            if weighty and artifact.state is State.PRESENT and not artifact.bundle:
                try:
                    with untrusted.open_regular(artifact.file, follow=True) as file:
                        found = formats.shapes(artifact.format, file, artifact.size_bytes)
                except (FormatError, OSError, ArithmeticError, LookupError, ValueError):
                    continue  # its own finding speaks
                if found:
                    return found
        return {}

    def _superseded(self, entry: Entry) -> bool:
        """Say whether a branch leads to another revision of the same repository."""
        if entry.revision is None or entry.refs:
            return False
        revisions = self.revisions(self.survey.root_of(entry))
        return any(other.refs for other in revisions[repository_folder(entry)])

    def _read(self, artifact: Artifact) -> FormatError | None:
        try:
            if artifact.format and formats.is_bundle(artifact.format):
                if not artifact.bundle:
                    return FormatError(Fault.HOLLOW, "is a file where a bundle belongs")
                formats.find_bundle(artifact.format).inspect(artifact.file)
                return None
            with untrusted.open_regular(artifact.file, follow=True) as file:
                if os.fstat(file.fileno()).st_size != artifact.size_bytes:
                    raise untrusted.changed(artifact.file)
                if artifact.format is None:
                    what = formats.foreign(file.read(512))
                    if what:
                        message = f"holds {what}"
                        return FormatError(Fault.WRONG_MAGIC, message, measured=artifact.size_bytes)
                    return None
                reader = formats.find(artifact.format)
                reader.read(file, artifact.size_bytes)
                asked = artifact.required_by or self.deep
                parse = formats.parser(artifact.format) if asked else None
                if parse is not None:
                    file.seek(0)
                    parse(file, artifact.size_bytes)
        except FormatError as error:
            return error
        except (ArithmeticError, LookupError, MemoryError, ValueError, struct.error) as error:
            if _length(artifact.file) != artifact.size_bytes:  # it was cut under the reader
                raise untrusted.changed(artifact.file) from error
            return FormatError(Fault.MALFORMED, "has a header that makes no sense")
        return None


def _length(path: str) -> int:
    """Return how long a file is now, -1 when it is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _worth_a_sniff(artifact: Artifact) -> bool:
    """Sniff a file of no known engine only where its size proves nothing and it looks like weights.

    Files in bundles are read with their bundle.
    """
    if artifact.size_bytes == artifact.expected_bytes or not artifact.name.endswith(WEIGHTS):
        return False
    return ".mlmodelc/" not in artifact.name and ".mlpackage/" not in artifact.name


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
            self.code,
            self.slug,
            self.severity,
            path,
            message,
            tuple(entry.id for entry in entries),
            engines,
            entries[0].locator if entries else root.locator if root else None,
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
    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__name__}.{module.name}")
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
