"""`verify`: every byte against the best evidence, remembered, and said when there is none."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import contents, scanning
from cachedoctor.host import Host
from cachedoctor.report import verify_text
from cachedoctor.system import digest, rows
from tests.conftest import fingerprint
from tests.support import builders, builders_models, worlds
from tests.support.command import cachedoctor
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.doctor.contents import FileVerdict


class Read:
    """A progress that counts the bytes that were read."""

    def __init__(self) -> None:
        """Begin with none."""
        self.done = 0

    def start(self, label: str, total_bytes: int | None) -> None:
        """Count nothing yet."""

    def advance(self, done_bytes: int) -> None:
        """Count."""
        self.done += done_bytes

    def finish(self) -> None:
        """End."""


@pytest.fixture
def model(home: Path) -> Path:
    """Put a whole model into the hub cache, with its manifest."""
    path = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    settle(path)
    return path


def settle(folder: Path) -> None:
    """Make files old enough to be remembered."""
    for path in folder.rglob("*"):
        os.utime(path, (1_600_000_000.5, 1_600_000_000.5), follow_symlinks=False)


def verified(host: Host, **more: int | bool | None) -> tuple[dict[str, FileVerdict], int]:
    """Verify everything; return the verdicts by the file's name, and how many bytes were read."""
    read = Read()
    report = scanning.scan(host, deep=True, progress=read, **more)  # type: ignore[arg-type]
    files = tuple(contents.verdicts(report.entries, report.contents))
    return {os.path.basename((file.links or (file.path,))[0]): file for file in files}, read.done


def wait_for_the_clock() -> None:
    """Let the clock pass the grain within which a file may change unseen."""
    time.sleep(0.05)


def test_each_kind_of_evidence_is_named(model: Path, host: Host) -> None:
    """The manifest where there is one, else the blob's name; both prove every byte."""
    files, _ = verified(host)
    assert {f.verdict for f in files.values()} == {"ok"}
    assert {f.evidence for f in files.values()} == {"hub tree manifest"}
    assert files["model.bin"].algorithm == "sha256"
    assert files["config.json"].algorithm == "git-sha1"
    shutil.rmtree(model / "trees")
    files, _ = verified(host)
    assert {(f.verdict, f.evidence) for f in files.values()} == {("ok", "blob name")}


def test_archives_have_checksums_of_their_own(tmp_path: Path) -> None:
    """Without any digest, a NumPy archive's checksums tell a flipped byte."""
    folder = tmp_path / "project" / "mlx_models" / "base"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"n_mels": 80}')
    (folder / "weights.npz").write_bytes(builders_models.npz_file())
    host = Host.look(project=str(tmp_path / "project"))
    files, _ = verified(host)
    assert (files["weights.npz"].verdict, files["weights.npz"].evidence) == (
        "ok",
        contents.CHECKSUMS,
    )
    assert files["config.json"].verdict == "unknown"
    at = (folder / "weights.npz").read_bytes().index(b"\n", 100) + 5
    worlds.flip(folder / "weights.npz", at)
    assert scanning.scan(host).findings == ()
    report = scanning.scan(host, deep=True)
    (finding,) = report.findings
    assert (finding.code, finding.measured) == ("CD301", "encoder.weight.npy")


def test_an_archive_that_unpacks_to_much_more_is_not_unpacked(tmp_path: Path) -> None:
    """A small file that claims gigabytes is wrong, and costs nothing."""
    folder = tmp_path / "project" / "mlx_models" / "base"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"n_mels": 80}')
    array = builders_models.npy("<f4", (0,)) + bytes(64 << 20)
    (folder / "weights.npz").write_bytes(builders_models.zip_of({"a.npy": array}, packed=True))
    read = Read()
    host = Host.look(project=str(tmp_path / "project"))
    report = scanning.scan(host, deep=True, progress=read)
    assert read.done < 1 << 20
    assert [f.code for f in report.findings] == ["CD301"]


def test_a_second_verify_reads_nothing(model: Path, host: Host) -> None:
    """Until a file changes, or is asked for again; what was wrong is always read again."""
    wait_for_the_clock()
    first, read = verified(host)
    size = sum(len(content) for content in worlds.whisper_files().values())
    assert read == size
    again, read = verified(host)
    assert (read, {f.remembered for f in again.values()}) == (0, {True})
    assert {name: f._replace(remembered=False) for name, f in again.items()} == first
    assert verified(host, fresh=True)[1] == size
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "vocabulary.txt")
    worlds.flip(blob, 0)
    wait_for_the_clock()
    for _ in range(2):
        found, read = verified(host)
        assert (found["vocabulary.txt"].verdict, read) == ("bad", blob.stat().st_size)


def test_what_was_read_long_ago_is_read_again(model: Path, host: Host) -> None:
    """An age limit leaves what is younger alone."""
    wait_for_the_clock()
    _, size = verified(host)
    assert verified(host, max_age_s=3600)[1] == 0
    with sqlite3.connect(os.path.join(host.state, "ledger.sqlite")) as database:
        database.execute("UPDATE digests SET checked_s = checked_s - 7200")
    database.close()
    assert verified(host, max_age_s=3600)[1] == size
    assert verified(host, max_age_s=3600)[1] == 0


def test_the_command(model: Path, home: Path) -> None:
    """Text that counts by evidence, JSON with every file, exit code 1 for what is wrong."""
    before = fingerprint(home)
    whole = cachedoctor("verify")
    assert whole.code == 0, whole.output
    assert "hub tree manifest" in whole.output
    assert whole.output.splitlines()[-1] == "4 proven; no findings"
    data = cachedoctor("verify", "--json").data
    assert {file["verdict"] for file in data["files"]} == {"ok"}
    assert fingerprint(home) == before
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin")
    worlds.flip(blob, blob.stat().st_size // 2)
    wrong = cachedoctor("verify")
    assert wrong.code == 1
    assert "CD301" in wrong.output
    assert "3 proven, 1 wrong" in wrong.output
    assert cachedoctor("verify", "mlx-whisper").code == 0
    assert cachedoctor("verify", "faster-whisper").code == 1
    assert cachedoctor("verify", str(blob)).code == 1
    assert cachedoctor("verify", str(model)).code == 1
    (home / "empty").mkdir()
    elsewhere = cachedoctor("verify", str(home / "empty"))
    assert (elsewhere.code, "[[locator]]" in elsewhere.errors) == (3, True)  # nothing was read


def test_missing_weights_are_no_success(model: Path) -> None:
    """What is not there cannot be proven: a model without its weights fails."""
    worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin").unlink()
    ended = cachedoctor("verify")
    assert ended.code == 1
    assert "CD103" in ended.output


def test_reading_can_be_held_back(model: Path, home: Path) -> None:
    """No faster than asked for, over all threads together."""
    extra = worlds.repository(
        worlds.hub_of(home), "some/one", {"weights.bin": builders.pattern(1000) * 1000}
    )
    settle(extra)
    began = time.monotonic()
    assert cachedoctor("verify", "--max-rate", "1M").code == 0
    assert time.monotonic() - began > 0.9
    assert cachedoctor("verify", "--max-rate", "fast").code == 2


def test_what_is_gone_is_forgotten(model: Path, host: Host) -> None:
    """The ledger holds rows only of files that are there."""
    wait_for_the_clock()
    verified(host)
    shutil.rmtree(model)
    verified(host)
    with sqlite3.connect(os.path.join(host.state, "ledger.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM digests").fetchone() == (0,)
    database.close()


def test_reading_leaves_the_systems_cache_as_it_was(tmp_path: Path) -> None:
    """Pieces that were not in memory before are let go again, pieces that were stay."""
    path = tmp_path / "large"
    path.write_bytes(builders.pattern(1 << 20) * 24)
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        before = digest._not_cached(file.fileno(), 24 << 20)
        if not before:
            pytest.skip("this file system keeps everything in memory")
        held = digest.of_file(str(path), frozenset(("sha256",)), Read())
        assert len(digest._not_cached(file.fileno(), 24 << 20)) >= len(before) // 2
        content = file.read()
        assert held == {"sha256": hashlib.sha256(content).hexdigest()}
        assert digest._not_cached(file.fileno(), 24 << 20) == frozenset()
        digest.of_file(str(path), frozenset(("sha256",)), Read())
        assert digest._not_cached(file.fileno(), 24 << 20) == frozenset()


@pytest.fixture
def plain(model: Path) -> Path:
    """Make the cache one without links and manifest: nothing tells what its files must be."""
    shutil.rmtree(model / "trees")
    snapshot = model / "snapshots" / worlds.COMMIT
    for link in snapshot.iterdir():
        content = link.read_bytes()
        worlds.blob_of(link).unlink()
        link.unlink()
        link.write_bytes(content)
    settle(model)
    return snapshot


def test_the_hub_is_asked_about_the_rest(plain: Path) -> None:
    """Only with `--online`, at the exact commit; what it says proves or contradicts."""
    offline = cachedoctor("verify", "--json").data["files"]
    assert {file["verdict"] for file in offline} == {"unknown"}
    with Hub() as hub:
        hub.add(worlds.TINY, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        ask = ("verify", "--online", "--mirror", f"hub={hub.url}")
        proven = cachedoctor(*ask, "--json")
        assert proven.code == 0, proven.output + proven.errors
        assert {(f["verdict"], f["evidence"]) for f in proven.data["files"]} == {
            ("ok", "the hub's listing")
        }
        assert not [r for r in hub.requests if "/resolve/" in r.path]
        worlds.flip(plain / "vocabulary.txt", 0)
        wrong = cachedoctor(*ask)
        assert wrong.code == 1
        assert "CD301" in wrong.output
    gone = cachedoctor("verify", "--online", "--mirror", "hub=http://127.0.0.1:9")
    assert f"not asked  {worlds.TINY}" in gone.output


def test_asking_is_refused_where_the_network_is_forbidden(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examined environment's offline flag counts."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused = cachedoctor("verify", "--online")
    assert refused.code == 4
    assert "HF_HUB_OFFLINE" in refused.errors


def test_misuse_is_said(home: Path) -> None:
    """An unknown engine, a path that is not there, an age that is none."""
    assert cachedoctor("verify", "faster-wisper").code == 2
    assert cachedoctor("verify", str(home / "nothing")).code == 3
    assert cachedoctor("verify", "--max-age", "soon").code == 2


def test_a_legacy_checkpoint_without_evidence_is_unknown(home: Path, tmp_path: Path) -> None:
    """Nothing says what somebody's own checkpoint must be."""
    models = tmp_path / "project" / "models"
    models.mkdir(parents=True)
    (models / "mine.pt").write_bytes(builders.torch_zip_file())
    files, _ = verified(Host.look(project=str(tmp_path / "project")))
    assert files["mine.pt"].verdict == "unknown"


@pytest.mark.parametrize("size", [0, 1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 20])
def test_files_of_any_length_have_their_digests(size: int, tmp_path: Path) -> None:
    """Read in rows or alone, in one piece or in many."""
    content = builders.pattern(size)
    wanted = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "sha1": hashlib.sha1(content).hexdigest(),
        "git-sha1": worlds.git_sha1(content),
    }
    names = [f"file-{number}" for number in range(300 if size < 9 else 3)]
    for name in names:
        (tmp_path / name).write_bytes(content)
    work = [digest.Work(str(tmp_path), name, size, frozenset(wanted)) for name in names]
    read = Read()
    found = dict(digest.of_many(work, read))
    assert [found[item] for item in work] == [wanted] * len(names)
    assert read.done == size * len(names)


def test_what_is_another_than_it_was_listed_as_stops_nobody(tmp_path: Path) -> None:
    """Gone, a pipe, a folder, grown or shrunk since: each is said, or read as it is now."""
    (tmp_path / "good").write_bytes(b"good")
    (tmp_path / "grown").write_bytes(bytes(1 << 20))
    (tmp_path / "shrunk").write_bytes(b"s")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    names = ("gone", "folder", "pipe", "good", "grown", "shrunk", "a\0b")
    kinds = frozenset(("sha256",))
    work = [digest.Work(str(tmp_path), name, 4, kinds) for name in names]
    found = {item.name: held for item, held in digest.of_many(work, Read())}
    assert {name for name in names if isinstance(found[name], OSError)} == {*names[:3], "a\0b"}
    contents_now = {"good": b"good", "grown": bytes(1 << 20), "shrunk": b"s"}
    for name, content in contents_now.items():
        assert found[name] == {"sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize("count", [1, 127, 128, 129, 300])
def test_rows_of_files_have_their_digests(count: int, tmp_path: Path) -> None:
    """Short rows are read together, long ones in parts; nothing is left out or read twice."""
    found: dict[str, str | OSError] = {}
    made: dict[str, str] = {}
    wanted = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = []
        for each in range(count):
            content = builders.pattern(each * 7)
            (folder / f"f{each}").write_bytes(content)
            files.append((f"f{each}", len(content)))
            algorithm = ("git-sha1", "sha256")[number % 2]
            made[f"{folder}/f{each}"] = (
                hashlib.sha256(content).hexdigest() if number % 2 else worlds.git_sha1(content)
            )
        wanted.append(rows.Row(str(folder), algorithm, files))
    read = Read()
    for done in digest.shared_out(rows.pieces(wanted, read)):
        for row, values in done:
            for (name, _), value in zip(row.files, values, strict=True):
                assert f"{row.folder}/{name}" not in found
                found[f"{row.folder}/{name}"] = value
    assert found == made
    assert read.done == sum(row.size_bytes for row in wanted)


def test_in_a_row_each_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    """Gone, closed, a pipe, a folder, grown, shrunk, emptied or filled: said, or read alone."""
    (tmp_path / "grown").write_bytes(bytes(1 << 20))
    (tmp_path / "shrunk").write_bytes(b"s")
    (tmp_path / "emptied").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "good").write_bytes(b"good")
    os.mkfifo(tmp_path / "pipe")
    lost = ["gone", "folder", "pipe"]
    now = {"good": b"good", "grown": bytes(1 << 20), "shrunk": b"s", "emptied": b""}
    row = rows.Row(str(tmp_path), "sha256", [(name, 4) for name in (*lost, *now)])
    ((found,),) = digest.shared_out(rows.pieces([row], Read()))
    values = dict(zip((name for name, _ in row.files), found.digests, strict=True))
    assert all(isinstance(values[name], OSError) for name in lost)
    assert {name: values[name] for name in now} == {
        name: hashlib.sha256(content).hexdigest() for name, content in now.items()
    }


def test_what_is_counted_is_what_is_listed(model: Path, host: Host, home: Path) -> None:
    """Of plain files that are proven a count is enough; all others are listed either way."""
    hub = worlds.hub_of(home)
    small = {f"part-{number}.json": f'{{"x": {number}}}'.encode() for number in range(40)}
    other = worlds.repository(hub, "some/other", {**small, "weights.bin": b"w" * 100})
    foreign = worlds.repository(hub, "some/third", small, trees=False)
    for path in (other, foreign):
        settle(path)
    snapshot = other / "snapshots" / worlds.COMMIT
    flipped = worlds.blob_of(snapshot / "part-7.json")
    for again in (False, True):
        if again:  # right files are remembered now, and one is wrong
            worlds.flip(flipped, 3)
        report = scanning.scan(host, deep=True)
        listed = list(contents.verdicts(report.entries, report.contents))
        others, counts = contents.counted(report.entries, report.contents)
        whole, short = verify_text.Tally(listed), verify_text.Tally(others, counts)
        assert {key: vars(row) for key, row in whole.rows.items()} == {
            key: vars(row) for key, row in short.rows.items()
        }
        assert (whole.read_bytes, whole.doubtful) == (short.read_bytes, short.doubtful)
        assert whole.wrong is short.wrong is again
        assert len(others) + sum(each.files for each in counts) == len(listed)
        assert {each.path for each in others if each.verdict == "bad"} == (
            {str(flipped)} if again else set()
        )


def test_a_named_repository_is_looked_at_alone(model: Path, home: Path) -> None:
    """What is right needs nothing else; what is wrong may have its cure elsewhere."""
    other = worlds.repository(worlds.hub_of(home), "some/other", worlds.whisper_files())
    settle(other)
    host = Host.look(home=str(home))
    wait_for_the_clock()
    report = scanning.scan(host, paths=[str(model)], deep=True, cure_notes=False)
    assert [entry.name for entry in report.survey.entries] == [worlds.TINY]
    assert report.question.only is None
    whole = scanning.scan(host, deep=True, fresh=True)
    mine = tuple(entry for entry in whole.entries if entry.name == worlds.TINY)
    asked = {
        file._replace(remembered=False)
        for file in contents.verdicts(report.entries, report.contents)
    }
    assert asked == set(contents.verdicts(mine, whole.contents))
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin")
    worlds.flip(blob, 40)
    report = scanning.scan(host, paths=[str(model)], deep=True, cure_notes=False)
    (finding,) = (found for found in report.findings if found.code == "CD301")
    assert finding.repair is not None
    assert finding.repair.fetch_bytes == 0
    assert len({entry.name for entry in report.survey.entries}) == 2
