"""`ensure … -- COMMAND` and `pull`: ready, fetched within a limit or refused; then the command."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.plans import holdings
from cachedoctor.system import usage
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELL = ("--", sys.executable, "-c")


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve the model."""
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        yield served


def test_the_command_runs_in_its_place_with_its_own_exit_code(home: Path, host: Host) -> None:
    """Output, arguments and code are its own; the use is remembered, a preflight only as asked."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    cachedoctor("preflight", "faster-whisper", "--model", "tiny.en")
    (one,) = holdings.models(scanning.scan(host)).models
    assert (one.used.when_s, one.used.asked_s is not None) in (
        (None, True),
        (one.used.when_s, True),
    )
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    ended = cachedoctor("ensure", "faster-whisper:tiny.en", *SHELL, code, "--", "--yes", "a b")
    assert (ended.code, ended.output) == (7, "['--', '--yes', 'a b']\n")
    (one,) = holdings.models(scanning.scan(host)).models
    assert one.used.how == usage.ENSURE


def test_nothing_runs_where_a_model_is_not_ready(home: Path, hub: Hub) -> None:
    """Without consent nothing is fetched and nothing is run; the exit code is 1."""
    words = ("ensure", "faster-whisper:tiny.en", "--mirror", f"hub={hub.url}")
    for more in ((), ("--max-download", "10"), ("--offline", "--yes")):
        before = fingerprint(home)
        ended = cachedoctor(*words, *more, *SHELL, "print('ran')")
        assert (ended.code, ended.output) == (1, ""), more
        assert fingerprint(home) == before
    ended = cachedoctor("ensure", "faster-whisper:tiny.en", "--", "no-such-program-here")
    assert ended.code == 2


@pytest.mark.parametrize("more", [("--yes",), ("--max-download", "1G")])
def test_what_may_be_fetched_is_fetched_first(hub: Hub, more: tuple[str, ...]) -> None:
    """Consent, or a limit that is not reached."""
    words = ("ensure", "faster-whisper:tiny.en", "--mirror", f"hub={hub.url}")
    ended = cachedoctor(*words, *more, *SHELL, "print('ran')")
    assert (ended.code, ended.output) == (0, "ran\n")
    assert "ready" in ended.errors


def test_pull_fetches_what_is_not_here(home: Path, hub: Hub) -> None:
    """Once; what is here already costs no request."""
    words = ("pull", "faster-whisper:tiny.en", "--mirror", f"hub={hub.url}", "--json")
    ended = cachedoctor(*words, "--dry-run")
    assert (ended.code, ended.data["ready"]) == (0, False)
    ended = cachedoctor(*words, "--yes")
    assert (ended.code, ended.data["ready"]) == (0, True)
    seen = len(hub.requests)
    again = cachedoctor(*words)
    assert json.loads(again.output)["ready"]
    assert len(hub.requests) == seen
    assert cachedoctor("pull", "faster-whisper:tini").code == 2
    assert cachedoctor("pull").code == 2
