"""Machines behind real ssh, each well or ill in its own way, and one answer of all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import lab as labs
from tests.support import worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.lab import Lab, Machine

pytestmark = pytest.mark.lab

NAMES = [
    "healthy", "broken", "slow", "hanging", "none", "banner", "first", "old", "nonsense", "nested",
    "endless", "crashed", "gone",
]  # fmt: skip
SLEEPER = "exec sleep 997\n"
HEAD = '{"schema": 1, "tool": {"name": "cachedoctor", "version": "%s"}, '


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Build the machines."""
    why = labs.missing()
    if why:
        pytest.skip(why)
    with labs.made(tmp_path_factory.mktemp("lab"), NAMES) as found:
        for machine in found.machines.values():
            fill(machine)
        found["slow"].program("sleep 2\n" + labs.REAL)
        found["hanging"].program(SLEEPER)
        (found["none"].folder / "bin" / "cachedoctor").unlink()
        (found["banner"].home / ".bashrc").write_text("echo welcome; echo '{\"schema\": 2}'\n")
        found["banner"].program("echo a word before >&2; echo a word before\n" + labs.REAL)
        error = '"error": {"message": "no such option", "hint": null, "exit_code": 2}}'
        found["first"].program(f"echo '{HEAD % '0.1.0'}{error}'; exit 2\n")
        found["old"].program(f"echo '{HEAD % '0.1.0'}\"plan\": {{}}}}'\n")
        found["nonsense"].program('echo \'{"schema": 1, {{ lookup("pipe", "id") }} \'\n')
        found["nested"].program(
            f'exec {sys.executable} -c \'print("{{\\"a\\":" + "[" * 100000)\'\n'
        )
        found["endless"].program("exec head -c 20000000 /dev/zero\n")
        found["crashed"].program("echo 'Traceback: boom' >&2; kill -9 $$\n")
        labs.run("ip", "-n", found["gone"].space, "link", "set", "eth0", "down")
        yield found


def fill(machine: Machine) -> None:
    """Give a machine a whole model."""
    worlds.repository(machine.hub, worlds.TINY, worlds.whisper_files())


def hurt(machine: Machine) -> Path:
    """Give a machine's model a fault that can be cured there."""
    ref = machine.hub / f"models--{worlds.TINY.replace('/', '--')}" / "refs" / "main"
    ref.write_text(worlds.COMMIT + "\n\n")
    return ref


def asked(lab: Lab, command: str, *names: str, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run a command on these machines and return its answer, with its exit code."""
    given = ("--json", "-i", lab.inventory(*names), *words)
    ended = cachedoctor("fleet", command, *given)
    return {**ended.data, "code": ended.code}


def states(answer: dict[str, Any]) -> dict[str, str]:
    """Return the state of each machine."""
    return {name: host["state"] for name, host in answer["hosts"].items()}


def test_each_machine_is_in_one_state(lab: Lab) -> None:
    """Well or ill, each in its own way, and a hanging one delays no other."""
    ref = hurt(lab["broken"])
    ref.write_text("")
    begun = time.monotonic()
    answer = asked(lab, "scan", words=("--timeout", "8s"))
    lasted = time.monotonic() - begun
    assert states(answer) == {
        "gone": "unreachable", "hanging": "timeout", "none": "no-tool", "first": "too-old",
        "old": "no-answer", "nonsense": "no-answer", "nested": "no-answer",
        "endless": "no-answer", "crashed": "failed", "broken": "findings", "healthy": "healthy",
        "slow": "healthy", "banner": "healthy",
    }  # fmt: skip
    assert answer["code"] == answer["exit_code"] == 5
    assert lasted < 8 + 15
    hosts = answer["hosts"]
    assert hosts["hanging"]["why"] == "no answer after 8 s"
    assert (
        max(host["seconds"] for name, host in hosts.items() if name != "hanging")
        < hosts["hanging"]["seconds"]
    )
    assert next(iter(hosts)) == "gone"
    assert "CD402" in {each["code"] for each in hosts["broken"]["document"]["findings"]}
    assert "boom" in hosts["crashed"]["why"]


def test_an_answer_without_end_costs_no_other_machine_and_no_more_than_is_bound(lab: Lab) -> None:
    """Ansible holds it in memory until a process of it may have no more."""
    lab["endless"].program("exec cat /dev/zero\n")
    caller = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fleet", "scan", "--json", "--timeout", "20s",
         "-i", lab.inventory("endless", "healthy", "slow")], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    most = 0.0
    while caller.poll() is None:
        most = max(most, *map(labs.held, labs.below(caller.pid)))
        time.sleep(0.2)
    said, _ = caller.communicate()
    found = states(json.loads(said))
    assert found.pop("endless") in {"no-answer", "timeout"}
    assert found == {"healthy": "healthy", "slow": "healthy"}
    assert most < 1100
    lab["endless"].end()
    lab["endless"].program("exec head -c 20000000 /dev/zero\n")


def test_a_line_a_machine_the_worst_first(lab: Lab) -> None:
    """And one that counts."""
    ended = cachedoctor("fleet", "scan", "-i", lab.inventory("healthy", "none", "slow"))
    assert ended.code == 5
    assert [" ".join(line.split()) for line in ended.output.splitlines()] == [
        "none no-tool no `cachedoctor`",
        "healthy healthy 1 model 505 B",
        "slow healthy 1 model 505 B",
        "3 hosts: 2 healthy, 1 without cachedoctor (exit 5)",
    ]


def test_what_a_machine_says_is_never_taken_for_a_template(lab: Lab, tmp_path: Path) -> None:
    """Nor are names of models, which the caller hands on."""
    mark = tmp_path / "mark"
    word = "{{ lookup('pipe', 'touch " + str(mark) + "') }}"
    lab["nonsense"].program(f'cat <<\'END\'\n{HEAD % "0.2.0"}"x": "{word}"}}\nEND\n')
    answer = asked(
        lab, "preflight", "nonsense", "healthy", words=("faster-whisper", "--model", word)
    )
    assert states(answer) == {"nonsense": "no-answer", "healthy": "failed"}
    assert not mark.exists()


def test_a_limit_and_an_unknown_machine(lab: Lab) -> None:
    """A pattern of Ansible's chooses; one that means nobody is a mistake."""
    inventory = lab.inventory("healthy", "broken")
    ended = cachedoctor("fleet", "scan", "--json", "-i", inventory, "--limit", "heal*")
    assert list(ended.data["hosts"]) == ["healthy"]
    assert ended.code == 0
    ended = cachedoctor("fleet", "scan", "-i", inventory, "--limit", "nobody")
    assert ended.code in (2, 3)
    assert "nobody" in ended.errors
    ended = cachedoctor("fleet", "scan", "-i", "/no/where")
    assert ended.code == 3


def settled(machine: Machine, within_s: float) -> list[str]:
    """Return what still runs on a machine after a while, at the latest."""
    limit = time.monotonic() + within_s
    while (left := machine.processes()) and time.monotonic() < limit:
        time.sleep(0.2)
    return left


def started(machine: Machine, what: str, within_s: float = 20) -> None:
    """Wait until something runs on a machine."""
    limit = time.monotonic() + within_s
    while not any(what in line for line in machine.processes()):
        assert time.monotonic() < limit, machine.processes()
        time.sleep(0.1)


def test_a_caller_that_is_killed_leaves_nothing_anywhere(lab: Lab) -> None:
    """No process on the machine and none here, and no file."""
    machine = lab["slow"]
    big = machine.home / ".cache" / "whisper" / "tiny.pt"
    big.parent.mkdir(parents=True, exist_ok=True)
    big.write_bytes(os.urandom(8 << 20))
    before = machine.files()
    machine.program()
    caller = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fleet", "verify", "-i", lab.inventory("slow"),
         "--max-rate", "100K"],
    )  # fmt: skip
    try:
        started(machine, "cachedoctor verify")
    finally:
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait()
    assert settled(machine, 15) == []
    here = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"{lab.folder}/key" not in here
    assert machine.files() - before <= state_of(machine)
    big.unlink()


def state_of(machine: Machine) -> set[str]:
    """Return the files in which a machine remembers digests: its user's own."""
    return {name for name in machine.files() if name.startswith(str(machine.home / "state"))}


def test_a_deadline_ends_the_run_on_the_machine(lab: Lab) -> None:
    """Also where the line is cut, so that nobody can tell it."""
    machine = lab["banner"]
    big = machine.home / ".cache" / "whisper" / "tiny.pt"
    big.parent.mkdir(parents=True, exist_ok=True)
    big.write_bytes(os.urandom(8 << 20))
    caller = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fleet", "verify", "-i", lab.inventory("banner"),
         "--max-rate", "100K", "--timeout", "6s", "--json"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    started(machine, "cachedoctor verify")
    machine.unplug()
    said, _ = caller.communicate(timeout=40)
    assert states(json.loads(said)) == {"banner": "timeout"}
    left = [line for line in settled(machine, 10) if "cachedoctor" in line]
    assert left == []
    labs.run("ip", "link", "set", f"cdl{machine.number}", "up")
    big.unlink()


def test_a_session_that_is_cut_off_is_no_answer(lab: Lab) -> None:
    """The machine's end of it dies in mid-run."""
    machine = lab["hanging"]
    machine.end()
    caller = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fleet", "scan", "-i", lab.inventory("hanging"),
         "--timeout", "20s", "--json"], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    started(machine, "sleep 997")
    machine.end()
    said, _ = caller.communicate(timeout=40)
    assert set(states(json.loads(said)).values()) <= {"no-answer", "unreachable"}
    assert caller.returncode == 5


def test_a_fix_shows_all_plans_and_is_taken_back_as_a_whole(lab: Lab) -> None:
    """What each machine showed is what it does; without an answer to the question, nothing."""
    names = ("healthy", "broken", "slow")
    refs = {name: hurt(lab[name]) for name in names[1:]}
    before = {name: ref.read_bytes() for name, ref in refs.items()}
    inventory = lab.inventory(*names)
    shown = cachedoctor("fleet", "fix", "-i", inventory, "--offline")
    assert shown.code == 1
    assert shown.output.count("CD401") == 4
    assert "healthy  nothing to repair" in shown.output
    assert {name: ref.read_bytes() for name, ref in refs.items()} == before
    done = cachedoctor("fleet", "fix", "-i", inventory, "--offline", "--yes", "--json")
    assert done.code == 0, done.output
    assert set(states(done.data).values()) == {"healthy"}
    assert {ref.read_text() for ref in refs.values()} == {worlds.COMMIT}
    back = cachedoctor("fleet", "undo", done.data["run"], "--json")
    assert states(back.data) == {"broken": "healthy", "slow": "healthy"}, back.output
    assert back.code == 0
    assert {name: ref.read_bytes() for name, ref in refs.items()} == before
    wrong = cachedoctor("fleet", "undo", "20200101-000000-0000")
    assert wrong.code == 2


def test_what_is_pushed_looks_repairs_and_is_taken_away(lab: Lab) -> None:
    """On a machine without cachedoctor, with a lock file, and when the caller is killed."""
    machine = lab["none"]
    before = machine.files()
    inventory = lab.inventory("none")
    pushed = ("--push", "-i", inventory, "--json")
    assert states(cachedoctor("fleet", "scan", *pushed).data) == {"none": "healthy"}
    assert machine.files() == before
    ref = hurt(machine)
    done = cachedoctor("fleet", "fix", *pushed, "--yes")
    assert states(done.data) == {"none": "healthy"}, done.output
    assert ref.read_text() == worlds.COMMIT
    assert {each for each in machine.files() - before if "state" not in each} == set()
    back = cachedoctor("fleet", "undo", done.data["run"], "--push", "--json")
    assert states(back.data) == {"none": "healthy"}, back.output
    assert ref.read_text() != worlds.COMMIT
    kept = machine.files()
    big = machine.home / ".cache" / "whisper" / "tiny.pt"
    big.parent.mkdir(parents=True)
    big.write_bytes(os.urandom(8 << 20))
    caller = subprocess.Popen(
        [sys.executable, "-m", "cachedoctor", "fleet", "verify", "--push", "-i", inventory,
         "--max-rate", "100K"],
    )  # fmt: skip
    try:
        started(machine, "verify --max-rate")
    finally:
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait()
    assert settled(machine, 15) == []
    left = machine.files() - kept - {str(big), str(big.parent)}
    assert {each for each in left if "state" not in each} == set()


def test_a_lock_file_goes_along(lab: Lab, tmp_path: Path) -> None:
    """To machines with cachedoctor and without, and is gone afterwards."""
    lock = tmp_path / "models.lock"
    home = {"HOME": str(lab["healthy"].home)}
    made = cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(lock), env=home)
    assert made.code == 0, made.errors
    before = lab["healthy"].files()
    for more, name in (((), "healthy"), (("--push",), "none")):
        words = ("-i", lab.inventory(name), "--lock", str(lock), "--json", *more)
        answer = cachedoctor("fleet", "preflight", *words)
        (verdict,) = answer.data["hosts"][name]["document"]["verdicts"]
        assert verdict["model"] == "tiny.en"
        assert answer.code == (0 if name == "healthy" else 1), answer.output
    assert {each for each in lab["healthy"].files() - before if "state" not in each} == set()


def test_one_machine_gives_what_others_lack(lab: Lab, tmp_path: Path) -> None:
    """Over real lines; taken back as a whole, and nothing is left of a caller that is killed."""
    lock = tmp_path / "models.lock"
    home = {"HOME": str(lab["healthy"].home)}
    assert cachedoctor("lock", "faster-whisper:tiny.en", "-o", str(lock), env=home).code == 0
    names = ("healthy", "broken", "slow")
    for name in names[1:]:
        shutil.rmtree(lab[name].hub)
    given = ("-i", lab.inventory(*names), "--lock", str(lock), "--from", "healthy", "--yes")
    done = cachedoctor("fleet", "fix", *given, "--json")
    assert (done.code, set(states(done.data).values())) == (0, {"healthy"}), done
    assert set(done.data["unpacks"]) == {"broken", "slow"}
    assert not [name for name in names if list(lab[name].home.glob(".cachedoctor-fleet"))]
    back = cachedoctor("fleet", "undo", done.data["run"], "--json")
    assert states(back.data) == {"broken": "healthy", "slow": "healthy"}, back.output
    machine = lab["healthy"]
    waits = f'[ "$1" = pack ] && exec sleep 991\n{labs.REAL}'
    machine.program(waits)
    caller = subprocess.Popen([sys.executable, "-m", "cachedoctor", "fleet", "fix", *given])
    try:
        started(machine, "sleep 991", 90)  # the plans of all come before
    finally:
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait()
    assert settled(machine, 15) == []
    assert not list(machine.home.glob(".cachedoctor-fleet"))
    machine.program()
    for name in names[1:]:
        fill(lab[name])


def test_a_playbook_brings_the_lab_to_a_lock_file(lab: Lab, tmp_path: Path) -> None:
    """Check mode changes nothing and shows the plan; a second run has nothing to do."""
    machine = lab["healthy"]
    lock = tmp_path / "models.lock"
    made = cachedoctor(
        "lock", "faster-whisper:tiny.en", "-o", str(lock), env={"HOME": str(machine.home)}
    )
    assert made.code == 0, made.errors
    ref = hurt(machine)
    place = tmp_path / "ansible_collections" / "cachedoctor" / "models"
    shutil.copytree(Path(__file__).parent.parent / "collection", place)

    def played(*more: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "ansible-playbook"), "-i", lab.inventory("healthy"),
             "cachedoctor.models.lab", "-e", f"lock={lock}", "-e", "offline=true", *more],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (counted,) = [line for line in done.stdout.splitlines() if "changed=" in line]
        return int(counted.split("changed=")[1].split()[0]), done.stdout

    before = ref.read_bytes()
    count, said = played("--check", "--diff")
    assert (count, ref.read_bytes()) == (1, before)
    assert "+" in said
    assert "CD401" in said
    assert played()[0] == 1
    assert ref.read_text() == worlds.COMMIT
    assert played()[0] == 0
    assert list((machine.folder / "tmp").iterdir()) == []
