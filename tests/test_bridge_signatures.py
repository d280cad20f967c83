"""The stand-ins that the bridges are compiled against here say what the frameworks say.

`swift/Tests/signatures.txt` quotes each declaration from the frameworks' own sources.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import weights

_TESTS = Path(__file__).parent.parent / "swift" / "Tests"
_QUOTES = (_TESTS / "signatures.txt").read_text()
_MODULES = ("Darwin", "CoreML", "WhisperKit", "FluidAudio")
_BEGINS = re.compile(r"^\s*((?:public|open) .*)$", re.MULTILINE)


def quoted(module: str) -> set[str]:
    """Return the declarations that are quoted from a module's sources."""
    found: set[str] = set()
    at = ""
    for line in _QUOTES.splitlines():
        if line.startswith("# "):
            at = line[2:].split()[0]
        elif line.strip() and at == module:
            found.add(line.strip())
    return found


def declared(source: str) -> list[str]:
    """Return each public declaration of a Swift source on one line, without what it does."""
    found = []
    for match in _BEGINS.finditer(source):
        end, depth = match.start(1), 0
        while end < len(source):
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(source[end], 0)
            if depth == 0 and source[end] in "{\n":
                break
            end += 1
        found.append(plain(source[match.start(1) : end]))
    return found


def plain(declaration: str) -> str:
    """Return a declaration without the differences that layout makes."""
    text = re.sub(r"\s+", " ", declaration).strip()
    text = re.sub(r"\(\s+", "(", re.sub(r"\s+\)", ")", text))
    return re.sub(r"^(open|public) ", "", text)


@pytest.mark.parametrize("module", _MODULES)
def test_every_stand_in_is_quoted(module: str) -> None:
    """A stand-in that says what no framework says would prove nothing."""
    source = (_TESTS / "Stubs" / module / f"{module}.swift").read_text()
    stubs = declared(re.sub(r"/// What the stand-ins.*", "", source, flags=re.DOTALL))
    assert len(stubs) >= 3
    assert [each for each in stubs if each not in quoted(module)] == []


@pytest.mark.parametrize("module", _MODULES)
def test_every_quotation_has_a_stand_in(module: str) -> None:
    """What is quoted and not used would grow old unseen."""
    source = (_TESTS / "Stubs" / module / f"{module}.swift").read_text()
    assert quoted(module) - set(declared(source)) == set()


def test_the_package_asks_for_the_versions_that_are_quoted() -> None:
    """Another version has other declarations."""
    package = (_TESTS.parent / "Package.swift").read_text()
    asked = re.findall(r'url: "https://github.com/([^"]+)\.git", exact: "([^"]+)"', package)
    assert len(asked) == 2
    for repository, version in asked:
        assert f"{repository} {version} " in _QUOTES


def test_a_changed_declaration_is_noticed() -> None:
    """The comparison sees another default, another label and another type."""
    one = "public init(\n    a: Int = 1,\n    b: String? = nil\n) async throws {\n"
    assert declared(one) == ["init(a: Int = 1, b: String? = nil) async throws"]
    for other in (one.replace("1", "2"), one.replace("a:", "c:"), one.replace("String?", "Int")):
        assert declared(other) != declared(one)


def test_what_was_resolved_is_what_is_asked_for() -> None:
    """A Mac builds from exactly these commits: SwiftPM's own answer to the manifest."""
    package = (_TESTS.parent / "Package.swift").read_text()
    asked = dict(re.findall(r'url: "([^"]+)", exact: "([^"]+)"', package))
    resolved = json.loads((_TESTS.parent / "Mac" / "Package.resolved").read_text())
    pins = {pin["location"]: pin["state"] for pin in resolved["pins"]}
    assert {place: pins[place]["version"] for place in asked} == asked
    assert all(re.fullmatch("[0-9a-f]{40}", state["revision"]) for state in pins.values())
    others = set(pins) - set(asked)
    assert others == {"https://github.com/apple/swift-argument-parser.git"}  # WhisperKit's own


def test_the_manifest_of_a_mac_is_one(tmp_path: Path) -> None:
    """What SwiftPM reads there, forced here: the frameworks, their products, and no stand-in."""
    if shutil.which("swift") is None:
        assert "CI" not in os.environ, "continuous integration has to have Swift"
        pytest.skip("no Swift to read the manifest with")
    text = (_TESTS.parent / "Package.swift").read_text()
    assert "#if os(macOS)\n" in text
    (tmp_path / "Package.swift").write_text(text.replace("#if os(macOS)\n", "#if true\n"))
    shutil.copytree(_TESTS.parent / "Sources", tmp_path / "Sources")
    shutil.copytree(_TESTS / "BridgeKitTests", tmp_path / "Tests" / "BridgeKitTests")
    ended = subprocess.run(
        ["swift", "package", "--package-path", str(tmp_path), "dump-package"],
        env=weights.ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    read = json.loads(ended.stdout)
    asked = [each["sourceControl"][0] for each in read["dependencies"]]
    assert {each["identity"] for each in asked} == {"argmax-oss-swift", "fluidaudio"}
    assert {each["platformName"]: each["version"] for each in read["platforms"]} == {
        "macos": "14.0"
    }
    products = {
        target["name"]: [each["product"][0] for each in target["dependencies"] if "product" in each]
        for target in read["targets"]
    }
    assert products["WhisperKitBridge"] == ["WhisperKit"]
    assert products["FluidAudioBridge"] == ["FluidAudio"]
    assert not {"CoreML", "WhisperKit", "FluidAudio", "Darwin"} & set(products)
