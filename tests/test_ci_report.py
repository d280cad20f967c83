"""What continuous integration shows: GitHub's annotations, and JUnit files."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree as Tree

import pytest

from tests.support import worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = re.compile(r"::(error|warning|notice) title=[^:,]+::[^\n]+")


@pytest.fixture
def model(home: Path) -> Path:
    """Put a model into the hub cache, and a repository with an odd name."""
    worlds.repository(worlds.hub_of(home), "some/odd%\n::error::x", {"a.json": b"{}"})
    return worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())


def hurt(model: Path) -> None:
    """Cut the weights and leave a partial."""
    worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 100)
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")


def test_github_is_silent_about_what_is_healthy(model: Path) -> None:
    """No finding, no line."""
    for command in (["scan"], ["verify"], ["preflight", "faster-whisper", "--model", "tiny.en"]):
        ended = cachedoctor(*command, "--format", "github")
        assert (ended.code, ended.output.strip()) == (0, ""), command


def test_each_finding_is_one_annotation(model: Path) -> None:
    """With its level; a name cannot forge another."""
    hurt(model)
    ended = cachedoctor("scan", "--format", "github")
    assert ended.code == 1
    lines = ended.output.splitlines()
    assert all(COMMAND.fullmatch(line) for line in lines), lines
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice"]
    assert "CD201 truncated" in lines[0]
    (line,) = cachedoctor(
        "preflight", "faster-whisper", "--model", "tiny.en", "--format", "github"
    ).output.splitlines()
    assert line.startswith("::error title=CD201")
    assert "cachedoctor fix faster-whisper" in line


def test_junit_counts_models_and_failures(model: Path) -> None:
    """A test case for each model; notes are no failures."""
    suite = Tree.fromstring(cachedoctor("scan", "--format", "junit").output)
    assert (suite.get("tests"), suite.get("failures")) == ("1", "0")
    hurt(model)
    for command in (["scan"], ["verify"]):
        ended = cachedoctor(*command, "--format", "junit")
        suite = Tree.fromstring(ended.output)
        (case,) = suite.findall("testcase")
        assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
        assert (case.get("classname"), case.get("name")) == (
            "faster-whisper",
            "faster-whisper/tiny.en",
        )
        assert [failure.get("type") for failure in case.findall("failure")] == ["CD201"]
        assert "CD502" in (case.findtext("system-out") or "")
    asked = ("preflight", "faster-whisper", "--model", "tiny.en", "--format", "junit")
    suite = Tree.fromstring(cachedoctor(*asked).output)
    assert suite.get("failures") == "1"


def test_other_commands_have_no_such_form(home: Path) -> None:
    """Only what finds something."""
    assert cachedoctor("where", "faster-whisper", "--size", "tiny", "--format", "junit").code == 2


def test_names_in_junit_are_unique(home: Path) -> None:
    """One model at two places is two test cases that are told apart."""
    for hub in (worlds.hub_of(home), home / "cwd-models"):
        worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    other = worlds.hub_of(home) / f"models--{worlds.TINY.replace('/', '--')}" / "snapshots"
    shutil.copytree(other / worlds.COMMIT, other / ("0" * 40), symlinks=True)
    shown = cachedoctor("scan", "--format", "junit").output
    names = [(c.get("classname"), c.get("name")) for c in Tree.fromstring(shown).iter("testcase")]
    assert len(names) > 1
    assert len(set(names)) == len(names)


def test_an_annotation_names_its_file_and_errors_come_first(home: Path, tmp_path: Path) -> None:
    """A lock file, or what lies in the checkout; one line for what several models share."""
    project = tmp_path / "cwd" / "models"
    model = worlds.repository(project, worlds.TINY, worlds.whisper_files())
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    snapshots = model / "snapshots"
    worlds.cut(worlds.blob_of(snapshots / worlds.COMMIT / "model.bin"), 100)
    shutil.copytree(snapshots / worlds.COMMIT, snapshots / ("0" * 40), symlinks=True)
    lines = cachedoctor("scan", "--format", "github").output.splitlines()
    assert lines == sorted(lines, key=lambda line: line.split(" ")[0])
    (cut,) = [line for line in lines if "CD201" in line]
    assert cut.startswith("::error file=models/models--")
    assert "and 1 more" in cut
    lock = tmp_path / "cwd" / "models.lock"
    lock.write_text(
        'version = 1\n[[model]]\nengine = "faster-whisper"\nname = "base"\n'
        f'repository = "Systran/faster-whisper-base"\nrevision = "{"1" * 40}"\n'
        f'files."model.bin" = {{bytes = 3, sha256 = "{"2" * 64}"}}\n'
    )
    (line,) = cachedoctor(
        "preflight", "--lock", "models.lock", "--format", "github"
    ).output.splitlines()
    assert line.startswith("::error file=models.lock,title=")
