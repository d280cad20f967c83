"""What shells offer on TAB: asked as each shell asks, and typed into a real bash."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cachedoctor import cli, rules
from cachedoctor.engines import catalog
from cachedoctor.vocabulary import SIZES
from tests.support import worlds
from tests.support.command import cachedoctor

SHELLS = ("bash", "zsh", "fish")
ENGINES = list(catalog.names())


def asked(shell: str, line: str) -> list[str]:
    """Ask what could stand at the end of a line, and return the offered values."""
    words = line.split(" ")
    told = {
        "_CACHEDOCTOR_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": line if shell != "bash" else "\n".join(words),
        "COMP_CWORD": words[-1] if shell == "fish" else str(len(words) - 1),
    }
    ended = cachedoctor(env=told)
    assert (ended.code, ended.errors) == (0, "")
    if shell == "bash":
        return [row.partition(",")[2] for row in ended.output.split()]
    if shell == "zsh":
        return [value.replace("\\:", ":") for value in ended.output.splitlines()[1::3]]
    rows = re.findall(r"^plain,([^\t\n]*)", ended.output, re.MULTILINE)
    return rows or re.findall(r"^plain\n(.*)", ended.output, re.MULTILINE)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("cachedoctor ", list(cli.COMMANDS)),
        ("cachedoctor qu", ["quarantine"]),
        ("cachedoctor quarantine ", ["empty", "list"]),
        ("cachedoctor scan ", ENGINES),
        ("cachedoctor verify whisperk", ["whisperkit"]),
        ("cachedoctor bench --engine whisperk", ["whisperkit"]),
        ("cachedoctor where faster", ["faster-whisper"]),
        ("cachedoctor engines faster", ["faster-whisper"]),
        ("cachedoctor preflight faster-whisper --size ", list(SIZES)),
        ("cachedoctor preflight --size sm", ["small"]),
        ("cachedoctor scan faster-whisper --model base", ["base", "base.en"]),
        ("cachedoctor preflight --model base", []),  # of which engine?
        ("cachedoctor lock faster", [f"faster-whisper:{size}" for size in SIZES]),
        ("cachedoctor lock nobody", []),
        ("cachedoctor fix CD50", [rule.code for rule in rules.every() if rule.code[:4] == "CD50"]),
        ("cachedoctor fix whisperk", ["whisperkit"]),
        ("cachedoctor explain cd301", ["CD301"]),
        ("cachedoctor explain trunc", ["truncated"]),
        ("cachedoctor explain nothing", []),
        ("cachedoctor completion ", list(SHELLS)),
        ("cachedoctor unpack --for whisperk", ["whisperkit"]),
        ("cachedoctor pull whisperkit:sm", ["whisperkit:small"]),
        ("cachedoctor verify --max-rate 50", ["50K", "50M", "50G"]),
        ("cachedoctor free 20G", ["20G", "20GB"]),
        ("cachedoctor prune --older-than 3m", ["3m", "3mo"]),
        ("cachedoctor prune --older-than ", []),
        ("cachedoctor fix --mirror h", ["hub="]),
        ("cachedoctor scan --format j", ["json", "junit"]),
        ("cachedoctor scan --home /nowhere --fail-", ["--fail-on"]),
    ],
    ids=str,
)
def test_each_shell_is_offered_the_same(shell: str, line: str, offers: list[str]) -> None:
    """Commands, engines, sizes, models of the engine on the line, codes, choices, options."""
    assert asked(shell, line) == offers


def test_a_colon_and_an_equals_sign_are_as_each_shell_has_them() -> None:
    """Bash makes words of its own of them; the others put the offer in the place of the whole."""
    smalls = ["small", "small.en"]
    assert asked("bash", "cachedoctor lock faster-whisper : sm") == smalls
    assert "small.en" in asked("bash", "cachedoctor lock faster-whisper :")
    assert asked("bash", "cachedoctor lock nobody : sm") == []
    assert asked("bash", "cachedoctor lock :") == []
    assert asked("bash", "cachedoctor scan --fail-on = wa") == ["warning"]
    for shell in ("zsh", "fish"):
        wanted = [f"faster-whisper:{name}" for name in smalls]
        assert asked(shell, "cachedoctor lock whisperkit:tiny faster-whisper:sm") == wanted
        assert asked(shell, "cachedoctor scan --fail-on=wa") == ["--fail-on=warning"]


def test_offers_are_explained(home: Path) -> None:
    """Zsh shows a few words beside each: what a command does, a model's cost, a code's title."""

    def told(line: str) -> str:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        return cachedoctor(env={"_CACHEDOCTOR_COMPLETE": "zsh_complete", **words}).output

    assert "Show which models are there and what is wrong with them." in told("cachedoctor sc")
    assert "hub-cache" in told("cachedoctor scan faster")
    assert "74.1 MiB" in told("cachedoctor preflight whisper.cpp --model tiny.en")
    assert "large-v3-turbo, large-v3" in told("cachedoctor preflight faster-whisper --size large")
    assert "truncated: " in told("cachedoctor explain CD201")


def test_fixes_are_offered_until_they_are_taken_back(home: Path) -> None:
    """The newest first, of the home that the line names; a home that is none has none."""
    assert asked("zsh", "cachedoctor undo ") == []
    made = []
    for _ in range(2):
        model = worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files())
        (model / "refs" / "main").write_text(f"{worlds.COMMIT}\n")
        fixed = cachedoctor("fix", "--yes", "--json")
        made += fixed.data["run"]["ids"]
        shutil.rmtree(model)
    assert len(made) == 2
    assert sorted(asked("zsh", "cachedoctor undo ")) == sorted(made)
    assert sorted(asked("zsh", f"cachedoctor undo --home {home} ")) == sorted(made)
    assert asked("zsh", f"cachedoctor undo --home {home / 'no'} ") == []
    assert asked("zsh", f"cachedoctor undo {made[0]}") == [made[0]]


@pytest.mark.parametrize("shell", SHELLS)
def test_files_are_left_to_the_shell(shell: str) -> None:
    """Where a file or a folder is wanted, the answer is to offer those."""
    kinds = {"--lock ": "file", "--home ": "dir", "--project x": "dir", "/tm": "file"}
    for words, kind in kinds.items():
        line = f"cachedoctor verify {words}"
        told = {
            "_CACHEDOCTOR_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": line.rsplit(" ", maxsplit=1)[-1]
            if shell == "fish"
            else str(line.count(" ")),
        }
        assert cachedoctor(env=told).output.startswith(kind), words


def test_no_offer_imports_what_is_heavy() -> None:
    """A shell waits for each TAB."""
    heavy = ("huggingface_hub", "requests", "tqdm", "rich", "sqlite3", "numpy")
    program = (
        "import sys\nfrom cachedoctor.__main__ import main\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    for line in ("cachedoctor ", "cachedoctor scan ", "cachedoctor fix ", "cachedoctor lock x:"):
        told = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "_CACHEDOCTOR_COMPLETE": "zsh_complete", **told},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stderr == "[]\n", line


def test_a_shell_that_is_not_known_is_refused() -> None:
    """With those that are."""
    ended = cachedoctor("completion", "tcsh")
    assert ended.code == 2
    assert all(shell in ended.errors for shell in SHELLS)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_for_this_command(shell: str) -> None:
    """It registers the name, and asks with the variable that the command answers to."""
    script = cachedoctor("completion", shell).output
    assert f"_CACHEDOCTOR_COMPLETE={shell}_complete" in script
    assert re.search(r"(complete .*|compdef \w+) cachedoctor", script)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("cachedoctor verif", ["verify"]),
        ("cachedoctor scan whisperk", ["scan", "whisperkit"]),
        ("cachedoctor lock whisper.cpp:medium-q8", ["lock", "whisper.cpp:medium-q8_0"]),
        ("cachedoctor where whisper.cpp --size=smal", ["where", "whisper.cpp", "--size=small"]),
        ("cachedoctor preflight --lock here.lo", ["preflight", "--lock", "here.lock"]),
    ],
)
def test_tab_in_a_real_bash(tmp_path: Path, typed: str, words: list[str]) -> None:
    """A person types, presses TAB, and has the line that was meant."""
    (tmp_path / "cwd" / "here.lock").touch()
    with Terminal(tmp_path) as bash:
        bash.type('eval "$(cachedoctor completion bash)"; echo REA""DY\n', until=b"READY\r\n")
        bash.type(f"{typed}\t")
        time.sleep(1)  # readline redraws when the answer is there
        bash.type("\x01printf '<%s>\\n' \x05; echo DO''NE\n", until=b"DONE\r\n")
        found = re.findall(rb"^<(.*)>\r$", bash.shown, re.MULTILINE)
    assert [os.fsdecode(word) for word in found] == ["cachedoctor", *words]


class Terminal:
    """An interactive bash on a pseudo-terminal, without anybody's configuration."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        parent, child = pty.openpty()
        places = [str(Path(sys.executable).parent), os.environ["PATH"]]
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=child,
            stdout=child,
            stderr=child,
            start_new_session=True,
            env={
                **os.environ,
                "PATH": ":".join(places),
                "TERM": "dumb",
                "PS1": "$ ",
                "INPUTRC": "/dev/null",
            },
        )
        os.close(child)
        self._terminal = parent
        self.shown = b""

    def __enter__(self) -> Terminal:
        """Return the terminal."""
        return self

    def type(self, keys: str, *, until: bytes = b"") -> None:
        """Press keys, and wait until something is shown."""
        os.write(self._terminal, keys.encode())
        deadline = time.monotonic() + 30
        while until not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._terminal], [], [], 1)[0]:
                self.shown += os.read(self._terminal, 65536)

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._bash.kill()
        self._bash.wait()
        os.close(self._terminal)
