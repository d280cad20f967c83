"""Programs that keep models in folders of their own are looked at, and named."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cachedoctor import locators, verdict
from cachedoctor.doctor import scanning
from cachedoctor.host import Host
from cachedoctor.rules._copies import place_of
from cachedoctor.system import apps
from tests.support import builders_models, coreml_bundles, worlds
from tests.support.command import cachedoctor
from tests.test_places import tokenizer, whisperkit

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.vocabulary import Entry

SUPPORT = "Library/Application Support"


def test_every_row_is_of_a_layout_and_has_a_source() -> None:
    """And no folder is said twice of one layout."""
    roots = [root for app in apps.known() for root in app.roots]
    assert len(roots) == len(set(roots))
    assert {layout for layout, _ in roots} <= set(locators.names())
    assert all(app.source and app.name for app in apps.known())
    assert not any(folder.startswith(("/", "~")) for _, folder in roots)


@pytest.mark.parametrize(
    "folder",
    [f"{SUPPORT}/com.pais.handy/models", f"{SUPPORT}/superwhisper", "Library/Caches/Buzz/models"],
)
def test_a_cut_file_in_an_apps_folder_is_found_and_the_app_named(
    folder: str, home: Path, mac: Host
) -> None:
    """Also in its sandbox."""
    for place in (home / folder, home / "Library/Containers/x.y/Data" / folder):
        place.mkdir(parents=True)
        (place / "ggml-tiny.bin").write_bytes(builders_models.ggml_whisper()[:-9])
    report = scanning.scan(mac)
    assert [finding.code for finding in report.findings] == ["CD201", "CD201"]
    for entry in report.entries:
        assert apps.owner(mac, entry.path) in {"Handy", "Superwhisper", "Buzz"}
    scan = cachedoctor("scan", "--json", "--home", str(home), "--platform", "darwin").data
    assert all(len(entry["apps"]) == 1 for entry in scan["entries"])


@pytest.mark.parametrize("below", ["", "models", "huggingface"])
def test_an_unknown_app_is_known_by_the_shape_of_its_folder(
    below: str, home: Path, mac: Host
) -> None:
    """One level below Application Support, and in a group container."""
    for parent in (SUPPORT, "Library/Group Containers"):
        base = home / parent / "Newcomer" / below / "models"
        whisperkit(base)
        tokenizer(base / "openai" / "whisper-tiny")
    found = [entry for entry in scanning.scan(mac).entries if entry.claims]
    assert [(e.engines, apps.owner(mac, e.path)) for e in found] == [
        (("whisperkit",), "Newcomer")
    ] * 2


def test_what_only_lies_there_is_nobodys(home: Path, mac: Host) -> None:
    """Folders of other programs are not listed; a linked framework's folder is of no app."""
    place = home / SUPPORT / "Editor" / "models"
    place.mkdir(parents=True)
    (place / "notes.bin").write_bytes(b"x")
    assert scanning.scan(mac).entries == ()
    shared = os.path.realpath(home / SUPPORT / "FluidAudio" / "Models" / "x")
    assert apps.owner(mac, shared) == ""


def test_a_base_in_a_base_makes_no_ghosts(home: Path, mac: Host) -> None:
    """VocaMac has both."""
    base = home / SUPPORT / "VocaMac" / "models" / "models"
    whisperkit(base)
    tokenizer(base / "openai" / "whisper-tiny")
    report = scanning.scan(mac)
    assert [entry.engines for entry in report.entries if "openai/" not in entry.name] == [
        ("whisperkit",)
    ]


def test_a_plan_and_a_duplicate_name_the_app(home: Path, mac: Host) -> None:
    """Half a copy in the framework's folder, a whole one in Pindrop's."""
    mine = home / SUPPORT / "FluidAudio" / "Models" / "parakeet-tdt-0.6b-v3"
    theirs = home / SUPPORT / "Pindrop/FluidInference/parakeet-coreml/parakeet-tdt-0.6b-v3"
    for folder in (mine, theirs):
        coreml_bundles.fluidaudio_v3(folder)
    shutil.rmtree(mine / "Decoder.mlmodelc")
    (finding,) = [f for f in scanning.scan(mac).findings if f.severity == "error"]
    assert finding.repair is not None
    assert finding.repair.describe == "copy `Decoder.mlmodelc` from Pindrop's copy"
    encoder = os.path.realpath(theirs / "Encoder.mlmodelc")
    assert place_of(f"{encoder}/weights/weight.bin", mac).startswith("Pindrop's copy in `~/")


def _build(layout: str, folder: Path) -> None:
    """Put a model of a layout into the folder of a row."""
    match layout:
        case "documents":
            whisperkit(folder / "models")
            tokenizer(folder / "models" / "openai" / "whisper-tiny")
        case "application-support":
            coreml_bundles.fluidaudio_v3(folder / "parakeet-tdt-0.6b-v3")
        case "ggml-folder":
            folder.mkdir(parents=True)
            (folder / "ggml-mine.bin").write_bytes(builders_models.ggml_whisper())
        case "hub-cache":
            worlds.repository(folder, worlds.TINY, worlds.whisper_files())
        case "openai-cdn":
            folder.mkdir(parents=True)
            (folder / "tiny.pt").write_bytes(b"PK")
        case _:
            raise AssertionError(layout)


@pytest.mark.parametrize(
    ("app", "layout", "folder"),
    [(app.name, *root) for app in apps.known() for root in app.roots],
)
def test_what_lies_in_the_folder_of_each_row_is_of_its_app(
    app: str, layout: str, folder: str, home: Path, mac: Host
) -> None:
    """At home, and in a container of whatever name."""
    _build(layout, home / folder)
    _build(layout, home / "Library/Containers/a.b.c/Data" / folder)
    entries = [e for e in scanning.scan(mac).entries if e.claims or layout == "openai-cdn"]
    assert len(entries) == 2
    assert {apps.owner(mac, entry.path) for entry in entries} == {app}


_HURT = {
    "documents": ("openai_whisper-tiny/AudioEncoder.mlmodelc/weights/weight.bin", "whisperkit"),
    "application-support": ("Encoder.mlmodelc/weights/weight.bin", "fluidaudio"),
    "ggml-folder": ("ggml-mine.bin", "whisper.cpp"),
    "hub-cache": ("model.bin", "faster-whisper"),
}


_LACKS = {"documents": "CD102", "application-support": "CD102", "hub-cache": "CD103"}


@pytest.mark.parametrize("container", ["", "Library/Containers/a.b.c/Data/"])
@pytest.mark.parametrize(
    ("app", "layout", "folder"),
    [(app.name, *root) for app in apps.known() for root in app.roots if root[0] in _HURT],
)
def test_what_is_amiss_in_the_folder_of_each_row_is_said(
    app: str, layout: str, folder: str, container: str, home: Path, mac: Host
) -> None:
    """A whole model is silent and ready by its path; a cut one, and one without a file, are not."""
    _build(layout, home / container / folder)
    end, engine = _HURT[layout]

    def look() -> tuple[list[Entry], set[str]]:
        report = scanning.scan(mac)
        mine = [entry for entry in report.entries if engine in entry.engines]
        assert {apps.owner(mac, entry.path) for entry in mine} <= {app}
        return mine, {f.code for f in report.findings if f.severity == "error"}

    def ready() -> bool:
        path = str(found.resolve()) if layout == "ggml-folder" else whole.path
        return verdict.preflight(engine, model=path, host=mac).ready

    (whole,), loud = look()
    found = next(path for path in (home / container).rglob("*") if str(path).endswith(end))
    assert (loud, ready()) == (set(), True)
    real = found.resolve()
    real.write_bytes(real.read_bytes()[:-9])
    assert (look()[1], ready()) == ({"CD201"}, False)
    real.unlink()
    left, loud = look()
    assert loud == ({_LACKS[layout]} if left else set())
    assert not ready()
    assert bool(left) == (layout != "ggml-folder")


def test_on_linux_rows_outside_library_count(home: Path) -> None:
    """Those of a Mac's `Library` do not, nor shapes; and the app is named."""
    here = Host.look(home=str(home), platform="linux")
    for folder in (".local/share/voxtype/models", f"{SUPPORT}/superwhisper", f"{SUPPORT}/New"):
        _build("ggml-folder", home / folder)
    (entry,) = scanning.scan(here).entries
    assert apps.owner(here, entry.path) == "Voxtype"
    assert verdict.preflight("whisper.cpp", model=entry.artifacts[0].file, host=here).ready
    assert apps.owner(here, str(home / SUPPORT / "superwhisper")) == ""
    assert apps.owner(here, str(home / ".local/share/other")) == ""


@pytest.mark.parametrize(
    ("app", "layout", "folder"),
    [
        ("VoiceInk", "ggml-folder", f"{SUPPORT}/com.prakashjoshipax.VoiceInk/WhisperModels"),
        ("Hex", "documents", f"{SUPPORT}/com.kitlangton.Hex"),
        ("Pindrop", "application-support", f"{SUPPORT}/Pindrop/FluidInference/parakeet-coreml"),
        ("Buzz", "hub-cache", "Library/Caches/Buzz/models"),
    ],
)
def test_list_names_the_app(app: str, layout: str, folder: str, home: Path) -> None:
    """Of each layout, in its sandbox."""
    _build(layout, home / "Library/Containers/a.b.c/Data" / folder)
    told = cachedoctor("list", "--json", "--home", str(home), "--platform", "darwin").data
    assert {app} == {one for entry in told["entries"] for one in entry["apps"]}
