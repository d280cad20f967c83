"""Work that is killed, or hits a disk error, at a chosen change of the disk."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import traceback
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from cachedoctor.system import disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


EVERY = pytest.mark.parametrize(
    "every",
    [pytest.param(1, marks=pytest.mark.heavy, id="every"), pytest.param(5, id="every fifth")],
)  # change of the disk is met: all of them take minutes


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Do work in a forked process that is killed before its change of the disk `number`.

    Returns whether it got that far; work that fails by itself fails the test.
    """
    child = os.fork()
    if child == 0:
        changes = itertools.count(1)

        def boundary(_operation: str) -> None:
            if next(changes) == number:
                os.kill(os.getpid(), signal.SIGKILL)

        disk.boundary = boundary
        try:
            work()
        except BaseException:  # noqa: BLE001 - a forked child must never return into its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed"
    return os.WIFSIGNALED(status)


@contextmanager
def failing_at(number: int, code: int = errno.EIO) -> Iterator[list[str]]:
    """Let the change of the disk `number` fail once; yield the changes made."""
    met: list[str] = []
    before = disk.boundary

    def boundary(operation: str) -> None:
        met.append(operation)
        if len(met) == number:
            raise OSError(code, os.strerror(code))

    disk.boundary = boundary
    try:
        yield met
    finally:
        disk.boundary = before
