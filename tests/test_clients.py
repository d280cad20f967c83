"""A healthy cache stays silent, whichever release of the real hub client made it."""

from __future__ import annotations

import io
import random
import re
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cachedoctor.doctor import scanning
from cachedoctor.doctor.footprint import held
from cachedoctor.findings import Severity
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests.conftest import fingerprint
from tests.support import builders, clients, worlds
from tests.support.loopback import Hub, Reply

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from cachedoctor.doctor.scanning import Report


pytestmark = pytest.mark.real

FILES = worlds.whisper_files()
UPDATED = {**FILES, "vocabulary.txt": b"!\n#\n$\n"}
SYMLINKS_OPTIONAL_SINCE = (1, 9)
OWN_PARTIALS_SINCE = (1, 18)
TREES_SINCE = (1, 22)
CHUNK_BYTES = 10 << 20  # the client writes so much at once
_KIND = re.compile(r"^/(api/)?(datasets|spaces)/")

# the one large file goes to the shared store, and from there to the other repository
_SHARE = """
import os
from pathlib import Path
from hf_xet import hash_files
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.file_download import _create_symlink
from huggingface_hub.utils import _shared_blobs as store
(blob,) = Path(HF_HUB_CACHE).glob("models--*/blobs/" + "?" * 64)
size = blob.stat().st_size
(measured,) = hash_files([str(blob)])
file = {"xet_hash": measured.hash, "cache_dir": HF_HUB_CACHE, "expected_size": size}
assert store.publish_blob_to_shared_store(blob_path=str(blob), **file)
other = Path(HF_HUB_CACHE, asked["other"])
(snapshot,) = (other / "snapshots").iterdir()
link = str(other / "blobs" / blob.name)
assert store.try_link_from_shared_store(blob_path=link, **file)
_create_symlink(link, str(snapshot / "model.bin"), new_blob=False)
"""

_ASK_IN_VAIN = """
from huggingface_hub.utils import EntryNotFoundError
try:
    huggingface_hub.hf_hub_download(asked["name"], "preprocessor_config.json")
except EntryNotFoundError:
    pass
else:
    sys.exit("it is there")
"""


class AnyKindHub(Hub):
    """A hub whose data sets and spaces are what was added as `datasets.*` and `spaces.*`."""

    def respond(self, path: str, query: dict[str, list[str]], sent: bytes) -> Reply:
        """Answer for a data set or a space as for a model of another name."""
        path = _KIND.sub(lambda found: f"/{'api/models/' if found[1] else ''}{found[2]}.", path)
        return super().respond(path, query, sent)


EACH = pytest.mark.parametrize("version", clients.VERSIONS, indirect=True)


@pytest.fixture(params=clients.ENDS_FIRST)
def version(request: pytest.FixtureRequest) -> str:
    """Name a release that is installed."""
    name: str = request.param
    clients.client(name)
    return name


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve one small model."""
    with AnyKindHub() as server:
        server.add(worlds.TINY, FILES)
        yield server


@pytest.fixture
def repository(home: Path) -> Path:
    """Name the folder of that model in the hub cache."""
    return worlds.hub_of(home) / "models--Systran--faster-whisper-tiny.en"


@cache
def large_model() -> bytes:
    """Return a true model of which the client writes a part before it has all."""
    tensors = (("encoder/conv1/weight", (3, 1 << 20), 0),)
    pieces = builders.ctranslate2_pieces(tensors=tensors, hollow=True)
    noise = random.Random(0)
    return b"".join(p if isinstance(p, bytes) else noise.randbytes(p) for p in pieces)


@cache
def mlx_files(prefix: str = "") -> dict[str, bytes]:
    """Return the files of a small model of lightning-whisper-mlx."""
    weights = io.BytesIO()
    arrays: dict[str, Any] = {"encoder.conv1.weight": np.ones((4, 3, 3), np.float16)}
    np.savez(weights, **arrays)
    return {f"{prefix}weights.npz": weights.getvalue(), f"{prefix}config.json": b'{"n_mels": 80}'}


def assert_silent(host: Host, *, ready: int) -> Report:
    """Find nothing with and without reading all bytes, and so many models that are ready."""
    for deep in (False, True):
        report = scanning.scan(host, deep=deep)
        assert said(report) == []
        claimed = [report.statuses[entry.id] for entry in report.entries if entry.claims]
        assert claimed.count(Status.READY) == ready
    return report


def said(report: Report, *besides: Severity) -> list[str]:
    """Return what was found, but for findings of some severities."""
    return [f"{f.code} {f.path}: {f.message}" for f in report.findings if f.severity not in besides]


def codes(host: Host) -> list[str]:
    """Return the codes of what a scan finds, sorted."""
    return sorted(finding.code for finding in scanning.scan(host).findings)


def wait(condition: Callable[[], object], child: subprocess.Popen[str]) -> None:
    """Wait until something is true of a download that is running."""
    deadline = time.monotonic() + clients.DEADLINE_S
    while not condition():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@EACH
def test_a_fresh_snapshot_is_ready(
    version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """A downloaded snapshot is ready and nothing is found, with a tree manifest and without."""
    clients.download(version, hub.url, worlds.TINY, home)
    assert (repository / "trees").is_dir() == (clients.number(version) >= TREES_SINCE)
    assert_silent(host, ready=1)


def test_files_that_were_downloaded_one_by_one_are_ready(
    version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """A model of single downloads is ready and nothing is found; it has no tree manifest."""
    clients.download(version, hub.url, worlds.TINY, home, files=list(FILES))
    assert not (repository / "trees").exists()
    assert_silent(host, ready=1)


def test_a_file_that_the_repository_lacks_is_not_missed(
    version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """What the client remembers of a file that it asked for in vain is no finding."""
    clients.run(version, hub.url, home, _ASK_IN_VAIN, name=worlds.TINY)
    (commit,) = (repository / ".no_exist").iterdir()
    assert (commit / "preprocessor_config.json").is_file()
    assert said(scanning.scan(host, deep=True)) == []
    clients.download(version, hub.url, worlds.TINY, home)
    assert_silent(host, ready=1)


@pytest.mark.parametrize("in_vain", [True, False], ids=["asked-in-vain", "to-a-folder"])
def test_a_repository_that_was_only_asked_is_not_ready(
    in_vain: bool, version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """A branch's name alone, left by a question or a download to a folder, is no model."""
    if in_vain:
        clients.run(version, hub.url, home, _ASK_IN_VAIN, name=worlds.TINY)
    else:
        clients.download(version, hub.url, worlds.TINY, home, local_dir=home / "tiny.en")
    assert (repository / "refs" / "main").is_file()
    assert not (repository / "snapshots").exists()
    assert_silent(host, ready=0)


def test_an_update_leaves_notes_at_most(
    version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """After a second download of a changed repository, neither revision has errors or warnings."""
    for files in (FILES, UPDATED):
        commit = hub.add(worlds.TINY, files)
        clients.download(version, hub.url, worlds.TINY, home)
    assert (repository / "refs" / "main").read_text() == commit
    report = scanning.scan(host, deep=True)
    assert said(report, Severity.NOTE) == []
    assert list(report.statuses.values()) == [Status.READY, Status.READY]


def test_a_cache_that_all_releases_wrote_to_has_notes_at_most(
    hub: Hub, host: Host, home: Path
) -> None:
    """One cache that each newer release updated has neither errors nor warnings."""
    for count, version in enumerate(reversed(clients.VERSIONS), 1):
        hub.add(worlds.TINY, {**FILES, "vocabulary.txt": b"!\n" * count})
        clients.download(version, hub.url, worlds.TINY, home)
        report = scanning.scan(host)
        assert said(report, Severity.NOTE) == []
        assert list(report.statuses.values()) == [Status.READY] * count


@pytest.mark.parametrize(
    "version",
    [
        pytest.param(v, marks=[] if v == clients.NEWEST else pytest.mark.heavy)
        for v in clients.VERSIONS
        if clients.number(v) >= SYMLINKS_OPTIONAL_SINCE
    ],
    indirect=True,
)
def test_a_cache_without_links_is_ready(
    version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """Where the client is told to make no links, the snapshot holds the files: no finding."""
    alone = {"HF_HUB_DISABLE_SYMLINKS": "1"}
    commit = hub.add(worlds.TINY, FILES)
    clients.download(version, hub.url, worlds.TINY, home, env=alone)
    snapshot = repository / "snapshots" / commit
    assert {path.name for path in snapshot.iterdir() if not path.is_symlink()} == set(FILES)
    assert_silent(host, ready=1)
    hub.add(worlds.TINY, UPDATED)
    clients.download(version, hub.url, worlds.TINY, home, env=alone)
    report = scanning.scan(host)
    assert said(report, Severity.NOTE) == []
    assert list(report.statuses.values()) == [Status.READY, Status.READY]


def test_a_download_to_a_folder_is_silent(version: str, hub: Hub, host: Host, home: Path) -> None:
    """A folder outside the cache holds three lines a file, and the home has no finding."""
    folder = home / "models" / "tiny.en"
    commit = hub.add(worlds.TINY, FILES)
    clients.download(version, hub.url, worlds.TINY, home, local_dir=folder)
    for name, content in FILES.items():
        assert (folder / name).read_bytes() == content
        written = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
        first, etag, time_s = written.read_text().splitlines()
        assert (first, etag) == (commit, hub.etag(worlds.TINY, name))
        assert float(time_s) > 0
    assert said(scanning.scan(host, deep=True)) == []


@pytest.mark.parametrize(
    ("name", "prefix", "below"),
    [
        ("mlx-community/whisper-tiny", "", "mlx_models/tiny"),
        ("mustafaaljadery/distil-whisper-mlx", "mlx_models/distil-small.en/", "."),
    ],
    ids=["tiny", "distil-small.en"],
)
def test_a_folder_of_lightning_whisper_mlx_is_ready(
    name: str, prefix: str, below: str, version: str, hub: Hub, home: Path
) -> None:
    """What lightning-whisper-mlx downloads below the current folder is ready, twice over too."""
    host = Host.look()
    files = mlx_files(prefix)
    hub.add(name, files)
    for _ in range(2):
        clients.download(
            version, hub.url, name, home, files=list(files), local_dir=Path(host.cwd, below)
        )
        assert_silent(host, ready=1)


def test_data_sets_and_spaces_are_not_taken_for_models(
    version: str, hub: Hub, host: Host, home: Path
) -> None:
    """A data set and a space in the same cache are no finding, even under a model's name."""
    clients.download(version, hub.url, worlds.TINY, home)
    for kind in ("dataset", "space"):
        for name in (worlds.TINY, "someone/speech"):
            hub.add(f"{kind}s.{name}", {"README.md": b"# hi\n", "data/a.bin": b"\0" * 2000})
            clients.download(version, hub.url, name, home, kind=kind)
    assert len(assert_silent(host, ready=1).entries) == 5


def test_a_scan_changes_nothing(version: str, hub: Hub, host: Host, home: Path) -> None:
    """Every name, mode, time and byte of the home is the same before and after a scan."""
    hub.add("datasets.someone/speech", {"a.bin": b"\0" * 2000})
    clients.download(version, hub.url, worlds.TINY, home)
    clients.download(version, hub.url, worlds.TINY, home, local_dir=home / "tiny.en")
    clients.download(version, hub.url, "someone/speech", home, kind="dataset")
    before = fingerprint(home)
    for deep in (False, True):
        scanning.scan(host, deep=deep)
        assert fingerprint(home) == before


@pytest.mark.parametrize("part", [0, CHUNK_BYTES], ids=["before-the-first-byte", "half-way"])
def test_a_killed_download_is_told_from_a_running_one(
    part: int, version: str, hub: Hub, host: Host, home: Path, repository: Path
) -> None:
    """While the client lives there is CD109 and nothing else; then what it left and what lacks.

    The next download of an older release goes on where the killed one stopped; a newer one
    starts again under another name.
    """
    own = clients.number(version) >= OWN_PARTIALS_SINCE
    files = {**FILES, "model.bin": large_model()}
    commit = hub.add(worlds.TINY, files)
    others = files.keys() - {"model.bin"} if part else set()
    asked = None if part else ["model.bin"]
    held = hub.hold("/model.bin", part + 1 if part else 0)

    def is_held() -> bool:
        links = repository.glob(f"snapshots/{commit}/*")
        try:
            sizes = [path.stat().st_size for path in repository.glob("blobs/*.incomplete")]
        except FileNotFoundError:  # another file's partial, which became whole just now
            return False
        return held.reached.is_set() and {path.name for path in links} == others and sizes == [part]

    with clients.downloading(version, hub.url, worlds.TINY, home, files=asked) as child:
        wait(is_held, child)
        assert codes(host) == ["CD109"]
        assert set(scanning.scan(host).statuses.values()) == {Status.IN_PROGRESS}
    hub.heal()

    (partial,) = repository.glob("blobs/*.incomplete")
    ending = r"\.[0-9a-f]{8}\.incomplete" if own else r"\.incomplete"
    assert re.fullmatch(hub.etag(worlds.TINY, "model.bin") + ending, partial.name)
    assert codes(host) == ["CD101" if part else "CD105", "CD502"]
    assert set(scanning.scan(host).statuses.values()) == {Status.INCOMPLETE}

    clients.download(version, hub.url, worlds.TINY, home)
    resumed = [request for request in hub.requests if request.range == f"bytes={part}-"]
    assert len(resumed) == (1 if part and not own else 0)
    assert partial.exists() == own
    assert codes(host) == (["CD502"] if own else [])
    assert set(scanning.scan(host).statuses.values()) == {Status.READY}


def test_links_through_the_shared_store_are_ready(hub: Hub, host: Host, home: Path) -> None:
    """Blobs that are links to the shared store are ready, and what two models share counts once."""
    other = "Systran/faster-whisper-tiny"
    hub.add(other, FILES)
    small = [name for name in FILES if name != "model.bin"]
    clients.download(clients.NEWEST, hub.url, worlds.TINY, home)
    clients.download(clients.NEWEST, hub.url, other, home, files=small)
    clients.run(clients.NEWEST, hub.url, home, _SHARE, other="models--Systran--faster-whisper-tiny")

    cached = worlds.hub_of(home)
    etag = hub.etag(worlds.TINY, "model.bin")
    (stored,) = cached.glob("blobs/??/" + "?" * 64)
    for blob in cached.glob(f"models--*/blobs/{etag}"):
        assert blob.is_symlink()
        assert blob.resolve() == stored
    report = scanning.scan(host, deep=True)
    assert said(report) == []
    assert list(report.statuses.values()) == [Status.READY, Status.READY]
    once = sum(len(content) for content in FILES.values())
    again = sum(len(FILES[name]) for name in small)
    assert held(report.entries).bytes == once + again
