"""A dictation program: it gets its model ready, with a progress bar that can be cancelled."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading

import cachedoctor

ENGINE, SIZE, MOST_BYTES = "faster-whisper", "base", 2 << 30


def agree(plan: cachedoctor.Plan) -> bool:
    """Decide before anything is fetched or changed; a program with windows would ask in one."""
    for repair in plan.repairs:
        print("will", repair.describe)
    return plan.fetch_bytes_known and plan.fetch_bytes <= MOST_BYTES


def show(moment: cachedoctor.Moment) -> None:
    """Draw a bar; called from the thread that works."""
    share = "" if moment.fraction is None else f" {moment.fraction:4.0%}"
    print(f"\r{moment.doing}{share}", end="", file=sys.stderr)


async def ready_model(cancel: threading.Event) -> str:
    """Return the path of a model that the engine loads, repaired or fetched if necessary."""
    verdict = cachedoctor.preflight(ENGINE, size=SIZE)  # milliseconds: no thread needed
    if not verdict:
        print(verdict.why, file=sys.stderr)
        verdict = await asyncio.to_thread(
            cachedoctor.ensure, ENGINE, size=SIZE, allow=agree, progress=show, cancel=cancel
        )
    if not verdict or verdict.path is None:
        raise SystemExit(f"no model: {verdict.why}; `{verdict.cure}`")
    return verdict.path


async def main() -> None:
    """Get ready, and say so; a real program would load the engine now."""
    cancel = threading.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, cancel.set)
    try:
        print("ready:", await ready_model(cancel))
    except cachedoctor.CancelledError:
        raise SystemExit("given up; nothing was changed") from None
    except cachedoctor.LockHeldError:
        raise SystemExit("another program is repairing; try again in a minute") from None
    except cachedoctor.CacheDoctorError as error:  # no network, no space, no permission
        raise SystemExit(f"{error.message}\n{error.hint}") from None


if __name__ == "__main__":
    asyncio.run(main())
