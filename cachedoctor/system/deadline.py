"""End a run that nobody waits for: it is out of time, or nobody reads its output any more.

When a caller on another machine dies or loses its connection, nothing here ends by itself: without
a terminal there is no signal. The only sign is that our standard output has lost its reader.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time

_GRACE_S = 5.0  # for the current step to finish and children to end
_POLL_S = 1.0
_reasons: list[str] = []


def begin(seconds: float) -> None:
    """Interrupt this process, as Ctrl-C does, after `seconds` or when its output loses its reader.

    A process that ignores the interrupt is killed: the journal is made for that. Call this once,
    from the main thread.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job
    main = threading.get_ident()
    threading.Thread(target=_watch, args=(seconds, main), name="deadline", daemon=True).start()


def reason() -> str:
    """Return why this process was interrupted; empty if somebody pressed Ctrl-C."""
    return _reasons[0] if _reasons else ""


def _watch(seconds: float, main: int) -> None:
    end = time.monotonic() + seconds
    descriptor = 1
    while (left := end - time.monotonic()) > 0:
        if _unread(descriptor, min(left, _POLL_S)):
            _reasons.append("nobody reads the answer any more")
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
            break
    else:
        _reasons.append(f"not done after {seconds:g} s")
    signal.pthread_kill(main, signal.SIGINT)
    time.sleep(_GRACE_S)
    with contextlib.suppress(OSError):
        os.write(2, f"Error: {_reasons[0]}\n".encode())
    os._exit(130)


def _unread(descriptor: int, wait_s: float) -> bool:
    """Wait, and return whether the reader of a pipe, socket or terminal is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)  # hang-ups and errors are reported anyway
    try:
        return any(
            event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(wait_s * 1000)
        )
    except OSError:
        time.sleep(wait_s)
        return False
