"""What one machine has and others lack: shown first, fetched once, unpacked, taken back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cachedoctor.fleet import single_file
from tests.conftest import fingerprint
from tests.support import worlds
from tests.support.command import Ended, cachedoctor

TOOL = f"{Path(sys.executable).parent}/cachedoctor"
NAMES = ("one", "two", "three")
REF = f"models--{worlds.TINY.replace('/', '--')}/refs/main"


class Lab:
    """Machines that are folders here: in the place of ssh is a shell with a home of its own."""

    def __init__(self, folder: Path) -> None:
        """Make three; the first has a model."""
        self.folder = folder
        self.inventory = folder / "lab.ini"
        lines = []
        for name in NAMES:
            home = folder / name
            worlds.hub_of(home).mkdir(parents=True)
            shell = folder / f"{name}.sh"
            places = f"HOME={home} XDG_STATE_HOME={home}/state XDG_CONFIG_HOME={home}/config"
            shell.write_text(f'#!/bin/sh\nfor last; do :; done\n{places} exec /bin/sh -c "$last"\n')
            shell.chmod(0o755)
            lines.append(f"{name} ansible_ssh_executable={shell}")
        lines += ["[all:vars]", "ansible_ssh_transfer_method=piped"]
        self.inventory.write_text("\n".join(lines) + "\n")
        worlds.repository(self.hub("one"), worlds.TINY, worlds.whisper_files())
        self.lock = folder / "models.lock"
        made = cachedoctor(
            "lock", "faster-whisper:tiny.en", "-o", str(self.lock), "--home", str(folder / "one")
        )
        assert made.code == 0, made.errors

    def hub(self, name: str) -> Path:
        """Return a machine's hub cache."""
        return worlds.hub_of(self.folder / name)

    def fix(self, *words: str, source: str = "one") -> Ended:
        """Fix the fleet, with one machine as the source."""
        given = ("-i", str(self.inventory), "--tool", TOOL, "--lock", str(self.lock))
        return cachedoctor("fleet", "fix", "--from", source, *given, *words)

    def left(self) -> list[str]:
        """Return what is in the folders through which models went."""
        found = [str(each) for each in self.folder.glob(f"*/{single_file.FOLDER}/**/*")]
        return [*found, *map(str, Path(os.environ["TMPDIR"]).glob("cachedoctor-pack-*"))]


pytestmark = pytest.mark.heavy  # Ansible starts some ten times


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Make the machines."""
    for name in ("lab", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return Lab(tmp_path / "lab")


def states(ended: Ended) -> dict[str, str]:
    """Return the state of each machine."""
    return {name: host["state"] for name, host in ended.data["hosts"].items()}


def test_what_others_lack_comes_from_one_machine_and_goes_again(lab: Lab) -> None:
    """All plans are shown and nothing is done unasked; what each mends by itself is mended, too."""
    worlds.repository(lab.hub("three"), worlds.TINY, worlds.whisper_files())
    ref = lab.hub("three") / REF
    ref.write_text(worlds.COMMIT + "\n\n")
    before = {name: fingerprint(lab.hub(name)) for name in NAMES}
    shown = lab.fix()
    assert shown.code == 1
    size = sum(map(len, worlds.whisper_files().values()))
    unpacks = f"two    1 model from one\n  unpack faster-whisper:tiny.en as one has it, {size} B\n"
    assert unpacks in shown.output
    assert "CD401" in shown.output
    assert "one    nothing to repair" in shown.output
    assert "nothing was changed" in shown.errors
    dry = lab.fix("--dry-run", "--json")
    assert dry.data["unpacks"] == {"two": ["faster-whisper:tiny.en"]}
    assert {name: fingerprint(lab.hub(name)) for name in NAMES} == before
    done = lab.fix("--yes", "--json")
    assert (done.code, done.errors) == (0, ""), done
    assert set(states(done).values()) == {"healthy"}
    assert ref.read_text() == (lab.hub("two") / REF).read_text() == worlds.COMMIT
    assert lab.left() == []
    back = cachedoctor("fleet", "undo", done.data["run"], "--json")
    assert states(back) == {"two": "healthy", "three": "healthy"}, back
    assert ref.read_text() == worlds.COMMIT + "\n\n"
    assert not (lab.hub("two") / REF).exists()


def test_nothing_to_hand_on(lab: Lab) -> None:
    """Where all have it nothing is packed; the exit code is that of healthy machines."""
    for name in ("two", "three"):
        worlds.repository(lab.hub(name), worlds.TINY, worlds.whisper_files())
    ended = lab.fix("--yes", "--json")
    assert (ended.code, ended.data["unpacks"]) == (0, {})
    assert "run" not in ended.data


def test_what_is_damaged_is_left_to_a_fix_that_fetches(lab: Lab) -> None:
    """It is no lack: a pack mends nothing that is there."""
    for name in ("two", "three"):
        model = worlds.repository(lab.hub(name), worlds.TINY, worlds.whisper_files())
        worlds.cut(worlds.blob_of(model / "snapshots" / worlds.COMMIT / "model.bin"), 60)
    ended = lab.fix("--yes", "--json")
    assert (ended.code, ended.data["unpacks"]) == (1, {})


def test_a_source_that_cannot_give(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody of that name, or one that lacks it itself and may not fetch."""
    ended = lab.fix(source="oen")
    assert (ended.code, "no machine `oen`; did you mean `one`?" in ended.errors) == (2, True)
    ended = lab.fix("--offline", source="two")
    assert (ended.code, "`two` lacks it, too: faster-whisper:tiny.en" in ended.errors) == (3, True)
    given = ("-i", str(lab.inventory), "--from", "one")
    locked = ("--lock", str(lab.lock))
    for more in ((), ("--push", *locked), ("--ansible=--become", *locked)):
        ended = cachedoctor("fleet", "fix", *given, *more)
        assert (ended.code, "--from" in ended.errors) == (2, True)


def test_a_machine_cannot_name_what_is_not_in_the_lock_file(lab: Lab) -> None:
    """Words of its own that another machine would be told, such as an option."""
    tool = lab.folder / "tool"
    lie = 'sed \'s/"model": "tiny.en"/"model": "--output=x"/\''
    tool.write_text(f'#!/bin/sh\n{TOOL} "$@" | {lie}\nexit 1\n')
    tool.chmod(0o755)
    ended = lab.fix("--dry-run", "--json", "--tool", str(tool))
    assert states(ended) == dict.fromkeys(("two", "three", "one"), "findings")
    assert ended.data["unpacks"] == {}


def test_a_pack_that_fails_is_said_and_leaves_nothing(lab: Lab) -> None:
    """The source has it when plans are shown, and not when it is to pack: others are as before."""
    tool = lab.folder / "tool"
    other = '[ "$1" = pack ] && set -- pack whisper.cpp:tiny -o - --json\n'
    tool.write_text(f'#!/bin/sh\n{other}exec {TOOL} "$@"\n')
    tool.chmod(0o755)
    ended = lab.fix("--yes", "--json", "--tool", str(tool))
    assert ended.code == 1
    assert states(ended) == {"one": "healthy", "two": "findings", "three": "findings"}
    assert "one: failed: " in ended.errors
    assert lab.left() == []
