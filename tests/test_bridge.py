"""The bridges' contract: what they answer, what they refuse, and how we talk to them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cachedoctor.doctor import bridge
from cachedoctor.version import VERSION
from tests.conftest import fingerprint
from tests.support import bridges

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = pytest.mark.parametrize("engine", bridges.ENGINES)


class Ended:
    """How a bridge ended."""

    def __init__(self, program: str, *arguments: str, given: bytes | None = b"") -> None:
        """Run it; `given` comes on its standard input, which is closed where that is `None`."""
        command = [program, *arguments]
        if given is None:
            command = ["sh", "-c", 'exec "$0" "$@" <&-', *command]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60)
        self.code = done.returncode
        self.output = done.stdout.decode()
        self.errors = done.stderr.decode()

    @property
    def answers(self) -> list[dict[str, Any]]:
        """Read one answer a line; each says the protocol."""
        lines = [json.loads(line) for line in self.output.splitlines()]
        assert all(line["protocol"] == bridge.PROTOCOL for line in lines)
        return lines

    @property
    def answer(self) -> dict[str, Any]:
        """Read the only answer."""
        (only,) = self.answers
        return only

    @property
    def refusal(self) -> tuple[str, int]:
        """Return the code of the only answer's error, and the exit code."""
        return self.answer["error"]["code"], self.code


@pytest.fixture
def clip(tmp_path: Path) -> str:
    """Write a second of sound."""
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"\1\0" * 16_000)
    return str(path)


@EVERY
@pytest.mark.parametrize("build", [bridges.real, bridges.stubbed])
def test_info_says_what_is_linked_and_where(engine: str, build: Callable[[str], str]) -> None:
    """Versions and folders are those that the framework itself would use."""
    said = Ended(build(engine), "info").answer
    assert said["bridge"] == VERSION
    linked = build is bridges.stubbed or sys.platform == "darwin"
    assert said["engine"]["name"] == engine
    assert said["engine"]["linked"] is linked
    assert said["engine"]["why"] == (None if linked else "needs macOS with Apple silicon")
    assert [os.path.basename(folder) for folder in said["folders"]] == (
        {"whisperkit": ["whisperkit-coreml"], "fluidaudio": ["Models"]}[engine] if linked else []
    )
    assert said["machine"]["cores"] >= 1
    assert said["machine"]["build"]


@EVERY
def test_a_recording_is_transcribed(engine: str, home: Path, clip: str) -> None:
    """Nothing else is on standard output, though the frameworks print; and nothing changes."""
    folder = bridges.model(home, engine)
    bridges.tell(folder, says="so it is")
    before = fingerprint(home)
    done = Ended(bridges.stubbed(engine), clip, "--model-dir", str(folder))
    said = done.answer
    assert done.code == 0
    assert "noise" in done.errors
    assert said["text"] == "so it is"
    assert said["segments"] == [{"start": 0, "end": 1.5, "text": "so it is"}]
    assert (said["engine"], said["audio_seconds"], said["run"]) == (engine, 1, 1)
    assert said["engine_version"] == {"whisperkit": "1.1.0", "fluidaudio": "0.15.6"}[engine]
    assert 0 <= said["load_time"] < 30
    assert 0 <= said["transcription_time"] < 30
    plain = Ended(bridges.stubbed(engine), clip, "--model-dir", str(folder), "--format", "text")
    assert plain.output == "so it is\n"
    assert fingerprint(home) == before


@bridges.ELSEWHERE
@EVERY
def test_a_whole_model_needs_a_mac_and_a_broken_one_is_told_anywhere(
    engine: str, home: Path, clip: str
) -> None:
    """What is wrong with the files comes before what is wrong with the machine."""
    folder = bridges.model(home, engine)
    program = bridges.real(engine)
    for command in ((clip,), ("check",)):
        asked = Ended(program, *command, "--model-dir", str(folder))
        assert asked.refusal == ("wrong-platform", 5)
    (folder / f"{bridges.PARTS[engine][1]}.mlmodelc" / "coremldata.bin").unlink()
    for command in ((clip,), ("check",)):
        asked = Ended(program, *command, "--model-dir", str(folder))
        assert asked.refusal == ("broken-bundle", 3)
        assert "coremldata.bin" in asked.answer["error"]["message"]


BAD: dict[str, tuple[Callable[[Path, str], list[str]], str, int]] = {
    "nothing": (lambda home, clip: [], "usage", 2),
    "no folder": (lambda home, clip: [clip], "usage", 2),
    "unknown option": (lambda home, clip: [clip, "--model-dir", "m", "--fast", "1"], "usage", 2),
    "no recording": (lambda home, clip: ["/nowhere.wav", "--model-dir", "m"], "missing", 3),
    "folder as recording": (lambda home, clip: ["/tmp", "--model-dir", "m"], "not-a-wav", 3),
    "text as recording": (
        lambda home, clip: [__file__, "--model-dir", "m"],
        "not-a-wav",
        3,
    ),
    "no model folder": (lambda home, clip: [clip, "--model-dir", "/nowhere"], "missing", 3),
    "file as model folder": (lambda home, clip: [clip, "--model-dir", clip], "not-a-folder", 3),
    "empty model folder": (lambda home, clip: [clip, "--model-dir", str(home)], "no-model", 3),
    "no package": (lambda home, clip: ["compile", "/nowhere", "/tmp/new"], "missing", 3),
    "a file where the output goes": (
        lambda home, clip: ["compile", str(home), clip],
        "already-there",
        3,
    ),
}


@EVERY
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_code_on_one_line(engine: str, name: str, home: Path, clip: str) -> None:
    """The same in both builds."""
    arguments, code, exit_code = BAD[name]
    for build in (bridges.real, bridges.stubbed):
        asked = Ended(build(engine), *arguments(home, clip))
        assert asked.refusal == (code, exit_code)
        assert asked.answer["error"]["message"]


@EVERY
def test_the_other_engines_model_is_named(engine: str, home: Path, clip: str) -> None:
    """Both kinds of folder look alike to a file manager."""
    other = next(name for name in bridges.ENGINES if name != engine)
    folder = bridges.model(home, other)
    asked = Ended(bridges.real(engine), clip, "--model-dir", str(folder))
    assert asked.refusal == ("other-engine", 3)
    assert other in asked.answer["error"]["message"]


def test_a_model_without_its_tokenizer_is_refused(home: Path, clip: str) -> None:
    """WhisperKit would go to the network for it."""
    folder = bridges.model(home, "whisperkit")
    books = home / "Documents/huggingface/models/openai/whisper-tiny"
    ask = [bridges.stubbed("whisperkit"), clip, "--model-dir", str(folder)]
    away = home / "books"
    books.rename(away)
    assert Ended(*ask).refusal == ("missing-tokenizer", 3)
    assert Ended(*ask, "--tokenizer-dir", str(away)).code == 0
    (away / "tokenizer.json").write_text("<html>")
    assert Ended(*ask, "--tokenizer-dir", str(away)).refusal == ("missing-tokenizer", 3)


def test_an_unknown_language_is_refused(home: Path, clip: str) -> None:
    """FluidAudio has a list of its own."""
    folder = bridges.model(home, "fluidaudio")
    ask = [bridges.stubbed("fluidaudio"), clip, "--model-dir", str(folder), "--language"]
    assert Ended(*ask, "de").answer["language"] == "de"
    refused = Ended(*ask, "xx")
    assert refused.refusal == ("usage", 2)
    assert "de, en" in refused.answer["error"]["hint"]


def test_a_language_that_is_not_used_is_not_said_to_be_heard(home: Path, clip: str) -> None:
    """Only v3 takes one; a model that knows one language takes that, and no other."""
    folder = bridges.model(home, "fluidaudio")
    program = bridges.stubbed("fluidaudio")
    for model, joint, takes in (
        ("parakeet-tdt-0.6b-v2", ("Decoder", "JointDecision"), "en"),
        ("parakeet-ja", ("Decoderv2", "Jointerv2"), "ja"),
    ):
        other = home / model
        for name in ("Preprocessor", "Encoder"):
            shutil.copytree(folder / f"{name}.mlmodelc", other / f"{name}.mlmodelc")
        for name in joint:
            shutil.copytree(folder / "Decoder.mlmodelc", other / f"{name}.mlmodelc")
        vocabulary = "vocab.json" if model == "parakeet-ja" else "parakeet_vocab.json"
        (other / vocabulary).write_text('["a"]')
        ask = [program, clip, "--model-dir", str(other), "--language"]
        heard = Ended(*ask, takes)
        assert (heard.code, heard.answer["language"]) == (0, None)
        refused = Ended(*ask, "de")
        assert refused.refusal == ("usage", 2)
        assert f"transcribes only `{takes}`, not `de`" in refused.answer["error"]["message"]


def test_an_alternative_takes_the_place_of_its_bundle(home: Path, clip: str) -> None:
    """The small encoder alone is a whole model; beside the other one a check loads both."""
    folder = bridges.model(home, "fluidaudio")
    program = bridges.stubbed("fluidaudio")
    encoder, small = (folder / f"{name}.mlmodelc" for name in ("Encoder", "EncoderInt4"))
    encoder.rename(small)
    assert Ended(program, clip, "--model-dir", str(folder)).code == 0
    shutil.copytree(small, encoder)
    (small / "coremldata.bin").write_bytes(b"unloadable" * 30)
    checked = Ended(program, "check", "--model-dir", str(folder))
    assert checked.code == 1
    said = {each["bundle"]: each["ok"] for each in checked.answer["bundles"]}
    assert len(said) == 5
    assert [name for name, ok in said.items() if not ok] == [small.name]
    assert Ended(program, clip, "--model-dir", str(folder)).code == 0


def test_what_is_no_transducer_is_checked_and_not_transcribed_with(home: Path, clip: str) -> None:
    """On the units that its engine gives it."""
    folder = home / "silero-vad"
    whole = bridges.model(home, "fluidaudio") / "Encoder.mlmodelc"
    shutil.copytree(whole, folder / "silero-vad-unified-256ms-v6.2.1.mlmodelc")
    program = bridges.stubbed("fluidaudio")
    (checked,) = Ended(program, "check", "--model-dir", str(folder)).answer["bundles"]
    assert (checked["ok"], checked["units"]) == (True, "cpuAndNeuralEngine")
    assert Ended(program, clip, "--model-dir", str(folder)).refusal == ("check-only", 3)


def test_a_check_finds_what_lies_beside_the_bundles(home: Path) -> None:
    """A tokenizer and a vocabulary that would stop the engine after everything was loaded."""
    folder = bridges.model(home, "whisperkit")
    tokenizer = home / "Documents/huggingface/models/openai/whisper-tiny/tokenizer.json"
    ask = [bridges.stubbed("whisperkit"), "check", "--model-dir", str(folder)]
    assert [each["ok"] for each in Ended(*ask).answer["files"]] == [True]
    tokenizer.write_text("<html>")
    checked = Ended(*ask)
    assert checked.code == 1
    (bad,) = checked.answer["files"]
    assert (bad["file"], bad["ok"], bad["fault"]) == ("tokenizer.json", False, "missing-tokenizer")


def test_loading_is_timed_without_what_is_read_before(home: Path, clip: str) -> None:
    """A tokenizer of two megabytes is ours to look at, and no part of the engine's time."""
    folder = bridges.model(home, "whisperkit")
    tokenizer = home / "Documents/huggingface/models/openai/whisper-tiny/tokenizer.json"
    words = {f"token{number}": number for number in range(200_000)}
    tokenizer.write_text(json.dumps({"model": {"vocab": words}}))
    assert tokenizer.stat().st_size > 2 << 20
    said = Ended(bridges.stubbed("whisperkit"), clip, "--model-dir", str(folder)).answer
    assert said["load_time"] < 0.1


@EVERY
def test_the_sandbox_can_be_left_out(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By one variable; the frameworks are kept from the network all the same."""
    program = bridges.stubbed(engine)
    assert Ended(program, "info").answer["network_refused_by_system"] is True
    monkeypatch.setenv("CACHEDOCTOR_BRIDGE_SANDBOX", "off")
    assert Ended(program, "info").answer["network_refused_by_system"] is False


def test_recordings_from_a_pipe_are_read(home: Path, clip: str, tmp_path: Path) -> None:
    """Ffmpeg and sox cannot go back to write how long they became."""
    folder = bridges.model(home, "whisperkit")
    whole = Path(clip).read_bytes()
    endless = tmp_path / "endless.wav"
    endless.write_bytes(whole[:4] + b"\xff" * 4 + whole[8:40] + b"\xff" * 4 + whole[44:])
    said = Ended(bridges.stubbed("whisperkit"), str(endless), "--model-dir", str(folder)).answer
    assert said["audio_seconds"] == 1


@EVERY
def test_requests_come_over_a_pipe_that_does_not_block(engine: str) -> None:
    """A descriptor belongs to everybody who has it: somebody may have set it so."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with subprocess.Popen(
        [bridges.real(engine), "serve"], stdin=ours, stdout=subprocess.PIPE
    ) as process:
        os.close(ours)
        time.sleep(0.3)  # it finds nothing to read, and waits
        os.write(theirs, lines({"request": "info"}))
        os.close(theirs)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(output)["engine"]["name"] == engine


@EVERY
def test_a_model_that_fails_is_not_touched(engine: str, home: Path, clip: str) -> None:
    """FluidAudio would delete it and download it again; the bridge has no such path."""
    folder = bridges.model(home, engine)
    bridges.tell(folder, do="fail")
    data = folder / f"{bridges.PARTS[engine][1]}.mlmodelc" / "coremldata.bin"
    before = fingerprint(home)
    asked = Ended(bridges.stubbed(engine), clip, "--model-dir", str(folder))
    assert asked.refusal == ("engine-failed", 4)
    assert fingerprint(home) == before
    data.write_bytes(b"unloadable" * 30)
    before = fingerprint(home)
    asked = Ended(bridges.stubbed(engine), clip, "--model-dir", str(folder))
    assert asked.refusal == ("engine-failed", 4)
    assert "-14" in asked.answer["error"]["message"]
    assert fingerprint(home) == before


@EVERY
def test_check_loads_each_bundle(engine: str, home: Path) -> None:
    """One that this machine cannot run is a result, the others are loaded all the same."""
    folder = bridges.model(home, engine)
    whole = Ended(bridges.stubbed(engine), "check", "--model-dir", str(folder))
    assert whole.code == 0
    assert whole.answer["failed"] == 0
    names = {f"{name}.mlmodelc" for name in bridges.PARTS[engine]}
    assert {each["bundle"] for each in whole.answer["bundles"]} == names
    assert all(each["ok"] and each["load_time"] >= 0 for each in whole.answer["bundles"])
    parts = [folder / f"{name}.mlmodelc" for name in bridges.PARTS[engine]]
    (parts[0] / "coremldata.bin").write_bytes(b"unloadable" * 30)
    (parts[1] / "weights" / "weight.bin").unlink()
    asked = Ended(bridges.stubbed(engine), "check", "--model-dir", str(folder))
    assert asked.code == 1
    assert asked.answer["failed"] == 2
    said = {each["bundle"]: each for each in asked.answer["bundles"]}
    assert [said[part.name]["ok"] for part in parts[:3]] == [False, False, True]
    assert said[parts[0].name]["fault"] is None
    assert "-14" in said[parts[0].name]["message"]
    assert said[parts[1].name]["fault"] == "hollow-bundle"


def test_a_package_is_compiled(tmp_path: Path) -> None:
    """The bundle goes where it was asked for, and the package stays."""
    package = tmp_path / "m.mlpackage"
    inner = package / "Data/com.apple.CoreML"
    inner.mkdir(parents=True)
    (inner / "model.mlmodel").write_bytes(b"spec")
    output = tmp_path / "m.mlmodelc"
    program = bridges.stubbed("whisperkit")
    assert Ended(program, "compile", str(package), str(output)).answer["output"] == str(output)
    assert (output / "coremldata.bin").read_bytes() == b"spec"
    again = Ended(program, "compile", str(package), str(output))
    assert again.refusal == ("already-there", 3)
    refused = Ended(bridges.real("whisperkit"), "compile", str(package), str(tmp_path / "n"))
    assert refused.refusal == ("wrong-platform", 5)


def lines(*requests: object) -> bytes:
    """Return requests as they are sent."""
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


@EVERY
def test_serve_keeps_its_model(engine: str, home: Path, clip: str) -> None:
    """Loading and each run are told apart; a request's id comes back with its answer."""
    folder = bridges.model(home, engine)
    heard = {"request": "transcribe", "audio": clip}
    given = lines(
        {"request": "info", "id": 1},
        {"request": "load", "model_dir": str(folder), "id": "two"},
        heard,
        {**heard, "id": [4]},
        {"request": "check", "model_dir": str(folder)},
    )
    done = Ended(bridges.stubbed(engine), "serve", given=given)
    assert done.code == 0
    info, loaded, first, second, checked = done.answers
    assert info["id"] == 1
    assert loaded["id"] == "two"
    assert (first["run"], second["run"], second["id"]) == (1, 2, [4])
    assert first["load_time"] == second["load_time"] == loaded["load_time"]
    assert checked["failed"] == 0


@EVERY
def test_serve_refuses_a_request_and_takes_the_next(engine: str, clip: str) -> None:
    """One line, one answer, whatever the line; the exit code is that of the first error."""
    asked = [
        (lines({"request": "dance"}), "unknown-request"),
        (lines({"request": 7}), "malformed-request"),
        (lines({"id": 3}), "malformed-request"),
        (lines({"request": "load"}), "malformed-request"),
        (lines({"request": "load", "model_dir": "/nowhere"}), "missing"),
        (lines({"request": "transcribe", "audio": clip}), "not-loaded"),
        (b"nonsense\n", "malformed-request"),
        (b"[1, 2]\n", "malformed-request"),
        (b"\n", "malformed-request"),
        (b"\xff\xfe\0\n", "malformed-request"),
        (b"x" * 10_000_000 + b"\n", "line-too-long"),
    ]
    given = b"".join(line for line, _ in asked) + lines({"request": "info"})
    done = Ended(bridges.real(engine), "serve", given=given)
    *refused, last = done.answers
    assert [answer["error"]["code"] for answer in refused] == [code for _, code in asked]
    assert last["engine"]["name"] == engine
    assert done.code == 2


@EVERY
@pytest.mark.parametrize("given", [b"", None])
def test_serve_without_a_request(engine: str, given: bytes | None) -> None:
    """Standard input that is empty or closed."""
    assert Ended(bridges.real(engine), "serve", given=given).refusal == ("no-input", 2)


def test_help_is_for_people() -> None:
    """The only pages that are no JSON."""
    done = Ended(bridges.real("whisperkit"), "--help")
    assert done.code == 0
    assert Ended(bridges.real("whisperkit"), "-h").output == done.output
    assert Ended(bridges.real("whisperkit"), "--version").output.startswith(f"{VERSION}, for whisp")
    for command in ("info", "check", "compile", "serve", "--model-dir", "--tokenizer-dir"):
        assert command in done.output


def test_one_call_from_python(home: Path, clip: str) -> None:
    """An answer is a table; a refusal is an error with the bridge's code and hint."""
    program = bridges.stubbed("fluidaudio")
    folder = bridges.model(home, "fluidaudio")
    ask = functools.partial(bridge.ask, program, environment=os.environ, timeout_s=60)
    assert ask(["info"])["engine"]["linked"]
    assert ask(["check", "--model-dir", str(folder)])["failed"] == 0
    with pytest.raises(bridge.BridgeError) as caught:
        ask(["check", "--model-dir", "/nowhere"])
    assert caught.value.code == "missing"
    assert caught.value.exit_code == 4


def test_a_session_from_python(home: Path, clip: str) -> None:
    """After a refusal the next request is answered; after death none is."""
    folder = bridges.model(home, "whisperkit")
    with bridge.Serving(bridges.stubbed("whisperkit"), environment=os.environ) as serving:
        with pytest.raises(bridge.BridgeError) as caught:
            serving.ask("transcribe", audio=clip)
        assert caught.value.code == "not-loaded"
        serving.ask("load", model_dir=str(folder))
        assert serving.ask("transcribe", audio=clip)["text"].startswith("a clip of 32044 bytes")
        bridges.tell(folder, do="die")
        with pytest.raises(bridge.SilentError) as died:
            serving.ask("transcribe", audio=clip)
        assert "SIGABRT" in died.value.message or "SIGILL" in died.value.message


def test_a_session_that_hangs_is_ended(home: Path, clip: str) -> None:
    """The time limit is of one request."""
    folder = bridges.model(home, "fluidaudio")
    with bridge.Serving(bridges.stubbed("fluidaudio"), environment=os.environ) as serving:
        serving.ask("load", model_dir=str(folder))
        bridges.tell(folder, do="hang")
        with pytest.raises(bridge.SilentError, match="no answer in time"):
            serving.ask("transcribe", audio=clip, timeout_s=1)
        with pytest.raises(ProcessLookupError):
            os.kill(serving.pid, 0)


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("echo nonsense", "garbled", "nonsense"),
        ("echo '[1]'", "garbled", "[1]"),
        ("echo '{}'", "other-protocol", "protocol None"),
        ("""echo '{"protocol": 2}'""", "other-protocol", "protocol 2, cachedoctor 1"),
        ("""echo '{"protocol": 1, "error": {"code": "new"}}'""", "new", ""),
        ("exit 7", "silent", "exit code 7: it said nothing"),
        ("echo last >&2; exit 7", "silent", "exit code 7: last"),
        ("kill -SEGV $$", "silent", "SIGSEGV"),
        ("sleep 60", "silent", "no answer in time"),
        ("head -c 40000000 /dev/zero", "garbled", ""),
    ],
)
def test_what_is_no_answer(script: str, code: str, words: str, tmp_path: Path) -> None:
    """Any program may lie under a bridge's name; both ways of asking end in one of our errors."""
    program = tmp_path / "bridge"
    program.write_text(f"#!/bin/sh\nread line\n{script}\n")
    program.chmod(0o755)
    with bridge.Serving(str(program), environment=os.environ) as serving:
        with pytest.raises(bridge.BridgeError) as caught:
            serving.ask("info", timeout_s=2)
        assert caught.value.code == code
        assert words in caught.value.message
    program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(bridge.BridgeError) as caught:
        bridge.ask(str(program), [], environment=os.environ, timeout_s=2)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    """It is not there, or is no program."""
    text = tmp_path / "text"
    text.write_text("no program")
    text.chmod(0o755)
    for path in (tmp_path / "nothing", tmp_path, text):
        with pytest.raises(bridge.BridgeError) as caught:
            bridge.ask(str(path), [], environment={}, timeout_s=2)
        assert caught.value.code == "cannot-run"
        with pytest.raises(bridge.BridgeError):
            bridge.Serving(str(path), environment={})


def test_only_what_was_installed_with_the_package_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name on PATH may be anything."""
    program = tmp_path / "whisperkit-bridge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path / "bin"))
    assert bridge.find("whisperkit") is None
    (tmp_path / "bin").mkdir()
    program.rename(tmp_path / "bin" / program.name)
    assert bridge.find("whisperkit") == str(tmp_path / "bin" / program.name)
    assert bridge.find("fluidaudio") is None
