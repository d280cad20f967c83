"""Errors that a caller may catch, each with the exit code that the command line ends with."""

from __future__ import annotations

import enum


class CacheDoctorError(Exception):
    """Say what went wrong in one sentence that names the thing, and how to go on.

    `hint` is the next command or action, without a full stop; it may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CacheDoctorError):
    """Refuse a name, option or configuration that means nothing to us."""

    exit_code = 2


class NotReadyError(CacheDoctorError):
    """Report a model that would have to be ready and is not."""


class CannotLookError(CacheDoctorError):
    """Report a home, root or path that was named and cannot be read."""

    exit_code = 3


class RepairError(CacheDoctorError):
    """Report a repair that could not finish; the cache is as it was, or the run can be undone."""

    exit_code = 4


class LockHeldError(RepairError):
    """Report a lock that somebody else holds."""


class FetchError(RepairError):
    """Report a download that failed or brought the wrong bytes; nothing of it reached a cache."""


class CancelledError(CacheDoctorError):
    """Report that the caller gave up; what had not begun to change a cache has left nothing."""

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
    """Report the first byte that is wrong in a file or bundle.

    `measured` and `expected` are lengths in bytes where the fault is about length, else `None`.
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
