"""Long work beside the screen: a thread that reports its progress and stops when asked."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from cachedoctor.system.watching import Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from cachedoctor.system.watching import Moment

T = TypeVar("T")


class Job(Generic[T]):
    """One piece of work in its own thread.

    Nobody has to wait for the thread at the end: journals are made for programs that end in the
    middle, and whoever leaves gives it a moment first (`leave`).
    """

    def __init__(self, work: Callable[[Watched], T], ended: Callable[[], object]) -> None:
        """Store `work`; its thread calls `ended` when the work is over."""
        self.moment: Moment | None = None  # the last progress it reported
        self.stopped = threading.Event()  # somebody cancelled it
        self.error: BaseException | None = None
        self._result: list[T] = []
        self._work, self._ended = work, ended
        self._thread = threading.Thread(target=self._run, name="cachedoctor-job", daemon=True)

    def start(self) -> None:
        """Start; whoever hears of the end already knows the job."""
        self._thread.start()

    @property
    def result(self) -> T:
        """Return the result of the work; raises what the work raised."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    def leave(self, wait_s: float) -> None:
        """Cancel, and wait this long for a step in progress."""
        self.stopped.set()
        self._thread.join(wait_s)

    def _tell(self, moment: Moment) -> None:
        self.moment = moment

    def _run(self) -> None:
        try:
            self._result.append(self._work(Watched(self._tell, self.stopped)))
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self.error = error
        with contextlib.suppress(RuntimeError):  # the screen is gone
            self._ended()
