"""Large caches: what is as promised costs little, and loses nothing by it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.vocabulary import Evidence, Files, State
from tests.support import worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.host import Host
    from cachedoctor.vocabulary import Entry

NAME = "some/one"
SMALL = {f"part-{number}.json": b"{}" * number for number in range(1, 20)}


@pytest.fixture
def repository(home: Path) -> Path:
    """Put a repository of no engine into the hub cache, with its manifest."""
    path = worlds.repository(worlds.hub_of(home), NAME, SMALL)
    for file in path.rglob("*"):
        os.utime(file, (1_600_000_000.5, 1_600_000_000.5), follow_symlinks=False)
    return path


def entry_of(host: Host, **more: bool) -> Entry:
    """Look and return the one entry."""
    (entry,) = scanning.scan(host, **more).entries  # type: ignore[arg-type]
    return entry


def test_plain_files_are_told_in_full_when_asked_for(repository: Path, host: Host) -> None:
    """Nothing is notable, and each file has its path, blob, length, digest and evidence."""
    entry = entry_of(host)
    assert isinstance(entry.artifacts, Files)
    assert list(entry.notable) == []
    assert entry.artifacts.promised == len(entry.artifacts) == len(SMALL)
    told = {artifact.name: artifact for artifact in entry.artifacts}
    assert told.keys() == SMALL.keys()
    for name, content in SMALL.items():
        artifact, link = told[name], repository / "snapshots" / worlds.COMMIT / name
        assert (artifact.path, artifact.file) == (str(link), str(worlds.blob_of(link)))
        assert artifact.state is State.PRESENT
        assert artifact.size_bytes == artifact.expected_bytes == len(content)
        assert artifact.digest is not None
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        assert (artifact.digest.hex, artifact.evidence) == (blob, Evidence.TREE)
        assert artifact.stamp is not None
        assert artifact.stamp.inode == worlds.blob_of(link).stat().st_ino


def test_each_way_of_not_being_plain_is_notable(repository: Path, host: Host) -> None:
    """Another length, a lost blob, a file in place of a link, weights that nobody promised."""
    snapshot = repository / "snapshots" / worlds.COMMIT
    worlds.blob_of(snapshot / "part-1.json").write_bytes(b"other")
    worlds.blob_of(snapshot / "part-2.json").unlink()
    (snapshot / "part-3.json").unlink()
    (snapshot / "part-3.json").write_bytes(SMALL["part-3.json"])
    (snapshot / "more.bin").symlink_to(os.readlink(snapshot / "part-4.json"))
    assert {artifact.name for artifact in entry_of(host).notable} == {
        "part-1.json",
        "part-2.json",
        "part-3.json",
        "more.bin",
    }


def test_without_a_manifest_the_blobs_name_is_the_evidence(repository: Path, host: Host) -> None:
    """Caches of older clients are as cheap, and verified by the names of their blobs."""
    (repository / "trees" / f"{worlds.COMMIT}.json").unlink()
    entry = entry_of(host)
    assert list(entry.notable) == []
    assert {artifact.evidence for artifact in entry.artifacts} == {Evidence.BLOB_NAME}
    verified = cachedoctor("verify", "--json").data["files"]
    assert {(f["verdict"], f["evidence"]) for f in verified} == {("ok", "blob name")}


def test_a_plain_file_that_was_read_as_wrong_stays_so(repository: Path, host: Host) -> None:
    """After a verify, a plain scan knows what it found, and only of that file."""
    blob = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "part-7.json")
    worlds.flip(blob, 3)
    os.utime(blob, (1_600_000_000.5, 1_600_000_000.5))
    assert scanning.scan(host).findings == ()
    time.sleep(0.05)  # within the clock's grain nothing is remembered
    (finding,) = scanning.scan(host, deep=True).findings
    assert (finding.code, finding.path) == ("CD301", str(blob))
    report = scanning.scan(host)
    assert [f.code for f in report.findings] == ["CD301"]
    (entry,) = report.entries
    assert [artifact.name for artifact in entry.notable] == ["part-7.json"]
    assert report.checked[entry.id] == (len(SMALL), 0, 0)


def test_one_blob_of_two_revisions_is_verified_once(repository: Path, home: Path) -> None:
    """It is one file with two names."""
    worlds.repository(worlds.hub_of(home), NAME, SMALL, commit="d" * 40, ref="old")
    files = cachedoctor("verify", "--json").data["files"]
    assert len(files) == len(SMALL)
    assert {len(file["links"]) for file in files} == {2}


def test_memory_stays_small(home: Path) -> None:
    """Twenty thousand files cost less than 700 bytes each (goal: 100,000 in 100 MB)."""

    def peak_bytes() -> int:
        code = (
            "import resource, sys; from cachedoctor.__main__ import main\n"
            "sys.argv[1:] = ['scan', '--quiet']\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        unit = 1 if sys.platform == "darwin" else 1024
        return int(ran.stdout.split()[-1]) * unit

    worlds.hub_of(home).mkdir(parents=True)
    empty = peak_bytes()
    many(worlds.hub_of(home), 200)
    assert (peak_bytes() - empty) / 20_000 < 700


def test_what_is_wrong_costs_its_own_time_only(home: Path, host: Host) -> None:
    """A finding is cured from what it was made from: findings times files was 40 times as long."""

    def cpu_s() -> float:
        began = time.process_time()
        scanning.scan(host)
        return time.process_time() - began

    many(worlds.hub_of(home), 60)
    healthy_s = min(cpu_s() for _ in range(3))
    for blob in worlds.hub_of(home).glob("models--org--m*/blobs/*"):
        if blob.name == hashlib.sha1(f"{blob.parts[-3][14:]}/7".encode()).hexdigest():
            blob.unlink()
    report = scanning.scan(host)
    assert [finding.code for finding in report.findings] == ["CD103"] * 60
    assert all(finding.repair for finding in report.findings)
    assert min(cpu_s() for _ in range(3)) < 3 * healthy_s


def test_who_has_files_open_is_asked_once(home: Path, tmp_path: Path) -> None:
    """Twenty partials and three files of a wrong length are one look at the running programs."""
    assert walks(tmp_path) == 0
    many(worlds.hub_of(home), 20)
    for repository in worlds.hub_of(home).glob("models--*"):
        (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    (home / ".cache/whisper").mkdir(parents=True)
    for size in ("tiny", "base", "small"):
        (home / f".cache/whisper/{size}.pt").write_bytes(b"short")
    codes = cachedoctor("scan", "--json").codes
    assert codes.count("CD502") == 20
    assert codes.count("CD202") == 3
    assert walks(tmp_path) == 1


def walks(place: Path) -> int:
    """Count how often a scan lists the processes of the machine."""
    code = (
        "import sys; from cachedoctor.__main__ import main\n"
        "seen = []\n"
        "def hook(event, given):\n"
        "    if event in ('os.listdir', 'os.scandir') and given[0] == '/proc': seen.append(1)\n"
        "sys.addaudithook(hook); sys.argv[1:] = ['scan', '--quiet']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"open({str(place / 'walks')!r}, 'w').write(str(len(seen)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return int((place / "walks").read_text())


def many(hub: Path, repositories: int) -> None:
    """Put repositories of a hundred empty files, each as promised, into a hub cache."""
    for number in range(repositories):
        folder = hub / f"models--org--m{number}"
        commit = hashlib.sha1(str(number).encode()).hexdigest()
        for name in ("refs", "blobs", "trees", f"snapshots/{commit}"):
            (folder / name).mkdir(parents=True)
        (folder / "refs" / "main").write_text(commit)
        tree = {}
        for file in range(100):
            etag = hashlib.sha1(f"{number}/{file}".encode()).hexdigest()
            (folder / "blobs" / etag).touch()
            (folder / "snapshots" / commit / f"{file}.json").symlink_to(f"../../blobs/{etag}")
            tree[f"{file}.json"] = {"size": 0, "blob_id": etag}
        manifest = json.dumps({"format_version": 1, "files": tree})
        (folder / "trees" / f"{commit}.json").write_text(manifest)
