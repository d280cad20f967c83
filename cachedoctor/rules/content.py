"""Rules about content: 3xx, checked against published sizes and digests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor import formats
from cachedoctor.findings import Severity
from cachedoctor.rules import EntryRule, Restores
from cachedoctor.vocabulary import Evidence, State, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.findings import Finding, Repair
    from cachedoctor.rules import Details, Examination, Rule
    from cachedoctor.vocabulary import Artifact, Entry


class DigestMismatch(Restores, EntryRule):
    """The content is not what its name, its address or the manifest promises.

    A bit flipped on disk or in memory, a tool wrote through a link, or a download was put together
    wrongly. Most engines load such a file without complaint and transcribe garbage, up to 25 times
    slower.

    Found by `scan --deep`, which reads every byte and remembers the result until the file changes.
    `fix` restores the file from a copy with the right digest, or fetches it.
    Source: git's blob sha1 and LFS sha256, by which huggingface_hub 2.4.0 names its blobs; the
    SHA-256 in OpenAI's addresses.
    """

    code = "CD301"
    slug = "digest-mismatch"
    status = Status.CORRUPT
    rank = 200
    deep = True

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each file whose measured digest is not the expected one."""
        for artifact, measured in seen.altered(entry):
            what = f"its {_algorithm(artifact)}"
            if artifact.digest is None:
                what = f"its own checksum in `{measured}`"
            message = f"`{artifact.name}` does not match {what}"
            finding = _about(self, artifact, entry, message, measured)
            hint = any(artifact.name in claim.published for claim in entry.claims)
            if hint and entry.revision is None and artifact.evidence is Evidence.TABLE:
                finding = finding._replace(severity=Severity.WARNING)  # may be another revision
            yield finding


class OtherModel(Restores, EntryRule):
    """The file holds a different known model than its name says.

    Somebody renamed or copied a file, or a download was saved under the wrong name. The engine
    loads the model that the file really holds; large-v1 and large-v2 even have the same length.

    `fix` sets it aside and restores the model that the name says; if you meant to keep the other
    one, rename the file yourself.
    Source: the publishers' digests in the catalogue.
    """

    code = "CD303"
    slug = "other-model"
    status = Status.CORRUPT
    rank = 190
    deep = True

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each file whose measured digest is published for another model."""
        for artifact, measured in seen.altered(entry):
            other = seen.published().get(measured)
            if other is not None:
                message = f"`{artifact.name}` is {other}"
                yield _about(self, artifact, entry, message, measured)


class SizeMismatch(Restores, EntryRule):
    """The file is shorter or longer than the manifest or the published table says.

    The length is known from the repository's listing or from the publisher, so these bytes cannot
    be the same content. Reported for files whose format does not give its own length, and for
    repositories that no known engine loads. For a loose file that is whole in itself this is only
    a warning: it may be another conversion, or your own model under a known name.

    `fix` restores the file, except in that last case: you may have put it there on purpose.
    Source: huggingface_hub 2.4.0 `_tree_cache.py`; the catalogue's rows.
    """

    code = "CD302"
    slug = "size-mismatch"
    status = Status.CORRUPT
    rank = 170

    def check(self, entry: Entry, seen: Examination) -> Iterator[Finding]:
        """Report each file whose length is not the expected one."""
        for artifact in entry.notable:
            expected = artifact.expected_bytes
            if expected is None or artifact.state is not State.PRESENT:
                continue
            if artifact.size_bytes != expected and not seen.proven(artifact):
                text = formats.is_text(artifact.format)  # people edit these; their form is checked
                own = artifact.format and artifact.evidence is Evidence.TABLE and not entry.revision
                what = "is whole, but not the published file" if own else "has the wrong length"
                length = artifact.size_bytes
                details: Details = {"measured": length, "expected": expected, "unit": "bytes"}
                details["bytes"] = length
                if own or text:
                    details["severity"] = Severity.WARNING
                yield self.of(artifact, entry, f"`{artifact.name}` {what}", **details)

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Restore the file, unless it may be the user's own."""
        own = finding.severity is Severity.WARNING and finding.evidence == Evidence.TABLE.value
        return None if own else super().cure(finding, seen)


def _about(rule: Rule, artifact: Artifact, entry: Entry, message: str, measured: str) -> Finding:
    """Return a finding about content, with both digests."""
    return rule.of(
        artifact,
        entry,
        message,
        measured=measured,
        expected=artifact.digest.hex if artifact.digest else None,
        unit=_algorithm(artifact),
        bytes=artifact.size_bytes,
    )


def _algorithm(artifact: Artifact) -> str:
    return artifact.digest.algorithm if artifact.digest else ""
