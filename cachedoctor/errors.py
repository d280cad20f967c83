"""Errors for callers to catch, each with the exit code it gives the command line."""

from __future__ import annotations

import enum


class CacheDoctorError(Exception):
    """State in one sentence what went wrong, naming the thing, and how to go on.

    `hint` is the next command or action, without a full stop; it can be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CacheDoctorError):
    """Reject a name, option or configuration that we do not know."""

    exit_code = 2


class NotReadyError(CacheDoctorError):
    """Report a model that should be ready and is not."""


class CannotLookError(CacheDoctorError):
    """Report a home, root or path given by the user that cannot be read."""

    exit_code = 3


class RepairError(CacheDoctorError):
    """Report a repair that could not finish; the cache is unchanged, or the run can be undone."""

    exit_code = 4


class LockHeldError(RepairError):
    """Report a lock that somebody else holds."""


class FetchError(RepairError):
    """Report a download that failed or returned wrong bytes; none of it reached a cache."""


class CancelledError(CacheDoctorError):
    """Report that the caller cancelled; whatever had not begun to change a cache left no trace."""

    exit_code = 130


class Fault(enum.StrEnum):
    """Name what is wrong with a file's bytes; the value is the slug of the rule that reports it."""

    HOLLOW = "hollow-bundle"
    TRUNCATED = "truncated"
    WRONG_MAGIC = "wrong-magic"
    MALFORMED = "malformed-header"
    TRAILING = "trailing-bytes"
    STUB = "stub-model"


class FormatError(CacheDoctorError):
    """Report the first wrong byte in a file or bundle.

    `measured` and `expected` are lengths in bytes if the fault is about length, else `None`.
    `member` names the file inside a bundle, or is empty for the file itself.
    """

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        measured: int | None = None,
        expected: int | None = None,
        member: str = "",
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.measured = measured
        self.expected = expected
        self.member = member
