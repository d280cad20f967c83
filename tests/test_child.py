"""Children end: by themselves, by a limit, by a signal, and with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor.system import child
from tests.support.processes import alive, soon

if TYPE_CHECKING:
    from pathlib import Path


def run(script: str, **more: object) -> child.Result:
    """Run a Python script as a child."""
    environment = {"PATH": os.environ["PATH"]}
    return child.run([sys.executable, "-c", script], environment=environment, **more)  # type: ignore[arg-type]


def test_a_request_goes_in_and_an_answer_comes_out() -> None:
    """The request arrives on standard input, and both outputs come back with the exit code."""
    script = "import sys; print(sys.stdin.readline()[::-1]); sys.stderr.write('e'); sys.exit(3)"
    result = run(script, request=b"abc\n")
    assert (result.code, result.output.strip(), result.errors) == (3, b"cba", b"e")
    assert (result.signal, result.timed_out) == (None, False)


def test_death_by_a_signal_is_a_result() -> None:
    """A child that kills itself is a result with the signal's number."""
    result = run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert result.signal == signal.SIGSEGV


def test_a_time_limit_ends_the_whole_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that ignores a polite end, and its own child, are gone after the limit."""
    monkeypatch.setattr(child, "_GRACE_S", 0.5)
    note = tmp_path / "pid"
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(note)!r}, 'w').write(str(p.pid)); time.sleep(600)"
    )
    result = run(script, timeout_s=1.5)
    assert result.timed_out
    assert result.signal is not None
    assert not alive(int(note.read_text()))


def test_an_endless_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the output the first part is kept, of the errors the last."""
    monkeypatch.setattr(child, "OUTPUT_LIMIT_BYTES", 1000)
    script = (
        "import sys; sys.stdout.write('a' * 5000 + 'b'); sys.stderr.write('a' * 5000 + 'b');"
        "sys.stdout.flush()"
    )
    result = run(script)
    assert (len(result.output), len(result.errors)) == (1000, 1000)
    assert (result.output[-1:], result.errors[-1:]) == (b"a", b"b")


def test_an_exception_while_waiting_ends_the_child(tmp_path: Path) -> None:
    """What is raised while polling reaches the caller, and the child is gone by then."""
    note = tmp_path / "pid"

    def interrupt() -> None:
        if note.exists() and note.read_text():
            raise KeyboardInterrupt

    script = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    with pytest.raises(KeyboardInterrupt):
        run(script, on_poll=interrupt)
    assert not alive(int(note.read_text()))


def test_the_hub_client_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed takes the downloading child with it."""
    from tests.support.loopback import Hub

    with Hub() as hub:
        hub.add("org/name", {"model.bin": b"x" * 100_000})
        held = hub.hold("model.bin", 10)
        script = (
            "import json, os, subprocess, sys, time\n"
            "p = subprocess.Popen([sys.executable, '-m', 'cachedoctor.system.hub_client'],"
            " stdin=subprocess.PIPE)\n"
            f"ask = {{'repository': 'org/name', 'revision': 'main', 'path': 'model.bin',"
            f" 'folder': {str(tmp_path)!r}}}\n"
            "p.stdin.write(json.dumps(ask).encode() + b'\\n'); p.stdin.flush()\n"
            "print(p.pid, flush=True); time.sleep(600)\n"
        )
        parent = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            env={**os.environ, "HF_ENDPOINT": hub.url},
        )
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert held.reached.wait(60)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        deadline = time.monotonic() + 10
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not alive(pid)


def test_a_grandchild_that_keeps_the_pipes_costs_nothing(tmp_path: Path) -> None:
    """One in the group is ended with it; one that left the group is not waited for."""
    note = tmp_path / "pid"
    script = (
        "import subprocess, sys;"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        "start_new_session={own});"
        f"open({str(note)!r}, 'w').write(str(p.pid)); print('done')"
    )
    for own in (False, True):
        began = time.monotonic()
        result = run(script.replace("{own}", str(own)))
        assert time.monotonic() - began < 20
        assert (result.code, result.output.strip()) == (0, b"done")
        pid = int(note.read_text())
        if own:
            os.kill(pid, signal.SIGKILL)
        else:  # the system takes a moment
            assert soon(lambda gone=pid: not alive(gone))  # type: ignore[misc]


def test_a_talk_ends_with_its_leader(tmp_path: Path) -> None:
    """A grandchild outside the group that holds the pipe is no answer to wait for."""
    note = tmp_path / "pid"
    script = (
        "import subprocess, sys; sys.stdin.readline();"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        "start_new_session=True);"
        f"open({str(note)!r}, 'w').write(str(p.pid)); sys.exit(3)"
    )
    talk = child.Talk([sys.executable, "-c", script], {"PATH": os.environ["PATH"]})
    began = time.monotonic()
    assert talk.ask(b"{}", 50) == child.Silence(False, 3, None)
    assert time.monotonic() - began < 20
    os.kill(int(note.read_text()), signal.SIGKILL)
    assert soon(lambda: threading.active_count() == 1)
