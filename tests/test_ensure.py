"""`ensure`: asked once, then ready; refused, nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import cachedoctor
from cachedoctor.errors import FetchError, UsageError
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import cachedoctor as command
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cachedoctor.host import Host
    from cachedoctor.plans.cures import Plan


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve the model, with a newer `main` than the first commit."""
    with Hub() as served:
        served.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        newer = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
        served.add(worlds.TINY, newer, commit="d" * 40)
        yield served


@pytest.fixture
def mirrors(hub: Hub) -> dict[str, str]:
    """Return the way to that hub."""
    return {"hub": hub.url}


def test_an_empty_machine_gets_the_whole_model(host: Host, mirrors: dict[str, str]) -> None:
    """At a commit that was resolved; the plan tells what it costs before."""
    plans: list[Plan] = []

    def allow(plan: Plan) -> bool:
        plans.append(plan)
        return True

    ask = {"model": "tiny.en", "host": host, "mirrors": mirrors}
    verdict = cachedoctor.ensure("faster-whisper", allow=allow, **ask)  # type: ignore[arg-type]
    assert verdict.ready
    assert verdict.revision == "d" * 40
    assert [plan.fetches for plan in plans] == [True]
    assert plans[0].fetch_bytes > 0
    again = cachedoctor.ensure("faster-whisper", allow=allow, **ask)  # type: ignore[arg-type]
    assert again.ready
    assert len(plans) == 1


def test_what_is_refused_is_not_done(
    home: Path, host: Host, hub: Hub, mirrors: dict[str, str]
) -> None:
    """The verdict says why not, nothing was fetched, and nobody was asked for anything."""
    before = fingerprint(home)
    verdict = cachedoctor.ensure(
        "faster-whisper", model="tiny.en", host=host, mirrors=mirrors, allow=lambda _: False
    )
    assert (verdict.ready, verdict.code) == (False, "CD101")
    assert fingerprint(home) == before
    assert hub.requests == []


def test_what_costs_more_than_was_told_is_asked_again(
    host: Host, hub: Hub, mirrors: dict[str, str]
) -> None:
    """The table is the first answer; the hub's listing, where it is dearer, the second."""
    hub.add(worlds.TINY, {**worlds.whisper_files(), "model.bin": bytes(90 << 20)}, commit="e" * 40)
    told: list[tuple[int, bool, bool]] = []

    def allow(plan: cachedoctor.Plan) -> bool:
        told.append((plan.fetch_bytes, plan.fetch_bytes_known, bool(hub.requests)))
        return len(told) == 1

    verdict = cachedoctor.ensure(
        "faster-whisper", model="tiny.en", host=host, mirrors=mirrors, allow=allow
    )
    assert not verdict
    assert [(known, asked) for _, known, asked in told] == [(True, False), (True, True)]
    assert told[0][0] < 90 << 20 < told[1][0]


def test_local_bytes_come_before_the_network(home: Path, host: Host, hub: Hub) -> None:
    """A broken file that another repository has is copied, without any network."""
    hub_folder = worlds.hub_of(home)
    worlds.repository(hub_folder, "guillaumekln/faster-whisper-tiny.en", worlds.whisper_files())
    path = worlds.repository(hub_folder, worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(path / "snapshots" / worlds.COMMIT / "model.bin"), 100)
    verdict = cachedoctor.ensure(
        "faster-whisper",
        model="tiny.en",
        host=host,
        offline=True,
        allow=lambda plan: not plan.fetches,
    )
    assert verdict.ready
    assert hub.requests == []


def test_the_locked_revision_is_brought(
    home: Path, host: Host, mirrors: dict[str, str], tmp_path: Path
) -> None:
    """Although the hub's newest is another."""
    path = tmp_path / "models.lock"
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    assert command("lock", "faster-whisper:tiny.en", "-o", str(path)).code == 0
    for file in sorted(repository.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
    repository.rmdir()
    verdict = cachedoctor.ensure(
        "faster-whisper",
        model="tiny.en",
        lock=path,
        host=host,
        mirrors=mirrors,
        allow=lambda _: True,
    )
    assert (verdict.ready, verdict.revision) == (True, worlds.COMMIT)


def test_what_cannot_be_fetched_is_an_error(
    home: Path, host: Host, mirrors: dict[str, str]
) -> None:
    """The hub does not have it; nothing was changed. A wrong name is refused before."""
    before = fingerprint(home)
    with pytest.raises(FetchError, match=r"base\.en"):
        cachedoctor.ensure(
            "faster-whisper", model="base.en", host=host, mirrors=mirrors, allow=lambda _: True
        )
    assert fingerprint(home) == before
    with pytest.raises(UsageError):
        cachedoctor.ensure("faster-whisper", size="tinny", host=host, allow=lambda _: True)


def test_a_path_is_answered_and_never_repaired(host: Host, tmp_path: Path) -> None:
    """It has no known source, so no command that fetches is printed for it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, data in worlds.whisper_files().items():
        (folder / name).write_bytes(data)
    whole = cachedoctor.preflight("faster-whisper", model=folder, host=host)
    assert (whole.ready, whole.by, whole.path) == (True, "path", str(folder))
    (folder / "config.json").unlink()
    for model in (folder, str(folder), tmp_path / "nothing"):
        asked = cachedoctor.preflight("faster-whisper", model=model, host=host)
        made = cachedoctor.ensure("faster-whisper", model=model, allow=lambda _: True, host=host)
        assert made == asked
        assert (made.ready, made.code, made.model, made.cure) == (False, "CD101", str(model), "")
    ended = command("preflight", "faster-whisper", "--model", str(folder))
    assert ended.code == 1
    assert ended.output.endswith(": CD101 `config.json` is missing\n")
