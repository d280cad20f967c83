"""A hub that anybody may run, blobs that a proxy named, and names that are meant to be misread."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachedoctor import text
from cachedoctor.doctor import contents, scanning
from cachedoctor.errors import FetchError
from cachedoctor.findings import HubFetch, Severity
from cachedoctor.host import Host
from cachedoctor.report import cases, ci, record
from cachedoctor.system import fetch, listed
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import SILENT
from tests.support import clients, loopback, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "a" * 40


def row(path: object, **more: object) -> dict[str, object]:
    """Return a row of a listing."""
    return {"path": path, "bytes": 1, "algorithm": "sha256", "hex": "b" * 64, **more}


@pytest.mark.parametrize(
    "path",
    ["", "/a", "..", "../a", "a/../../../../b", "a//b", "./a", "a\\b", "a\0", "a\x1bb", "a\nb",
     "a\u202eb", "\ud800", "x" * 241, "/".join(["d" * 200] * 6), 5, None],
)  # fmt: skip
def test_a_listed_path_that_leads_elsewhere_is_refused(path: object) -> None:
    """Or that no file system, person or terminal should meet."""
    assert listed.wrong(COMMIT, [row("config.json"), row(path)])


@pytest.mark.parametrize(
    ("commit", "rows"),
    [
        ("main", []), ("A" * 40, []), ("../" * 13 + "a", []), (None, []), (COMMIT, None),
        (COMMIT, [row("a", bytes=-1)]), (COMMIT, [row("a", bytes=True)]),
        (COMMIT, [row("a", bytes=1 << 60)]), (COMMIT, [row("a", bytes=None)]),
        (COMMIT, [row("a", hex="b" * 40)]), (COMMIT, [row("a", hex="B" * 64)]),
        (COMMIT, [row("a", algorithm="md5")]), (COMMIT, [row("a"), row("A")]),
        (COMMIT, [row("é"), row("e\u0301")]), (COMMIT, [row("a"), row("a/b")]),
        (COMMIT, [row(str(n), bytes=1 << 42) for n in range(3)]), (COMMIT, ["a"]),
    ],
)  # fmt: skip
def test_a_listing_that_makes_no_sense_is_refused(commit: object, rows: object) -> None:
    """Commits, digests, lengths, and names that are one on a Mac."""
    assert listed.wrong(commit, rows)


def test_a_usual_listing_is_taken() -> None:
    """Folders, dots in names and other alphabets are."""
    rows = [row("a/b.json"), row(".gitattributes"), row("a/..b"), row("日本/語.bin")]
    assert listed.wrong(COMMIT, rows) == ""


class Hostile(loopback.Hub):
    """A hub that lists, and would serve, a file at a path that leads out of the folder."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.asked: list[str] = []

    def respond(self, path: str, query: dict[str, list[str]], sent: bytes) -> loopback.Reply:
        """Remember what was asked for."""
        self.asked.append(path)
        return super().respond(path, query, sent)


LEADING = ("../../../../planted", "m/../../planted", "m/a\x1b[2J", "m/a\\..\\b")


@pytest.fixture
def hostile(request: pytest.FixtureRequest) -> Iterator[Hostile]:
    """Return such a hub."""
    with Hostile(request.param) as hub:
        hub.add("org/name", {"m/config.json": b"{}", request.param: b"planted"})
        yield hub


@pytest.mark.parametrize(
    ("version", "hostile"),
    [
        *((version, LEADING[0]) for version in ("1.0.0", "1.22.0")),
        *((clients.NEWEST, path) for path in LEADING),
        *(
            pytest.param(version, path, marks=pytest.mark.heavy)
            for version in ("1.0.0", "1.22.0")
            for path in LEADING[1:]
        ),
    ],
    indirect=["hostile"],
)
@pytest.mark.real
def test_nothing_is_fetched_from_a_listing_that_leads_elsewhere(
    version: str, hostile: Hostile, tmp_path: Path, home: Path
) -> None:
    """Whichever release of the client would write there, it is not asked for one byte."""
    folder = tmp_path / "a" / "b" / "c" / "staged"
    folder.mkdir(parents=True)
    where = {"PYTHONPATH": str(clients.client(version)), "HF_HUB_DISABLE_XET": "1"}
    host = Host.look(home=str(home), environment=where)
    path = "m/" if hostile.path.startswith("m/") else hostile.path
    source = HubFetch("org/name", "main", path, 0)
    asked = fetch.Hub(host, fetch.Mirrors(hub=hostile.url), str(tmp_path / "scratch"))
    with asked, pytest.raises(FetchError, match="lists"):
        asked.fetch(source, str(folder), SILENT)
    assert not [path for path in hostile.asked if "/resolve/" in path]
    assert not list(tmp_path.rglob("planted"))


def test_passwords_and_tokens_are_masked(home: Path) -> None:
    """In a failure's message, in JSON, and in `info`."""
    secret = "http://somebody:hunter2@127.0.0.1:9"
    token = "hf_" + "Abcdefghij" * 3
    env = ("--env", f"HF_ENDPOINT={secret}", "--env", f"https_proxy={secret}")
    for command in (("info",), ("info", "--json")):
        ended = cachedoctor(*command, "--home", str(home), *env, "--env", f"HF_TOKEN={token}")
        assert "hunter2" not in ended.output + ended.errors
        assert token not in ended.output
    host = Host.look(home=str(home), environment={"HF_ENDPOINT": secret})
    with Network(host).hub() as hub, pytest.raises(FetchError) as caught:
        hub.listing("org/name", "main")
    assert "hunter2" not in caught.value.message
    assert text.masked(f"GET {secret}/x?token=hunter2&a=b {token}") == (
        "GET http://***@127.0.0.1:9/x?token=***&a=b hf_***"
    )


def renamed(snapshot: Path, name: str) -> None:
    """Give the blob of a file in a snapshot another name, as a proxy's ETag would."""
    link = snapshot
    blob = worlds.blob_of(link)
    blob.rename(blob.with_name(name))
    link.unlink()
    link.symlink_to(os.path.relpath(blob.with_name(name), link.parent))


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("named", ["sha1", "nothing"])
@pytest.mark.parametrize("name", [worlds.TINY, "somebody/else"])
def test_content_outranks_its_blobs_name(name: str, named: str, trees: bool, home: Path) -> None:
    """The manifest proves it, or its plain SHA-1; otherwise nothing is known, and no error."""
    files = worlds.whisper_files()
    repository = worlds.repository(worlds.hub_of(home), name, files, trees=trees)
    content = files["config.json"]
    etag = hashlib.sha1(content).hexdigest() if named == "sha1" else "5" * 40
    renamed(repository / "snapshots" / worlds.COMMIT / "config.json", etag)
    for _ in range(2):  # read, then remembered
        report = scanning.scan(Host.look(), deep=True)
        assert [f for f in report.findings if f.severity is not Severity.NOTE] == []
        (found,) = (
            file
            for file in contents.verdicts(report.entries, report.contents)
            if file.path.endswith(etag)
        )
        assert found.verdict == ("ok" if trees or named == "sha1" else "unknown")


def test_a_flipped_byte_is_found_where_a_manifest_speaks(home: Path) -> None:
    """Also of a file whose name is git's SHA-1."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.flip(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "config.json"), 3)
    report = scanning.scan(Host.look(), deep=True)
    assert "CD301" in {finding.code for finding in report.findings}


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_is_taken_for_a_command(first: str, second: str) -> None:
    """Whatever a name holds: no control character, no `::` at the start, no `##[` at all."""
    for name in (f"{first}::{second}", f"::{first}", f"{first}##[{second}", f"\x1b{first}\r\n::x"):
        shown = text.line(name)
        assert shown.isprintable()
        assert not shown.lstrip().startswith("::")
        assert "##[" not in shown + record.dumps({"name": name})
        problem = cases.Problem(Severity.ERROR, first, name)
        (annotation,) = ci.render(
            "github", "scan", [cases.Case("group", second, (problem,))]
        ).split("\n")
        assert annotation.startswith("::error title=")
        assert annotation.isprintable()
        assert re.fullmatch(r"::error title=[^:,]*::.*", annotation)


def test_a_lock_is_written_whole_or_not_at_all(home: Path, tmp_path: Path) -> None:
    """The older one is replaced in one step, keeps its mode, and is what a failure leaves."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    place = tmp_path / "locks"
    place.mkdir()
    target = place / "models.lock"
    target.write_text("older")
    target.chmod(0o640)
    inode = target.stat().st_ino
    ended = cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(target))
    assert ended.code == 0, ended.errors
    assert target.read_text().startswith("# Exact bytes")
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_ino != inode
    assert os.listdir(place) == ["models.lock"]
