"""The verbs as functions, and together: undoing all that was done gives back all of it."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import TYPE_CHECKING

import pytest

import cachedoctor
from cachedoctor.doctor import scanning
from cachedoctor.errors import CacheDoctorError, RepairError
from cachedoctor.host import Host
from cachedoctor.locators.hub_cache import repository_folder
from cachedoctor.plans import cures, packing
from cachedoctor.runs import applying
from cachedoctor.system import usage
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.support import builders, worlds
from tests.support.killing import EVERY, killed_at
from tests.test_removal import OTHER, shared, two_revisions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cachedoctor.plans.changes import Change


def grown(home: Path, chance: random.Random) -> None:
    """Make a home of what a year of use leaves: some of this, some of that."""
    hub = worlds.hub_of(home)
    makers: list[Callable[[], object]] = [
        lambda: two_revisions(home, pinned=chance.random() < 0.5),
        lambda: shared(home, "Systran/faster-whisper-base", OTHER),
        lambda: worlds.repository(hub, "Systran/faster-whisper-small", worlds.whisper_files()),
        lambda: worlds.repository(hub, "some/data", {"a/b/c.bin": builders.pattern(3000)}),
        lambda: worlds.repository(hub, "some/pinned", {"x.bin": b"x" * 99}, ref=None),
    ]
    for make in chance.sample(makers, chance.randint(2, len(makers))):
        make()
    for repository in hub.glob("models--*"):
        if chance.random() < 0.5:
            name = f"{chance.randbytes(32).hex()}.0123abcd.incomplete"
            (repository / "blobs" / name).write_bytes(chance.randbytes(chance.randint(0, 5000)))
        if chance.random() < 0.5:
            locks = hub / ".locks" / repository.name
            locks.mkdir(parents=True)
            (locks / "x.lock").touch()
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    for name in ("ggml-base.bin", "ggml-base-q5_1.bin", "ggml-tiny.bin"):
        if chance.random() < 0.7:
            (folder / name).write_bytes(b"lmgg" + chance.randbytes(300))
    if chance.random() < 0.5:
        builders.mlmodelc(folder / "ggml-base-encoder.mlmodelc")


def act(host: Host, home: Path, stick: Path, chance: random.Random, number: int) -> bool:
    """Do one thing that a person might; returns whether anything was changed."""
    there = [one.id for one in cachedoctor.models(host).models]
    verbs: list[Callable[[], cachedoctor.plans.changes.Change]] = [
        lambda: cachedoctor.prune(host=host, keep_revisions=chance.choice([None, 1])),
        lambda: cachedoctor.free(chance.randint(1, 20_000), host=host),
        lambda: cachedoctor.free(budget_bytes=chance.randint(1, 20_000), host=host),
        lambda: cachedoctor.dedupe(host=host),
    ]
    if there:
        chosen = chance.sample(there, chance.randint(1, min(3, len(there))))
        verbs += [lambda: cachedoctor.remove(*chosen, host=host)] * 4
        one = next(e for e in scanning.scan(host).entries if e.id == chosen[0])
        name = os.path.relpath(repository_folder(one), one.root)
        target = str(home / f"away{number}" / name)
        if not os.path.islink(repository_folder(one)):
            verbs += [lambda: cachedoctor.move(one.id, target, host=host)] * 2
    if stick.exists():
        verbs += [lambda: cachedoctor.unpack(str(stick), host=host)] * 2
    hub = worlds.hub_of(home)
    if hub.is_dir() and not hub.is_symlink():
        verbs.append(lambda: cachedoctor.move(str(hub), str(home / f"hub{number}"), host=host))
    try:
        change = chance.choice(verbs)()
    except RepairError:  # a model whose weights lie in a shared store does not move alone
        return False
    if change.choices:
        cachedoctor.apply(change)
    return bool(change.choices)


def taken(home: Path) -> int:
    """Return what `du` counts below a home, without the notes that the client makes."""
    notes = {"refs", "trees", ".locks"}
    found = {
        (path.lstat().st_dev, path.lstat().st_ino): path.lstat().st_size
        for path in home.rglob("*")
        if path.is_file() and not path.is_symlink()
        if not notes & set(path.parts) and path.suffix not in (".refs", ".lock")
        if not path.name.startswith(".huggingface")
    }
    return sum(found.values())


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[pytest.mark.heavy] if seed > 2 else []) for seed in range(12)],
)
def test_random_worlds_and_verbs_are_taken_back_to_the_last_bit(
    home: Path, tmp_path: Path, seed: int
) -> None:
    """After any of them nothing is broken that was whole, and undoing all gives the exact home."""
    chance = random.Random(seed)
    grown(home, chance)
    host = Host.look()
    found = cachedoctor.models(host)
    assert found.total_bytes + sum(one.bytes for one in found.loose) == taken(home)
    stick = tmp_path / "stick"
    if (worlds.hub_of(home) / "models--Systran--faster-whisper-small").is_dir():
        packing.write(packing.pack(host, ["faster-whisper:small"]), str(stick))
    before = fingerprint(home)
    broken = {(f.code, f.path) for f in scanning.scan(host).findings if f.severity == "error"}
    done = 0
    for number in range(5):
        done += act(Host.look(), home, stick, chance, number)
        grave = {
            (f.code, os.path.basename(f.path))
            for f in scanning.scan(Host.look()).findings
            if f.severity == "error"
        }
        assert grave <= {(code, os.path.basename(path)) for code, path in broken}
    while applying.undoable(Host.look()):
        applying.undo(Host.look())
    assert fingerprint(home) == before
    assert done or not seed


def test_functions_return_changes_with_their_reasons(home: Path, host: Host) -> None:
    """As the commands do; a wrong name is an error with the nearest."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    (one,) = cachedoctor.models(host).models
    assert (one.known_by, one.refetch_bytes) == ("name", one.size_bytes)
    change = cachedoctor.remove(worlds.TINY, host=host)
    assert change.choices[0].reason == "named"
    before = fingerprint(home)
    cachedoctor.apply(change)
    assert fingerprint(home) != before
    applying.undo(host)
    assert fingerprint(home) == before
    with pytest.raises(CacheDoctorError, match="did you mean"):
        cachedoctor.remove("Systran/faster-whisper-tiny.em", host=host)
    with pytest.raises(CacheDoctorError, match="either"):
        cachedoctor.free(host=host)


def test_a_file_that_changed_since_is_not_touched(home: Path, host: Host) -> None:
    """Somebody writes between the look and the change: refused, and everything is as it was."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    change = cachedoctor.remove(worlds.TINY, host=host)
    (repository / "new").touch()
    before = fingerprint(home)
    with pytest.raises(CacheDoctorError, match="it has changed since"):
        cachedoctor.apply(change)
    assert fingerprint(home) == before


@EVERY
@pytest.mark.parametrize("verb", ["remove", "free", "prune", "unpack", "move"])
def test_a_change_killed_at_every_disk_change_loses_nothing(
    home: Path, tmp_path: Path, verb: str, every: int
) -> None:
    """After each kill `fix` finishes it or `undo` takes it back, to the last bit."""
    repository = two_revisions(home)
    (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    shared(home, "Systran/faster-whisper-base", OTHER)
    host = Host.look()
    usage.remember(host.state, usage.ENSURE, [str(repository)], time.time())
    stick = str(tmp_path / "stick")
    if verb == "unpack":
        packing.write(packing.pack(host, ["faster-whisper:base"]), stick)
        shutil.rmtree(worlds.hub_of(home) / "models--Systran--faster-whisper-base")
    before = fingerprint(home)
    names = [f"{worlds.TINY}", "Systran/faster-whisper-base"]
    changes: dict[str, Callable[[], Change]] = {
        "remove": lambda: cachedoctor.remove(*names),
        "free": lambda: cachedoctor.free(1 << 40),
        "prune": lambda: cachedoctor.prune(keep_revisions=1),
        "unpack": lambda: cachedoctor.unpack(stick),
        "move": lambda: cachedoctor.move(names[0], str(home / "away" / repository.name)),
    }

    def work() -> None:
        cachedoctor.apply(changes[verb]())

    work()
    after = {name: row[::2] for name, row in fingerprint(home).items()}
    applying.undo(host)
    assert fingerprint(home) == before
    number = 0
    while True:
        number += every
        killed = killed_at(number, work)
        if not killed:
            break
        report = scanning.scan(Host.look())
        plan = cures.plan(report, codes=("CD417",))
        if number % 2 and plan.unfinished:
            applying.apply(plan, report, Network(host, offline=True))
            now = {name: row[::2] for name, row in fingerprint(home).items()}
            assert now == after, f"killed at {number}"
        if applying.undoable(host):
            applying.undo(host)
        assert fingerprint(home) == before, f"killed at {number}"
    assert number > 15, "the harness did not reach the steps"
