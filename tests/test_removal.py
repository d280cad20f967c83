"""Listing, removing, pruning, freeing: what goes, what stays, and that undo gives it all back.

Small true files; what the hub's own client says afterwards is at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.doctor import footprint, scanning
from cachedoctor.host import Host
from cachedoctor.plans import budget, holdings, kept, naming, pruning, removal
from cachedoctor.runs import applying, carrying
from cachedoctor.system import usage
from cachedoctor.system.network import Network
from tests.conftest import fingerprint
from tests.support import builders, worlds
from tests.support.clients import VERSIONS, run
from tests.support.command import cachedoctor
from tests.support.loopback import Hub
from tests.test_command_line import as_nobody

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cachedoctor.plans.changes import Change
    from cachedoctor.plans.holdings import Holdings

NEWER = "d" * 40
OTHER = "someone/else"


# An engine that has mapped its weights and closed the file.
_MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print(flush=True)
input()
"""


def look(host: Host) -> Holdings:
    """Look at everything."""
    return holdings.models(scanning.scan(host))


def removing(host: Host, *names: str, **more: Any) -> Change:
    """Return the change that removes what is named."""
    found = look(host)
    return removal.remove(found, naming.resolve(names, found.report), **more)


def applied(host: Host, change: Change, *, delete: bool = False) -> None:
    """Carry a change out."""
    carrying.carry_out(change, scanning.scan(host), Network(host, offline=True), delete=delete)


def round_trip(home: Path, host: Host, change: Change) -> dict[str, tuple[object, ...]]:
    """Apply a change, take it back, and return what was left in between."""
    before = fingerprint(home)
    applied(host, change)
    between = fingerprint(home)
    assert between != before
    applying.undo(host)
    assert fingerprint(home) == before
    return between


def two_revisions(home: Path, *, pinned: bool = False) -> Path:
    """Make a repository whose `main` moved on; with `pinned` the other one came later."""
    hub = worlds.hub_of(home)
    old = worlds.whisper_files()
    new = {**old, "model.bin": builders.ctranslate2_model(version=5)}
    repository = worlds.repository(hub, worlds.TINY, old, ref=None)
    worlds.repository(hub, worlds.TINY, new, commit=NEWER)
    first, second = (NEWER, worlds.COMMIT) if pinned else (worlds.COMMIT, NEWER)
    for commit, age in ((first, 200), (second, 100)):
        then = time.time() - age * 86400
        for link in (repository / "snapshots" / commit).iterdir():
            os.utime(link, (then, then), follow_symlinks=False)
    return repository


def shared(home: Path, *names: str, content: bytes | None = None) -> Path:
    """Move the weights of repositories into the shared store of their hub, as since 1.32."""
    hub = worlds.hub_of(home)
    data = content or builders.ctranslate2_model()
    sha, xet = hashlib.sha256(data).hexdigest(), hashlib.sha256(b"xet" + data).hexdigest()
    payload = hub / "blobs" / xet[:2] / xet
    payload.parent.mkdir(parents=True, exist_ok=True)
    payload.write_bytes(data)
    (hub / "blobs" / ".huggingface-shared-blobs").write_text("1\n")
    rows = []
    for name in names:
        repository = worlds.repository(hub, name, {**worlds.whisper_files(), "model.bin": data})
        blob = repository / "blobs" / sha
        blob.unlink()
        blob.symlink_to(os.path.relpath(payload, blob.parent))
        rows.append(f"{repository.name}/blobs/{sha}\n")
    payload.with_name(xet + ".refs").write_text("".join(rows))
    payload.with_name(xet + ".lock").touch()
    return payload


def test_the_last_revision_goes_with_its_repository_and_locks(home: Path, host: Host) -> None:
    """Nothing of it is left, and other repositories are as they were."""
    hub = worlds.hub_of(home)
    worlds.repository(hub, OTHER, {"weights.bin": builders.pattern(5000)})
    repository = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    locks = hub / ".locks" / repository.name
    locks.mkdir(parents=True)
    (locks / "x.lock").touch()
    change = removing(host, "faster-whisper:tiny.en")
    (choice,) = change.choices
    sizes = sum(path.stat().st_size for path in repository.rglob("*") if not path.is_symlink())
    sizes -= sum(path.stat().st_size for path in repository.rglob("*") if path.is_dir())
    links = sum(p.lstat().st_size for p in repository.rglob("*") if p.is_symlink())
    assert choice.bytes == sizes + links
    assert choice.refetch_bytes is not None
    between = round_trip(home, host, change)
    assert not [name for name in between if repository.name in name]
    assert [name for name in between if "someone--else" in name]


def test_what_breaks_is_said_as_it_will_be(home: Path, host: Host) -> None:
    """Without the revision that a name means, nothing answers the size."""
    hub, name = worlds.hub_of(home), "Systran/faster-whisper-base"
    worlds.repository(hub, name, worlds.whisper_files())
    newer = {**worlds.whisper_files(), "model.bin": builders.ctranslate2_model(version=5)}
    worlds.repository(hub, name, newer, commit=NEWER, ref="next")
    lost = ("faster-whisper has no model for size base",)
    for commit, then in ((worlds.COMMIT, lost), (NEWER, ())):
        mine = next(one.id for one in look(host).models if one.entry.revision == commit)
        (choice,) = removing(host, mine).choices
        assert choice.then == then


def test_a_revision_takes_only_its_own_blobs_with_it(home: Path, host: Host) -> None:
    """The branch, manifest and markers of it go; what the other revision reads stays whole."""
    repository = two_revisions(home)
    old = {
        path.name: worlds.blob_of(path).name
        for path in (repository / "snapshots" / worlds.COMMIT).iterdir()
    }
    change = removing(
        host, f"hub-cache/{look(host).models[0].id.split('/')[1]}/{worlds.TINY}@{NEWER}"
    )
    between = round_trip(home, host, change)
    left = {Path(name).name for name in between if "/blobs/" in name}
    assert left == set(old.values())
    assert not [name for name in between if NEWER in name or name.endswith("refs/main")]
    applied(host, change)
    assert {finding.code for finding in scanning.scan(host).findings} == {"CD403"}


@pytest.mark.parametrize("both", [False, True])
def test_a_payload_goes_when_no_repository_leads_to_it(home: Path, host: Host, both: bool) -> None:
    """`.refs` of a shared store are hints: the links decide."""
    payload = shared(home, worlds.TINY, OTHER)
    names = ("faster-whisper:tiny.en", OTHER) if both else ("faster-whisper:tiny.en",)
    change = removing(host, *names)
    between = round_trip(home, host, change)
    assert any(name.endswith(payload.name) for name in between) is not both
    assert any(name.endswith(".refs") for name in between) is not both
    applied(host, change)
    assert not scanning.scan(host).findings


def test_files_and_folders_go_with_what_their_client_wrote(home: Path, mac: Host) -> None:
    """A GGML file leaves the encoder to its sister; a variant takes its notes and empty folders."""
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    for name in ("ggml-base.bin", "ggml-base-q5_1.bin"):
        (folder / name).write_bytes(b"lmgg" + bytes(100))
    builders.mlmodelc(folder / "ggml-base-encoder.mlmodelc")
    change = removing(mac, str(folder / "ggml-base.bin"))
    between = round_trip(home, mac, change)
    left = {Path(name).name for name in between if name.startswith("whisper.cpp/models/ggml")}
    assert {"ggml-base-q5_1.bin", "ggml-base-encoder.mlmodelc"} <= left
    assert "ggml-base.bin" not in left
    both = removing(mac, str(folder / "ggml-base.bin"), str(folder / "ggml-base-q5_1.bin"))
    assert both.choices
    base = home / "Documents" / "huggingface" / "models" / "argmaxinc" / "whisperkit-coreml"
    builders.mlmodelc(base / "openai_whisper-small" / "AudioEncoder.mlmodelc")
    note = (
        base
        / ".cache"
        / "huggingface"
        / "download"
        / "openai_whisper-small"
        / "config.json.metadata"
    )
    note.parent.mkdir(parents=True)
    note.write_text(f"{'a' * 40}\n{'b' * 40}\n1.0\n")
    change = removing(mac, str(base / "openai_whisper-small"))
    between = round_trip(home, mac, change)
    assert "Documents/huggingface/models" in between
    assert not [name for name in between if "argmaxinc" in name]


def test_a_link_goes_and_its_target_stays(home: Path, host: Host) -> None:
    """Nothing behind a link is touched; what is linked from elsewhere stays, with the reason."""
    repository = worlds.repository(
        worlds.hub_of(home), "ggerganov/whisper.cpp", {"ggml-tiny.bin": b"lmgg" + bytes(100)}
    )
    blob = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "ggml-tiny.bin")
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-base.bin").write_bytes(b"lmgg" + bytes(100))
    (folder / "ggml-tiny.bin").symlink_to("ggml-base.bin")
    change = removing(host, str(folder / "ggml-base.bin"))
    assert not change.choices
    assert "links to it" in change.spared[0].why
    between = round_trip(home, host, removing(host, str(folder / "ggml-tiny.bin")))
    assert "whisper.cpp/models/ggml-base.bin" in between
    assert "whisper.cpp/models/ggml-tiny.bin" not in between
    assert blob.exists()


def test_what_is_in_use_kept_or_closed_stays(home: Path, host: Host, tmp_path: Path) -> None:
    """Each with its reason; `--kept` takes what is only kept, and says who needs it."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    blob = worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin")
    with subprocess.Popen([sys.executable, "-c", _MAPPING, str(blob)], stdin=-1, stdout=-1) as user:
        assert user.stdout is not None
        user.stdout.readline()
        change = removing(host, worlds.TINY)
        seen = look(host).models[0]
        user.kill()
    assert not change.choices
    assert f"({user.pid})" in change.spared[0].why
    assert (seen.used.how, bool(seen.programs)) == (usage.OPEN, True)
    lock = tmp_path / "models.lock"
    assert cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(lock)).code == 0
    kept.register(host, str(lock))
    lock.unlink()
    change = removing(host, worlds.TINY)
    assert not change.choices
    assert "lock file" in change.spared[0].why
    assert "lock file" in removing(host, worlds.TINY, even_kept=True).choices[0].needed_by[0]
    kept.unregister(host, str(lock))
    assert removing(host, worlds.TINY).choices


def test_names_mean_one_thing_or_are_refused(home: Path, host: Host, tmp_path: Path) -> None:
    """Several: all of them by id. None: the nearest. A size is no model."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    second = tmp_path / "second"
    worlds.repository(second, worlds.TINY, worlds.whisper_files())
    (tmp_path / "config" / "cachedoctor").mkdir(parents=True)
    config = tmp_path / "config" / "cachedoctor" / "cachedoctor.toml"
    config.write_text(f'[[locator]]\nkind = "hub-cache"\npath = "{second}"\n')
    ended = cachedoctor("remove", "faster-whisper:tiny.en", "--yes")
    assert ended.code == 2
    assert ended.errors.count("hub-cache/") == 2
    ended = cachedoctor("remove", "faster-whisper:tini.en", "--yes")
    assert ended.code == 2
    assert "`faster-whisper:tiny.en`" in ended.errors
    ended = cachedoctor("remove", "faster-whisper:tiny", "--yes")
    assert ended.code == 2
    assert "is a size" in ended.errors


@pytest.mark.parametrize("text", ['keep = "x"', 'keep = ["faster-wisper:tiny"]', "keep = [", None])
def test_a_configuration_that_says_nothing_sure_stops_every_change(
    home: Path, tmp_path: Path, text: str | None
) -> None:
    """A `keep` that is passed over would be a loss: exit code 2, and nothing is done."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    folder = tmp_path / "config" / "cachedoctor"
    folder.mkdir(parents=True)
    if text is None:
        (folder / "cachedoctor.toml").symlink_to("cachedoctor.toml")  # a loop: it cannot be read
    else:
        (folder / "cachedoctor.toml").write_text(text)
    before = fingerprint(home)
    for words in (("remove", worlds.TINY), ("prune",), ("free", "1G")):
        ended = cachedoctor(*words, "--yes")
        assert ended.code == 2, words
        assert "cachedoctor.toml" in ended.errors
    assert fingerprint(home) == before


def test_pruning_takes_waste_and_only_what_was_superseded(home: Path, host: Host) -> None:
    """A revision that came after its branch moved on is pinned and stays."""
    repository = two_revisions(home)
    (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    plain = pruning.prune(look(host))
    assert [choice.reason for choice in plain.choices] == ["partial download"]
    change = pruning.prune(look(host), keep_revisions=1)
    assert [choice.reason for choice in change.choices] == [
        "partial download",
        f"superseded by {NEWER[:12]}",
    ]
    assert pruning.prune(look(host), keep_revisions=2).choices == plain.choices
    assert len(pruning.prune(look(host), older_than_s=300 * 86400).choices) == 1
    between = round_trip(home, host, change)
    assert not [name for name in between if worlds.COMMIT in name]
    assert [name for name in between if NEWER in name]


def test_a_pinned_revision_is_never_chosen(home: Path, host: Host) -> None:
    """Neither pruned nor freed, however old."""
    two_revisions(home, pinned=True)
    assert not pruning.prune(look(host), keep_revisions=1).choices
    change = budget.free(look(host), 1 << 40, time.time())
    assert not any(worlds.COMMIT[:12] in choice.title for choice in change.choices)


def test_freeing_takes_the_least_loss_first_and_stops(home: Path, host: Host) -> None:
    """Waste, superseded, then by days unused; what is not ours or kept is not chosen at all."""
    hub = worlds.hub_of(home)
    repository = two_revisions(home)
    (repository / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    small = worlds.repository(hub, "Systran/faster-whisper-small.en", worlds.whisper_files())
    worlds.repository(hub, OTHER, {"weights.bin": builders.pattern(5000)})
    then = time.time() - 400 * 86400
    usage.remember(host.state, usage.ENSURE, [f"{small}/snapshots/{worlds.COMMIT}"], then)
    reasons = ["partial download", f"superseded by {NEWER[:12]}", "not used for 400 days"]
    target = 1
    for count in (1, 2, 3):
        some = budget.free(look(host), target, time.time())
        assert [choice.reason for choice in some.choices] == reasons[:count]
        assert some.reached
        target = some.bytes + 1
    whole = budget.free(look(host), 1 << 40, time.time())
    assert (
        [choice.reason for choice in whole.choices]
        == [  # what goes as a whole is one thing
            "not used for 400 days",
            f"superseded by {NEWER[:12]}; last use not known",
        ]
    )
    assert not whole.reached
    assert OTHER in {one.title for one in whole.spared}
    round_trip(home, host, whole)


def test_what_was_changed_cannot_be_had_again(home: Path, host: Host) -> None:
    """Somebody's own weights under a published name are read, and stay."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.flip(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin"), 200)
    change = budget.free(look(host), 1 << 40, time.time())
    assert not change.choices
    assert "differs from its source" in change.spared[0].why


def test_what_is_lost_for_good_is_asked_for_twice(home: Path) -> None:
    """`--delete --yes` of what has no source needs somebody who says so."""
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-mine.bin").write_bytes(b"lmgg" + bytes(100))
    ended = cachedoctor("remove", str(folder / "ggml-mine.bin"), "--yes", "--delete")
    assert ended.code == 1
    assert (folder / "ggml-mine.bin").exists()
    ended = cachedoctor("remove", str(folder / "ggml-mine.bin"), "--yes")
    assert ended.code == 0
    assert not (folder / "ggml-mine.bin").exists()


def test_deleting_frees_and_cannot_be_taken_back(home: Path, host: Host) -> None:
    """Both what should be free and what is measured are said."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ended = cachedoctor("remove", worlds.TINY, "--yes", "--delete", "--json")
    assert ended.code == 0
    run_ = ended.data["run"]
    assert run_["deleted"]
    assert run_["freed_bytes"] >= 0
    assert not applying.kept(host)
    assert not applying.undoable(host)


def test_the_list_counts_each_file_once(home: Path, host: Host) -> None:
    """Links, hard links and a shared store; the total is what the disk holds of models."""
    hub = worlds.hub_of(home)
    payload = shared(
        home, worlds.TINY, OTHER, content=builders.ctranslate2_model() + bytes(2 << 20)
    )
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-tiny.bin").write_bytes(b"lmgg" + bytes(2 << 20))
    os.link(folder / "ggml-tiny.bin", folder / "ggml-base.bin")
    os.link(folder / "ggml-tiny.bin", home / "mine.bin")
    found = look(host)
    files = {
        path.stat().st_ino: path.stat().st_size
        for place in (hub, folder)
        for path in place.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and path.suffix not in (".refs", ".lock", ".json")
        and path.parent.name != "refs"
        and not path.name.startswith(".")
    }
    assert found.total_bytes == sum(files.values())
    by_name = {one.entry.name: one for one in found.models}
    assert by_name[worlds.TINY].own_bytes < payload.stat().st_size < by_name[worlds.TINY].size_bytes
    assert by_name["ggml-tiny.bin"].own_bytes == 0
    assert by_name["ggml-tiny.bin"].names == 3


def test_filters_orders_and_ids(home: Path, host: Host) -> None:
    """Ours and the hub's words; what is not known is never long unused."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.repository(worlds.hub_of(home), OTHER, {"weights.bin": builders.pattern(5000)})
    place = str(
        worlds.hub_of(home)
        / f"models--{worlds.TINY.replace('/', '--')}"
        / "snapshots"
        / worlds.COMMIT
    )
    usage.remember(host.state, usage.BENCH, [place], time.time() - 100 * 86400)
    (home / "x").touch()

    def ids(*words: str) -> Sequence[str]:
        return cachedoctor("list", "-q", *words).output.split()

    assert len(ids()) == 2
    assert list(ids("--filter", "refs=main")) == list(ids())
    assert len(ids("--filter", "engine=faster-whisper")) == 1
    assert len(ids("--filter", "engine!=faster-whisper", "--filter", "size<1MB")) == 1
    assert not ids("--filter", "used>3650d")
    assert len(ids("faster-whisper")) == 1
    assert cachedoctor("list", "--filter", "sise>1G").code == 2
    assert cachedoctor("ls", "--sort", "name:desc", "--by", "engine").code == 0
    listed = json.loads(cachedoctor("list", "--json").output)
    rows = {row["path"]: row for row in listed["entries"]}
    assert rows[place]["known_by"] == "name"
    assert rows[place]["refetch_bytes"] == rows[place]["size_bytes"]


def test_times_count_only_where_the_mount_keeps_them(tmp_path: Path) -> None:
    """And only of what was read after it was written."""
    file = tmp_path / "x"
    file.touch()
    now = time.time()
    row = "36 35 98:0 / {place} {options} - {kind} /dev/x rw\n"
    for kind, options, kept_ in (
        ("ext4", "rw,relatime", True),
        ("ext4", "rw,noatime", False),
        ("nfs4", "rw,relatime", False),
        ("overlay", "rw,relatime", False),
    ):
        mounts = usage.Mounts(row.format(place="/", kind=kind, options=options))
        os.utime(file, (now + 50, now - 50))
        assert (mounts.read_at(str(file)).when_s is not None) is kept_, (kind, options)
        os.utime(file, (now - 60, now - 50))
        assert mounts.read_at(str(file)) == usage.UNKNOWN


def test_each_file_is_on_the_mount_that_is_nearest() -> None:
    """A file can be a mount itself; where nothing is known, blocks may be shared."""
    row = "36 35 98:0 / {place} rw,relatime - {kind} /dev/x rw\n"
    kinds = {"/": "ext4", "/home": "btrfs", "/home/a/disk": "ext4", "/home/a/one.bin": "tmpfs"}
    mounts = usage.Mounts("".join(row.format(place=p, kind=k) for p, k in kinds.items()))
    for path, may in (
        ("/x/blobs/1", False),
        ("/home/a/blobs/1", True),
        ("/home/a/two.bin", True),
        ("/home/a/one.bin", False),
        ("/home/a/disk/blobs/1", False),
        ("/home/a/diskette/1", True),
    ):
        assert mounts.may_share(path) is may, path
        assert mounts.keep_times(path), path
    assert usage.Mounts("").may_share("/home/a/two.bin")
    assert not usage.Mounts("").keep_times("/home/a/two.bin")


def test_a_scan_and_the_list_count_alike(tmp_path: Path) -> None:
    """Sizes, own bytes and the sum are the same, with hard links inside and out of the cache."""
    home = tmp_path / "models"
    home.mkdir()
    hub = worlds.hub_of(home)
    blobs = []
    for name in ("some/one", "other/two", "third/three"):
        repository = worlds.repository(hub, name, {"model.bin": os.urandom(2 << 20)})
        blobs.append(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin"))
    os.link(blobs[0], tmp_path / "elsewhere.bin")
    blobs[2].unlink()
    os.link(blobs[1], blobs[2])
    report = scanning.scan(Host.look(home=str(home), platform="linux"))
    bearings, listed = holdings.bearings(report), holdings.models(report)
    for one in listed.models:
        said = bearings.of[one.id]
        assert (said.size_bytes, said.own_bytes) == (one.size_bytes, one.own_bytes)
        assert said.own_bytes < 2 << 20 <= said.size_bytes
    assert bearings.total_bytes == listed.total_bytes == footprint.held(report.entries).bytes
    assert 4 << 20 <= listed.total_bytes < 6 << 20


_CLIENT = """
import os
from huggingface_hub import scan_cache_dir, snapshot_download
found = scan_cache_dir()
assert not found.warnings, found.warnings
assert sorted(r.repo_id for r in found.repos) == asked["there"], found
for name in asked["there"]:
    snapshot_download(name, local_files_only=True)
snapshot_download(asked["again"])
"""


@pytest.mark.real
@pytest.mark.parametrize("version", VERSIONS)
def test_the_client_finds_a_clean_absence_afterwards(home: Path, host: Host, version: str) -> None:
    """It lists without a complaint, loads what is left offline, and downloads again."""
    with Hub() as served:
        for name in (worlds.TINY, OTHER):
            served.add(name, dict(worlds.whisper_files()), commit=worlds.COMMIT)
        code = "from huggingface_hub import snapshot_download as d\nfor n in asked['names']: d(n)"
        run(version, served.url, home, code, names=[worlds.TINY, OTHER])
        applied(host, removing(host, worlds.TINY))
        run(version, served.url, home, _CLIENT, there=[OTHER], again=worlds.TINY)


def test_a_folder_of_configuration_that_is_closed_stops_every_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What `keep` names there cannot be seen: exit code 2, and nothing is done."""
    if os.geteuid():
        pytest.skip("only root may become somebody else")
    place = Path(tempfile.mkdtemp())  # pytest's own folder is closed to others
    home = place / "theirs"
    config = home / "xdg_config_home"
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    (config / "cachedoctor").mkdir(parents=True)
    for path in (place, *place.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    (config / "cachedoctor").chmod(0)
    before = fingerprint(home)
    ended = as_nobody(home, "remove", worlds.TINY, "--yes", "--json")
    assert (ended.code, "cannot be read" in ended.output) == (2, True)
    assert fingerprint(home) == before
    shutil.rmtree(place)
