"""What cannot be seen, written or spelled: each command says so, and sends nobody the wrong way."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.plans import holdings, removal
from cachedoctor.report import holdings_text, verdict_text
from cachedoctor.system import disk
from cachedoctor.verdict import preflight
from tests.places import LAYOUTS
from tests.support import builders_models, worlds
from tests.support.command import cachedoctor
from tests.test_command_line import NOBODY, as_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

TINY = "faster-whisper:tiny.en"


@pytest.fixture
def open_home() -> Iterator[Path]:
    """Return a home that others may enter: pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        home = Path(place) / "home"
        home.mkdir()
        os.chmod(home, 0o755)
        yield home


def test_a_place_that_is_gone_is_not_passed_over_in_silence(home: Path) -> None:
    """By the list, by what frees room, by a name that is not found; what is there needs no word."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    for words in (("list",), ("prune", "--dry-run"), ("remove", TINY, "--dry-run")):
        assert cachedoctor(*words).errors == ""
    (home / ".cache" / "huggingface").rename(home / "away")
    (home / ".cache" / "huggingface").symlink_to("/Volumes/Gone/huggingface")
    for words in (("list",), ("prune", "--dry-run"), ("free", "1G", "--dry-run")):
        said = cachedoctor(*words).errors
        assert "CD110" in said
        assert "`; what is in it does not count" in said
    refused = cachedoctor("remove", TINY, "--dry-run")
    assert refused.code == 2
    assert f"it may be in a place that could not be read: `{home}/.cache/hugg" in refused.errors


def test_an_evicted_model_is_called_so_and_its_cure_is_the_right_one(home: Path) -> None:
    """`fix` can do nothing for it, so nothing sends anybody there."""
    laid = LAYOUTS["documents"](home)
    asked = (f"{laid.engine}:{laid.model}", "--home", str(home), "--platform", laid.platform)
    assert "(" not in cachedoctor("list", *asked).output
    path = Path(os.path.realpath(laid.file))
    path.rename(home / "away")
    (path.parent / f".{path.name}.icloud").write_bytes(b"bplist00")
    assert f"{laid.model} (evicted)" in cachedoctor("list", *asked).output
    line = verdict_text.verdict_line(laid.verdict(), laid.host)
    assert line.startswith(f"evicted {laid.engine} ")
    for words, online in ((("pack", "-o", str(home / "pack")), False), (("lock",), True)):
        refused = cachedoctor(*words, *asked)
        assert refused.code == 1
        assert f"hint: `brctl download {path}`" in refused.errors
        assert "cachedoctor fix" not in refused.errors
        assert ("--online" in refused.errors) is online


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_what_this_user_may_not_move_stays_and_says_where(open_home: Path) -> None:
    """Before anything is planned; and a step that is refused names the folder, not its own."""
    (open_home / ".cache" / "whisper").mkdir(parents=True)
    for folder in (open_home / ".cache", open_home / ".cache" / "whisper"):
        folder.chmod(0o755)
    model = open_home / ".cache" / "whisper" / "tiny.en.pt"
    model.write_bytes(b"\0" * 100)
    asked = ("openai-whisper:tiny.en", "--home", str(open_home))
    ended = as_nobody(open_home, "remove", *asked, "--yes")
    assert ended.code == 1
    assert f"you may not write in `{model.parent}`" in ended.output
    model.parent.chmod(0o777)
    ended = as_nobody(open_home, "remove", *asked, "--dry-run")
    assert (ended.code, "you may not write" in ended.output) == (0, False)


def test_an_id_is_one_line_that_a_terminal_may_show_and_a_command_takes(home: Path) -> None:
    """A control character is spelled out: in a pipe it would vanish, at a terminal act."""
    (home / ".cache" / "whisper").mkdir(parents=True)
    strange = home / ".cache" / "whisper" / "ti\x1b[31mny\n.pt"
    strange.write_bytes(b"\0" * 100)
    (name,) = cachedoctor("list", "-q").output.splitlines()
    assert name.endswith("/ti\\x1b[31mny\\x0a.pt")
    found = cachedoctor("remove", name, "--dry-run")
    assert found.code == 0, found.errors
    assert "1 thing" in found.output


def test_a_copy_does_not_stand_in_its_own_way(home: Path, tmp_path: Path) -> None:
    """The Finder's `… copy` in pywhispercpp's folder; one of that name in the project does."""
    folder = home / ".local" / "share" / "pywhispercpp" / "models"
    folder.mkdir(parents=True)
    name = "ggml-tiny.en copy.bin"
    (folder / name).write_bytes(builders_models.ggml_whisper())
    project = tmp_path / "project"
    project.mkdir()
    host = Host.look(home=str(home), project=str(project))
    assert "CD420" not in {finding.code for finding in scanning.scan(host).findings}
    (project / name).write_bytes(b"another")
    assert "CD420" in {finding.code for finding in scanning.scan(host).findings}


def test_a_broken_path_is_not_cured_by_fetching_to_another_place(home: Path) -> None:
    """Nothing that is fetched for the name helps who gives the path."""
    folder = home / "models" / "faster-whisper-tiny.en"
    folder.mkdir(parents=True)
    for name, content in worlds.whisper_files().items():
        (folder / name).write_bytes(content)
    assert preflight("faster-whisper", model=str(folder)).ready
    worlds.cut(folder / "model.bin", 60)
    verdict = preflight("faster-whisper", model=str(folder))
    assert (verdict.ready, verdict.cure) == (False, "")


def test_making_room_is_not_said_to_fetch(
    home: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the way comes first; how much is free is the one thing made up here."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    worlds.cut(worlds.blob_of(repository / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    line = verdict_text.verdict_line(preflight("faster-whisper", model="tiny.en"), host)
    assert line.endswith("`cachedoctor fix faster-whisper --model tiny.en` fetches 406 B")
    monkeypatch.setattr(disk, "free_bytes", lambda _: 10)
    line = verdict_text.verdict_line(preflight("faster-whisper", model="tiny.en"), host)
    assert line.startswith("blocked")
    assert line.endswith("`cachedoctor quarantine empty`")


def test_a_tokenizer_is_known_by_the_model_that_reads_it(home: Path) -> None:
    """It has no engine of its own, but is not nobody's: the list and a removal say whose it is."""
    laid = LAYOUTS["documents"](home)
    host = laid.host
    look = holdings.models(scanning.scan(host))
    (tokenizer,) = [one for one in look.models if not one.entry.claims]
    assert tokenizer.part_of == ("whisperkit",)
    assert holdings_text.needed(tokenizer) == "whisperkit"
    (model,) = [one for one in look.models if one.entry.claims]
    (choice,) = removal.remove(look, (tokenizer.entry,)).choices
    assert choice.then == (f"{model.entry.title} has no `tokenizer.json`",)
    both = removal.remove(look, (tokenizer.entry, model.entry)).choices
    assert not [words for choice in both for words in choice.then if "tokenizer" in words]


def test_what_is_missing_costs_a_download_too(home: Path, host: Host) -> None:
    """To have it again; a name that no hub can have costs what cannot be had."""
    files = worlds.whisper_files()
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, files)
    shutil.copytree(repository, f"{repository} copy", symlinks=True)
    shutil.rmtree(repository / "blobs")
    costs = {one.entry.name: one for one in holdings.models(scanning.scan(host)).models}
    assert costs[worlds.TINY].size_bytes == 0
    assert costs[worlds.TINY].refetch_bytes == sum(map(len, files.values()))
    assert costs[f"{worlds.TINY} copy"].refetch_bytes is None


def test_a_scan_of_one_folder_counts_that_folder(home: Path) -> None:
    """And not everything that was looked at to compare it with."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    folder = home / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(worlds.whisper_files()["model.bin"])
    assert "· 1 place, 1 file, 406 B," in cachedoctor("scan", str(folder)).output
    assert "· 1 place, 4 files, 519 B," in cachedoctor("scan").output


def test_an_undo_says_what_is_gone_and_what_is_in_its_way(home: Path) -> None:
    """What was deleted since was not changed, and nothing can be moved out of the way."""
    repository = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ref = repository / "refs" / "main"
    ref.write_text("")
    assert cachedoctor("fix", "--yes").code == 0
    ref.rename(home / "away")
    refused = cachedoctor("undo")
    assert refused.code == 4
    assert f"Error: `{ref}` is gone since the fix " in refused.errors
    assert "hint: put it back and try again, or leave the fix as it is" in refused.errors
    (home / "away").rename(ref)
    assert cachedoctor("undo").code == 0


@pytest.mark.parametrize("name", ["HF_HOME", "HF_HUB_CACHE"])
def test_models_that_a_variable_left_behind_are_a_note(name: str, home: Path) -> None:
    """Only while there are none where it leads, and some where the client looks without it."""
    away = home / "away"
    host = Host.look(home=str(home), environment={name: str(away)})

    def notes() -> list[str]:
        return [f"{f.code} {f.severity.value}" for f in scanning.scan(host).findings]

    assert notes() == []
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    assert notes() == ["CD411 note"]
    said = cachedoctor("preflight", "faster-whisper", "--model", "tiny.en", env={name: str(away)})
    assert said.output.startswith("absent")
    where = worlds.hub_of(home)
    words = f"`{name}` points to a cache without models; there are some in `{where}`"
    assert said.errors == f"warning CD411 {words}\n"
    hub = away / "hub" if name == "HF_HOME" else away
    worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    assert notes() == []


@pytest.mark.parametrize(("above", "codes"), [("models", []), ("mlx_models", ["CD203", "CD421"])])
def test_a_folder_called_tiny_is_not_mlx_for_that(above: str, codes: list[str], home: Path) -> None:
    """Nothing is wrong with CTranslate2's files in `models/tiny`, but in `mlx_models/tiny`."""
    folder = home / above / "tiny"
    folder.mkdir(parents=True)
    for name, content in worlds.whisper_files().items():
        (folder / name).write_bytes(content)
    report = scanning.scan(Host.look(home=str(home)), paths=[str(folder)])
    assert sorted(f.code for f in report.findings if f.severity.value == "error") == codes
    (entry,) = report.entries
    assert entry.engines == (("lightning-whisper-mlx",) if codes else ())
    assert preflight("faster-whisper", model=str(folder)).ready


def test_what_a_fix_may_not_write_is_hinted_at_by_the_scan(home: Path, tmp_path: Path) -> None:
    """Behind a link that leads outside, a look at what it points to is named; it can be pasted."""
    folder = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ref = folder / "refs" / "main"
    ref.write_text(f"{worlds.COMMIT}\n")
    assert "hint: `cachedoctor fix faster-whisper`" in cachedoctor("scan").output
    moved = tmp_path / "big disk" / folder.name
    moved.parent.mkdir()
    folder.rename(moved)
    folder.symlink_to(moved)
    look = f"`cachedoctor scan '{moved}'`"
    assert f"hint: first {look}; `fix` cannot write there yet" in cachedoctor("scan").output
    ended = cachedoctor("fix", "--yes")
    assert (ended.code, look in ended.output) == (1, True)
    assert "name its place in `cachedoctor.toml`" in cachedoctor("scan", str(moved)).output
    assert ref.read_text() == f"{worlds.COMMIT}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_cache_of_another_user_is_given_to_the_one_who_asks(open_home: Path) -> None:
    """As a container run by root leaves it; a folder of one's own needs `chmod` alone."""
    folder = worlds.repository(worlds.hub_of(open_home), worlds.TINY, worlds.whisper_files())
    (folder / "refs" / "main").write_text(f"{worlds.COMMIT}\n")
    said = as_nobody(open_home, "scan").output
    assert f"first `sudo chown -R {NOBODY} {folder.parent}`" in said
    for path in (open_home, *open_home.rglob("*")):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    (folder / "refs").chmod(0o555)
    assert f"first `chmod u+w {folder / 'refs'}`" in as_nobody(open_home, "scan").output
