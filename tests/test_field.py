"""What lies on people's disks: litter, closed folders, links of every kind, copies, deletions.

Each state is rebuilt from a public report or stands for its family; the model itself is whole in
every one, so whatever is said is said of what surrounds it. The healthy twin says nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor import doctor, planning, report, surgery
from cachedoctor.errors import CacheDoctorError, CannotLookError
from cachedoctor.host import Host
from cachedoctor.staging import Network
from cachedoctor.verdict import ensure, preflight
from tests import places, worlds
from tests.conftest import fingerprint
from tests.places import LAYOUTS, Laid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cachedoctor.doctor import Report
    from cachedoctor.planning import Plan

LITTER_FILES = (
    ".DS_Store", "._main", "._model.bin", "._tiny.pt", "._" + "a" * 40, "Icon\r", ".localized",
    "Thumbs.db", "desktop.ini", "ehthumbs.db", ".directory", ".nfs000000000123", "main~",
    ".main.swp", "main.swp", "#main#", ".#main", ".fuse_hidden00000001", ".syncthing.main.tmp",
)  # fmt: skip
LITTER_FOLDERS = (
    "@eaDir", "__MACOSX", "#recycle", "lost+found", ".Spotlight-V100", "$RECYCLE.BIN",
    ".TemporaryItems", ".AppleDouble",
)  # fmt: skip
HUGE = 1 << 60  # more than any model


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
    return planning.plan(found, codes=codes, waste=waste, faults=not waste, network=network)


def fix(host: Host, *names: str) -> Report:
    """Repair from local bytes, and look again."""
    found = doctor.scan(host, names)
    network = Network(host, offline=True)
    return surgery.apply(planning.plan(found, network=network), found, network).report


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
        assert len(doctor.scan(laid.host).entries) <= 2, folder
        assert not plan(doctor.scan(laid.host)).cures
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
    found = doctor.scan(hub.host)
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
    (finding,) = doctor.scan(hub.host).findings
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
        found = doctor.scan(host, [laid.engine])
        verdict = preflight(laid.engine, model=laid.model, host=host)
        ensured = ensure(
            laid.engine,
            model=laid.model,
            host=host,
            allow=refuse,
        )
        return {
            "scan": sorted({finding.code for finding in found.findings}),
            "everything": sorted({finding.code for finding in doctor.scan(host).findings}),
            "verify": sorted({f.code for f in doctor.scan(host, deep=True).findings}),
            "severities": {f.severity.value for f in found.findings if f.code == "CD108"},
            "absent": planning.absent_model(found, laid.engine, size=None, model=laid.model),
            "planned": plan(found).cures,
            "preflight": (verdict.ready, verdict.code),
            "line": report.verdict_line(verdict, host).split()[0],
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
        below = ".cache/huggingface/download/openai_whisper-tiny"
        (laid.folder.parent / below).mkdir(parents=True)
    host = laid.host
    closed_answers(laid, host)  # what is imported late cannot be by another user
    for folder in sorted(set(laid.folders())):
        if folder.name == "project":
            continue  # that was named: it cannot be looked at
        notes = any(
            part in (".locks", ".no_exist", "trees", ".cache") for part in folder.parts[-6:]
        ) and not laid.root.is_relative_to(folder)
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
    from cachedoctor import survey

    closed = open_home / "closed"
    worlds.repository(closed / "hub", worlds.TINY, worlds.whisper_files())
    usual = Host.look(home=str(open_home))
    named = Host.look(home=str(open_home), environment={"HF_HOME": str(closed)})
    doctor.scan(usual)
    doctor.scan(usual, paths=[str(closed)])
    closed.chmod(0o700)

    def ask() -> tuple[tuple[str, str] | None, tuple[str, str] | None, str]:
        try:
            doctor.scan(usual, paths=[str(closed / "hub")])
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
    found = doctor.scan(hub.host)
    assert [finding.code for finding in plan(found).cures] == ["CD401"]
    from cachedoctor import quietly

    monkeypatch.setattr(quietly, "may", lambda _path, what: what == os.R_OK)
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
    found = doctor.scan(laid.host, [laid.engine])
    if spot == "snapshots":  # its own links are relative, and the blobs are not there
        assert (laid.verdict().code, plan(found).cures) == ("CD103", ())
        return
    assert {f.code for f in found.findings} <= {"CD406", *laid.usual}
    assert {f.severity for f in found.findings if f.code == "CD406"} <= {"note"}
    assert laid.verdict().ready is not bool(laid.usual)
    os.truncate(laid.file, 8)  # and judged
    assert not laid.verdict().ready
    outside = fingerprint(laid.home.parent / "big")
    for finding in plan(doctor.scan(laid.host)).cures:
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
    found = doctor.scan(laid.host, [laid.engine])
    assert {(f.code, f.severity.value) for f in found.findings} == {("CD110", "warning")}
    verdict = laid.verdict()
    assert (verdict.ready, verdict.code) == (False, "CD110")
    line = report.verdict_line(verdict, laid.host)
    assert line.startswith("gone")
    assert "fetch" not in line
    assert planning.absent_model(found, laid.engine, size=None, model=laid.model) == ()
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
    found = doctor.scan(laid.host, [laid.engine])
    assert "CD501" not in {finding.code for finding in found.findings}
    assert plan(found).fetch_bytes == 0
    again = fix(laid.host, laid.engine)
    assert [f.code for f in again.findings if f.severity != "note"] == []
    assert laid.verdict().ready
    assert surgery.undo(laid.host)
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
    assert not plan(doctor.scan(hub.host), waste=True).cures
    worlds.repository(hub.root, worlds.TINY, worlds.whisper_files())
    (hub.folder / "blobs" / ("9" * 64)).write_bytes(b"an orphan of a whole repository")
    assert hub.codes() == ["CD501"]


@pytest.mark.parametrize("place", ["/Volumes/Nobody", "/media/ada/Nobody", "/mnt/nobody-here"])
def test_a_variable_that_names_a_volume_which_is_not_there(place: str, home: Path) -> None:
    """The disk is not connected: nothing is fetched to where it would be mounted."""
    host = Host.look(home=str(home), environment={"HF_HOME": f"{place}/huggingface"})
    (finding,) = doctor.scan(host, ["faster-whisper"]).findings
    assert (finding.code, finding.path) == ("CD110", place)
    assert preflight("faster-whisper", model="tiny.en", host=host).code == "CD110"
    new = Host.look(home=str(home), environment={"HF_HOME": str(home / "new")})
    assert doctor.scan(new, ["faster-whisper"]).findings == ()
