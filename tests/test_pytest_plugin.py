"""The pytest plugin, in runs of pytest of their own: skip, fail, refuse, and cost nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import worlds
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

UNMARKED = "skipif(False, reason='')"
CURE = "cachedoctor fix faster-whisper --model tiny.en"


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return what runs pytest in this process; pytester gives it a home."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def running(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-ra", "--strict-markers", *arguments)

    return running


@pytest.fixture
def start(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    """Return what runs pytest as a process of its own, as its users do."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def starting(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess("-ra", "--strict-markers", *arguments)

    return starting


@pytest.fixture
def hub(pytester: pytest.Pytester) -> Path:
    """Return the hub cache of that home."""
    return worlds.hub_of(pytester.path)


def marked(pytester: pytest.Pytester, *marks: str) -> None:
    """Write a module with a test for each mark."""
    tests = [f"@pytest.mark.{mark}\ndef test_{n}():\n    pass\n" for n, mark in enumerate(marks)]
    pytester.makepyfile("import pytest\n\n" + "\n".join(tests))


def test_what_is_ready_runs(
    pytester: pytest.Pytester,
    run: Callable[..., pytest.RunResult],
    start: Callable[..., pytest.RunResult],
    hub: Path,
) -> None:
    """By model and by size, and in either mode."""
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    worlds.repository(hub, worlds.TINY.removesuffix(".en"), worlds.whisper_files())
    marked(
        pytester,
        'needs_model("faster-whisper", model="tiny.en")',
        'needs_model("faster-whisper", size="tiny")',
    )
    start().assert_outcomes(passed=2)
    for mode in ("skip", "fail"):
        run(f"--needs-model={mode}").assert_outcomes(passed=2)


def test_what_is_not_there_skips_at_its_own_place(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """With the reason and the cure; the test without a mark runs."""
    marked(pytester, 'needs_model("faster-whisper", model="tiny.en")', UNMARKED)
    ended = run()
    ended.assert_outcomes(passed=1, skipped=1)
    (line,) = [line for line in ended.outlines if line.startswith("SKIPPED")]
    assert re.match(r"SKIPPED \[1\] test_\w+\.py:3: absent ", line)
    assert CURE in line


def test_what_is_broken_skips_with_its_code(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], hub: Path
) -> None:
    """A truncated file is not ready, and neither is a class that inherits the mark."""
    model = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 100)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.needs_model("faster-whisper", model="tiny.en")
        class TestTalk:
            @pytest.mark.needs_model("whisper.cpp", size="tiny")
            def test_it(self):
                raise AssertionError
        """
    )
    ended = run()
    ended.assert_outcomes(skipped=1)
    told = ended.stdout.str()
    assert "CD201" in told
    assert "cachedoctor fix whisper.cpp --size tiny" in told


@pytest.mark.parametrize("how", ["option", "configuration"])
def test_a_machine_that_must_have_it_fails(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], how: str
) -> None:
    """Before any fixture is made; an option goes before the configuration."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture
        def dear():
            raise RuntimeError("a fixture was made")

        @pytest.mark.needs_model("faster-whisper", model="tiny.en")
        def test_it(dear):
            pass
        """
    )
    if how == "configuration":
        pytester.makeini("[pytest]\nneeds_model = fail\n")
    ended = run(*(["--needs-model=fail"] if how == "option" else []))
    ended.assert_outcomes(errors=1)
    assert ended.ret == 1
    told = ended.stdout.str()
    assert CURE in told
    assert "a fixture was made" not in told
    run("--needs-model=skip").assert_outcomes(skipped=1)


WRONG = {
    'needs_model("faster-whispe", size="tiny")': "did you mean `faster-whisper`",
    'needs_model("faster-whisper", size="tinny")': "did you mean `tiny`",
    'needs_model("faster-whisper", model="tiny.em")': "`tiny.en`",
    'needs_model("faster-whisper")': "name either a size or a model",
    'needs_model("faster-whisper", size="tiny", model="tiny")': "name either a size or a model",
    "needs_model": "takes an engine",
    'needs_model(size="tiny")': "takes an engine",
    'needs_model("faster-whisper", "tiny")': "takes an engine",
    'needs_model("faster-whisper", sise="tiny")': "takes an engine",
    'needs_model(["faster-whisper"], size="tiny")': "takes an engine",
    'needs_model("faster-whisper", size=1)': "takes an engine",
}


@pytest.mark.parametrize("there", [True, False])
def test_what_is_not_there_is_fetched_first(
    pytester: pytest.Pytester,
    start: Callable[..., pytest.RunResult],
    hub: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: bool,
) -> None:
    """Once for all tests, workers too; where it cannot be had the tests fail and say why."""
    with Hub() as served:
        if there:
            served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        mark = 'needs_model("faster-whisper", model="tiny.en")'
        marked(pytester, mark, mark)
        ended = start("--needs-model=fetch")
        if not there:
            ended.assert_outcomes(errors=2)
            assert "faster-whisper-tiny.en" in ended.stdout.str()
            assert not list(hub.rglob("model.bin"))
            return
        ended.assert_outcomes(passed=2)
        assert list(hub.rglob("model.bin"))
        seen = len(served.requests)
        start("--needs-model=fetch", "-n2").assert_outcomes(passed=2)
        assert len(served.requests) == seen


def test_a_mark_that_means_nothing_never_skips(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """It is an error that names the test and the mark, whatever the mode; others run."""
    marked(pytester, *WRONG, UNMARKED)
    ended = run("--needs-model=skip", "-vv")
    ended.assert_outcomes(errors=len(WRONG), passed=1)
    for number, (mark, words) in enumerate(WRONG.items()):
        lead = f"::test_{number}: `{mark.partition('(')[0]}("
        (line, *_) = [line for line in ended.outlines if lead in line]
        assert words in line
    assert "another exception" not in ended.stdout.str()


def test_modes_that_mean_nothing_are_usage_errors(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """On the command line and in the configuration, where the value is named."""
    marked(pytester, UNMARKED)
    assert run("--needs-model=maybe").ret == pytest.ExitCode.USAGE_ERROR
    pytester.makeini("[pytest]\nneeds_model = maybe\n")
    ended = run()
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    assert "`needs_model` in the configuration is `maybe`" in ended.stderr.str()


def test_each_question_is_asked_once(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult], hub: Path
) -> None:
    """What the first answer was holds for the run, although the model goes away in between."""
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    pytester.makepyfile(
        f"""
        import pytest, shutil

        @pytest.mark.parametrize("number", range(3))
        @pytest.mark.needs_model("faster-whisper", model="tiny.en")
        def test_it(number):
            shutil.rmtree({str(hub)!r}, ignore_errors=True)
        """
    )
    run().assert_outcomes(passed=3)
    run().assert_outcomes(skipped=3)


def test_workers_say_the_same(
    pytester: pytest.Pytester, start: Callable[..., pytest.RunResult]
) -> None:
    """Under xdist as without it."""
    marked(pytester, *['needs_model("faster-whisper", model="tiny.en")'] * 4)
    ended = start("-n2")
    ended.assert_outcomes(skipped=4)
    assert CURE in ended.stdout.str()
    start("-n2", "--needs-model=fail").assert_outcomes(errors=4)


def test_the_marker_explains_itself(
    pytester: pytest.Pytester, run: Callable[..., pytest.RunResult]
) -> None:
    """In `--markers` and in `--help`."""
    assert (
        "@pytest.mark.needs_model(engine, *, size=None, model=None)"
        in run("--markers").stdout.str()
    )
    told = run("--help").stdout.str()
    assert "--needs-model={skip,fail,fetch}" in told
    assert "needs_model (string)" in told


def test_who_does_not_use_it_pays_nothing(tmp_path: Path) -> None:
    """A run without a marked test imports of the package the plugin alone."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n\n"
        "def test_it():\n"
        "    ours = [name for name in sys.modules if name.partition('.')[0] == 'cachedoctor']\n"
        "    assert sorted(ours) == ['cachedoctor', 'cachedoctor.pytest_plugin']\n"
        "    assert 'click' not in sys.modules\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
