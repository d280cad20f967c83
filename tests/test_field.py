"""What lies on people's disks: litter, closed folders, links of every kind, copies, deletions.

Each state is rebuilt from a public report or stands for its family; the model itself is whole in
every one, so whatever is said is said of what surrounds it. The healthy twin says nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor import engines
from cachedoctor.doctor import scanning
from cachedoctor.errors import CacheDoctorError, CannotLookError
from cachedoctor.host import Host
from cachedoctor.looking import quietly
from cachedoctor.plans import cures
from cachedoctor.report import scan_text, verdict_text
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from cachedoctor.verdict import ensure, preflight
from tests import places
from tests.conftest import fingerprint
from tests.places import LAYOUTS, Laid
from tests.support import builders, builders_models, clients, worlds
from tests.support.loopback import Hub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.plans.cures import Plan

LITTER_FILES = (
    ".DS_Store", "._main", "._model.bin", "._tiny.pt", "._" + "a" * 40, "Icon\r", ".localized",
    "Thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", ".nfs000000000123", "main~",
    ".main.swp", "main.swp", "#main#", ".#main", ".fuse_hidden00000001", ".syncthing.main.tmp",
)  # fmt: skip
LITTER_FOLDERS = (
    "@eaDir", "__MACOSX", "#recycle", "lost+found", ".Spotlight-V100", "$RECYCLE.BIN",
    ".TemporaryItems", ".AppleDouble",
)  # fmt: skip


@pytest.fixture(params=LAYOUTS)
def laid(request: pytest.FixtureRequest, home: Path) -> Laid:
    """Lay a whole model in each layout."""
    found: Laid = LAYOUTS[request.param](home)
    assert found.codes() == sorted(found.usual)
    return found


@pytest.fixture
def hub(home: Path) -> Laid:
    """Lay a whole model in the hub cache."""
    return places.hub_cache(home)


@pytest.fixture
def fluid(home: Path) -> Laid:
    """Lay a whole model of FluidAudio's."""
    return places.application_support(home)


@pytest.fixture
def kit(home: Path) -> Laid:
    """Lay a whole model of WhisperKit's."""
    return places.documents(home)


def plan(found: Report, *codes: str, waste: bool = False) -> Plan:
    """Plan as `fix --offline` does."""
    network = Network(found.host, offline=True)
    return cures.plan(found, codes=codes, waste=waste, faults=not waste, network=network)


def fix(host: Host, *names: str) -> Report:
    """Repair from local bytes, and look again."""
    found = scanning.scan(host, names)
    network = Network(host, offline=True)
    return applying.apply(cures.plan(found, network=network), found, network).report


# --- litter


def litter(folder: Path) -> None:
    """Leave what systems, servers and editors leave."""
    for name in LITTER_FILES:
        (folder / name).write_bytes(b"\0\0\0\1Bud1" + bytes(90))
    for name in LITTER_FOLDERS:
        (folder / name).mkdir()
        (folder / name / "model.bin").write_bytes(b"junk")
        (folder / name / "SYNO@.fileindexdb").mkdir()


def clear(folder: Path) -> None:
    """Take it away again."""
    for name in LITTER_FILES:
        (folder / name).unlink()
    for name in LITTER_FOLDERS:
        shutil.rmtree(folder / name)


def test_litter_is_nobodys_in_any_folder_of_any_layout(laid: Laid) -> None:
    """All of it at once, in one folder after the other: nothing more is said, nothing planned."""
    before = laid.verdict()
    for folder in (laid.home, *sorted(set(laid.folders()))):
        litter(folder)
        assert laid.codes() == sorted(laid.usual), folder
        assert laid.verdict() == before, folder
        assert len(scanning.scan(laid.host).entries) <= 2, folder
        assert not plan(scanning.scan(laid.host)).cures
        clear(folder)


@pytest.mark.parametrize("name", [*LITTER_FILES, *LITTER_FOLDERS])
def test_no_name_of_litter_is_a_branch_blob_manifest_or_commit(name: str, hub: Laid) -> None:
    """One name in every folder of a hub cache; `fix` writes into none of them."""
    for folder in [*hub.folders()]:
        if name in LITTER_FOLDERS:
            (folder / name).mkdir()
            (folder / name / ("b" * 40)).write_bytes(b"x")
        else:
            (folder / name).write_bytes(b"\0\0\0\1Bud1")
    before = fingerprint(hub.home)
    found = scanning.scan(hub.host)
    assert (found.findings, [e.refs for e in found.entries]) == ((), [("main",)])
    assert hub.verdict().ready
    fix(hub.host)
    assert fingerprint(hub.home) == before


@pytest.mark.parametrize(
    "name",
    ["main.lock", ".hidden", "a b", "a..b", "x~1", "a^b", "a:b", "a?", "a*", "a[b", "x.", "@"],
)
def test_names_that_git_refuses_are_no_branches(name: str, hub: Laid) -> None:
    """`git check-ref-format` says which; what such files hold is nobody's business."""
    (hub.folder / "refs" / name).write_bytes(b"\0junk")
    assert hub.codes() == []


@pytest.mark.parametrize("text", [b"", b"junk", b"f" * 40, worlds.COMMIT.encode() + b"\n"])
def test_another_branch_that_is_broken_is_a_warning_of_its_repository(
    text: bytes, hub: Laid
) -> None:
    """Engines ask for `main`: that alone can break a model."""
    (hub.folder / "refs" / "pr").mkdir()
    (hub.folder / "refs" / "pr" / "1").write_bytes(text)
    (finding,) = scanning.scan(hub.host).findings
    assert (finding.severity, finding.path.endswith("refs/pr/1")) == ("warning", True)
    assert hub.verdict().ready
    (hub.folder / "refs" / "main").write_bytes(text)
    assert not hub.verdict().ready


# --- closed folders


def closed_answers(laid: Laid, host: Host) -> dict[str, Any]:
    """Ask every question about a model, as whoever runs this."""
    asked: list[Plan] = []

    def refuse(shown: Plan) -> bool:
        asked.append(shown)
        return False

    try:
        found = scanning.scan(host, [laid.engine])
        verdict = preflight(laid.engine, model=laid.model, host=host)
        ensured = ensure(
            laid.engine,
            model=laid.model,
            host=host,
            allow=refuse,
        )
        return {
            "scan": sorted({finding.code for finding in found.findings}),
            "everything": sorted({finding.code for finding in scanning.scan(host).findings}),
            "verify": sorted({f.code for f in scanning.scan(host, deep=True).findings}),
            "severities": {f.severity.value for f in found.findings if f.code == "CD108"},
            "absent": cures.absent_model(found, laid.engine, size=None, model=laid.model),
            "planned": plan(found).cures,
            "preflight": (verdict.ready, verdict.code),
            "line": verdict_text.verdict_line(verdict, host).split()[0],
            "ensure": (ensured.ready, ensured.code),
            "asked": len(asked),
        }
    except CacheDoctorError as error:
        return {"error": type(error).__name__}


UNREADABLE = {
    "absent": (),
    "planned": (),
    "preflight": (False, "CD108"),
    "line": "unreadable",
    "ensure": (False, "CD108"),
    "asked": 0,
    "severities": {"error"},
}


@pytest.fixture
def open_home() -> Iterator[Path]:
    """Return a home that others may enter: pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        (Path(place) / "home").mkdir()
        yield Path(place) / "home"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_closed_folder_on_the_way_is_unreadable_and_never_absent(
    layout: str, open_home: Path
) -> None:
    """Each folder from the home down, for another user: every command says the same."""
    laid = LAYOUTS[layout](open_home)
    if layout == "hub-cache":
        (laid.folder / ".no_exist" / worlds.COMMIT).mkdir(parents=True)
        (laid.root / ".locks" / laid.folder.name).mkdir(parents=True)
    if layout == "documents":
        noted = ".cache/huggingface/download/openai_whisper-tiny"
        (laid.folder.parent / noted).mkdir(parents=True)
    host = laid.host
    closed_answers(laid, host)  # what is imported late cannot be by another user
    for folder in sorted(set(laid.folders())):
        if folder.name == "project":
            continue  # that was named: it cannot be looked at
        below = folder.relative_to(laid.root).parts if folder.is_relative_to(laid.root) else ()
        notes = not {".locks", ".no_exist", "trees", ".cache"}.isdisjoint(below)
        mode = folder.stat().st_mode & 0o7777
        folder.chmod(0o700)
        answers = places.as_nobody(lambda: closed_answers(laid, host))
        folder.chmod(mode)
        assert "CD108" in answers["scan"], folder
        assert "CD108" in answers["everything"], folder
        assert "CD108" in answers["verify"], folder
        if notes:  # the model is whole without what its client wrote down
            assert answers["preflight"] == (True, None), folder
            assert answers["severities"] == {"warning"}, folder
        else:
            assert {key: answers[key] for key in UNREADABLE} == UNREADABLE, folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_that_may_be_entered_and_not_listed_is_unreadable(
    layout: str, open_home: Path
) -> None:
    """As macOS' privacy has it: names can be looked at, and the folder does not say them."""
    laid = LAYOUTS[layout](open_home)
    host = laid.host
    closed_answers(laid, host)
    laid.root.chmod(0o711)
    answers = places.as_nobody(lambda: closed_answers(laid, host))
    assert {key: answers[key] for key in UNREADABLE} == UNREADABLE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_an_apps_closed_container_is_one_note(open_home: Path) -> None:
    """It changes nothing for an engine that is ready elsewhere, and what is not there is absent."""
    laid = places.application_support(open_home)
    for app in ("com.a", "com.b"):
        (open_home / "Library/Containers" / app / "Data/Library").mkdir(parents=True)
        (open_home / "Library/Containers" / app).chmod(0o700)
    (open_home / "Library/Containers/com.empty").mkdir()
    host = laid.host
    closed_answers(laid, host)
    answers = places.as_nobody(lambda: closed_answers(laid, host))
    assert (answers["scan"], answers["preflight"]) == (["CD108"], (True, None))
    assert answers["severities"] == {"note"}
    shutil.rmtree(laid.root)
    answers = places.as_nobody(lambda: closed_answers(laid, host))
    assert answers["line"] == "absent"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_named_place_that_is_closed_ends_with_3(open_home: Path) -> None:
    """A variable, a configuration and a path are named; the usual places are not."""
    from cachedoctor.doctor import survey

    closed = open_home / "closed"
    worlds.repository(closed / "hub", worlds.TINY, worlds.whisper_files())
    usual = Host.look(home=str(open_home))
    named = Host.look(home=str(open_home), environment={"HF_HOME": str(closed)})
    scanning.scan(usual)
    scanning.scan(usual, paths=[str(closed)])
    closed.chmod(0o700)

    def ask() -> tuple[tuple[str, str] | None, tuple[str, str] | None, str]:
        try:
            scanning.scan(usual, paths=[str(closed / "hub")])
        except CannotLookError as error:
            said = error.message
        nothing, found = (survey.closed_named(host, ["hub-cache"]) for host in (usual, named))
        return nothing, found, said

    nothing, said, refused = places.as_nobody(ask)
    assert (nothing, said) == (None, (str(closed), "Permission denied"))
    assert str(closed) in refused


def test_what_a_repair_could_not_write_is_said_in_the_plan(
    hub: Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is accepted; root writes everywhere, so that is asked of nobody's rights."""
    (hub.folder / "refs" / "main").write_text(worlds.COMMIT + "\n")
    found = scanning.scan(hub.host)
    assert [finding.code for finding in plan(found).cures] == ["CD401"]
    from cachedoctor.looking import quietly

    monkeypatch.setattr(quietly, "can_access", lambda _path, what: what == os.R_OK)
    shown = plan(found)
    assert (shown.cures, [finding.code for finding in shown.by_hand]) == ((), ["CD401"])
    assert shown.by_hand[0].repair is not None
    assert shown.by_hand[0].repair.describe == f"chmod u+w {hub.folder}/refs"


# --- links


def moved(laid: Laid, path: Path) -> None:
    """Move a file or folder to another disk and link it; of a hub file its blob."""
    big = laid.home.parent / "big"
    big.mkdir(exist_ok=True)
    source = Path(os.path.realpath(path)) if path.is_symlink() else path
    source.rename(big / source.name)
    source.symlink_to(big / source.name)


def gone(_laid: Laid, path: Path) -> None:
    """Leave a link to a disk that is not connected."""
    if path.is_symlink():
        Path(os.path.realpath(path)).unlink()
    remove(path)
    path.symlink_to(f"/Volumes/Gone/models/{path.name}")


def alias(_laid: Laid, path: Path) -> None:
    """Leave an alias of the Finder's, which is a file."""
    remove(path)
    path.write_bytes(b"book\0\0\0\0mark\0\0\0\0" + bytes(900))


def remove(path: Path) -> None:
    """Remove a file, link or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def plain(target: str) -> bytes:
    """Save a link as zip programs and servers do."""
    return target.encode()


def xsym(target: str) -> bytes:
    """Save a link as Apple's SMB client does."""
    content = target.encode()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return f"XSym\n{len(content):04}\n{digest}\n{target}\n".encode().ljust(1067)


def cygwin(target: str) -> bytes:
    """Save a link as Cygwin does."""
    return b"!<symlink>\xff\xfe" + f"{target}\0".encode("utf-16-le")


TEXTS = {"plain": plain, "XSym": xsym, "Cygwin": cygwin}


def as_text(form: Callable[[str], bytes]) -> Callable[[Laid, Path], None]:
    """Return what saves a link as text; what is no link is moved and one to it saved."""

    def save(laid: Laid, path: Path) -> None:
        if path.is_symlink():
            target = os.readlink(path)
        else:
            away = laid.home / "away" / path.name
            away.parent.mkdir(exist_ok=True)
            path.rename(away)
            target = os.path.relpath(away, path.parent)
        path.unlink(missing_ok=True)
        path.write_bytes(form(target))

    return save


def spots(laid: Laid) -> dict[str, Path]:
    """Return the files and folders of a layout that people link."""
    found = {"root": laid.root, "model": laid.folder, "file": laid.file}
    if laid.layout == "hub-cache":
        found |= {name: laid.folder / name for name in ("blobs", "snapshots")}
    if laid.layout in ("application-support", "documents"):
        found |= {"bundle": laid.file.parent.parent, "weights": laid.file.parent}
    if laid.layout == "documents":
        found |= {"repository": laid.folder.parent, "organisation": laid.folder.parent.parent}
    if laid.layout != "local-dir":
        found["above"] = laid.root.parent
    return found


def names_of_spots() -> list[tuple[str, str]]:
    """Name every spot of every layout."""
    with tempfile.TemporaryDirectory() as place:
        return [
            (layout, spot)
            for layout, lay in LAYOUTS.items()
            for spot in spots(lay(Path(place, layout)))
        ]


@pytest.mark.parametrize(("layout", "spot"), names_of_spots())
def test_a_link_to_another_disk_is_read(layout: str, spot: str, home: Path) -> None:
    """As the engine reads it: ready, with a note where the bytes lie; nothing is written there."""
    laid = LAYOUTS[layout](home)
    moved(laid, spots(laid)[spot])
    found = scanning.scan(laid.host, [laid.engine])
    if spot == "snapshots":  # its own links are relative, and the blobs are not there
        assert (laid.verdict().code, plan(found).cures) == ("CD103", ())
        return
    assert {f.code for f in found.findings} <= {"CD406", *laid.usual}
    assert {f.severity for f in found.findings if f.code == "CD406"} <= {"note"}
    assert laid.verdict().ready is not bool(laid.usual)
    os.truncate(laid.file, 8)  # and judged
    assert not laid.verdict().ready
    outside = fingerprint(laid.home.parent / "big")
    for finding in plan(scanning.scan(laid.host)).cures:
        assert finding.repair is not None
    fix(laid.host)
    assert fingerprint(laid.home.parent / "big") == outside


@pytest.mark.parametrize("kind", [gone, alias], ids=["gone", "alias"])
@pytest.mark.parametrize(("layout", "spot"), names_of_spots())
def test_a_place_that_is_gone_is_not_absent(
    layout: str, spot: str, kind: Callable[[Laid, Path], None], home: Path
) -> None:
    """CD110, a warning, is all that is said; nothing is fetched for what may only be away."""
    laid = LAYOUTS[layout](home)
    kind(laid, spots(laid)[spot])
    found = scanning.scan(laid.host, [laid.engine])
    assert {(f.code, f.severity.value) for f in found.findings} == {("CD110", "warning")}
    verdict = laid.verdict()
    assert (verdict.ready, verdict.code) == (False, "CD110")
    line = verdict_text.verdict_line(verdict, laid.host)
    assert line.startswith("gone")
    assert "fetch" not in line
    assert cures.absent_model(found, laid.engine, size=None, model=laid.model) == ()
    assert plan(found).cures == ()


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize(("layout", "spot"), names_of_spots())
def test_a_link_that_was_saved_as_text_is_told(
    layout: str, spot: str, form: str, home: Path
) -> None:
    """CD422 is all that is said, whatever the form."""
    laid = LAYOUTS[layout](home)
    as_text(TEXTS[form])(laid, spots(laid)[spot])
    assert set(laid.codes()) == {"CD422"}
    assert laid.verdict().code == "CD422"


def relinked(laid: Laid) -> None:
    """Prove that a fix cures the hub's model from what is here, and can be taken back."""
    before = fingerprint(laid.home)
    assert not laid.verdict().ready
    found = scanning.scan(laid.host, [laid.engine])
    assert "CD501" not in {finding.code for finding in found.findings}
    assert plan(found).fetch_bytes == 0
    again = fix(laid.host, laid.engine)
    assert [f.code for f in again.findings if f.severity != "note"] == []
    assert laid.verdict().ready
    assert applying.undo(laid.host)
    assert fingerprint(laid.home) == before


@pytest.mark.parametrize("form", TEXTS)
def test_links_saved_as_text_are_made_again(form: str, hub: Laid) -> None:
    """All of a snapshot's, from the blobs that lie in its repository."""
    for path in sorted(hub.file.parent.iterdir()):
        as_text(TEXTS[form])(hub, path)
    relinked(hub)


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize(
    "target",
    [
        "tmp/hub/models--x/blobs/{}",  # huggingface_hub 0.13.1: from the folder it was run in
        "/Users/ada/.cache/huggingface/hub/models--x/blobs/{}",  # before the home was renamed
        "../../../elsewhere/blobs/{}",
        "..\\..\\blobs\\{}",
    ],
)
def test_links_to_an_old_place_are_made_again(target: str, trees: bool, hub: Laid) -> None:
    """The name of the blob is what counts, with and without a manifest."""
    if not trees:
        shutil.rmtree(hub.folder / "trees")
    for path in sorted(hub.file.parent.iterdir()):
        blob = worlds.blob_of(path).name
        path.unlink()
        path.symlink_to(target.format(blob))
    relinked(hub)


def test_an_empty_snapshot_is_linked_from_its_manifest(hub: Laid) -> None:
    """As `rsync` without links leaves it; the blobs are never waste."""
    for path in hub.file.parent.iterdir():
        path.unlink()
    relinked(hub)


def test_blobs_that_an_empty_snapshot_may_need_are_no_waste(hub: Laid) -> None:
    """Also where no manifest tells which is which."""
    shutil.rmtree(hub.folder / "trees")
    for path in hub.file.parent.iterdir():
        path.unlink()
    assert hub.codes() == ["CD105"]
    assert not plan(scanning.scan(hub.host), waste=True).cures
    worlds.repository(hub.root, worlds.TINY, worlds.whisper_files())
    (hub.folder / "blobs" / ("9" * 64)).write_bytes(b"an orphan of a whole repository")
    assert hub.codes() == ["CD501"]


@pytest.mark.parametrize("place", ["/Volumes/Nobody", "/media/ada/Nobody", "/mnt/nobody-here"])
def test_a_variable_that_names_a_volume_which_is_not_there(place: str, home: Path) -> None:
    """The disk is not connected: nothing is fetched to where it would be mounted."""
    host = Host.look(home=str(home), environment={"HF_HOME": f"{place}/huggingface"})
    (finding,) = scanning.scan(host, ["faster-whisper"]).findings
    assert (finding.code, finding.path) == ("CD110", place)
    assert preflight("faster-whisper", model="tiny.en", host=host).code == "CD110"
    new = Host.look(home=str(home), environment={"HF_HOME": str(home / "new")})
    assert scanning.scan(new, ["faster-whisper"]).findings == ()


# --- one answer


def agree(laid: Laid) -> Report:
    """Prove that scan, its last line, preflight, fix and the printed hint say the same."""
    found = scanning.scan(laid.host)
    verdict = laid.verdict()
    assert not verdict.ready
    (last,) = [line for line in scan_text.summary_lines(found) if "finding" in line]
    assert last.startswith("1 engine broken")
    assert verdict.code in {finding.code for finding in found.findings}
    return found


def test_a_whole_snapshot_without_a_branch(hub: Laid) -> None:
    """CD403 in all, and cured offline by the hint."""
    shutil.rmtree(hub.folder / "refs")
    found = agree(hub)
    assert [(f.code, f.repair and f.repair.safety) for f in found.findings] == [("CD403", "safe")]
    assert hub.verdict().code == "CD403"
    relinked(hub)


def test_a_newer_revision_that_is_whole_does_not_make_the_branch_whole(hub: Laid) -> None:
    """What `main` leads to is half there; the other one is nobody's default."""
    files = worlds.whisper_files()
    worlds.repository(hub.root, worlds.TINY, files, commit="b" * 40, ref=None)
    hub.file.unlink()
    agree(hub)
    relinked(hub)


@pytest.mark.parametrize("place", ["refs/main", "snapshots/main"])
def test_files_in_a_folder_that_is_called_like_the_branch(place: str, hub: Laid) -> None:
    """One finding, at the price of one model."""
    target = hub.folder / place
    shutil.rmtree(hub.folder / "refs")
    shutil.rmtree(hub.folder / "trees")
    target.mkdir(parents=True)
    for path in hub.file.parent.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    shutil.rmtree(hub.file.parent)
    shutil.rmtree(hub.folder / "blobs")
    found = agree(hub)
    (finding,) = found.findings
    assert finding.code == ("CD418" if place.startswith("refs") else "CD403")
    assert finding.repair is not None
    assert finding.repair.kind == "fetch-model"
    (cure,) = cures.plan(found).cures
    table = engines.find(hub.engine).table.model(hub.model)
    assert cure.repair is not None
    assert cure.repair.fetch_bytes == sum(size for size, _ in table.published.values())


def test_each_model_has_its_own_mark(hub: Laid) -> None:
    """An engine with one broken model of three is not broken."""
    for size in ("tiny", "base"):
        worlds.repository(hub.root, f"Systran/faster-whisper-{size}", worlds.whisper_files())
    hub.file.unlink()
    found = scanning.scan(hub.host)
    lines = list(scan_text.scan_lines(found, ["faster-whisper"]))
    (row,) = [line for line in lines if "faster-whisper  " in line]
    assert row.startswith("!")
    assert "✗ tiny.en" in row
    assert "✗ base" not in row
    assert next(line for line in scan_text.summary_lines(found) if "finding" in line).startswith(
        "1 engine ready;"
    )


# --- deleted is not broken


def noted(kit: Laid) -> Path:
    """Write what the Swift client writes down of each file, and return the folder of the notes."""
    repository = kit.folder.parent
    notes = repository / ".cache/huggingface/download"
    for path in [path for path in kit.folder.rglob("*") if path.is_file()]:
        note = notes / f"{path.relative_to(repository)}.metadata"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{'a' * 40}\n{worlds.etag(path.name, path.read_bytes())}\n1750000000.0\n")
    return notes


def test_a_model_that_was_deleted_is_no_finding(kit: Laid) -> None:
    """Its notes stay; nothing is said, nothing planned, and it is absent."""
    noted(kit)
    assert kit.codes() == []
    shutil.rmtree(kit.folder)
    assert kit.codes() == []
    assert verdict_text.verdict_line(kit.verdict(), kit.host).startswith("absent")


@pytest.mark.parametrize("layout", ["application-support", "documents", "local-dir"])
@pytest.mark.parametrize("left", ["nothing", "litter"])
def test_an_empty_folder_is_a_model_that_was_deleted(layout: str, left: str, home: Path) -> None:
    """Apps remove the files and leave the folder, in which the Finder leaves its own."""
    laid = LAYOUTS[layout](home)
    shutil.rmtree(laid.folder)
    laid.folder.mkdir()
    if left == "litter":
        litter(laid.folder)
    assert laid.codes() == []
    assert verdict_text.verdict_line(laid.verdict(), laid.host).startswith("absent")


def test_a_download_that_has_only_begun_is_one_finding(kit: Laid) -> None:
    """Notes and a partial, and no file yet: the model is fetched as a whole."""
    notes = noted(kit)
    weights = kit.file.relative_to(kit.folder.parent)
    (notes / f"{weights}.{'c' * 64}.incomplete").write_bytes(b"half")
    shutil.rmtree(kit.folder)
    codes = [finding.code for finding in scanning.scan(kit.host).findings if finding.entries]
    assert codes == ["CD101", "CD502"]
    assert not kit.verdict().ready


# --- paths that were named


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("spot", ["root", "model", "file"])
def test_whatever_path_is_named_is_examined(
    layout: str, spot: str, home: Path, tmp_path: Path, host: Host
) -> None:
    """At no usual place: a cache, a model and a file; whole and then an error page."""
    laid = LAYOUTS[layout](home)
    strange = tmp_path / "strange"
    shutil.move(laid.root, strange)
    path = {"root": laid.root, "model": laid.folder, "file": laid.file}[spot]
    path = strange / path.relative_to(laid.root)
    found = scanning.scan(host, paths=[str(path)], deep=True)
    assert found.entries
    assert {finding.code for finding in found.findings} <= {*laid.usual}
    weights = strange / laid.file.relative_to(laid.root)
    Path(os.path.realpath(weights)).write_bytes(b"<!DOCTYPE html><html>no such file</html>")
    found = scanning.scan(host, paths=[str(path)])
    assert {finding.code for finding in found.findings} & {"CD201", "CD202", "CD302"}


def test_a_pointer_in_a_folder_of_ones_own_is_found_by_its_path(tmp_path: Path, host: Host) -> None:
    """And brought from the clone's own store, where that has it."""
    clone = tmp_path / "clone" / "x"
    clone.mkdir(parents=True)
    content = worlds.whisper_files()["model.bin"]
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    (clone / "model.bin").write_text(pointer)
    (clone / "config.json").write_text("{}")
    found = scanning.scan(host, paths=[str(clone)])
    assert [finding.code for finding in found.findings] == ["CD202"]
    stored = clone / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    found = scanning.scan(host, paths=[str(clone / "model.bin")])
    applying.apply(plan(found), found, Network(host, offline=True))
    assert (clone / "model.bin").read_bytes() == content


@pytest.mark.parametrize("what", ["nothing", "text", "empty"])
def test_a_path_of_which_nothing_is_known_is_an_error(
    what: str, tmp_path: Path, host: Host
) -> None:
    """Nothing read is never `no findings`: exit 3, and what to do."""
    path = tmp_path / "here"
    if what == "text":
        path.write_text("hello")
    elif what == "empty":
        path.mkdir()
    with pytest.raises(CannotLookError) as error:
        scanning.scan(host, paths=[str(path)])
    assert error.value.exit_code == 3
    assert what == "nothing" or "[[locator]]" in error.value.hint


# --- variables


@pytest.mark.parametrize(
    ("name", "at", "cache", "said"),
    [
        ("HF_HOME", "data", "data", "HF_HUB_CACHE="),
        ("HF_HUB_CACHE", "data", "data/hub", "HF_HUB_CACHE="),
        ("HUGGINGFACE_HUB_CACHE", "data", "data/hub", "HUGGINGFACE_HUB_CACHE="),
        ("XDG_CACHE_HOME", "data", "data/hub", "HF_HOME="),
        ("HF_HOME", "data", "data/hub", ""),
        ("HF_HUB_CACHE", "data", "data", ""),
    ],
)
def test_a_variable_that_names_the_folder_of_another(
    name: str, at: str, cache: str, said: str, home: Path
) -> None:
    """CD411 says which variable fits; the right one says nothing."""
    worlds.repository(home / cache, worlds.TINY, worlds.whisper_files())
    host = Host.look(home=str(home), environment={name: str(home / at)})
    found = [f.message for f in scanning.scan(host).findings if f.code == "CD411"]
    assert [said in message for message in found] == [True] * bool(said)


# --- waste


def test_an_encoder_that_another_part_of_the_engine_reads_is_no_waste(home: Path) -> None:
    """Two encoders of one model, one hollow with a partial that its client goes on with."""
    folder = home / "Library/Application Support/FluidAudio/Models/parakeet-unified-en-0.6b"
    names = ("parakeet_unified_decoder", "parakeet_unified_joint_decision_single_step",
             "parakeet_unified_encoder_int8")  # fmt: skip
    for name in names:
        builders.mlmodelc(folder / f"{name}.mlmodelc")
    for name in ("vocab.json", "metadata.json"):
        (folder / name).write_text("{}")
    mac = Host.look(home=str(home), platform="darwin")
    assert scanning.scan(mac).findings == ()
    other = folder / "parakeet_unified_encoder_streaming_70_2_2_int8.mlmodelc"
    builders.mlmodelc(other)
    assert scanning.scan(mac).findings == ()
    shutil.rmtree(other)
    (other / "weights").mkdir(parents=True)
    (other / "weights/weight.bin.partial").write_bytes(b"half")
    found = scanning.scan(mac)
    assert [(f.code, f.severity.value) for f in found.findings] == [("CD102", "warning")]
    assert not plan(found, waste=True).cures


def test_little_is_said_only_when_its_code_was_named(fluid: Laid, kit: Laid) -> None:
    """Compile caches, leftovers and duplicates below their thresholds."""
    cache = fluid.home / "Library/Caches/com.apple.e5rt.e5bundlecache/25G220/AB/main"
    cache.mkdir(parents=True)
    (cache / "model_0.mpsgraph").write_bytes(b"x")
    builders.mlmodelc(kit.folder / "TextDecoderContextPrefill.mlmodelc")
    assert scanning.scan(fluid.host).findings == ()
    for code in ("CD506", "CD505"):
        found = scanning.scan(fluid.host, codes=[code])
        assert [f.code for f in plan(found, code).cures] == [code]
        assert not plan(found, waste=True).cures or code == "CD506"


def test_waste_never_plans_a_download_nor_a_cure(hub: Laid) -> None:
    """Only what the printed command takes, and each file counted once."""
    worlds.blob_of(hub.file).unlink()
    (hub.folder / "blobs" / ("9" * 64)).write_bytes(b"x" * 1000)
    found = scanning.scan(hub.host)
    shown = plan(found, waste=True)
    assert (shown.fetch_bytes, [f.code for f in shown.cures]) == (0, ["CD501"])
    lines = list(scan_text.findings_lines(found, verbose=False))
    assert "1000 B in all: `cachedoctor fix --waste" in "\n".join(lines)


def test_reclaimable_bytes_count_nothing_twice(home: Path, host: Host) -> None:
    """A detached revision of which a copy lies elsewhere is one or the other."""
    from cachedoctor.doctor.footprint import reclaimable

    content = builders.pattern(1 << 10) * (17 << 10)
    hub = worlds.hub_of(home)
    worlds.repository(hub, "a/one", {"weights.bin": content}, ref="main")
    worlds.repository(hub, "b/two", {"weights.bin": content}, ref=None)
    found = scanning.scan(host)
    assert {finding.code for finding in found.findings} == {"CD504", "CD508"}
    assert reclaimable(found.findings, found.survey.entries) == len(content)


def test_nothing_is_renamed_in_an_apps_container(home: Path) -> None:
    """There the folder lies for that app, which carries the version that reads it."""
    fluid = places.application_support(home)
    data = home / "Library/Containers/com.app/Data/Library/Application Support/FluidAudio/Models"
    data.mkdir(parents=True)
    fluid.folder.rename(data / "parakeet-tdt-0.6b-v3-coreml")
    assert "CD410" not in {finding.code for finding in scanning.scan(fluid.host).findings}
    (data / "parakeet-tdt-0.6b-v3-coreml").rename(fluid.root / "parakeet-tdt-0.6b-v3-coreml")
    assert "CD410" in {finding.code for finding in scanning.scan(fluid.host).findings}


# --- macOS' iCloud, services, Windows


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_placeholder_of_icloud_is_evicted(layout: str, home: Path) -> None:
    """`.name.icloud` stands for the file on macOS up to 13."""
    laid = LAYOUTS[layout](home)
    path = Path(os.path.realpath(laid.file))
    path.unlink()
    (path.parent / f".{path.name}.icloud").write_bytes(b"bplist00")
    assert set(laid.codes()) == {"CD107"}
    assert laid.verdict().code == "CD107"


@pytest.mark.parametrize(
    ("platform", "place", "mark", "service"),
    [
        ("darwin", "Documents", "Library/Mobile Documents/com~apple~CloudDocs/Documents", "iCloud"),
        ("darwin", "Library/CloudStorage/OneDrive-Contoso", "", "OneDrive"),
        ("darwin", "Library/CloudStorage/Dropbox", "", "Dropbox"),
        ("linux", "Dropbox", "", "Dropbox"),
        ("linux", "OneDrive - Contoso", "", "OneDrive"),
        ("windows", "OneDrive", "", "OneDrive"),
        ("linux", "sync", "sync/.stfolder", "Syncthing"),
        ("darwin", "Documents", "", ""),
        ("linux", "Dropboxes", "", ""),
        ("linux", "data", "", ""),
    ],
)
def test_a_folder_that_a_service_copies(
    platform: str, place: str, mark: str, service: str, home: Path
) -> None:
    """CD511, a note with the command that ends it; the model is ready."""
    cache = home / place / "hub"
    worlds.repository(cache, worlds.TINY, worlds.whisper_files())
    if mark:
        (home / mark).mkdir(parents=True)
    host = Host.look(home=str(home), platform=platform, environment={"HF_HUB_CACHE": str(cache)})
    found = [finding for finding in scanning.scan(host).findings if finding.code == "CD511"]
    assert [finding.evidence for finding in found] == [service] * bool(service)
    assert all(f.severity == "note" and f.repair and f.repair.describe for f in found)
    assert preflight("faster-whisper", model="tiny.en", host=host).ready


def unlinked(hub: Path) -> None:
    """Turn a hub cache into one of a system without links: files in the snapshots, no blobs."""
    for path in [path for path in hub.rglob("*") if path.is_symlink()]:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    for blobs in hub.glob("models--*/blobs"):
        shutil.rmtree(blobs)


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("", "", ".cache/huggingface/hub"),
        ("HF_HOME", "C:\\Users\\ada\\hf", "hf/hub"),
        ("HF_HOME", "%USERPROFILE%\\HF", "hf/hub"),
        ("HF_HUB_CACHE", "c:/users/ADA/models", "models"),
        ("HF_HUB_CACHE", "D:\\models", "../../../d/models"),
    ],
)
def test_a_windows_home_is_looked_at(name: str, value: str, place: str, tmp_path: Path) -> None:
    """Without links, with drive letters and names in any case; never changed."""
    home = tmp_path / "c" / "Users" / "ada"
    home.mkdir(parents=True)
    cache = Path(os.path.normpath(home / place))
    worlds.repository(cache, worlds.TINY, worlds.whisper_files())
    unlinked(cache)
    variables = {"USERPROFILE": "C:\\Users\\ada", **({name: value} if name else {})}
    host = Host.look(home=str(home), platform="windows", environment=variables)
    assert scanning.scan(host).findings == ()
    assert preflight("faster-whisper", model="tiny.en", host=host).ready
    snapshot = next(cache.glob("models--*/snapshots/*"))
    (snapshot / "tokenizer.json").unlink()
    assert not preflight("faster-whisper", model="tiny.en", host=host).ready
    found = scanning.scan(host)
    assert (plan(found).cures, len(plan(found).by_hand)) == ((), len(found.findings))


def test_a_windows_drive_that_is_not_here_is_gone(tmp_path: Path) -> None:
    """Nothing is absent that may lie on it; AppData is a place."""
    home = tmp_path / "Users" / "ada"
    home.mkdir(parents=True)
    host = Host.look(home=str(home), platform="windows", environment={"HF_HOME": "E:\\hf"})
    assert preflight("faster-whisper", model="tiny.en", host=host).code == "CD110"
    folder = home / "AppData/Local/pywhispercpp/pywhispercpp/models"
    folder.mkdir(parents=True)
    (folder / places.GGML).write_bytes(builders_models.ggml_parakeet())
    assert preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=host).ready


# --- the same bytes elsewhere


def test_the_same_bytes_are_a_source_whatever_they_are_called(hub: Laid) -> None:
    """An older name of the repository, and a browser's copy in Downloads."""
    files = worlds.whisper_files()
    worlds.repository(hub.root, "guillaumekln/faster-whisper-tiny.en", files, commit="9" * 40)
    worlds.blob_of(hub.file).unlink()
    relinked(hub)
    shutil.rmtree(hub.root / "models--guillaumekln--faster-whisper-tiny.en")
    vocabulary = hub.file.parent / "vocabulary.txt"
    content = b"token\n" * 500
    shutil.rmtree(hub.folder)
    worlds.repository(hub.root, worlds.TINY, {**files, "vocabulary.txt": content})
    worlds.blob_of(vocabulary).unlink()
    (hub.home / "Downloads").mkdir()
    (hub.home / "Downloads" / "vocabulary (1).txt").write_bytes(content)
    relinked(hub)


def test_a_whole_model_is_put_together_from_another_name(hub: Laid) -> None:
    """Where the table says every digest, nothing needs the network."""
    from cachedoctor import repairs
    from cachedoctor.vocabulary import Digest

    files = worlds.whisper_files()
    (hub.root / "models--guillaumekln--faster-whisper-tiny.en").mkdir()
    shutil.rmtree(hub.folder)
    worlds.repository(hub.root, "guillaumekln/faster-whisper-tiny.en", files, trees=False)
    found = scanning.scan(hub.host)
    engine = engines.find("faster-whisper")
    published = {
        name: (len(content), Digest("sha256", hashlib.sha256(content).hexdigest()))
        for name, content in files.items()
    }
    model = engine.table.model("tiny.en")
    entry = next(iter(found.survey.entries))
    claim = engine.claimed(model, entry, hub.host)._replace(published=published)
    made = repairs.from_copies(claim, str(hub.folder), str(hub.root), found.survey)
    assert made is not None
    assert (made.safety, made.fetch_bytes, len(made.needs)) == ("safe", 0, len(files) + 1)
    (hub.root / "models--guillaumekln--faster-whisper-tiny.en/blobs").rename(hub.home / "away")
    again = scanning.scan(hub.host).survey
    assert repairs.from_copies(claim, str(hub.folder), str(hub.root), again) is None


# --- access times, locks


def test_looking_moves_no_access_time(tmp_path: Path) -> None:
    """On a disk that is mounted `strictatime`, in every layout; an ordinary look does move them."""
    place = tmp_path / "strict"
    place.mkdir()
    program = f"""
import os, sys
from pathlib import Path
from tests import places, test_field
place = Path({str(place)!r})
for name, lay in places.LAYOUTS.items():
    (place / name).mkdir()
    laid = lay(place / name)
    test_field.age(laid.home)
    before = test_field.access_times(laid.home)
    test_field.scanning.scan(laid.host, deep=True, fresh=True)
    test_field.scanning.scan(laid.host, paths=[str(laid.root)])
    laid.verdict()
    assert test_field.access_times(laid.home) == before, name
    os.listdir(laid.root)
    assert test_field.access_times(laid.home) != before, name
"""
    script = 'mount -t tmpfs -o strictatime none "$1" && exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(place), sys.executable, program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and ("unshare" in done.stderr or "mount:" in done.stderr):
        pytest.skip("needs the right to mount")
    assert done.returncode == 0, done.stderr


def access_times(home: Path) -> dict[str, int]:
    """Return the access time of every file and folder, without moving one."""
    paths = {str(home)}
    for path in quietly.files(str(home)):
        while path not in paths and path != str(home):
            paths.add(path)
            path = os.path.dirname(path)  # noqa: PLW2901 - every folder above it
    return {path: os.lstat(path).st_atime_ns for path in paths if not os.path.islink(path)}


def test_a_partial_that_somebody_writes_without_a_lock_is_live(hub: Laid) -> None:
    """Not every program that writes here takes the client's lock; an open file is enough."""
    etag = worlds.blob_of(hub.file).name
    worlds.blob_of(hub.file).unlink()
    partial = hub.folder / "blobs" / f"{etag}.incomplete"
    partial.write_bytes(b"half")
    locks = hub.root / ".locks" / hub.folder.name
    locks.mkdir(parents=True)
    (locks / f"{etag}.lock").write_bytes(b"")
    with partial.open("ab") as file, subprocess.Popen(["sleep", "60"], stdout=file) as program:
        file.close()
        report = scanning.scan(Host.look())
        program.kill()
    (found,) = report.findings
    assert (found.code, found.message) == (
        "CD109",
        "a download is running: its partial is being written",
    )
    assert any(line.startswith("… faster-whisper") for line in scan_text.scan_lines(report))
    assert list(scan_text.summary_lines(report))[-1] == "1 engine downloading; 1 finding (1 note)"
    assert "CD109" not in hub.codes()


def age(home: Path) -> None:
    """Let every file and folder be used long ago; called from a program in a text above."""
    for path in access_times(home):
        os.utime(path, (1e9, 1e9))


def test_a_lock_counts_only_where_it_can_be_seen(
    hub: Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On other machines' disks nobody's lock is known: then a young partial counts as live."""
    from cachedoctor.looking import mounts

    etag = worlds.blob_of(hub.file).name
    worlds.blob_of(hub.file).unlink()
    (hub.folder / "blobs" / f"{etag}.incomplete").write_bytes(b"half")
    locks = hub.root / ".locks" / hub.folder.name
    locks.mkdir(parents=True)
    (locks / f"{etag}.lock").write_bytes(b"")
    assert "CD109" not in hub.codes()
    monkeypatch.setattr(mounts, "is_local", lambda _path: False)
    assert hub.codes() == ["CD109"]
    os.utime(hub.folder / "blobs" / f"{etag}.incomplete", (1e9, 1e9))
    assert "CD109" not in hub.codes()


def test_the_ledger_stays_off_other_machines_disks(
    hub: Laid, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's shared log corrupts there; then nothing is remembered."""
    from cachedoctor.looking import mounts

    assert mounts.is_local(str(hub.home))
    assert not mounts.is_local("/proc")
    monkeypatch.setattr(mounts, "is_local", lambda _path: False)
    scanning.scan(hub.host, deep=True)
    assert not (Path(hub.host.state) / "ledger.sqlite").exists()
    monkeypatch.undo()
    monkeypatch.setenv("XDG_STATE_HOME", str(hub.home.parent / "state"))
    scanning.scan(hub.host, deep=True)


# --- copies by other programs


def test_what_cp_made_files_of_is_named(home: Path, host: Host) -> None:
    """`cp -rL` keeps the blobs beside the files: a duplicate, never waste; the model is ready."""
    hub = worlds.hub_of(home)
    for trees in (True, False):
        worlds.repository(hub, worlds.TINY, worlds.whisper_files(), trees=trees)
        content = builders.pattern(1 << 10) * (17 << 10)
        worlds.repository(hub, "some/thing", {"weights.bin": content}, trees=trees)
        subprocess.run(["cp", "-rL", str(hub), str(home / "copy")], check=True)
        shutil.rmtree(hub)
        (home / "copy").rename(hub)
        found = scanning.scan(host)
        assert [(f.code, f.bytes) for f in found.findings] == [("CD504", len(content))]
        assert "`~/.cache/huggingface/hub`" in found.findings[0].message
        assert preflight("faster-whisper", model="tiny.en", host=host).ready
        assert not plan(found, waste=True).cures
        shutil.rmtree(hub)


def test_a_copy_without_links_is_linked_again(hub: Laid) -> None:
    """`rsync -r` leaves every link out, and says so."""
    if shutil.which("rsync") is None:
        pytest.skip("needs rsync")
    copy = hub.home / "copy"
    subprocess.run(["rsync", "-r", f"{hub.root}/", f"{copy}/"], check=True, capture_output=True)
    shutil.rmtree(hub.root)
    copy.rename(hub.root)
    relinked(hub)


def test_a_zip_and_back_is_linked_again(hub: Laid) -> None:
    """Python's own `zipfile` extracts a link as a file that holds its target."""
    import zipfile

    packed = hub.home / "hub.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(hub.root.rglob("*")):
            name = str(path.relative_to(hub.root))
            if path.is_symlink():
                row = zipfile.ZipInfo(name)
                row.external_attr = 0o120777 << 16
                archive.writestr(row, os.readlink(path))
            elif path.is_file():
                archive.write(path, name)
    shutil.rmtree(hub.root)
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(hub.root)
    assert set(hub.codes()) == {"CD422"}
    relinked(hub)


@pytest.mark.parametrize("version", clients.VERSIONS[:3])
def test_what_real_clients_left_survives_its_neighbours(version: str, home: Path) -> None:
    """Downloaded by a release of the client; then litter, a lost `main`, links as text."""
    with Hub() as server:
        server.add(worlds.TINY, worlds.whisper_files())
        clients.download(version, server.url, worlds.TINY, home)
    root = worlds.hub_of(home)
    path = root / "models--Systran--faster-whisper-tiny.en"
    snapshot = next((path / "snapshots").iterdir())
    laid = Laid(
        "hub-cache", home, "linux", "faster-whisper", "tiny.en", root, path, snapshot / "model.bin"
    )
    assert (laid.codes(), laid.verdict().ready) == ([], True)
    for folder in sorted(set(laid.folders())):
        litter(folder)
    assert (laid.codes(), laid.verdict().ready) == ([], True)
    (path / "refs" / "main").unlink()
    fix(laid.host)
    assert laid.verdict().ready
    for file in sorted(snapshot.iterdir()):
        if file.is_symlink():
            as_text(plain)(laid, file)
    assert set(laid.codes()) == {"CD422"}
    fix(laid.host)
    assert (laid.codes(), laid.verdict().ready) == ([], True)
