"""The script that runs an engine: it times, answers, keeps off the network, and ends with us."""

from __future__ import annotations

import ast
import json
import os
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor import bench, engines
from cachedoctor.bench import session
from cachedoctor.system import child
from tests.support import speech

if TYPE_CHECKING:
    from collections.abc import Iterator

_TALK = Path(bench.__file__).parent / "runners" / "talk.py"
_SCRIPT = """
import os, socket, sys, time, urllib.request

PACKAGES = ("numpy", "no-such-package")

def bring(threads):
    print("what engines print")
    if threads == 13:
        import no_such_engine
    if threads == 14:
        raise SystemExit("an engine that exits")
    if threads == 15:
        raise MemoryError

def load(path, threads, language):
    if path.startswith("http"):
        urllib.request.urlopen(path)
    if path == "socket":
        socket.create_connection(("127.0.0.1", 9))
    return path, {"device": "cpu"}

def transcribe(model, samples):
    if model == "abort":
        os.abort()
    time.sleep(float(model))
    return f" {len(samples)}  samples"
"""


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[child.Talk]:
    """Start the script with an engine that does as it is told."""
    script = tmp_path / "engine.py"
    script.write_text(textwrap.dedent(_SCRIPT))
    started = child.Talk([sys.executable, str(_TALK), str(script)], dict(os.environ))
    yield started
    started.end()


def ask(talk: child.Talk, **request: object) -> dict[str, Any]:
    """Ask one thing and return the answer."""
    answer = talk.ask(json.dumps(request).encode(), 60)
    assert isinstance(answer, bytes), answer
    found: dict[str, Any] = json.loads(answer)
    return found


def test_each_step_is_timed_and_answered(talk: child.Talk) -> None:
    """Versions of what there is, settings, and the text with single spaces."""
    brought = ask(talk, do="bring", threads=1)
    assert brought["versions"].keys() == {"python", "numpy"}
    loaded = ask(talk, do="load", path="0.2", threads=1, language=None)
    assert loaded["settings"] == {"device": "cpu"}
    heard = ask(talk, do="transcribe", clip=str(speech.CLIP))
    assert 0.2 <= heard["seconds"] < 2
    assert heard["text"].endswith(" samples")
    assert b"what engines print" in talk.errors


@pytest.mark.parametrize("path", ["http://127.0.0.1:9/model", "https://huggingface.co", "socket"])
def test_the_network_is_refused(talk: child.Talk, path: str) -> None:
    """No name is looked up and no connection made, whatever an engine tries."""
    answer = ask(talk, do="load", path=path, threads=1, language=None)
    assert "runs offline" in answer["message"]


@pytest.mark.parametrize(
    ("threads", "kind"), [(13, "ModuleNotFoundError"), (14, "SystemExit"), (15, "MemoryError")]
)
def test_whatever_it_raises_is_an_answer(talk: child.Talk, threads: int, kind: str) -> None:
    """Also an exit; and the script goes on."""
    assert ask(talk, do="bring", threads=threads)["error"] == kind
    assert "seconds" in ask(talk, do="bring", threads=1)


def test_a_late_answer_is_silence(talk: child.Talk) -> None:
    """The child is ended; asking again finds it dead."""
    ask(talk, do="load", path="60", threads=1, language=None)
    polls: list[int] = []
    silence = talk.ask(
        json.dumps({"do": "transcribe", "clip": str(speech.CLIP)}).encode(),
        0.5,
        lambda: polls.append(1),
    )
    assert silence == child.Silence(True, None, None)
    assert polls
    with pytest.raises(ProcessLookupError):
        os.kill(talk.pid, 0)


def test_a_death_is_silence(talk: child.Talk) -> None:
    """By its signal."""
    ask(talk, do="load", path="abort", threads=1, language=None)
    silence = talk.ask(json.dumps({"do": "transcribe", "clip": str(speech.CLIP)}).encode(), 60)
    assert silence == child.Silence(False, -6, 6)


def test_every_engine_that_python_runs_has_a_script() -> None:
    """All but the two that need a bridge; each script stands alone, in Python 3.9 too."""
    without = {name for name in engines.names() if session.runner(name) is None}
    assert without == {"whisperkit", "fluidaudio"}
    for path in _TALK.parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))
        assert "cachedoctor" not in path.read_text().replace("`cachedoctor bench`", "")
