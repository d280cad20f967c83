"""One look by the workers of a running Dask cluster: parts as tasks, one answer here.

The tasks are what `verify --subset K/N` does. Workers only read; each finished part is sent here at
once, so a worker that dies loses only its current part, which another takes over.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import queue
import time
from typing import TYPE_CHECKING, Any

from cachedoctor.doctor import parts, shares
from cachedoctor.doctor.pace import Throttled
from cachedoctor.errors import CacheDoctorError, UsageError
from cachedoctor.text import plural
from cachedoctor.vocabulary import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cachedoctor.doctor.shares import Part
    from cachedoctor.question import Question
    from cachedoctor.vocabulary import Progress

_PARTS_A_THREAD = 4  # so that little depends on one slow or lost worker
_MOMENT_S = 1.0
_PATIENCE_S = 30.0  # for a cluster without a worker
_CONNECT_S = 10.0
_LOGGERS = ("distributed", "distributed.client", "asyncio", "tornado")
_LOST = ("cancelled", "lost")
_RETRIES = 2  # of a part whose worker failed at it


class ClusterError(CacheDoctorError):
    """Report a cluster that gave no complete answer; nothing in a cache was touched."""

    exit_code = 4


def gather(
    question: Question,
    address: str,
    *,
    rate: int | None = None,
    progress: Progress = SILENT,
    patience_s: float = _PATIENCE_S,
) -> parts.Joined:
    """Let the cluster's workers look at what `question` asks for, and join their parts here.

    `rate` limits all workers together, including those that join later. Raises `ClusterError` when
    the scheduler is gone, no worker is left, or a part cannot be done.
    """
    distributed = _distributed()
    for name in _LOGGERS:  # failures are reported in one line of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _client(distributed, address) as client:
        threads = _threads(client, patience_s)
        plan = shares.plan(question, _PARTS_A_THREAD * threads)
        host = question.host.without_secrets()
        sent = _Sent(client, question._replace(host=host), plan, rate, threads)
        progress.start("reading on the cluster", sum(part.weight for part in plan.parts))
        try:
            told = [_one_told(part, content, progress) for part, content in sent.done(patience_s)]
        finally:
            progress.finish()
    wrong = parts.obstacles(told)
    if wrong:
        raise ClusterError("; ".join(wrong))
    return parts.join(told, question.host)


def look_at(question: Question, part: Part, mark: str, rate: float | None) -> bytes:
    """Look at one part, on a worker: its threads are the tasks that it runs at once."""
    progress = Throttled(SILENT, max(int(rate), 1)) if rate else SILENT
    return parts.look_at(question, part, mark, progress=progress, threads=1)


def _one_told(part: Part, content: bytes, progress: Progress) -> parts.Told:
    progress.advance(part.weight)
    return parts.parsed(content, f"part {part.number}/{part.of}")


class _Sent:
    """The tasks of one look; with a rate, never more at once than the rate was divided by."""

    def __init__(
        self,
        client: Any,
        question: Question,
        plan: shares.Plan,
        rate: int | None,
        threads: int,
    ) -> None:
        """Send nothing yet."""
        self._client = client
        self._question = question
        self._mark = plan.mark
        self._rest = sorted(plan.parts, key=lambda part: part.weight)  # the heaviest goes first
        self._at_once = threads if rate else len(plan.parts)
        self._rate = rate / threads if rate else None
        self._waiting: dict[Any, Part] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def done(self, patience_s: float) -> Iterator[tuple[Part, bytes]]:
        """Yield the parts as they are done."""
        alone_since: float | None = None
        while self._rest or self._waiting:
            self._send()
            finished = self._finished()
            for future in finished:
                yield self._waiting.pop(future), self._content(future)
            if finished or _workers(self._client):
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > patience_s:
                left = plural(len(self._rest) + len(self._waiting), "part")
                raise ClusterError(
                    f"no worker of the cluster is left, with {left} not done", hint=_AGAIN
                )

    def _send(self) -> None:
        while self._rest and len(self._waiting) < self._at_once:
            part = self._rest.pop()
            future = self._client.submit(
                look_at, self._question, part, self._mark, self._rate, pure=False, retries=_RETRIES
            )
            self._waiting[future] = part
            future.add_done_callback(self._ended.put)

    def _finished(self) -> list[Any]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._ended.get(timeout=_MOMENT_S))
            while True:
                found.append(self._ended.get_nowait())
        if self._client.status != "running" or any(f.status in _LOST for f in found):
            raise _gone()
        return found

    def _content(self, future: Any) -> bytes:
        try:
            content: bytes = future.result(timeout=60)
        except CacheDoctorError:
            raise
        except ModuleNotFoundError as error:
            raise ClusterError(
                f"the cluster's workers lack a module: {error.name}",
                hint="install the same version of cachedoctor where the workers run",
            ) from error
        except Exception as error:
            if self._client.status != "running":
                raise _gone() from error
            said = (str(error) or type(error).__name__).partition("\n")[0]
            raise ClusterError(f"a part cannot be processed: {said}", hint=_AGAIN) from error
        return content


_AGAIN = "what was read is remembered there, so the same command reads only the rest"


def _gone() -> ClusterError:
    return ClusterError("the cluster's scheduler is gone", hint=_AGAIN)


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise UsageError(
            "--scheduler needs Dask",
            hint="install it with `pip install 'model-cache-doctor[cluster]'`",
        ) from error


@contextlib.contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    """Connect to a scheduler; a failure on the way is reported in one line."""
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError, TimeoutError) as error:
        raise ClusterError(
            f"no scheduler answers at `{address}`", hint="`dask scheduler` prints its address"
        ) from error
    try:
        yield client
    except (OSError, distributed.comm.CommClosedError, distributed.CancelledError) as error:
        raise _gone() from error
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=2)


def _workers(client: Any) -> dict[str, Any]:
    """Return the workers that the scheduler knows."""
    found: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return found


def _threads(client: Any, patience_s: float) -> int:
    """Count the threads of all workers; waits for the first."""
    end = time.monotonic() + patience_s
    while not (workers := _workers(client)):
        if time.monotonic() > end:
            raise ClusterError(
                "the cluster has no workers", hint="`dask worker ADDRESS` starts one"
            )
        time.sleep(_MOMENT_S / 5)
    return sum(worker["nthreads"] for worker in workers.values())
