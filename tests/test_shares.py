"""Parts of one look: they partition it exactly, and together say what a single process says."""

from __future__ import annotations

import gzip
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
from cachedoctor.locators import Unit
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
        parts.parsed(parts.look_at(question, part, plan.mark), str(part.number))
        for part in plan.parts
    ]
    assert parts.obstacles(told) == ()
    joined = parts.join(reversed(told), question.host)
    return scanning.answer(joined.question, gathered=joined.gathered)


@settings(max_examples=15, derandomize=True)
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


@settings(max_examples=50, derandomize=True)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 5000)), max_size=40),
    of=st.integers(1, 20),
)
def test_a_plan_leaves_nothing_out_and_nothing_twice(sizes: list[tuple[int, int]], of: int) -> None:
    """Each unit is whole in one part, or each of its pieces is in one; the parts weigh alike."""
    units = [("/hub", Unit((f"u{at}",), *size)) for at, size in enumerate(sizes)]
    parts_ = shares.divide(units, of)
    assert [part.number for part in parts_] == list(range(1, of + 1))
    assert [part.share.rest for part in parts_] == [True] + [False] * (of - 1)
    heaviest = 0
    for _, unit in units:
        (folder,) = unit.folders
        mine = [part for part in parts_ if folder in part.share.folders.get("/hub", ())]
        pieces = sorted(part.cut.get(f"/hub/{folder}", (0, 1)) for part in mine)
        assert pieces == [(number, len(mine)) for number in range(len(mine))]
        heaviest = max(heaviest, (unit.bytes + (unit.files << 18)) // len(mine))
    weights = [part.weight for part in parts_]
    assert max(weights) <= sum(weights) / of + heaviest + len(units)


def test_each_file_of_what_is_cut_is_read_by_one_part(home: Path, host: Host) -> None:
    """One repository with nearly all bytes is looked at by all parts; a file is read by one."""
    hub = worlds.hub_of(home)
    files = {f"{n}.bin": bytes([n]) * 1_000_000 for n in range(12)}
    folder = worlds.repository(hub, "some/large", files)
    worlds.repository(hub, "some/small", {"config.json": b"{}"})
    question = Question(host, deep=True)
    plan = shares.plan(question, 4)
    looking = [p for p in plan.parts if folder.name in p.share.folders.get(str(hub), ())]
    assert len(looking) == 4
    entries = scanning.scan(host).entries
    readers = [part.reads(entries) for part in looking]
    for blob in (folder / "blobs").iterdir():
        assert sum(mine(str(blob)) for mine in readers) == 1


def test_a_store_is_looked_at_with_all_that_leads_to_it(home: Path, host: Host) -> None:
    """Repositories that share a payload go to one part, or are cut alike."""
    hub = worlds.hub_of(home)
    for name in ("one", "two", "three"):
        content = b"own" * 1000 if name == "three" else LARGE
        to_store(hub, worlds.repository(hub, f"a/{name}", {"weights.bin": content}))
    for part in shares.plan(Question(host), 3).parts:
        mine = part.share.folders.get(str(hub), frozenset())
        assert ("models--a--one" in mine) == ("models--a--two" in mine)
        assert part.cut.get(f"{hub}/models--a--one") == part.cut.get(f"{hub}/models--a--two")


@pytest.fixture
def saved(home: Path, tmp_path: Path) -> list[str]:
    """Verify a cache with one wrong file in three parts."""
    for number in range(5):
        files = {"config.json": b"{}" * number, "weights.bin": bytes([number]) * 300_000}
        folder = worlds.repository(worlds.hub_of(home), f"some/one-{number}", files)
    worlds.flip(worlds.blob_of(folder / "snapshots" / worlds.COMMIT / "weights.bin"), 5)
    found = []
    for number in (1, 2, 3):
        path = str(tmp_path / f"part{number}.json")
        ended = cachedoctor("verify", "--subset", f"{number}/3", "--save", path)
        assert (ended.code, ended.errors) == (0, "")
        found.append(path)
    return found


def test_merge_answers_as_verify_does(saved: list[str], host: Host) -> None:
    """The same document and exit code, whatever the order; the text says the same."""
    merged = cachedoctor("merge", *reversed(saved), "--json")
    whole = cachedoctor("verify", "--fresh", "--json")
    assert (merged.code, whole.code) == (1, 1)
    one, other = merged.data, whole.data
    del one["summary"]["seconds"], other["summary"]["seconds"]
    assert one == other
    assert merged.codes == ["CD301"]
    assert "CD301" in cachedoctor("merge", *saved).output
    assert "<failure" in cachedoctor("merge", *saved, "--format", "junit").output


def test_what_is_missing_twice_or_of_another_look_is_named(
    saved: list[str], home: Path, tmp_path: Path
) -> None:
    """No answer is given then."""
    one, two, three = saved
    ended = cachedoctor("merge", one, three)
    assert (ended.code, ended.output) == (1, "")
    assert "1 part missing: 2/3" in ended.errors
    again = shutil.copy(one, tmp_path / "again.json")
    ended = cachedoctor("merge", one, two, three, str(again))
    assert (ended.code, f"`{one}`, `{again}`" in ended.errors) == (1, True)
    assert "part 1/3 was given 2 times" in ended.errors
    worlds.repository(worlds.hub_of(home), "some/new", {"config.json": b"new"})
    cachedoctor("verify", "--subset", "2/3", "--save", two)
    ended = cachedoctor("merge", *saved)
    assert (ended.code, "the cache changed in between" in ended.errors) == (1, True)
    other = str(tmp_path / "other.json")
    cachedoctor("verify", "--fresh", "--subset", "2/3", "--save", other)
    assert "another `fresh` was asked for" in cachedoctor("merge", one, other, three).errors


def test_another_home_than_the_one_that_was_looked_at(saved: list[str], tmp_path: Path) -> None:
    """It is named, with the options that mean it; what was looked at by a path has no home."""
    (other := tmp_path / "other").mkdir()
    ended = cachedoctor("merge", *saved, "--home", str(other))
    assert (ended.code, "the parts are from another home" in ended.errors) == (2, True)
    assert f"--home {os.environ['HOME']} --platform linux" in ended.errors
    hub = str(worlds.hub_of(Path(os.environ["HOME"])))
    for number, path in enumerate(saved, 1):
        cachedoctor("verify", hub, "--subset", f"{number}/3", "--save", path)
    assert cachedoctor("merge", *saved, "--home", str(other), "--json").codes == ["CD301"]


def test_what_is_no_part_is_said(tmp_path: Path, saved: list[str], home: Path) -> None:
    """Other JSON, cut bytes, a type that is not ours; and a cache that is not here."""
    odd = tmp_path / "odd.json"
    for content in (b"", b"{}", b"[]", Path(saved[0]).read_bytes()[:200]):
        odd.write_bytes(content)
        ended = cachedoctor("merge", str(odd))
        assert (ended.code, "this is not a part of a verify" in ended.errors) == (2, True)
    body = json.loads(gzip.decompress(Path(saved[0]).read_bytes()))
    for foreign in (
        ["os:system", "true"],
        ["vocabulary:Protocol"],
        ["vocabulary:nearest", "a", []],
    ):
        body["seen"] = foreign
        odd.write_text(json.dumps(body))
        ended = cachedoctor("merge", str(odd), *saved[1:])
        assert (ended.code, "it holds no values of ours" in ended.errors) == (2, True)
    shutil.rmtree(worlds.hub_of(home))
    ended = cachedoctor("merge", *saved)
    assert (ended.code, "the cache is not here" in ended.errors) == (3, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--subset", "1/3"), "belong together"),
        (("--save", "x"), "belong together"),
        (("--subset", "4/3", "--save", "x"), "not a part: `4/3`"),
        (("--subset", "1/3", "--save", "x", "--online"), "cannot be combined"),
        (("--subset", "1/3", "--save", "x", "--json"), "a part is not an answer"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...], says: str) -> None:
    """Before anything is read."""
    ended = cachedoctor("verify", *words)
    assert (ended.code, says in ended.errors) == (2, True)
