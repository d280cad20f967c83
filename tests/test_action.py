"""The composite action: its steps are run in bash with the variables that a runner gives them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.conftest import fingerprint
from tests.support import forking, weights, worlds
from tests.support.command import cachedoctor

ROOT = Path(__file__).parent.parent
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
INSTALL, ASK = ACTION["runs"]["steps"]
HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    '"; touch pwned; "',
    "'; touch pwned; '",
    "x\ntouch pwned\n",
    "\n::error title=forged::x",
    "--help",
    "*",
    "${IFS}",
    "a b",
)


class Done(NamedTuple):
    """What a step left behind."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str
    path: str


def installed(place: Path) -> Path:
    """Return the folder of programs that the first step made."""
    programs = place / "cachedoctor" / "venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    return programs


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """Return a runner's temporary folder in which the first step has been.

    Its `cachedoctor` is the one that forks, because the step starts it three times.
    """
    place = tmp_path / "runner temp"  # a runner's name may have spaces
    forking.server(os.getpid()).program(str(installed(place) / "cachedoctor"))
    return place


@pytest.fixture
def model(home: Path) -> Path:
    """Put a whole model into the hub cache."""
    return worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())


def step(
    what: dict[str, Any], runner: Path, env: dict[str, str] | None = None, **given: str
) -> Done:
    """Run a step as a runner does, its inputs filled in."""
    inputs = {name: row.get("default", "") for name, row in ACTION["inputs"].items()}
    inputs |= {name.replace("_", "-"): value for name, value in given.items()}
    assert inputs.keys() == ACTION["inputs"].keys()
    filled = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], value)
        for name, value in what["env"].items()
    }
    files = {
        name: runner / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
    }
    for file in files.values():
        file.write_text("")
    script = runner / "step.sh"
    script.write_text(what["run"])
    ended = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
        env={
            **os.environ,
            **{name: str(file) for name, file in files.items()},
            "RUNNER_TEMP": str(runner),
            "RUNNER_OS": "Linux",
            "GITHUB_ACTION_PATH": str(ROOT),
            **filled,
            **(env or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        pass_fds=[forking.server(os.getpid()).channel.fileno()],
    )
    assert "Traceback" not in ended.stdout, ended.stdout
    return Done(
        ended.returncode,
        ended.stdout,
        outputs(files["GITHUB_OUTPUT"].read_text()),
        files["GITHUB_STEP_SUMMARY"].read_text(),
        files["GITHUB_PATH"].read_text(),
    )


def outputs(text: str) -> dict[str, str]:
    """Read a runner's file of outputs: `name=value`, or lines up to a delimiter."""
    found = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, delimiter, value = re.fullmatch(r"(\w+)(=|<<)(.*)", line).groups()  # type: ignore[union-attr]
        if delimiter == "<<":
            held: list[str] = []
            for inner in lines:
                if inner == value:
                    break
                held.append(inner)
            value = "\n".join(held)
        found[name] = value
    return found


def test_no_input_is_written_into_a_script() -> None:
    """Expressions stand only where their value becomes a variable or an output."""
    for each in ACTION["runs"]["steps"]:
        assert each["shell"] == "bash"
        assert "${{" not in each["run"]
    told = set(re.findall(r"inputs\.([\w-]+)", str(ACTION["runs"])))
    assert told == set(ACTION["inputs"])
    assert all(row["description"] for row in (ACTION["inputs"] | ACTION["outputs"]).values())


def test_the_page_names_every_input_and_output() -> None:
    """In its tables, with the values that an input may have."""
    page = (ROOT / "docs" / "how-to" / "ci.md").read_text()
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert re.search(rf"^\| .*`{name}`.* \|", page, re.MULTILINE), name


def test_a_model_that_is_ready(tmp_path: Path, model: Path, home: Path) -> None:
    """Exit code 0, its path and the whole answer; nothing in the cache is touched."""
    runner = tmp_path / "runner temp"
    (installed(runner) / "cachedoctor").symlink_to(Path(sys.executable).parent / "cachedoctor")
    before = fingerprint(home)
    done = step(ASK, runner, engine="faster-whisper", model="tiny.en")
    assert done.code == 0, done.log
    assert done.outputs["verdict"] == "ready"
    assert done.outputs["path"] == str(model / "snapshots" / worlds.COMMIT)
    told = json.loads(Path(done.outputs["json"]).read_text())
    assert told["verdict"]["ready"] is True
    assert "\n    ready   faster-whisper tiny.en" in done.summary
    assert "::" not in done.log
    assert fingerprint(home) == before


def test_a_model_that_is_not_there(runner: Path) -> None:
    """Exit code 1 and an annotation with the cure; with `never` the same and exit code 0."""
    for fail_on, code in (("", 1), ("never", 0)):
        done = step(ASK, runner, engine="faster-whisper", size="tiny", fail_on=fail_on)
        assert done.code == code
        assert (done.outputs["verdict"], done.outputs["path"]) == ("not-ready", "")
        (line,) = done.log.splitlines()
        assert line.startswith("::error title=")
        assert "cachedoctor fix faster-whisper --size tiny" in line
        assert "absent" in done.summary


def test_a_lock_file(runner: Path, model: Path, tmp_path: Path) -> None:
    """Each locked model's path, a line each; bytes that changed are found by verify alone."""
    lock = tmp_path / "my models.lock"
    assert cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(lock)).code == 0
    done = step(ASK, runner, lock=str(lock))
    assert (done.code, done.outputs["verdict"]) == (0, "ready"), done.log
    assert done.outputs["path"] == str(model / "snapshots" / worlds.COMMIT)
    done = step(ASK, runner, lock=str(lock), command="verify")
    assert (done.code, done.outputs["verdict"]) == (0, "healthy")
    blob = worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin")
    worlds.flip(blob, blob.stat().st_size // 2)
    done = step(ASK, runner, lock=str(lock), command="verify")
    assert (done.code, done.outputs["verdict"]) == (1, "findings")
    assert "CD301" in done.log
    assert "CD301" in done.summary


def test_a_scan_and_what_it_fails_on(runner: Path, model: Path) -> None:
    """A note fails the step only where that is asked for."""
    assert step(ASK, runner, command="scan").outputs["verdict"] == "healthy"
    (model / "blobs" / f"{'ab' * 32}.0123abcd.incomplete").write_bytes(b"half")
    done = step(ASK, runner, command="scan")
    assert (done.code, done.outputs["verdict"]) == (0, "healthy")
    assert "::notice title=CD502" in done.log
    done = step(ASK, runner, command="scan", fail_on="note")
    assert (done.code, done.outputs["verdict"]) == (1, "findings")
    assert step(ASK, runner, command="scan", engine="whisper.cpp", fail_on="note").code == 0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": "fix"}, "must be preflight, verify or scan"),
        ({"engine": "faster-whispe", "size": "tiny"}, "did you mean `faster-whisper`"),
        ({"engine": "faster-whisper"}, "name either a size or a model"),
        ({}, "name an engine, or a lock file"),
        ({"lock": "nowhere.lock"}, "nowhere.lock"),
        ({"command": "scan", "fail_on": "sometimes"}, "sometimes"),
        ({"command": "scan", "lock": "models.lock"}, "--lock"),
        ({"engine": "faster-whisper", "size": "tiny", "fail_on": "note"}, "--fail-on"),
    ],
    ids=str,
)
def test_inputs_that_mean_nothing_always_fail(
    runner: Path, given: dict[str, str], words: str
) -> None:
    """With the reason in the log and one annotation, and without a verdict."""
    done = step(ASK, runner, None, **given)
    assert done.code in (2, 3)
    assert words in done.log
    assert "::error title=cachedoctor::" in done.log
    assert "verdict" not in done.outputs


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["command", "engine", "size", "model", "lock", "fail_on"])
def test_no_input_can_run_anything(runner: Path, home: Path, name: str, value: str) -> None:
    """Whatever is written into an input is a name that means nothing."""
    given = {"engine": "faster-whisper", "size": "tiny"} if name in ("command", "fail_on") else {}
    if name in ("size", "model"):
        given["engine"] = "faster-whisper"
    if name == "engine":
        given["size"] = "tiny"
    done = step(ASK, runner, None, **{**given, name: value})
    assert done.code in (2, 3), done.log
    assert not list(Path.cwd().glob("pwned*"))
    assert not list(runner.rglob("pwned*"))
    assert not re.search("^::error title=forged", done.log, re.MULTILINE)
    assert done.outputs.keys() <= {"json"}


def test_a_path_cannot_forge_an_output(runner: Path, tmp_path: Path) -> None:
    """A cache whose path has a line in it that looks like an output."""
    home = tmp_path / "a\nverdict=not-ready\nb"
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    env = {"HOME": str(home)}
    done = step(ASK, runner, env, engine="faster-whisper", model="tiny.en")
    assert (done.code, done.outputs["verdict"]) == (0, "ready")
    assert done.outputs.keys() == {"json", "path", "verdict"}
    assert done.outputs["path"].startswith(str(home))


@pytest.mark.parametrize("value", [*HOSTILE, "1.0 --index-url=http://localhost", "1; x"])
def test_no_version_can_install_anything_else(runner: Path, value: str) -> None:
    """It is refused before pip is started."""
    done = step(INSTALL, runner, version=value)
    assert (done.code, done.path) == (2, "")
    assert "is not a version" in done.log


def test_windows_is_refused(runner: Path) -> None:
    """In one line, before anything is made."""
    done = step(INSTALL, runner, {"RUNNER_OS": "Windows"})
    assert (done.code, "not on Windows" in done.log) == (2, True)


@pytest.mark.heavy
@pytest.mark.real
def test_both_steps_from_nothing(tmp_path: Path, model: Path) -> None:
    """The action installs itself, is on the PATH of later steps, and answers."""
    runner = tmp_path / "runner temp"
    runner.mkdir()
    done = step(INSTALL, runner, weights.ENVIRONMENT, python=sys.executable)
    if done.code and "ConnectionError" in done.log:
        pytest.skip("no package index")
    assert done.code == 0, done.log
    program = Path(done.path.strip()) / "cachedoctor"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("cachedoctor, version")
    done = step(ASK, runner, engine="faster-whisper", model="tiny.en")
    assert (done.code, done.outputs["verdict"]) == (0, "ready"), done.log
