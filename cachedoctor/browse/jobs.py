"""Long work beside the screen: a thread that tells how far it is and gives up when asked."""

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
    """One piece of work in a thread of its own.

    The thread is nobody's to wait for at the end: a journal is made for programs that end in the
    middle, and whoever leaves gives it a moment first (`leave`).
    """

    def __init__(self, work: Callable[[Watched], T], ended: Callable[[], object]) -> None:
        """Take `work`; `ended` is called from its thread when it is over."""
        self.moment: Moment | None = None  # the last one that was told
        self.stopped = threading.Event()  # somebody gave up
        self.error: BaseException | None = None
        self._result: list[T] = []
        self._work, self._ended = work, ended
        self._thread = threading.Thread(target=self._run, name="cachedoctor-job", daemon=True)

    def start(self) -> None:
        """Begin; whoever is told of the end knows the job by then."""
        self._thread.start()

    @property
    def result(self) -> T:
        """Return what came of it; raises what it raised."""
        if self.error is not None:
            raise self.error
        return self._result[0]

    def leave(self, wait_s: float) -> None:
        """Give up, and wait so long for a step that is being taken."""
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
