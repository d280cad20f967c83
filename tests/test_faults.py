"""Fault → damage → exact codes → fix → a second scan without them. Both directions.

Small true files; what needs the real client, weights or engines is in the stories.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast

import pytest

from cachedoctor import engines, rules
from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.locators import regular
from cachedoctor.plans import cures
from cachedoctor.rules import precedence
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from cachedoctor.verdict import preflight
from cachedoctor.vocabulary import Files, State
from tests.conftest import fingerprint
from tests.support import builders, worlds
from tests.support.environments import install

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER = "guillaumekln/faster-whisper-tiny.en"  # the same files under another name
STRANGER = "someone/else"


class World(NamedTuple):
    """A hub cache with one healthy model, a copy of it, and a repository of no known engine."""

    host: Host
    home: Path
    repository: Path

    @property
    def snapshot(self) -> Path:
        """Return the model's only revision."""
        return self.repository / "snapshots" / worlds.COMMIT

    def blob(self, name: str) -> Path:
        """Return the physical file of the model's file `name`."""
        return worlds.blob_of(self.snapshot / name)

    def codes(self, *, deep: bool = False) -> list[str]:
        """Return the codes of a scan, sorted."""
        return sorted(f.code for f in scanning.scan(self.host, deep=deep).findings)

    def fix(self, *codes: str, deep: bool = False) -> None:
        """Repair these codes, or everything and waste too, without a network."""
        report = scanning.scan(self.host, deep=deep)
        network = Network(self.host, offline=True)
        plan = cures.plan(report, codes=codes, waste=True, network=network)
        applying.apply(plan, report, network)


@pytest.fixture
def world(home: Path, host: Host) -> World:
    """Build the healthy world in the test's home."""
    return build(home, host)


def build(home: Path, host: Host) -> World:
    """Build the healthy world."""
    hub = worlds.hub_of(home)
    files = worlds.whisper_files()
    worlds.repository(hub, OTHER, files)
    worlds.repository(hub, STRANGER, {"weights.bin": builders.pattern(5000), "a.json": b"{}"})
    return World(host, home, worlds.repository(hub, worlds.TINY, files))


def replace(world: World, name: str, content: bytes) -> None:
    """Write other content into the physical file of `name`."""
    world.blob(name).write_bytes(content)


def cut(world: World, name: str, by: int = 1) -> None:
    """Cut the end off the physical file of `name`."""
    path = world.blob(name)
    worlds.cut(path, path.stat().st_size - by)


def unlink(path: Path) -> None:
    """Remove a file and leave nothing."""
    path.unlink()


def ref(world: World, text: bytes) -> None:
    """Write `refs/main`."""
    (world.repository / "refs" / "main").write_bytes(text)


def relink(world: World, folder: str) -> None:
    """Make every link of the snapshot lead to a blob in another folder."""
    for path in world.snapshot.iterdir():
        name = worlds.blob_of(path).name
        path.unlink()
        path.symlink_to(f"{folder}/{name}")


def manifest(world: World) -> Path:
    """Return the tree manifest."""
    return world.repository / "trees" / f"{worlds.COMMIT}.json"


def stranger(world: World, name: str) -> Path:
    """Return the physical file of the repository that no engine claims."""
    path = worlds.hub_of(world.home) / "models--someone--else" / "snapshots" / worlds.COMMIT / name
    return worlds.blob_of(path)


def partial(world: World, content: bytes = b"half") -> Path:
    """Leave the partial of a killed download."""
    path = world.repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete"
    path.write_bytes(content)
    return path


def old(path: Path, age_s: int = 3600) -> Path:
    """Make a file or folder look as if nothing touched it since."""
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def marker(world: World, commit: str, name: str) -> None:
    """Leave the client's note that a revision lacks a file."""
    path = world.repository / ".no_exist" / commit / name
    path.parent.mkdir(parents=True)
    path.touch()


def payload(world: World) -> Path:
    """Return a place in the store that repositories share."""
    path = worlds.hub_of(world.home) / "blobs" / "ab" / ("ab" * 32)
    path.parent.mkdir(parents=True)
    return path


def share(world: World, name: str) -> Path:
    """Move the blob of `name` into the store that repositories share, as the client does."""
    blob, path = world.blob(name), payload(world)
    blob.rename(path)
    blob.symlink_to(os.path.relpath(path, blob.parent))
    return path


def lock(world: World, repository: str, content: bytes, *, age_s: int) -> None:
    """Leave a lock file of a repository."""
    path = worlds.hub_of(world.home) / ".locks" / repository / f"{'cd' * 32}.lock"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    old(path, age_s)


def probes(world: World) -> list[Path]:
    """Leave what the client makes for a moment: a folder, a blob and a branch on their way."""
    paths = [
        worlds.hub_of(world.home) / "tmp4x_9zq1a",
        world.repository / "blobs" / "tmp_0c1d2e3f-0000-4000-8000-0123456789ab",
        world.repository / "refs" / "main.0123abcd.tmp",
    ]
    paths[0].mkdir()
    for path in paths[1:]:
        path.write_bytes(b"x")
    return paths


def legacy(world: World, ending: str) -> Path:
    """Return a file's place in the flat cache of before 0.8."""
    return worlds.hub_of(world.home) / f"{'1a' * 32}.{'2b' * 32}{ending}"


def xet(world: World) -> Path:
    """Return a file's place in hf_xet's cache."""
    path = worlds.hub_of(world.home).parent / "xet" / "server" / "shard_cache" / "1.mdb"
    path.parent.mkdir(parents=True)
    return path


def hollow_weights(world: World) -> None:
    """Put weights of the right form with holes, and no digest, in place of the real ones."""
    unlink(manifest(world))
    unlink(world.blob("model.bin"))
    unlink(world.snapshot / "model.bin")
    pieces = builders.ctranslate2_pieces(tensors=[("a", (3 << 20,), 1)], hollow=True)
    builders.write_sparse(world.snapshot / "model.bin", pieces)


# fault: damage, exact codes, whether a deep scan is needed, whether local bytes cure it
FAULTS: dict[str, tuple[Callable[[World], object], list[str], bool, bool]] = {
    "weights cut by a byte": (lambda w: cut(w, "model.bin"), ["CD201"], False, True),
    "weights emptied": (lambda w: replace(w, "model.bin", b""), ["CD201"], False, True),
    "weights are a page": (
        lambda w: replace(w, "model.bin", builders.HTML_PAGE), ["CD202"], False, True,
    ),
    "weights are a pointer": (
        lambda w: replace(w, "model.bin", builders.LFS_POINTER), ["CD202"], False, True,
    ),
    "weights are another format": (
        lambda w: replace(w, "model.bin", builders.safetensors_file()), ["CD202"], False, True,
    ),
    "weights go on after their end": (
        lambda w: replace(w, "model.bin", builders.ctranslate2_model() + b"more"),
        ["CD204"], False, True,
    ),
    "a config is cut": (lambda w: cut(w, "config.json", 3), ["CD201"], False, True),
    "a config is a page": (
        lambda w: replace(w, "config.json", builders.HTML_PAGE), ["CD202"], False, True,
    ),
    "a vocabulary is cut": (lambda w: cut(w, "vocabulary.txt"), ["CD302"], False, True),
    "a bit of the weights flipped": (
        lambda w: worlds.flip(w.blob("model.bin"), w.blob("model.bin").stat().st_size // 2),
        ["CD301"], True, True,
    ),
    "a bit of a vocabulary flipped": (
        lambda w: worlds.flip(w.blob("vocabulary.txt"), 0), ["CD301"], True, True,
    ),
    "a blob is gone": (lambda w: unlink(w.blob("model.bin")), ["CD103"], False, True),
    "a link is gone": (lambda w: unlink(w.snapshot / "model.bin"), ["CD101"], False, True),
    "link and blob are gone": (
        lambda w: (unlink(w.blob("config.json")), unlink(w.snapshot / "config.json")),
        ["CD101"], False, True,
    ),
    "the tokenizer's link is gone": (
        lambda w: unlink(w.snapshot / "tokenizer.json"), ["CD104"], False, True,
    ),
    "the tokenizer's blob is gone": (
        lambda w: unlink(w.blob("tokenizer.json")), ["CD103"], False, True,
    ),
    "a file no engine reads is gone": (
        lambda w: unlink(worlds.hub_of(w.home) / "models--someone--else" / "snapshots"
                         / worlds.COMMIT / "a.json"),
        [], False, True,
    ),
    "a stranger's blob is short": (
        lambda w: worlds.cut(stranger(w, "weights.bin"), 10), ["CD302"], False, False,
    ),
    "a stranger's weights are a page": (
        lambda w: stranger(w, "weights.bin").write_bytes(builders.HTML_PAGE),
        ["CD202"], False, False,
    ),
    "the ref has a newline": (
        lambda w: ref(w, worlds.COMMIT.encode() + b"\n"), ["CD401"], False, True,
    ),
    "the ref has spaces": (
        lambda w: ref(w, b" " + worlds.COMMIT.encode() + b"\r\n"), ["CD401"], False, True,
    ),
    "the ref is empty": (lambda w: ref(w, b""), ["CD402"], False, True),
    "the ref is a newline": (lambda w: ref(w, b"\n"), ["CD402"], False, True),
    "the ref names another commit": (lambda w: ref(w, b"f" * 40), ["CD403"], False, True),
    "a snapshot's folder got another name": (
        lambda w: w.snapshot.rename(f"{w.snapshot}\udcff\n"), ["CD403"], False, False,
    ),
    "the ref is no commit": (lambda w: ref(w, b"\xff\xfenot a commit"), ["CD418"], False, True),
    "a vocabulary is empty and no manifest is kept": (
        lambda w: (unlink(manifest(w)), replace(w, "vocabulary.txt", b"")), ["CD201"], False, True,
    ),
    "the snapshot is emptied": (
        lambda w: (shutil.rmtree(w.snapshot), w.snapshot.mkdir()), ["CD105"], False, False,
    ),
    "all snapshots are gone": (
        lambda w: shutil.rmtree(w.repository / "snapshots"), ["CD403"], False, True,
    ),
    "all snapshots and the manifest are gone": (
        lambda w: (shutil.rmtree(w.repository / "snapshots"), unlink(manifest(w))),
        ["CD403"], False, False,  # a download would find the blobs again
    ),
    "a marker hides the weights": (
        lambda w: marker(w, worlds.COMMIT, "model.bin"), ["CD404"], False, True,
    ),
    "a marker of another revision": (
        lambda w: marker(w, "e" * 40, "model.bin"), [], False, True,
    ),
    "a marker for a file that is not there": (
        lambda w: marker(w, worlds.COMMIT, "processor_config.json"), [], False, True,
    ),
    "the manifest is cut": (
        lambda w: worlds.cut(manifest(w), 40), ["CD405"], False, True,
    ),
    "the manifest is another list": (
        lambda w: manifest(w).write_text("[]"), ["CD405"], False, True,
    ),
    "the manifest is of a later version": (
        lambda w: manifest(w).write_text('{"format_version": 9, "files": []}'), [], False, True,
    ),
    "the shared payload is gone": (
        lambda w: unlink(share(w, "model.bin")), ["CD408"], False, True,
    ),
    "the shared payload is cut": (
        lambda w: worlds.cut(share(w, "model.bin"), 50), ["CD201"], False, True,
    ),
    "a shared payload that no repository has": (
        lambda w: payload(w).write_bytes(b"left"), ["CD501"], False, True,
    ),
    "locks of a repository that is gone": (
        lambda w: lock(w, "models--gone--gone", b"", age_s=0), ["CD415"], False, True,
    ),
    "an old soft lock where a download was killed": (
        lambda w: (old(partial(w)), lock(w, w.repository.name, b"4711\nhost\n", age_s=90_000)),
        ["CD415", "CD502"], False, True,
    ),
    "a young soft lock": (
        lambda w: (old(partial(w)), lock(w, w.repository.name, b"4711\nhost\n", age_s=60)),
        ["CD502"], False, True,
    ),
    "locks of a repository that is there": (
        lambda w: lock(w, w.repository.name, b"", age_s=90_000), [], False, True,
    ),
    "the client's probes": (
        lambda w: [old(path) for path in probes(w)], ["CD416"] * 3, False, True,
    ),
    "the client's probes, just made": (probes, [], False, True),
    "somebody's own temporary folder": (
        lambda w: ([path.touch() for path in (probes(w)[0] / "thesis.txt",)],
                   old(worlds.hub_of(w.home) / "tmp4x_9zq1a")),
        [], False, True,
    ),
    "somebody's own files where hf_xet should keep its own": (
        lambda w: builders.write_sparse(xet(w).parent.parent / "film.mkv", [200 << 20]),
        [], False, True,
    ),
    "a blob that nothing uses": (
        lambda w: (w.repository / "blobs" / ("5" * 64)).write_bytes(b"left"),
        ["CD501"], False, True,
    ),
    "files of the flat cache": (
        lambda w: [legacy(w, ending).write_bytes(b"{}") for ending in ("", ".json", ".lock")],
        ["CD509"], False, True,
    ),
    "a large cache of pieces": (
        lambda w: builders.write_sparse(xet(w), [200 << 20]), ["CD510"], False, True,
    ),
    "a small cache of pieces": (lambda w: xet(w).write_bytes(b"1"), [], False, True),
    "another engine's weights": (
        lambda w: (unlink(w.blob("model.bin")), unlink(w.snapshot / "model.bin"),
                   (w.snapshot / "model.safetensors").write_bytes(builders.safetensors_file())),
        ["CD421"], False, True,
    ),
    "a hole in the weights": (hollow_weights, ["CD206"], False, False),
    "a killed download left its partial": (partial, ["CD502"], False, True),
    "weights and ref both broken": (
        lambda w: (cut(w, "model.bin"), ref(w, b"")), ["CD201", "CD402"], False, True,
    ),
    "a folder is where the weights belong": (
        lambda w: (unlink(w.snapshot / "model.bin"), (w.snapshot / "model.bin").mkdir()),
        ["CD101"], False, True,
    ),
    "a pipe is where the weights belong": (
        lambda w: (unlink(w.blob("model.bin")), os.mkfifo(w.blob("model.bin").parent / "pipe"),
                   unlink(w.snapshot / "model.bin"),
                   (w.snapshot / "model.bin").symlink_to("../../blobs/pipe")),
        ["CD101"], False, False,
    ),
    "a link leads out of the cache": (
        lambda w: (unlink(w.snapshot / "config.json"),
                   (w.snapshot / "config.json").symlink_to("/etc/passwd")),
        ["CD202"], False, False,
    ),
    "links lead to a cache that is gone": (
        lambda w: relink(w, "/gone/hub/models--x/blobs"), ["CD103"] * 4, False, True,
    ),
    "links are absolute": (
        lambda w: relink(w, str(w.repository / "blobs")), ["CD407"] * 4, False, True,
    ),
    "the manifest is a pipe": (
        lambda w: (unlink(manifest(w)), os.mkfifo(manifest(w))), [], False, True,
    ),
    "the manifest is endless": (
        lambda w: (unlink(manifest(w)), manifest(w).symlink_to("/dev/zero")), [], False, True,
    ),
    "refs is a link to elsewhere": (
        lambda w: (shutil.rmtree(w.repository / "refs"),
                   (w.repository / "refs").symlink_to("/usr")),
        ["CD108"], False, False,
    ),
    "the repository is a link to elsewhere": (
        lambda w: (w.repository.rename(w.home / "moved"),
                   w.repository.symlink_to(w.home / "moved")),
        ["CD406"], False, False,
    ),
    "links lead in a circle": (
        lambda w: (unlink(w.snapshot / "config.json"),
                   (w.snapshot / "config.json").symlink_to("config.json")),
        ["CD101"], False, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_code_and_its_cure(fault: str, world: World) -> None:
    """The damage gives exactly these codes; where local bytes cure it, the second scan is clean."""
    damage, codes, deep, curable = FAULTS[fault]
    assert world.codes(deep=True) == []
    damage(world)
    before = fingerprint(world.home)
    if deep:
        assert world.codes() == []
    assert world.codes(deep=deep) == codes
    assert fingerprint(world.home) == before
    if curable:
        world.fix(*(set(codes) & {"CD407"}), deep=deep)  # a link that works is no waste
        assert world.codes(deep=True) == []
        assert applying.undo(world.host) or not codes
        assert fingerprint(world.home) == before


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_restored_file_has_the_mode_of_the_one_before(mode: int, world: World) -> None:
    """A cache that a group shares stays shared; undo brings the old file's mode back, too."""
    cut(world, "model.bin")
    world.blob("model.bin").chmod(mode)
    before = fingerprint(world.home)
    world.fix()
    assert world.codes(deep=True) == []
    assert world.blob("model.bin").stat().st_mode & 0o777 == mode
    assert applying.undo(world.host)
    assert fingerprint(world.home) == before


def test_every_code_of_these_layouts_has_a_fault() -> None:
    """No rule is without a world in which it speaks; the rest speak in the stories."""
    elsewhere = {
        "CD000", "CD107", "CD203", "CD303", "CD409", "CD411", "CD420", "CD504", "CD508",  # below
        "CD102", "CD106", "CD205", "CD410", "CD412", "CD413", "CD414", "CD419", "CD503", "CD505",
        "CD506", "CD507",  # test_faults_folders
        "CD108",  # test_unreadable
        "CD110", "CD422", "CD511",  # test_field
        "CD207",  # test_loading
        "CD109",  # the hub story
        "CD417",  # test_kill
        "CD423",  # test_forged
        "CD601", "CD602", "CD603", "CD604",  # test_machine
    }  # fmt: skip
    told = {code for _, codes, _, _ in FAULTS.values() for code in codes}
    assert {rule.code for rule in rules.every()} == told | elsewhere


def test_a_header_that_contradicts_itself_is_malformed(world: World) -> None:
    """A name's length that reaches into the data is CD203, and an identical copy cures it."""
    path = world.blob("model.bin")
    content = bytearray(path.read_bytes())
    content[4:6] = b"\xff\x00"  # the length of the specification's name
    path.write_bytes(content)
    assert world.codes() == ["CD203"]
    world.fix()
    assert world.codes(deep=True) == []


def test_one_blob_under_three_revisions_is_one_finding(world: World) -> None:
    """A bad blob that three revisions share is said once, with three entries."""
    hub = worlds.hub_of(world.home)
    for digit in "12":
        commit = digit * 40
        worlds.repository(hub, worlds.TINY, worlds.whisper_files(), commit=commit, ref=f"v{digit}")
    cut(world, "model.bin")
    (finding,) = scanning.scan(world.host).findings
    assert (finding.code, len(finding.entries), len(finding.links)) == ("CD201", 3, 3)


def test_a_repository_that_was_only_asked_is_healthy(world: World) -> None:
    """A ref and `.no_exist/` without a snapshot are what asking for a missing file leaves."""
    asked = worlds.hub_of(world.home) / "models--org--asked"
    (asked / "refs").mkdir(parents=True)
    (asked / "refs" / "main").write_text("b" * 40)
    (asked / ".no_exist" / ("b" * 40)).mkdir(parents=True)
    assert world.codes() == []


def test_a_download_to_another_folder_is_healthy(world: World) -> None:
    """Downloading with `local_dir` writes a ref into the cache and nothing else."""
    asked = worlds.hub_of(world.home) / "models--Systran--faster-whisper-base" / "refs"
    asked.mkdir(parents=True)
    (asked / "main").write_text("b" * 40)
    assert world.codes() == []


def test_an_update_leaves_no_warning(world: World) -> None:
    """After a new revision was downloaded, the old one is no warning and no error."""
    files = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
    worlds.repository(worlds.hub_of(world.home), worlds.TINY, files, commit="c" * 40)
    assert [f for f in scanning.scan(world.host).findings if f.severity != "note"] == []


def test_a_cache_without_symlinks_is_healthy(home: Path, host: Host) -> None:
    """Regular files in the snapshot, and an empty `blobs/`, are a layout of their own."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    for link in (repository / "snapshots" / worlds.COMMIT).iterdir():
        content = link.read_bytes()
        worlds.blob_of(link).unlink()
        link.unlink()
        link.write_bytes(content)
    assert scanning.scan(host, deep=True).findings == ()
    (checked,) = scanning.scan(host, deep=True).checked.values()
    assert checked.digest == 4


def test_a_two_hop_blob_is_followed_into_the_shared_store(home: Path, host: Host) -> None:
    """A blob that is a link into `<hub>/blobs/` is read there, and judged by its own name."""
    hub = worlds.hub_of(home)
    repository = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    blob = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin")
    store = hub / "blobs" / "ab" / ("ab" * 32)
    store.parent.mkdir(parents=True)
    blob.rename(store)
    blob.symlink_to(os.path.relpath(store, blob.parent))
    assert scanning.scan(host, deep=True).findings == ()
    worlds.cut(store, 50)
    (finding,) = scanning.scan(host).findings
    assert (finding.code, finding.path) == ("CD201", str(store))
    store.unlink()
    assert [f.code for f in scanning.scan(host).findings] == ["CD408"]


def test_manifests_that_lie_are_not_believed(world: World) -> None:
    """Tree manifests with wrong types, climbing paths or no JSON promise nothing."""
    tree = world.repository / "trees" / f"{worlds.COMMIT}.json"
    for text, codes in (
        ("[" * 10_000, ["CD405"]),
        ("{}", ["CD405"]),
        ('{"files": []}', ["CD405"]),
        (json.dumps({"files": {"../../up": {"size": 1, "blob_id": "a" * 40}}}), []),
        (json.dumps({"files": {"model.bin": {"size": "1", "blob_id": 5}}}), ["CD405"]),
        ("\xff", ["CD405"]),
    ):
        tree.write_text(text, encoding="latin-1")
        assert world.codes() == codes, text[:20]


def test_a_rule_that_crashes_is_a_finding(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one rule is CD000; the other rules are applied all the same."""
    from cachedoctor.rules.present import DanglingLink

    def crash(*_: object) -> object:
        raise ZeroDivisionError("on purpose")

    unlink(world.snapshot / "model.bin")
    monkeypatch.setattr(DanglingLink, "check", crash)
    assert world.codes() == ["CD000", "CD101"]
    assert "ready" not in scanning.scan(world.host).statuses.values()


def test_an_evicted_file_is_neither_missing_nor_opened(world: World) -> None:
    """A file that macOS moved to iCloud keeps its name and length; only macOS sets the flag."""
    path = str(world.blob("model.bin"))
    status = os.stat(path)
    evicted = SimpleNamespace(
        st_flags=0x40000000,
        **{name: getattr(status, name) for name in dir(status) if name.startswith("st_")},
    )
    found = regular(path, cast("os.stat_result", evicted))
    assert found.state is State.EVICTED
    survey = scanning.scan(world.host).survey
    entry = next(entry for entry in survey.entries if entry.name == worlds.TINY)
    gone = tuple(
        a._replace(state=found.state) if a.name == "model.bin" else a for a in entry.artifacts
    )
    entry = entry._replace(artifacts=gone)
    seen = rules.Examination(survey, world.host)
    codes = [
        finding.code
        for rule in rules.every()
        if isinstance(rule, rules.EntryRule)
        for finding in rule.check(entry, seen)
    ]
    assert codes == ["CD107"]


def test_the_content_of_another_known_model_is_named(world: World) -> None:
    """A wrong digest that a table knows is CD303 and not CD301, and says whose it is."""
    content = builders.pattern(5000, 1)
    stranger(world, "weights.bin").write_bytes(content)
    other = hashlib.sha256(content).hexdigest()
    assert world.codes(deep=True) == ["CD301"]
    survey = scanning.scan(world.host).survey
    entry = next(entry for entry in survey.entries if entry.name == STRANGER)
    assert isinstance(entry.artifacts, Files)
    entry.artifacts.doubt(stranger(world, "weights.bin").name)
    seen = rules.Examination(
        survey,
        world.host,
        {str(stranger(world, "weights.bin")): {"sha256": other}},
        published=lambda: {other: "faster-whisper's `base`"},
    )
    found = [
        finding
        for rule in rules.every()
        if isinstance(rule, rules.EntryRule)
        for finding in rule.check(entry, seen)
    ]
    (finding,) = precedence.settle(found)
    assert (finding.code, finding.message) == ("CD303", "`weights.bin` is faster-whisper's `base`")


def test_every_published_digest_names_its_model() -> None:
    """What CD303 asks knows the files of every table."""
    known = engines.published()
    tiny = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
    assert known[tiny] in ("openai-whisper's `tiny.en`", "whisper-mps's `tiny.en`")
    assert len(known) > 100


def test_a_superseded_revision_is_a_note_with_its_own_bytes(world: World) -> None:
    """What only the old revision uses counts; naming the code sets aside just that."""
    hub = worlds.hub_of(world.home)
    files = {**worlds.whisper_files(), "config.json": b'{"alignment_heads": []}\n'}
    worlds.repository(hub, worlds.TINY, files, commit="c" * 40)
    (finding,) = scanning.scan(world.host).findings
    assert (finding.code, finding.severity) == ("CD508", "note")
    assert finding.bytes == len(worlds.whisper_files()["config.json"])
    before = fingerprint(world.home)
    world.fix()
    assert fingerprint(world.home) == before  # `--waste` does not touch what may be pinned
    world.fix("CD508")
    assert world.codes(deep=True) == []
    assert applying.undo(world.host)
    assert fingerprint(world.home) == before


def test_half_of_a_superseded_revision_is_no_error(world: World) -> None:
    """While `main` is whole, what an old revision lacks is not missed."""
    hub = worlds.hub_of(world.home)
    half = {"model.bin": b"", "config.json": worlds.whisper_files()["config.json"]}
    worlds.repository(hub, worlds.TINY, half, commit="c" * 40, ref=None)
    unlink(world.repository / "snapshots" / ("c" * 40) / "model.bin")
    assert [f.code for f in scanning.scan(world.host).findings if f.severity == "error"] == []
    assert "CD508" in world.codes()


def test_a_pinned_revision_alone_is_checked_like_any_other(world: World) -> None:
    """Without any branch, a revision may be what somebody asked for: its faults are errors."""
    unlink(world.repository / "refs" / "main")
    assert world.codes() == ["CD403"]  # engines ask for `main`
    unlink(world.snapshot / "model.bin")
    assert world.codes() == ["CD101", "CD403"]


def test_the_same_large_file_twice_is_a_duplicate(home: Path, host: Host) -> None:
    """Two repositories with one content are said once, with what one of the copies takes up."""
    hub, content = worlds.hub_of(home), builders.pattern(1 << 10) * (17 << 10)
    for name in ("a/one", "b/two", "c/three"):
        worlds.repository(hub, name, {"weights.bin": content, "small.json": b"{}"})
    (finding,) = scanning.scan(host).findings
    assert (finding.code, finding.bytes, len(finding.links)) == ("CD504", 2 * len(content), 2)
    assert len(finding.entries) == 3
    one, two = (worlds.blob_of(Path(p)) for p in (finding.path, finding.links[0]))
    two.unlink()
    os.link(one, two)  # one file under two names takes up nothing more
    (finding,) = scanning.scan(host).findings
    assert finding.bytes == len(content)


@pytest.mark.parametrize(
    ("variables", "traps"),
    [
        ({}, 0),
        ({"HF_HUB_CACHE": ""}, 1),
        ({"HF_HOME": ""}, 1),
        ({"HF_XET_CACHE": "~/xet"}, 1),
        ({"XDG_CACHE_HOME": "~/cache"}, 1),
        ({"HF_HUB_OFFLINE": "y"}, 1),
        ({"HF_HUB_OFFLINE": "1"}, 0),
        ({"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"}, 1),
        ({"TRANSFORMERS_OFFLINE": "1"}, 0),
        ({"TRANSFORMERS_CACHE": "/big"}, 1),
        ({"TRANSFORMERS_CACHE": "/big", "HF_HUB_CACHE": "/big"}, 0),
        ({"HF_HOME": "~/hf"}, 0),
    ],
)
def test_variables_that_mislead_are_said(home: Path, variables: dict[str, str], traps: int) -> None:
    """Each trap is one warning that names the variable; the others are silent."""
    found = scanning.scan(Host.look(home=str(home), environment=variables)).findings
    assert [f.code for f in found] == ["CD411"] * traps
    assert all(any(name in f.message for name in variables) for f in found)


def test_a_name_that_something_in_the_project_hides(world: World, tmp_path: Path) -> None:
    """A folder that is called like the model is said, where the engine would load it."""
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    host = Host.look(project=str(project))
    assert scanning.scan(host).findings == ()
    (project / "tiny.en").mkdir()
    (finding,) = scanning.scan(host).findings
    assert (finding.code, finding.path) == ("CD420", str(project / "tiny.en"))
    assert finding.engines == ("faster-whisper",)


def test_an_older_client_beside_a_shared_store_is_a_hazard(world: World, tmp_path: Path) -> None:
    """Only a named interpreter with an older release, and only where there is such a store."""
    for version, codes in (("1.28.0", ["CD409"]), ("1.32.0", []), ("0.36.2", ["CD409"])):
        packages = tmp_path / version / "lib" / "python3.11" / "site-packages"
        install(packages, "huggingface_hub", version)
        python = tmp_path / version / "bin" / "python3"
        host = Host.look(pythons={"faster-whisper": str(python)})
        if not (worlds.hub_of(world.home) / "blobs").exists():
            assert scanning.scan(host).findings == ()
            share(world, "model.bin")
        assert [f.code for f in scanning.scan(host).findings] == codes
        install(packages, "faster_whisper", "1.2.1")
        verdict = preflight("faster-whisper", model="tiny.en", host=host)
        assert verdict.ready
        assert [f.code for f in verdict.warnings] == codes
        assert preflight("mlx-whisper", size="tiny", host=host).warnings == ()
