"""The loopback servers are real enough for the real client."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.loopback import Cdn, Hub, Loopback, Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPO = "someone/speech"
MODEL = bytes(range(256)) * (2 << 12)  # 2 MiB
CONFIG = b'{"layers": 2}\n'
VOCABULARY = b'["a", "b"]\n'
FILES = {"config.json": CONFIG, "model.bin": MODEL, "extra/vocabulary.json": VOCABULARY}
DEADLINE_S = 60.0


def git_sha1(data: bytes) -> str:
    """Return git's name of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def start(code: str, hub: Hub, folder: Path) -> subprocess.Popen[str]:
    """Start the real client in a process of its own."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
    }
    return subprocess.Popen(
        [sys.executable, "-c", f"import json, huggingface_hub as hf\n{code}"],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ask(expression: str, hub: Hub, folder: Path) -> Any:
    """Return what an expression is in the real client's process."""
    with start(f"print(json.dumps({expression}))", hub, folder) as child:
        out, err = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def refusal(expression: str, hub: Hub, folder: Path) -> str:
    """Return the name of the error that an expression raises in the real client's process."""
    code = f"try:\n  {expression}\nexcept Exception as error:\n  print(type(error).__name__)"
    with start(code, hub, folder) as child:
        out, err = child.communicate(timeout=DEADLINE_S)
    assert child.returncode == 0, err
    return out.strip()


def get(
    server: Loopback, path: str, asked: str = "", method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Return the status, the headers and the body of an answer."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=DEADLINE_S)
    try:
        connection.request(method, path, headers={"Range": asked} if asked else {})
        with connection.getresponse() as response:
            return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Serve one repository."""
    with Hub() as server:
        server.add(REPO, FILES)
        yield server


@pytest.fixture
def cdn() -> Iterator[Cdn]:
    """Serve one file."""
    with Cdn() as server:
        server.add("models/tiny.pt", bytes(range(100)))
        yield server


def test_real_client_downloads_a_snapshot(hub: Hub, tmp_path: Path) -> None:
    """The real client's cache of a repository has blobs, links, a ref and a tree as usual."""
    commit = hub.add(REPO, FILES)
    snapshot = ask(f"hf.snapshot_download({REPO!r})", hub, tmp_path)
    repository = tmp_path / "hf" / "hub" / "models--someone--speech"
    assert snapshot == str(repository / "snapshots" / commit)
    assert {path.name: path.read_bytes() for path in (repository / "blobs").iterdir()} == {
        hashlib.sha256(MODEL).hexdigest(): MODEL,
        git_sha1(CONFIG): CONFIG,
        git_sha1(VOCABULARY): VOCABULARY,
    }
    assert (repository / "refs" / "main").read_text() == commit
    tree = json.loads((repository / "trees" / f"{commit}.json").read_text())
    assert set(tree["files"]) == set(FILES)
    assert tree["files"]["model.bin"]["lfs_sha256"] == hashlib.sha256(MODEL).hexdigest()
    for path, content in FILES.items():
        link = repository / "snapshots" / commit / path
        assert link.is_symlink()
        assert link.resolve() == repository / "blobs" / hub.etag(REPO, path)
        assert link.read_bytes() == content


def test_real_client_downloads_one_file(hub: Hub, tmp_path: Path) -> None:
    """The real client fetches a single file, from an old commit too."""
    old = hub.add(REPO, FILES)
    new = hub.add(REPO, {**FILES, "config.json": b"{}"}, commit="f" * 40)
    first = ask(f"hf.hf_hub_download({REPO!r}, 'config.json')", hub, tmp_path)
    second = ask(f"hf.hf_hub_download({REPO!r}, 'config.json', revision={old!r})", hub, tmp_path)
    repository = tmp_path / "hf" / "hub" / "models--someone--speech"
    assert first == str(repository / "snapshots" / new / "config.json")
    assert second == str(repository / "snapshots" / old / "config.json")
    assert (repository / "snapshots" / new / "config.json").read_bytes() == b"{}"
    assert (repository / "snapshots" / old / "config.json").read_bytes() == CONFIG
    assert Request("HEAD", f"/{REPO}/resolve/main/config.json", "") in hub.requests
    assert Request("GET", f"/{REPO}/resolve/{old}/config.json", "") in hub.requests


def test_real_client_lists_sizes_and_digests(hub: Hub, tmp_path: Path) -> None:
    """The real client's listing of a repository has every size, and sha256 for LFS files."""
    listed = ask(
        "[[f.rfilename, f.size, f.blob_id, f.lfs and f.lfs.sha256] for f in"
        f" hf.HfApi().model_info({REPO!r}, files_metadata=True).siblings]",
        hub,
        tmp_path,
    )
    digest = hashlib.sha256(MODEL).hexdigest()
    pointer = (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(MODEL)}\n"
    )
    assert listed == [
        ["config.json", len(CONFIG), git_sha1(CONFIG), None],
        ["extra/vocabulary.json", len(VOCABULARY), git_sha1(VOCABULARY), None],
        ["model.bin", len(MODEL), git_sha1(pointer.encode()), digest],
    ]


def test_real_client_lists_folders_and_paths(hub: Hub, tmp_path: Path) -> None:
    """The real client lists the top folder, a folder below it, and single paths."""
    top, below, paths = ask(
        "[[f.path for f in files] for files in ("
        f"hf.HfApi().list_repo_tree({REPO!r}),"
        f"hf.HfApi().list_repo_tree({REPO!r}, 'extra', expand=True),"
        f"hf.HfApi().get_paths_info({REPO!r}, ['model.bin', 'extra', 'none']))]",
        hub,
        tmp_path,
    )
    assert top == ["config.json", "extra", "model.bin"]
    assert below == ["extra/vocabulary.json"]
    assert paths == ["model.bin", "extra"]


@pytest.mark.parametrize(
    ("expression", "error"),
    [
        ("hf.HfApi().model_info('someone/nothing')", "RepositoryNotFoundError"),
        ("hf.hf_hub_download('someone/nothing', 'a')", "RepositoryNotFoundError"),
        (f"hf.HfApi().model_info({REPO!r}, revision='v9')", "RevisionNotFoundError"),
        (f"hf.hf_hub_download({REPO!r}, 'config.json', revision='v9')", "RevisionNotFoundError"),
        (f"hf.hf_hub_download({REPO!r}, 'none.json')", "RemoteEntryNotFoundError"),
    ],
)
def test_real_client_understands_refusals(
    hub: Hub, tmp_path: Path, expression: str, error: str
) -> None:
    """The real client raises for what there is not as it does for the real hub."""
    assert refusal(expression, hub, tmp_path) == error


def test_killed_client_leaves_an_incomplete(hub: Hub, tmp_path: Path) -> None:
    """A real client that is killed in the middle of a download leaves its part behind."""
    big = MODEL * 6
    hub.add(REPO, {**FILES, "model.bin": big})
    hold = hub.hold("/model.bin", 11 << 20)
    blobs = tmp_path / "hf" / "hub" / "models--someone--speech" / "blobs"
    with start(f"hf.hf_hub_download({REPO!r}, 'model.bin')", hub, tmp_path) as child:
        try:
            assert hold.reached.wait(DEADLINE_S)
            deadline = time.monotonic() + DEADLINE_S
            parts: list[Path] = []
            while time.monotonic() < deadline and not parts:
                time.sleep(0.02)
                parts = [part for part in blobs.glob("*.incomplete") if part.stat().st_size]
        finally:
            child.kill()
            child.communicate()
    (part,) = blobs.iterdir()
    assert part.name.startswith(hub.etag(REPO, "model.bin"))
    assert part.suffix == ".incomplete"
    assert big.startswith(part.read_bytes())
    assert 0 < part.stat().st_size < len(big)


@pytest.mark.parametrize(
    ("asked", "status", "first", "end", "content_range"),
    [
        ("", 200, 0, 100, None),
        ("bytes=10-19", 206, 10, 20, "bytes 10-19/100"),
        ("bytes=90-", 206, 90, 100, "bytes 90-99/100"),
        ("bytes=90-500", 206, 90, 100, "bytes 90-99/100"),
        ("bytes=-5", 206, 95, 100, "bytes 95-99/100"),
        ("bytes=100-", 416, 0, 0, "bytes */100"),
        ("chapters=1-2", 200, 0, 100, None),
    ],
)
def test_cdn_serves_parts(
    cdn: Cdn, asked: str, status: int, first: int, end: int, content_range: str | None
) -> None:
    """Parts of a file are served as asked, and HEAD says the same without the body."""
    answer, headers, body = get(cdn, "/models/tiny.pt", asked)
    assert (answer, body) == (status, bytes(range(first, end)))
    assert headers.get("Content-Range") == content_range
    assert headers["Content-Length"] == str(end - first)
    answer, same, body = get(cdn, "/models/tiny.pt", asked, "HEAD")
    assert (answer, body) == (status, b"")
    assert same["Content-Length"] == headers["Content-Length"]
    assert cdn.requests == [
        Request("GET", "/models/tiny.pt", asked),
        Request("HEAD", "/models/tiny.pt", asked),
    ]


def test_cdn_serves_a_file_from_disk(cdn: Cdn, tmp_path: Path) -> None:
    """A file on disk is served like bytes, and what there is not is 404."""
    place = tmp_path / "big.pt"
    place.write_bytes(MODEL)
    assert cdn.add("/big.pt", place) == f"{cdn.url}/big.pt"
    assert get(cdn, "/big.pt")[2] == MODEL
    assert get(cdn, "/big.pt", "bytes=1000-1099")[2] == MODEL[1000:1100]
    assert get(cdn, "/none.pt")[0] == 404


def test_corrupt_flips_the_same_byte_in_parts(cdn: Cdn) -> None:
    """A corrupted file is wrong in its middle byte however it is fetched."""
    cdn.corrupt("tiny.pt")
    wrong = bytearray(range(100))
    wrong[50] ^= 0xFF
    assert get(cdn, "/models/tiny.pt")[2] == wrong
    assert get(cdn, "/models/tiny.pt", "bytes=40-")[2] == wrong[40:]
    assert get(cdn, "/models/tiny.pt", "bytes=60-")[2] == wrong[60:]


def test_cut_ends_the_first_answers(cdn: Cdn) -> None:
    """A cut answer ends early as often as asked, and then no more."""
    cdn.cut("tiny.pt", 30, times=2)
    get(cdn, "/models/tiny.pt", method="HEAD")
    for _ in range(2):
        with pytest.raises(http.client.IncompleteRead) as raised:
            get(cdn, "/models/tiny.pt")
        assert raised.value.partial == bytes(range(30))
    assert get(cdn, "/models/tiny.pt")[2] == bytes(range(100))


def test_refusals_and_pages_replace_the_answer(cdn: Cdn) -> None:
    """The longest end of a path decides about a failure or a page, until all is healed."""
    cdn.fail(".pt", 503, b"busy")
    assert get(cdn, "/models/tiny.pt")[::2] == (503, b"busy")
    cdn.page("tiny.pt", "<html>log in</html>")
    status, headers, body = get(cdn, "/models/tiny.pt", "bytes=5-")
    assert (status, body) == (200, b"<html>log in</html>")
    assert headers["Content-Type"].startswith("text/html")
    cdn.heal()
    assert get(cdn, "/models/tiny.pt")[0] == 200


def test_ignored_range_and_slowness(cdn: Cdn) -> None:
    """A server that ignores ranges sends all of it, and a slow one takes its time."""
    cdn.ignore_range("tiny.pt")
    cdn.slow("tiny.pt", 500)
    before = time.monotonic()
    assert get(cdn, "/models/tiny.pt", "bytes=50-")[::2] == (200, bytes(range(100)))
    assert time.monotonic() - before >= 0.15


def test_stop_lets_go_of_what_is_held() -> None:
    """A server that is stopped ends a held answer and an idle connection at once."""
    with Cdn() as cdn:
        cdn.add("held.pt", MODEL)
        hold = cdn.hold("held.pt", 10)
        connection = http.client.HTTPConnection(cdn.url.removeprefix("http://"), timeout=DEADLINE_S)
        connection.request("GET", "/held.pt")
        response = connection.getresponse()
        assert response.read(10) == MODEL[:10]
        assert hold.reached.wait(DEADLINE_S)
        before = time.monotonic()
    assert time.monotonic() - before < 2
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    response.close()
    connection.close()


def test_a_set_hold_goes_on(cdn: Cdn) -> None:
    """A held answer arrives whole once its event is set."""
    hold = cdn.hold("tiny.pt", 10)
    hold.set()
    assert get(cdn, "/models/tiny.pt")[2] == bytes(range(100))
    assert hold.reached.is_set()
