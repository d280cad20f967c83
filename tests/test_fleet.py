"""One answer of many machines: what is sent, what is heard, and which state that is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from cachedoctor.errors import UsageError
from cachedoctor.fleet import judging, line, parcel, repairing, single_file, wording
from cachedoctor.fleet.carrier import Fleet, Reply
from cachedoctor.fleet.judging import Answer, State
from tests.support import worlds
from tests.support.command import cachedoctor
from tests.support.processes import alive, soon

MARK = "cachedoctor-0123456789abcdef"
SHELLS = [
    shell for shell in ("/bin/sh", "/bin/bash", "/bin/zsh", "/bin/csh") if os.path.exists(shell)
]


def reply(answer: object, code: int = 0, **more: object) -> Reply:
    """Return what Ansible says of a machine that answered."""
    said = answer if isinstance(answer, str) else json.dumps(answer)
    return Reply("a", "ok", f"hello\n\n{MARK} begin\n{said}\n{MARK} end {code}\n", **more)  # type: ignore[arg-type]


def state(given: Reply, command: str = "scan") -> str:
    """Return the state of that machine."""
    return judging.judge(given, command, MARK, 5).state.value


def scanned(version: str | None = None) -> dict[str, object]:
    """Return what a scan answers, as another version would."""
    document = cachedoctor("scan", "--json").data
    return {
        **document,
        "tool": {"name": "cachedoctor", "version": version or document["tool"]["version"]},
    }


def test_exactly_one_state() -> None:
    """For each thing that a machine can say, or not."""
    document = scanned()
    assert state(reply(document)) == "healthy"
    assert state(reply(document, 1)) == "findings"
    assert state(reply(document, 3)) == "failed"
    assert state(reply(document), "verify") == "no-answer"
    assert state(reply({**document, "findings": 1})) == "no-answer"
    assert state(reply("[1]")) == "no-answer"
    assert state(reply('{"a": ' + "[" * 100_000)) == "no-answer"
    assert state(reply({**document, "schema": 2})) == "no-answer"
    assert state(reply(document, too_long=True)) == "no-answer"
    assert state(reply("a banner\n" + json.dumps(document))) == "healthy"
    assert state(Reply("a", "ok", f"{MARK} begin\n{json.dumps(document)}")) == "no-answer"
    assert state(Reply("a", "ok", f"{MARK} missing cachedoctor\n")) == "no-tool"
    assert state(Reply("a", "ok", "This account is not available\n")) == "no-answer"
    assert state(Reply("a", "gone", message="no route")) == "unreachable"
    assert state(Reply("a", "failed", message="Missing sudo password")) == "failed"
    assert state(Reply("a", "failed", timed_out=True)) == state(Reply("a", "silent")) == "timeout"


def test_versions_two_minors_apart_are_read() -> None:
    """Also where they leave out what this one says; older ones are too old."""
    _, ours, _ = map(int, scanned()["tool"]["version"].split("."))  # type: ignore[index]
    for minor in range(max(0, ours - 2), ours + 3):
        document = scanned(f"0.{minor}.7")
        if minor != ours:
            del document["core_ml"]
        assert state(reply(document)) == "healthy", minor
    assert state(reply(scanned(f"0.{ours + 3}.0"))) == "no-answer"
    error = {"message": "no such option", "hint": None, "exit_code": 2}
    head = {"schema": 1, "tool": {"name": "cachedoctor", "version": "0.1.0"}}
    assert state(reply({**head, "error": error}, 2)) == "too-old"
    interrupted = {"message": "not done after 5 s", "hint": None, "exit_code": 130}
    assert state(reply({**head, "error": interrupted}, 130)) == "timeout"


def test_the_worst_comes_first_and_the_exit_code_says_it() -> None:
    """5 where a machine gave no answer, 1 where one has findings, else 0."""
    answers = [Answer(each.value, each) for each in reversed(State)]
    assert [each.state for each in wording.ordered(answers)] == list(State)
    assert wording.exit_code(answers) == 5
    assert wording.exit_code(answers[:2]) == 1
    assert wording.exit_code(answers[:1]) == 0
    assert wording.counting(answers[:1]) == "1 host: 1 healthy"
    odd = Answer("a\x1b[31m\n::error", State.FAILED, "why")
    assert "\x1b" not in "".join(wording.lines("scan", [odd]))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_line_means_the_same_in_any_login_shell(shell: str, tmp_path: Path) -> None:
    """Words are handed on as they are, a lock file lies there meanwhile and is gone."""
    tool = tmp_path / "tool"
    tool.write_text(
        f"#!{sys.executable}\nimport sys, json\n"
        "at = sys.argv[-1]\nprint(json.dumps([sys.argv[1:], open(at).read(), at]))\n"
    )
    tool.chmod(0o755)
    lock = "a = \"\\\\ %s !x\"\nb = '$HOME `id`'\n"
    words = ["scan", "a b", "$HOME", "it's", '"', "{{ x }}", "*"]
    sent = line.command(words, tool=str(tool), marked=MARK, deadline_s=7, lock=lock)
    done = subprocess.run([shell, "-c", sent], capture_output=True, text=True, check=True)
    heard = line.heard(done.stdout, MARK)
    assert heard.code == 0, done
    got, text, at = json.loads(heard.text)
    assert got[:-2] == [*words, "--deadline", "7s"]
    assert text == lock
    assert not os.path.exists(at)


def test_an_end_that_always_comes() -> None:
    """After the time that was given, and when nobody reads the answer any more."""
    words = [sys.executable, "-m", "cachedoctor", "verify", "--max-rate", "100K"]
    big = Path(os.environ["HOME"], ".cache", "whisper", "tiny.pt")
    big.parent.mkdir(parents=True)
    big.write_bytes(os.urandom(4 << 20))
    done = subprocess.run([*words, "--deadline", "1s", "--json"], capture_output=True, check=False)
    assert done.returncode == 130
    assert b"not done after 1 s" in done.stderr
    running = subprocess.Popen([*words, "--deadline", "100s"], stdout=subprocess.PIPE)
    time.sleep(0.5)
    assert running.stdout is not None
    running.stdout.close()
    assert running.wait(15) == 130


def test_a_plan_that_is_another_one_is_not_applied(home: Path) -> None:
    """`fix --accept` does what was shown, or nothing."""
    model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
    ref = model / "refs" / "main"
    ref.write_text(worlds.COMMIT + "\n\n")
    shown = cachedoctor("fix", "--dry-run", "--json").data["plan"]["digest"]
    assert cachedoctor("fix", "--dry-run", "--json").data["plan"]["digest"] == shown
    (model / "refs" / "other").write_text(worlds.COMMIT + "\n\n")
    assert cachedoctor("fix", "--accept", shown, "--json").code == 4
    assert ref.read_text() == worlds.COMMIT + "\n\n"
    (model / "refs" / "other").unlink()
    assert cachedoctor("fix", "--accept", shown).code == 0
    assert ref.read_text() == worlds.COMMIT


def test_what_is_written_down_of_a_run(tmp_path: Path) -> None:
    """Names of runs that are none, as a machine may invent them, are not kept."""
    where = str(tmp_path / "state")
    name = repairing.begin(Fleet("lab,", options=("--become",)), "tool", ("a", "b", "c"), where)
    ids = ["20260101-000000-abcd", "--journal=/x", "../x"]
    repairing.add(name, Answer("a", State.HEALTHY, document={"run": {"ids": ids}}), where)
    repairing.add(name, Answer("b", State.TIMEOUT), where)
    record = repairing.read(name, where)
    assert record.runs == {"a": (ids[0],)}
    assert record.unknown == ("b", "c")
    assert (record.fleet.inventory, record.fleet.options, record.tool) == (
        "lab,",
        ("--become",),
        "tool",
    )
    with pytest.raises(UsageError, match="no run of a fleet"):
        repairing.read("x", where)


def test_the_single_file(tmp_path: Path) -> None:
    """Runs on a bare Python, is proven by its digest, and is the same twice."""
    content = single_file.content()
    assert content == single_file.content()
    place = tmp_path / single_file.FOLDER / "ansible-tmp-1"
    place.mkdir(parents=True)
    file = place / "cachedoctor.pyz"
    file.write_bytes(content)
    with zipfile.ZipFile(file) as archive:
        assert {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name} == {
            "__main__.py", "cachedoctor", "click", "platformdirs"
        }  # fmt: skip
    done = subprocess.run(
        ["/bin/sh", str(file), MARK, "", "scan", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert state(Reply("a", "ok", done.stdout)) == "healthy", done
    assert not place.parent.exists()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(content[:-9] + b"!" + content[-8:])
    done = subprocess.run(
        ["/bin/sh", str(damaged), MARK, "", "scan"], capture_output=True, text=True, check=True
    )
    assert line.heard(done.stdout, MARK).missing == "cachedoctor as it was sent"


@pytest.fixture
def packer(home: Path) -> Path:
    """Make a program in the place of `cachedoctor pack`: it writes bytes and says that it did."""
    tool = home / "tool"
    does = ['echo $$ >"$HOME/pid"', 'echo "$@" >&2', 'printf "rm -rf /\\\\0bytes"']
    tool.write_text("\n".join(["#!/bin/sh", *does, '[ "$2" = ok ] || exec sleep 99\n']))
    tool.chmod(0o755)
    return tool


@pytest.mark.parametrize("shell", SHELLS)
def test_a_pack_becomes_a_file_whose_head_is_ours(shell: str, packer: Path, home: Path) -> None:
    """What the machine said is behind it, for `unpack` alone; the file goes when it was fetched."""
    sent = parcel.packing(["ok", "it's"], tool=str(packer), marked=MARK, deadline_s=9)
    done = subprocess.run([shell, "-c", sent], capture_output=True, text=True, check=True)
    heard = line.heard(done.stdout, MARK)
    assert (heard.code, heard.text.split()) == (
        0,
        ["pack", "ok", "it's", "-o", "-", "--json", "--deadline", "9s"],
    )
    file = Path(parcel.place(os.environ["HOME"], MARK))
    assert file.read_bytes() == bytes(parcel.HEAD_BYTES) + b"rm -rf /\0bytes"
    here = home / "here"
    os.rename(file, here)
    parcel.begin(str(here))
    words = parcel.unpacking("a:b", tool="~/other", marked=MARK, deadline_s=9)
    other = home / "other"
    other.write_text('#!/bin/sh\necho "$@"\ncat\n')
    other.chmod(0o755)
    done = subprocess.run(
        [shell, "-c", f"/bin/sh {here} {words}"], capture_output=True, text=True, check=True
    )
    heard = line.heard(done.stdout, MARK)
    assert heard.text == "unpack - a:b --yes --json --deadline 9s\nrm -rf /\0bytes\n"
    missing = subprocess.run(
        ["/bin/sh", here, MARK, "/no/where"], capture_output=True, text=True, check=True
    )
    assert line.heard(missing.stdout, MARK).missing == "cachedoctor"
    limit = time.monotonic() + 10
    while file.parent.exists() and time.monotonic() < limit:
        time.sleep(0.1)
    assert not file.parent.exists()


def test_a_pack_that_nobody_waits_for_is_taken_away(packer: Path) -> None:
    """With the process that makes it."""
    sent = parcel.packing(["slow"], tool=str(packer), marked=MARK, deadline_s=99)
    running = subprocess.Popen(["/bin/sh", "-c", sent], stdout=subprocess.PIPE)
    assert running.stdout is not None
    file = Path(parcel.place(os.environ["HOME"], MARK))
    limit = time.monotonic() + 10
    while not file.exists() or file.stat().st_size <= parcel.HEAD_BYTES:
        assert time.monotonic() < limit
        time.sleep(0.05)
    running.stdout.close()
    assert running.wait(15) == 1
    assert not file.exists()
    packing = int((packer.parent / "pid").read_text())
    assert soon(lambda: not alive(packing))  # whoever reaps it takes its time
