"""The caches that are measured are those that the real client makes, and the parts run."""

from __future__ import annotations

import stat
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks import caches, growth, homes, latency, page
from benchmarks.caches import Kind
from benchmarks.timing import Cost, ratio
from cachedoctor.doctor import scanning
from cachedoctor.findings import Severity
from cachedoctor.host import Host
from cachedoctor.verdict import preflight
from tests.support import clients
from tests.test_clients import AnyKindHub

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# as somebody downloads each revision, then asks for two files that are not there
_DOWNLOAD = """
import os
from pathlib import Path
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.utils import EntryNotFoundError
for kind, name, commits in asked["repositories"]:
    for commit in commits:
        huggingface_hub.snapshot_download(name, repo_type=kind, revision=commit)
    huggingface_hub.snapshot_download(name, repo_type=kind)
    for missing in ("adapter_config.json", "chat_template.jinja"):
        try:
            huggingface_hub.hf_hub_download(name, missing, repo_type=kind)
        except EntryNotFoundError:
            pass
if asked["store"]:
    from hf_xet import hash_files
    from huggingface_hub.utils import _shared_blobs as store
    for blob in sorted(Path(HF_HUB_CACHE).glob("*--*/blobs/" + "?" * 64)):
        size = blob.stat().st_size
        (measured,) = hash_files([str(blob)])
        file = {"xet_hash": measured.hash, "cache_dir": HF_HUB_CACHE, "expected_size": size}
        assert store.publish_blob_to_shared_store(blob_path=str(blob), **file)
"""
_NO_LINKS = """
from huggingface_hub import constants
constants.HF_HUB_DISABLE_SYMLINKS = True  # as the variable does, which was read by now
"""


def downloaded(home: Path, chosen: Sequence[caches.Repository], kind: Kind) -> None:
    """Have the real client download these repositories from a hub on this machine."""
    with AnyKindHub() as hub:
        for one in chosen:
            served = f"datasets.{one.name}" if one.kind == "dataset" else one.name
            for commit, files in one.revisions.items():
                contents = {
                    name: content if isinstance(content, bytes) else content.content()
                    for name, content in files.items()
                }
                hub.add(served, contents, commit=commit)
        asked = [(one.kind, one.name, list(one.revisions)) for one in chosen]
        code = (_NO_LINKS if kind is Kind.NO_LINKS else "") + _DOWNLOAD
        clients.run(
            clients.NEWEST, hub.url, home, code, repositories=asked, store=kind is Kind.STORE
        )


def told(hub: Path) -> dict[str, tuple[object, ...]]:
    """Return everything below a folder: what it is, its mode, what it holds or leads to."""
    found: dict[str, tuple[object, ...]] = {}
    for path in hub.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            held: object = str(path.readlink())
        else:
            held = None if path.is_dir() else path.read_bytes()
        bits = None if stat.S_ISLNK(mode) else stat.S_IMODE(mode)
        found[str(path.relative_to(hub))] = (stat.S_IFMT(mode), bits, held)
    return found


@pytest.mark.real
@pytest.mark.parametrize("kind", list(Kind))
def test_a_cache_is_made_as_the_client_makes_it(kind: Kind, tmp_path: Path) -> None:
    """A model and a data set, three revisions, fifteen files, every byte and mode."""
    clients.client(clients.NEWEST)
    listed = list(caches.repositories(20, 3, 15))
    chosen = [listed[0], listed[19]]
    downloaded(tmp_path / "theirs", chosen, kind)
    writer = caches.Writer(tmp_path / "ours" / caches.HUB, kind)
    for one in chosen:
        writer.write(one)
    ours, theirs = (told(tmp_path / name / caches.HUB) for name in ("ours", "theirs"))
    assert sorted(ours) == sorted(theirs)
    assert {name: ours[name] for name in ours if ours[name] != theirs[name]} == {}


@pytest.mark.parametrize("kind", list(Kind))
def test_nothing_is_wrong_with_them(kind: Kind, home: Path) -> None:
    """Not to a scan, nor to one that reads every byte; notes alone are said, of older revisions."""
    caches.hub(home, 20, 3, 15, kind=kind)
    for deep in (False, True):
        report = scanning.scan(Host.look(home=str(home)), deep=deep)
        assert {finding.severity for finding in report.findings} <= {Severity.NOTE}
        assert len(report.entries) == 60


@pytest.mark.parametrize(
    "count", [0, 50, *(pytest.param(count, marks=pytest.mark.heavy) for count in (1, 200))]
)
def test_a_broken_cache_has_as_many_findings_as_are_asked_for(count: int, home: Path) -> None:
    """Lost blobs, cut weights and files of another length, each a finding."""
    homes.broken(home, 40, 12, count)
    report = scanning.scan(Host.look(home=str(home)))
    assert len(report.findings) == count
    assert len({found.code for found in report.findings}) == min(count, 2)


def test_the_model_that_is_asked_for_is_ready(home: Path) -> None:
    """Else a verdict would be measured that has nothing to read."""
    homes.ready_model(home)
    verdict = preflight("faster-whisper", model="tiny.en", host=Host.look(home=str(home)))
    assert verdict.ready, verdict.why


def test_a_macs_home_is_right(home: Path) -> None:
    """Hundreds of small files in bundles, all in places that engines look in."""
    files = homes.mac(home)
    assert files > 300
    report = scanning.scan(Host.look(home=str(home), platform="darwin"))
    assert [found.code for found in report.findings if found.severity is Severity.ERROR] == []
    assert sum(len(entry.artifacts) for entry in report.entries) > 40


@pytest.mark.heavy  # these run where mfusepy is installed
def test_a_late_folder_shows_what_is_there(tmp_path: Path) -> None:
    """Each call takes its while, and nothing can be written; afterwards it is gone again."""
    source, mount = tmp_path / "near", tmp_path / "far"
    caches.hub(source, 1, 1, 4)
    mount.mkdir()
    below = [path.relative_to(source) for path in sorted(source.rglob("*"))]
    try:
        with latency.mounted(source, mount, 3):
            assert [path.relative_to(mount) for path in sorted(mount.rglob("*"))] == below
            for path in below:
                near, far = source / path, mount / path
                assert near.lstat().st_mtime_ns == far.lstat().st_mtime_ns
                assert near.is_symlink() is far.is_symlink()
                assert near.is_dir() or near.read_bytes() == far.read_bytes()
            began = time.monotonic()
            (mount / below[0]).lstat()
            assert time.monotonic() - began > 0.003
            with pytest.raises(OSError, match="Read-only"):
                (mount / "new").touch()
    except latency.CannotBeLateError as why:
        pytest.skip(str(why))
    assert not list(mount.iterdir())
    assert [path.relative_to(source) for path in sorted(source.rglob("*"))] == below


def test_where_nothing_can_be_late_it_says_why(tmp_path: Path) -> None:
    """No such folder, or what serves it is not installed: in a line, and nothing is mounted."""
    with (
        pytest.raises(latency.CannotBeLateError, match=r"^nothing is mounted: \w"),
        latency.mounted(tmp_path, tmp_path / "gone"),
    ):
        pass
    assert not (tmp_path / "gone").exists()


def test_the_page_says_what_was_measured_and_what_was_missed(tmp_path: Path) -> None:
    """Parts that are measured again replace their numbers, others stay; bounds are compared."""
    kept = str(tmp_path / "numbers.json")
    numbers = page.Numbers.read(kept)
    numbers.machine = dict.fromkeys(("rounds", "few", "system", "python"), "x")
    numbers.machine = {**numbers.machine, "huggingface_hub": "2", "cores": 2, "load": 1.3}
    numbers.put("one", [ratio("a / b", [(Cost(0.2, 0.3), Cost(0.1, 0.1))] * 3, bound=1.5)])
    numbers.put("two", [ratio("c / d", [(Cost(0.1, 0.1), Cost(0.2, 0.1))] * 3, bound=1.5)])
    numbers.growth = [growth.Point(1, 100, 1.0, 2, 3.0, 4, 5.0, 6.0, 7)]
    numbers.write(kept)
    again = page.Numbers.read(kept)
    again.put("two", [ratio("c / d", [(Cost(2.0, 1.0), Cost(1.0, 1.0))] * 3)])
    again.put("one", [])
    written = tmp_path / "page.md"
    names = ("machine", "ratios", "missed", "growth")
    written.write_text("".join(f"<!-- {name} -->\nold\n<!-- end -->\n\n" for name in names))
    for _ in range(2):
        page.fill(written, again)
        said = written.read_text()
        assert "| a / b | 200 ms | 100 ms | 2.00 (2.00 to 2.00) | 3.00 | 1.5, missed |" in said
        assert "| c / d | 2.0 s | 1.0 s | 2.00 (2.00 to 2.00) | 1.00 |  |" in said
        assert "0 of 1 bounds are kept" in said
        assert "| 100 | 1.00 s |" in said
        assert "old" not in said
        assert said.count("<!-- end -->") == 4
        assert "a load of 1.3 when it began.\nOther work shared the machine" in said
    again.machine = {**again.machine, "load": 0.4}
    page.fill(written, again)
    assert "a load of 0.4 when it began.\n<!-- end -->" in written.read_text()
