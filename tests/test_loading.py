"""`scan --deep` on a Mac: Core ML itself is asked, through bridges built against the stand-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import bridge
from cachedoctor.host import Host
from cachedoctor.report import inventory
from tests.conftest import fingerprint
from tests.support import bridges
from tests.support.command import Ended, cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

EVERY = pytest.mark.parametrize("engine", bridges.ENGINES)


def scan(home: Path, *more: str, build: str = "stubbed") -> Ended:
    """Scan a Mac's home with the bridges that stand in for those of a Mac."""
    mac = ("--home", str(home), "--platform", "darwin", "--json")
    named = [f"--python={name}={getattr(bridges, build)(name)}" for name in bridges.ENGINES]
    return cachedoctor("scan", *mac, *named, *more)


@EVERY
def test_what_core_ml_loads_is_no_finding(engine: str, home: Path) -> None:
    """And loading changes nothing."""
    bridges.model(home, engine)
    before = fingerprint(home)
    ended = scan(home, "--deep")
    assert (ended.codes, ended.code) == ([], 0)
    assert fingerprint(home) == before


@EVERY
def test_what_core_ml_refuses_is_said_only_when_asked(engine: str, home: Path) -> None:
    """An intact bundle that this Mac cannot run; without `--deep` nothing is loaded."""
    folder = bridges.model(home, engine)
    bundle = folder / f"{bridges.PARTS[engine][1]}.mlmodelc"
    (bundle / "coremldata.bin").write_bytes(b"unloadable" * 30)
    assert scan(home).codes == []
    ended = scan(home, "--deep")
    (finding,) = ended.data["findings"]
    assert ended.code == 1
    assert (finding["code"], finding["severity"]) == ("CD207", "error")
    assert finding["path"] == str(bundle)
    assert "-14" in finding["message"]
    assert finding["evidence"] == "core-ml"
    assert finding["repair"]["safety"] == "manual"
    assert finding["repair"]["describe"].startswith("cachedoctor fix CD506 --home ")
    entry = next(each for each in ended.data["entries"] if each["path"] == str(folder))
    assert entry["status"] == "unknown"  # nothing says that its bytes are wrong


def test_structure_speaks_first(home: Path) -> None:
    """What is not whole is called that, and not what Core ML makes of it."""
    folder = bridges.model(home, "whisperkit")
    weights = folder / "TextDecoder.mlmodelc" / "weights" / "weight.bin"
    weights.write_bytes(weights.read_bytes()[:-2])
    assert scan(home, "--deep").codes == ["CD201"]


DEAD = {
    "killed": ("kill -KILL $$", "killed by SIGKILL"),
    "crashed": ("kill -SEGV $$", "killed by SIGSEGV"),
    "failed": ("echo dyld: wrong platform >&2; exit 1", "exit code 1: dyld: wrong platform"),
    "other": ("echo hello", "gave an invalid answer"),
    "older": ("""echo '{"protocol": 0}'""", "speaks protocol 0"),
    "odd": ("""echo '{"protocol": 1}'""", "gave an invalid answer to `info`"),
}


def program(path: Path, script: str) -> str:
    """Write a program of the shell's that stands where a bridge should."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def ask(home: Path, engine: str, bridge: str, *more: str) -> Ended:
    """Scan one engine of a Mac's home deeply, through this bridge."""
    mac = ("--home", str(home), "--platform", "darwin", "--deep")
    return cachedoctor("scan", engine, *mac, "--python", f"{engine}={bridge}", *more)


@EVERY
@pytest.mark.parametrize("name", DEAD)
def test_a_bridge_that_does_not_work_is_its_own_fault(
    engine: str, name: str, home: Path, tmp_path: Path
) -> None:
    """One line says so; no model is blamed, and each keeps its status."""
    script, why = DEAD[name]
    bridges.model(home, engine)
    bad = program(tmp_path / "bridge", script)
    ended = ask(home, engine, bad, "--json")
    assert (ended.codes, ended.code) == ([], 0)
    assert {each["status"] for each in ended.data["entries"]} == {"ready"}
    (unasked,) = ended.data["core_ml"]["not_asked"]
    assert unasked["engine"] == engine
    assert unasked["path"] is None
    assert why in unasked["why"]
    text = " ".join(ask(home, engine, bad).output.split())
    assert text.count(f"Core ML: not asked about {engine}:") == 1


def test_a_bridge_for_another_kind_of_machine(home: Path, tmp_path: Path) -> None:
    """What the system will not run says nothing of a bundle."""
    bridges.model(home, "fluidaudio")
    bad = tmp_path / "bridge"
    bad.write_bytes(b"\xcf\xfa\xed\xfe" + b"\0" * 60)
    bad.chmod(0o755)
    ended = ask(home, "fluidaudio", str(bad), "--json")
    assert ended.codes == []
    assert "cannot be run: Exec format error" in ended.data["core_ml"]["not_asked"][0]["why"]


def test_a_bundle_that_takes_the_bridge_with_it_is_found(home: Path) -> None:
    """The bridge works; one bundle alone ends it, and only that is blamed."""
    folder = bridges.model(home, "fluidaudio")
    bundle = folder / "Decoder.mlmodelc"
    (bundle / "coremldata.bin").write_bytes(b"deadly" * 30)
    ended = scan(home, "--deep")
    (finding,) = ended.data["findings"]
    assert (finding["code"], finding["path"]) == ("CD207", str(bundle))
    assert (
        finding["message"]
        == "`Decoder.mlmodelc`: loading it failed: the bridge was killed by SIGABRT"
    )
    assert ended.data["core_ml"]["loaded"] == len(bridges.PARTS["fluidaudio"]) - 1


@EVERY
def test_what_is_refused_alike_is_said_once(engine: str, home: Path) -> None:
    """A Mac that loads nothing at all has a fault of its own."""
    folder = bridges.model(home, engine)
    for name in bridges.PARTS[engine]:
        (folder / f"{name}.mlmodelc" / "coremldata.bin").write_bytes(b"unloadable" * 30)
    ended = scan(home, "--deep")
    assert (ended.codes, ended.code) == ([], 0)
    assert "-14" in ended.data["core_ml"]["alike"]
    text = " ".join(ask(home, engine, bridges.stubbed(engine)).output.split())
    assert f"refused all {len(bridges.PARTS[engine])} bundles alike" in text
    assert "CACHEDOCTOR_BRIDGE_SANDBOX=off" in text


def told(path: Path) -> list[dict[str, str]]:
    """Return the environment of each run that a program wrote down, by a line `--` between them."""
    runs = [each.strip().splitlines() for each in path.read_text().split("--\n") if each.strip()]
    return [dict(line.split("=", 1) for line in lines if "=" in line) for lines in runs]


def test_a_bridge_is_given_its_switch_and_no_secret(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it is asked what it is, when it loads bundles, and by `info`: the same environment."""
    bridges.model(home, "whisperkit")
    log = tmp_path / "environments"
    script = f'env >>"{log}"; echo -- >>"{log}"; exec "{bridges.stubbed("whisperkit")}" "$@"'
    listening = program(tmp_path / "bridge", script)
    given = ("--env", "HF_TOKEN=hf_secret", "--env", "CACHEDOCTOR_BRIDGE_SANDBOX=off")
    ask(home, "whisperkit", listening, *given)
    assert len(told(log)) == 2, "`info` and `check`"
    monkeypatch.setattr(bridge, "find", lambda engine: listening)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("CACHEDOCTOR_BRIDGE_SANDBOX", "off")
    inventory.info_json(Host.look())
    asked = told(log)
    assert len(asked) > 2
    for variables in asked:
        assert variables["CACHEDOCTOR_BRIDGE_SANDBOX"] == "off"
        assert "HF_TOKEN" not in variables
        assert variables["HF_HUB_OFFLINE"] == "1"


def test_a_vocabulary_that_the_engine_cannot_use(home: Path) -> None:
    """It is JSON, and no list of tokens: only who would read it can tell."""
    folder = bridges.model(home, "fluidaudio")
    vocabulary = folder / "parakeet_vocab.json"
    vocabulary.write_text('{"0": 1}')
    assert scan(home).codes == []
    (finding,) = scan(home, "--deep").data["findings"]
    assert (finding["code"], finding["path"]) == ("CD207", str(vocabulary))
    assert "is not a vocabulary" in finding["message"]
    vocabulary.write_text("{")  # that, structure tells
    assert "CD207" not in scan(home, "--deep").codes


def test_what_was_asked_is_always_said(home: Path) -> None:
    """How many bundles were loaded, or why none."""
    said = ask(home, "whisperkit", bridges.stubbed("whisperkit"))
    assert "Core ML: not asked: no bundle of an engine is here" in said.output
    bridges.model(home, "whisperkit")
    said = ask(home, "whisperkit", bridges.stubbed("whisperkit"))
    assert "Core ML: loaded 3 bundles\n" in said.output
    assert scan(home).data["core_ml"] is None
    linux = ("scan", "--home", str(home), "--platform", "linux", "--deep", "--json")
    assert [each["why"] for each in cachedoctor(*linux).data["core_ml"]["not_asked"]] in (
        [],
        ["only a Mac has it"],
    )


def test_a_machine_that_is_no_mac_is_not_asked(home: Path) -> None:
    """A bridge without its framework says nothing of a bundle."""
    folder = bridges.model(home, "whisperkit")
    (folder / "AudioEncoder.mlmodelc" / "coremldata.bin").write_bytes(b"unloadable" * 30)
    ended = scan(home, "--deep", build="real")
    assert ended.codes == []
    (unasked,) = ended.data["core_ml"]["not_asked"]
    assert unasked["why"] == "needs macOS with Apple silicon"
    linux = ("--home", str(home), "--platform", "linux", "--json", "--deep")
    named = f"whisperkit={bridges.stubbed('whisperkit')}"
    assert cachedoctor("scan", *linux, "--python", named).codes == []
