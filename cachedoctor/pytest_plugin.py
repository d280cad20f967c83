"""A pytest plugin that skips, or fails, a test whose model is not ready.

```python
@pytest.mark.needs_model("faster-whisper", size="tiny")
def test_a_transcription() -> None: ...
```

`--needs-model=fail`, or `needs_model = fail` in pytest's configuration, is for machines that must
have the models; `fetch` makes them ready, with downloads, and fails if that is impossible.
pytest loads this module wherever cachedoctor is installed, so nothing else of the package is
imported until a marked test is about to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

_CHOICES = ("skip", "fail", "fetch")
_PATIENCE_S = 1800  # while another worker of the same run downloads


class _Question(NamedTuple):
    engine: str
    size: str | None
    model: str | None


def _question(engine: str, *, size: str | None = None, model: str | None = None) -> _Question:
    """Bind the arguments of a mark, by Python's own rules."""
    return _Question(engine, size, model)


# The answers of this run: a reason, or an empty string for a model that is ready.
_answers = pytest.StashKey[dict[_Question, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the ini setting that decide what happens to such tests."""
    parser.getgroup("cachedoctor", "models of speech engines").addoption(
        "--needs-model",
        choices=_CHOICES,
        help="What becomes of a test marked `needs_model` whose model is not ready; "
        "without it what `needs_model` in the configuration says, which is skip.",
    )
    parser.addini("needs_model", "Without --needs-model: skip, fail or fetch.", default="skip")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and reject an invalid setting."""
    config.addinivalue_line(
        "markers",
        "needs_model(engine, *, size=None, model=None): skip the test, or with --needs-model=fail "
        "fail it, where the engine would not load this model now, without the network; with "
        "--needs-model=fetch make it ready first",
    )
    said = config.getini("needs_model")
    if said not in _CHOICES:
        raise pytest.UsageError(
            f"`needs_model` in the configuration is `{said}`, not skip, fail or fetch"
        )
    config.stash[_answers] = {}


# A wrapper runs before all other hooks: before fixtures, and before pytest evaluates `skip`.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Check the models that a test is marked with, each question once per run."""
    said = [_answer(item, mark) for mark in item.iter_markers("needs_model")]
    if reason := "; ".join(filter(None, dict.fromkeys(said))):
        if _mode(item) != "skip":
            pytest.fail(reason, pytrace=False)
        item.add_marker(pytest.mark.skip(reason=reason))  # pytest then reports the test's own place
    return (yield)


def _answer(item: pytest.Item, mark: pytest.Mark) -> str:
    """Return why a mark's model is not ready and what cures that; empty if it is ready."""
    given = [*map(repr, mark.args), *(f"{key}={value!r}" for key, value in mark.kwargs.items())]
    words = f"needs_model({', '.join(given)})"
    try:
        question = _question(*mark.args, **mark.kwargs)
    except TypeError:
        question = None
    if question is None or not all(isinstance(word, str | None) for word in question):
        _refuse(item, words, "takes an engine, and either `size` or `model`, all of them texts")
    answers = item.config.stash[_answers]
    if question not in answers:
        answers[question] = _asked(item, words, question)
    return answers[question]


def _asked(item: pytest.Item, words: str, question: _Question) -> str:
    from cachedoctor import verdict
    from cachedoctor.errors import CacheDoctorError
    from cachedoctor.host import Host
    from cachedoctor.report import verdict_text

    engine, size, model = question
    why = ""
    try:
        host = Host.look()
        found = verdict.preflight(engine, size=size, model=model, host=host)
        if not found.ready and _mode(item) == "fetch":
            return _fetched(question)
    except CacheDoctorError as error:
        why = f"{error.message}; {error.hint}" if error.hint else error.message
    if why:  # outside `except`, so that the failure shows no other exception
        _refuse(item, words, why)
    return "" if found.ready else verdict_text.verdict_line(found, host)


def _fetched(question: _Question) -> str:
    """Make a model ready; return the reason if that fails."""
    import time

    from cachedoctor import verdict
    from cachedoctor.errors import CacheDoctorError, LockHeldError
    from cachedoctor.host import Host
    from cachedoctor.report import verdict_text

    engine, size, model = question
    host = Host.look()
    began = time.monotonic()
    while True:
        try:
            found = verdict.ensure(
                engine, size=size, model=model, host=host, allow=lambda plan: True
            )
        except CacheDoctorError as error:
            held = isinstance(error, LockHeldError) or isinstance(error.__cause__, LockHeldError)
            if held and time.monotonic() - began < _PATIENCE_S:
                time.sleep(1)  # another worker is downloading it
                continue
            return f"{error.message}; {error.hint}" if error.hint else error.message
        return "" if found.ready else verdict_text.verdict_line(found, host)


def _mode(item: pytest.Item) -> str:
    """Return what happens to a test whose model is not ready."""
    return str(item.config.getoption("--needs-model") or item.config.getini("needs_model"))


def _refuse(item: pytest.Item, words: str, why: str) -> NoReturn:
    """Fail a test with an invalid mark, even if others are skipped."""
    pytest.fail(f"{item.nodeid}: `{words}`: {why}", pytrace=False)
