"""Programs that keep models in folders of their own are looked at, and named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cachedoctor import locators
from cachedoctor.doctor import scanning
from cachedoctor.system import apps
from tests.support import builders_models
from tests.support.command import cachedoctor
from tests.test_places import tokenizer, whisperkit

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.host import Host

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
