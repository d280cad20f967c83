"""Parts of one look: they partition it exactly, and together say what a single process says."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachedoctor.doctor import contents, parts, scanning, shares
from cachedoctor.host import Host
from cachedoctor.question import Question
from cachedoctor.report import record, verify_text
from tests.support import builders_models, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = b"weights" * 40_000


@pytest.fixture(scope="module")
def ground() -> Iterator[Path]:
    """Give all examples one place for their worlds."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def world(home: Path, seed: int) -> None:
    """Make a cache of some repositories, with copies, a store, litter, damage and other layouts."""
    chance = random.Random(seed)
    hub = worlds.hub_of(home)
    hub.mkdir(parents=True)
    (hub / ".locks" / "models--gone--one").mkdir(parents=True)
    for number in range(chance.randrange(7)):
        named = number == 0 and chance.random() < 0.5
        name = worlds.TINY if named else f"some{chance.choice('-/')}one-{number}".replace("/", "/x")
        files = dict(worlds.whisper_files()) if named else {"config.json": b"{}" * number}
        files["a/more.json"] = bytes(chance.randrange(2000))
        files["weights.bin"] = chance.choice([LARGE, LARGE + bytes([number]), bytes(number)])
        trees = chance.random() < 0.6
        folder = worlds.repository(hub, name, files, trees=trees)
        if chance.random() < 0.4:
            worlds.repository(hub, name, files | {"b.json": b"2"}, commit="d" * 40, ref=None)
        if chance.random() < 0.4:
            to_store(hub, folder)
        for _ in range(chance.randrange(3)):
            damage(folder, chance)
    if chance.random() < 0.3:
        (hub / "blobs" / "ab").mkdir(parents=True, exist_ok=True)
        (hub / "blobs" / "ab" / ("ab" * 32)).write_bytes(LARGE)
    if chance.random() < 0.4:
        whisper = home / ".cache" / "whisper"
        whisper.mkdir()
        (whisper / "tiny.pt").write_bytes(builders_models.zip_of({"a/data.pkl": b"x"}))
    for path in home.rglob("*"):
        os.utime(path, (1_600_000_000.5, 1_600_000_000.5), follow_symlinks=False)


def to_store(hub: Path, folder: Path) -> None:
    """Move the large blobs of a repository to the store that all share."""
    for blob in (folder / "blobs").iterdir():
        if len(blob.name) == 64 and not blob.is_symlink():
            payload = hub / "blobs" / blob.name[:2] / blob.name
            payload.parent.mkdir(parents=True, exist_ok=True)
            os.replace(blob, payload)
            blob.symlink_to(os.path.relpath(payload, blob.parent))


def damage(folder: Path, chance: random.Random) -> None:
    """Do one thing to a repository that makes a finding."""
    blobs = sorted(path for path in (folder / "blobs").iterdir() if path.is_file())
    blob = chance.choice(blobs)
    match chance.randrange(6):
        case 0:
            blob.unlink()
        case 1 if blob.stat().st_size:
            worlds.flip(blob, blob.stat().st_size // 2)
        case 2:
            (folder / "refs" / "main").write_text("e" * 40)
        case 3:
            (folder / "blobs" / f"{'c' * 40}.incomplete").write_bytes(b"half")
        case 4:
            (folder / "blobs" / ("f" * 40)).write_bytes(b"nobody's")
        case _:
            worlds.cut(blob, blob.stat().st_size // 3)


def said(report: scanning.Report) -> dict[str, Any]:
    """Return an answer as JSON, without how long it took."""
    files = sorted(contents.verdicts(report.entries, report.contents))
    body = {**record.scan_json(report), "files": verify_text.files_json(files)}
    data: dict[str, Any] = json.loads(record.dumps(body))
    del data["summary"]["seconds"]
    return data


def in_parts(question: Question, of: int) -> scanning.Report:
    """Look in parts, and join them."""
    plan = shares.plan(question, of)
    told = [
        parts.told(parts.look_at(question, part, plan.mark), str(part.number))
        for part in plan.parts
    ]
    assert parts.amiss(told) == ()
    joined = parts.join(reversed(told), question.host)
    return scanning.answer(joined.question, gathered=joined.gathered)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 30), of=st.integers(1, 6), deep=st.booleans())
def test_all_parts_together_say_what_one_process_says(
    ground: Path, seed: int, of: int, deep: bool
) -> None:
    """Of any world: entries, findings with their repairs, every file, the summary."""
    home = ground / str(seed)
    if not home.exists():
        world(home, seed)
    host = Host.look(home=str(home))._replace(state=str(ground / "state"))
    question = Question(host, paths=(str(home),) if seed % 2 and of > 3 else (), deep=deep)
    if question.paths:
        question = question._replace(paths=(str(worlds.hub_of(home)),))
    shutil.rmtree(ground / "state", ignore_errors=True)
    whole = said(scanning.answer(question))
    shutil.rmtree(ground / "state", ignore_errors=True)
    assert said(in_parts(question, of)) == whole
