"""One question from the command line to the second look, and commands that ask it again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from cachedoctor import doctor, rules
from cachedoctor.findings import Link, MakeFolder, Put, Rename, SetAside
from cachedoctor.host import Host
from cachedoctor.question import Question
from tests import worlds
from tests.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path


def test_a_report_keeps_its_question(home: Path, host: Host) -> None:
    """What was asked is there for the second look, which reads nothing twice."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    asked = Question(host, ("faster-whisper",), models=("tiny.en",), codes=("CD301",), deep=True)
    report = doctor.answer(asked)
    assert report.question == asked
    assert report.question.again() == asked._replace(deep=False)
    again = doctor.answer(report.question.again())
    assert [entry.id for entry in again.entries] == [entry.id for entry in report.entries]


def test_a_printed_command_repeats_every_option(home: Path, tmp_path: Path) -> None:
    """Home, system, project, variables and versions; a token is nobody's to print."""
    project = tmp_path / "my project"
    project.mkdir()
    host = Host.look(
        home=str(home),
        platform="darwin",
        project=str(project),
        environment={"HF_HOME": "/data/hf", "HF_TOKEN": "hf_secret"},
        engine_versions={"fluidaudio": "0.13.2"},
    )
    words = shlex.split(host.command("fix", "--waste"))
    assert words[:3] == ["cachedoctor", "fix", "--waste"]
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert given.keys() == {"--home", "--platform", "--project", "--env", "--engine-version"}
    assert given["--project"] == str(project)
    assert given["--env"] == "HF_HOME=/data/hf"
    assert given["--engine-version"] == "fluidaudio=0.13.2"


def test_an_own_home_needs_no_options(host: Host) -> None:
    """What is looked at anyway is not repeated."""
    assert host.command("scan") == "cachedoctor scan"


def test_a_hint_works_when_pasted(home: Path) -> None:
    """The command that a scan prints asks about the same cache, moved by a variable."""
    hub = home / "elsewhere"
    repository = worlds.repository(hub, worlds.TINY, worlds.whisper_files())
    (repository / "refs" / "main").write_text(worlds.COMMIT + "\n")
    where = ("--home", str(home), "--env", f"HF_HUB_CACHE={hub}")
    shown = cachedoctor("scan", *where).output
    hint = next(line for line in shown.splitlines() if "hint: `" in line)
    command = shlex.split(hint.split("`")[1])
    assert command[:2] == ["cachedoctor", "fix"]
    assert cachedoctor(*command[1:], "--yes").code == 0
    assert cachedoctor("scan", *where, "--json").codes == []


def test_a_command_to_look_deeper_repeats_the_question(home: Path) -> None:
    """The command of a cure by hand is cachedoctor's own, so it carries the options too."""
    host = Host.look(home=str(home), platform="darwin")
    rule = rules.find("CD207")
    finding = rule.about("/m", (), "refused")
    repair = rule.cure(finding, rules.Examination(doctor.scan(host).survey, host))
    assert repair is not None
    assert repair.describe == host.command("fix", "CD506")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SetAside("x"), MakeFolder("x")),
        (Put("a", "b"), Rename("a", "b")),
        (Rename("a", "b"), Link("a", "b")),
    ],
)
def test_steps_of_different_kinds_are_unequal(one: object, other: object) -> None:
    """Setting something aside is not making a folder of its name, in a set either."""
    assert one != other
    assert not one == other  # noqa: SIM201 - both operators are ours
    assert len({one, other}) == 2
    assert one == type(one)(*one)  # type: ignore[misc]
