"""Rules about cachedoctor itself: a crashed rule, an interrupted fix, a foreign run folder."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from cachedoctor.findings import Finding, Severity
from cachedoctor.rules import Rule, SurveyRule
from cachedoctor.vocabulary import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cachedoctor.findings import Repair
    from cachedoctor.rules import Examination


class RuleCrashed(Rule):
    """A rule crashed on something unexpected; this is a bug in cachedoctor.

    The other rules were still applied, so the rest of the report holds. Nothing is repaired because
    of a rule that crashed.

    Report the bug with the message and, if you can, with the folder that it names.
    """

    code = "CD000"
    slug = "rule-crashed"
    undermines = True
    status = Status.UNKNOWN

    @classmethod
    def report(cls, code: str, error: Exception, place: str) -> Finding:
        """Turn an exception from the rule `code` into a finding."""
        message = f"the rule {code} crashed: {type(error).__name__}: {error}"
        return Finding(
            code=cls.code, slug=cls.slug, severity=cls.severity, path=place, message=message
        )


class UnfinishedFix(SurveyRule):
    """A fix was interrupted and is neither finished nor taken back.

    It was stopped with Ctrl-C, killed, or the machine went down. Its journal says what it was
    doing: every file that it had moved is in its folder, and nothing was deleted.

    `fix` shows what is left of it and finishes it first, or takes it back if it cannot be finished;
    `undo` takes it back. Both wait for a disk that it had changed and that is not connected now; if
    that disk is lost, `undo RUN --lost` takes back the rest.
    """

    code = "CD417"
    slug = "unfinished-fix"
    a_run = True
    severity = Severity.WARNING

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report each run whose journal has no end."""
        for folder, described in seen.unfinished:
            yield self.about(folder, (), described)


_MOST = 1000  # names examined beside one root


class ForeignRun(SurveyRule):
    """There is a run folder beside a cache that none of your journals knows.

    It came with a project or a disk, another user or another machine made it, the state folder was
    lost, or an older version wrote it. A folder beside a cache is only data: cachedoctor never
    opens, finishes, takes back, lists or empties it on its own.

    If it is yours, `cachedoctor undo --journal FILE` reads the journal in it, shows each step and
    asks. If not, you can delete it. Another user's folder is only a note.
    """

    code = "CD423"
    slug = "foreign-run"
    severity = Severity.WARNING
    a_failure = False  # a stranger's folder is not a failed repair

    def check(self, seen: Examination) -> Iterator[Finding]:
        """Report each folder in `.cachedoctor` that belongs to no run of the current user."""
        found = [each for place in seen.beside for each in _folders(place)]
        if not found:
            return
        from cachedoctor.system import run

        runs = run.runs(seen.host.state)
        known = {os.path.realpath(place) for mine in runs for place in mine.places}
        for path, status in found:
            if path in known:
                continue
            mine = status.st_uid == os.geteuid()
            day = time.strftime("%Y-%m-%d", time.gmtime(max(0, min(status.st_mtime, 1 << 35))))
            yield self.about(
                path,
                (),
                f"`{os.path.basename(path)}` is a run folder that none of your journals knows: "
                f"user {status.st_uid}, {day}",
                severity=self.severity if mine else Severity.NOTE,
            )

    def cure(self, finding: Finding, seen: Examination) -> Repair | None:
        """Return the command that reads its journal, if it is the current user's and has one."""
        from cachedoctor import repairs

        path = os.path.join(finding.path, "journal.jsonl")
        try:
            regular = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            return None
        if finding.severity is Severity.NOTE or not regular:
            return None
        command = seen.host.command("undo", "--journal", path)
        return repairs.manual("undo")._replace(describe=command)


def _folders(place: str) -> Sequence[tuple[str, os.stat_result]]:
    """Return the folders in a `.cachedoctor`, which is opened only if it is not a link."""
    found: list[tuple[str, os.stat_result]] = []
    try:
        opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return found
    try:
        with os.scandir(opened) as listing:
            for count, entry in enumerate(listing):
                if count == _MOST:
                    break
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    found.append((os.path.join(place, entry.name), status))
    except OSError:
        pass
    finally:
        os.close(opened)
    return sorted(found, key=lambda each: each[0])
