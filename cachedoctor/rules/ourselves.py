"""Rules about cachedoctor itself: a rule that crashed, a fix that was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cachedoctor.findings import Finding, Severity
from cachedoctor.rules import SurveyRule
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.rules import Examination


class RuleCrashed(SurveyRule):
    """A rule met something that it did not expect; this is a mistake in cachedoctor.

    The other rules were applied all the same, so the rest of the report holds. Nothing is repaired
    on the word of a rule that crashed.

    Report it with the message and, if you can, with the folder that it names.
    """

    code = "CD000"
    slug = "rule-crashed"
    status = Status.UNKNOWN

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Find nothing: `report` is called where a rule crashes."""
        return iter(())

    @classmethod
    def report(cls, code: str, error: Exception, place: str) -> Finding:
        """Turn an exception out of the rule `code` into a finding."""
        message = f"the rule {code} crashed: {type(error).__name__}: {error}"
        return Finding(cls.code, cls.slug, cls.severity, place, message)


class UnfinishedFix(SurveyRule):
    """A fix was interrupted and is neither finished nor taken back.

    It was stopped with Ctrl-C, killed, or lost its machine. What it was doing is in its journal:
    every file that it had moved is in its folder, nothing was deleted.

    `fix` finishes it first; `undo` takes it back.
    """

    code = "CD417"
    slug = "unfinished-fix"
    severity = Severity.WARNING

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report each run without an end in its journal."""
        for folder, described in seen.unfinished:
            yield self.about(folder, (), described)
