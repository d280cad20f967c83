"""What rules can ask about a survey; each file is read once, whichever rule asks."""

from __future__ import annotations

import contextlib
import os
import struct
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.errors import Fault, FormatError
from cachedoctor.locators import listed
from cachedoctor.locators.hub_cache import HubCache, repository_folder
from cachedoctor.looking import untrusted
from cachedoctor.rules import _small_files as small_files
from cachedoctor.rules._weights import contradiction, worth_a_sniff
from cachedoctor.system import in_use
from cachedoctor.vocabulary import Evidence, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cachedoctor.host import Host
    from cachedoctor.locators.hub_cache import Repository
    from cachedoctor.vocabulary import Artifact, Entry, Requirement, Root, Survey


_AWAY = (State.GONE, State.TEXT, State.EVICTED, State.UNREADABLE)
_WORDS = ((51_864,), (51_865,), (51_866,))  # the vocabulary sizes of all Whisper models
_MANY = 51_865  # from here on a model is multilingual
_SOON_PARSED_BYTES = 1 << 17  # a text up to this length is parsed faster than hashed


class Examination:
    """What rules can ask: the survey, the host, and the files' contents, each read once."""

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

        `unloadable` gives Core ML's reasons for refusing, by the path of a bundle or folder.
        `unfinished` gives the folder of each interrupted fix and how to go on with it; `beside`
        the folders beside roots where fixes may have left bytes.
        `published` returns the model's name by digest, for every file in a table.
        `codes` were asked for by name, so even small findings of these are reported.
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
        self._small: set[str] = set()  # small files proven in passing
        self._others: dict[str, str] = {}  # by entry: the other engine whose weights it has
        self._faults: dict[tuple[str, str | None], FormatError | OSError | None] = {}
        self._by_entry: dict[str, tuple[tuple[Artifact, FormatError], ...]] = {}
        self._revisions: dict[str, Mapping[str, tuple[Entry, ...]]] = {}
        self._alone: dict[str, Mapping[str, int]] = {}
        self._holes: dict[str, int | None] = {}
        self.unreadable: dict[str, OSError] = {}
        self.opened = in_use.Open()

    def revisions(self, root: Root) -> Mapping[str, tuple[Entry, ...]]:
        """Return the revisions in a hub cache by the folder of their repository."""
        known = self._revisions.get(root.path)
        if known is None:
            found: dict[str, list[Entry]] = {}
            for entry in root.entries:
                found.setdefault(repository_folder(entry), []).append(entry)
            known = {folder: tuple(entries) for folder, entries in found.items()}
            self._revisions[root.path] = known
        return known

    def repositories(self, root: Root) -> Iterator[tuple[Repository, tuple[Entry, ...]]]:
        """Yield the repositories of a hub cache with their revisions, of any other root nothing."""
        hub = listed(HubCache, root)
        revisions = self.revisions(root) if hub else {}
        for repository in hub.repositories.values() if hub else ():
            yield repository, revisions.get(repository.path, ())

    def alone(self, entry: Entry) -> Mapping[str, int]:
        """Return the physical files that only this revision uses, with their lengths."""
        if entry.id not in self._alone:
            revisions = self.revisions(self.survey.root_of(entry))
            sizes = {each.id: each.sizes for each in revisions[repository_folder(entry)]}
            users = Counter(chain.from_iterable(sizes.values()))
            for key, mine in sizes.items():
                self._alone[key] = {file: mine[file] for file in mine if users[file] == 1}
        return self._alone[entry.id]

    def measured(self, artifact: Artifact) -> str | None:
        """Return the file's actual digest, if it was read or is remembered."""
        if artifact.digest is None:
            return None
        return self._measured.get(artifact.file, {}).get(artifact.digest.algorithm)

    def altered(self, entry: Entry) -> Iterator[tuple[Artifact, str]]:
        """Yield each file whose measured digest is not the expected one, with that digest."""
        for artifact in entry.notable if self._measured else ():
            measured = self.measured(artifact) if artifact.state is State.PRESENT else None
            if measured is not None and self._judged(artifact) is False:
                yield artifact, measured
            elif artifact.digest is None:
                wrong = self._measured.get(artifact.file, {}).get("crc32", "ok")
                if wrong != "ok":
                    yield artifact, wrong

    def proven(self, artifact: Artifact) -> bool:
        """Return whether the whole content is known to be as expected."""
        return bool(self._judged(artifact))

    def judged(self, artifact: Artifact) -> bool:
        """Return whether the content was read and could be judged."""
        return self._judged(artifact) is not None

    def _judged(self, artifact: Artifact) -> bool | None:
        held = self._measured.get(artifact.file)
        return artifact.judge(held) if held else None

    def first_hole(self, artifact: Artifact) -> int | None:
        """Return where a file that is there has its first hole; its end does not count."""
        if artifact.file not in self._holes:
            try:
                at = untrusted.first_hole(artifact.file)
            except OSError:  # not on this file system
                at = artifact.size_bytes
            self._holes[artifact.file] = at if at < artifact.size_bytes else None
        return self._holes[artifact.file]

    def faults(self, entry: Entry) -> tuple[tuple[Artifact, FormatError], ...]:
        """Return the faults in the headers of an entry's files; computed once."""
        if entry.id not in self._by_entry:
            found = []
            away = [artifact.name for artifact in entry.notable if artifact.state in _AWAY]
            for artifact in entry.notable:
                inner = f"{artifact.name}/"  # a finding about a part of it is enough
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
        if artifact.format is None and (artifact.bundle or not worth_a_sniff(artifact)):
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
        """Compare a small file with its digest, which is cheaper than parsing it."""
        digest = artifact.digest
        if digest is not None and small_files.holds(artifact, digest):
            self._small.add(artifact.file)

    def keys(self, entry: Entry) -> Iterator[tuple[Artifact, FormatError]]:
        """Yield JSON files that lack something their engine requires."""
        needs = [need for claim in entry.claims for need in claim.needs.requirements]
        if needs and self._superseded(entry):
            return  # nothing is missed in an old revision
        yield from self._check_files(entry, needs)
        whose = self._others.get(entry.id)
        for artifact in self._weights(entry) if whose else ():
            if artifact.format:
                fault = f"holds weights under the names that {whose} uses"
                yield artifact, FormatError(Fault.MALFORMED, fault)

    def _check_files(
        self, entry: Entry, needs: Sequence[Requirement]
    ) -> Iterator[tuple[Artifact, FormatError]]:
        for artifact in entry.notable if needs else ():
            if not artifact.required_by or artifact.bundle or artifact.state is not State.PRESENT:
                continue
            for need in needs:
                if artifact.name in need.names:
                    fault = self._check(artifact, need, entry)
                    if fault is not None:
                        yield artifact, fault
                    break

    def _check(self, artifact: Artifact, need: Requirement, entry: Entry) -> FormatError | None:
        """Return what a file lacks, or how it contradicts the weights, unless it is proven."""
        text = formats.is_text(artifact.format) or artifact.name.endswith(".json")
        asked = text and (
            need.keys or need.values or need.needed or need.only or need.among or need.agrees
        )
        fault = self._check_configuration(artifact, need, entry) if asked else None
        if need.keys and not text and artifact.format:
            fault = contradiction(artifact, need)
        return self._check_vocabulary(artifact, entry) if fault is None and need.speaks else fault

    def _check_vocabulary(self, artifact: Artifact, entry: Entry) -> FormatError | None:
        """Check that a vocabulary is Whisper's, and as long as the weights say.

        The weights are not read if both have the length that the model's name suggests.
        """
        mute, words = small_files.lacks_whisper_tokens(artifact), small_files.word_count(artifact)
        usual = words is None or (words < _MANY) == (".en" in entry.path)
        if not mute and usual and self._has_published_length(entry):
            return None
        rows = {shape[0] for shape in self._shapes(entry).values() if shape[:1] in _WORDS}
        if mute and rows:
            return FormatError(Fault.MALFORMED, "has none of Whisper's own tokens")
        if words is not None and len(rows) == 1 and (words < _MANY) != (min(rows) < _MANY):
            return FormatError(Fault.MALFORMED, f"has {words} tokens, but the weights {min(rows)}")
        return None

    def _has_published_length(self, entry: Entry) -> bool:
        """Return whether the weights have the published length, or none is published."""
        weights = tuple(self._weights(entry))
        known = [
            claim.published[one.name][0] == one.size_bytes
            for claim in entry.claims
            for one in weights
            if one.name in claim.published
        ]
        return all(known)

    def _check_configuration(
        self, artifact: Artifact, need: Requirement, entry: Entry
    ) -> FormatError | None:
        """Compare a configuration with the requirement, and with the weights.

        The weights' header is not read if more than a blob's name proves the configuration.
        """
        if artifact.file in self._small and artifact.size_bytes > _SOON_PARSED_BYTES:
            return None
        proven = self._is_proven(artifact)
        shapes: Mapping[str, tuple[int, ...]] = {}
        if need.agrees and not (proven and artifact.evidence not in (None, Evidence.BLOB_NAME)):
            shapes = self._shapes(entry)
        if (proven or need.agrees) and not small_files.can_check_sizes(need, shapes):
            if shapes:
                self._others[entry.id] = small_files.foreign_names(need, shapes)
            need = need._replace(needed=(), only=(), among=(), agrees=())  # nothing to compare
        fault = small_files.check_keys(artifact, need)
        return fault or small_files.check_sizes(artifact, need, shapes)

    def _is_proven(self, artifact: Artifact) -> bool:
        self._prove(artifact)
        return artifact.file in self._small

    def _shapes(self, entry: Entry) -> Mapping[str, tuple[int, ...]]:
        """Return the tensor shapes in an entry's weights, all shards together."""
        found: dict[str, tuple[int, ...]] = {}
        for artifact in self._weights(entry):
            with (
                contextlib.suppress(FormatError, OSError, ArithmeticError, LookupError, ValueError),
                untrusted.open_regular(artifact.file, follow=True) as file,
            ):
                found |= formats.shapes(artifact.format, file, artifact.size_bytes)
        return found  # unreadable files have findings of their own

    def _weights(self, entry: Entry) -> Iterator[Artifact]:
        """Yield the files that an engine reads and that are not text."""
        for artifact in entry.notable:
            weighty = artifact.required_by and not formats.is_text(artifact.format)
            if weighty and artifact.state is State.PRESENT and not artifact.bundle:
                yield artifact

    def _superseded(self, entry: Entry) -> bool:
        """Return whether no branch points to this revision, but one points to a sibling."""
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
            if _length(artifact.file) != artifact.size_bytes:  # truncated while being read
                raise untrusted.changed(artifact.file) from error
            return FormatError(Fault.MALFORMED, "has an invalid header")
        return None


def _length(path: str) -> int:
    """Return the current length of a file, or -1 if it is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
