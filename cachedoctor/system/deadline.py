"""The end of a run that nobody waits for: its time is up, or nobody reads its answer any more.

A caller on another machine that dies, or whose line is cut, ends nothing by itself: without a
terminal no signal comes. What comes is that our standard output has no reader.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time

_GRACE_S = 5.0  # for a step that is being taken, and for children to end
_POLL_S = 1.0
_reasons: list[str] = []


def begin(seconds: float) -> None:
    """Interrupt this process, as Ctrl-C does, after `seconds` or when its output has no reader.

    What does not let itself be interrupted is ended: a journal is made for that. Call it once,
    from the main thread.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    main = threading.get_ident()
    threading.Thread(target=_watch, args=(seconds, main), name="deadline", daemon=True).start()


def reason() -> str:
    """Return why this process was interrupted; empty where somebody pressed Ctrl-C."""
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
    """Wait, and return whether the reader of a pipe, a socket or a terminal is gone."""
    poll = select.poll()
    poll.register(descriptor, 0)  # hang-ups and errors are told unasked
    try:
        return any(
            event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(wait_s * 1000)
        )
    except OSError:
        time.sleep(wait_s)
        return False
