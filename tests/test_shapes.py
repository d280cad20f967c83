"""Core ML and GGML models that no table names are known by their shape, in apps' folders too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.system import apps
from tests.support import builders_models, coreml_bundles, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from pathlib import Path

    from cachedoctor.doctor.scanning import Report
    from cachedoctor.findings import Finding
    from cachedoctor.host import Host

SUPPORT = "Library/Application Support"
VARIANT = ("AudioEncoder", "MelSpectrogram", "TextDecoder")
PARAKEET = ("Preprocessor", "Encoder", "Decoder", "JointDecisionv3")
FLUID = f"{SUPPORT}/FluidAudio/Models"


def bundles(folder: Path, *names: str) -> Path:
    """Put true bundles into a folder."""
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    return folder


def parakeet(folder: Path) -> Path:
    """Put what FluidAudio's v3 is made of into a folder."""
    bundles(folder, *PARAKEET)
    (folder / "parakeet_vocab.json").write_text('{"0": "a"}')
    return folder


def claims(report: Report) -> dict[str, tuple[tuple[str, ...], str]]:
    """Return the engines of each entry that has any, and how it is known."""
    return {e.name: (e.engines, e.claims[0].known_by) for e in report.entries if e.claims}


def cut(path: Path) -> None:
    """Take the last bytes of a bundle's weights."""
    weight = path / "weights" / "weight.bin"
    weight.write_bytes(weight.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("root", "name", "engine", "parts"),
    [
        (
            "Documents/huggingface/models",
            "argmaxinc/whisperkit-coreml/openai_whisper-large-v3_1053MB",
            "whisperkit",
            VARIANT,
        ),
        ("Documents/huggingface/models", "somebody/fine-tune/mine", "whisperkit", VARIANT),
        (
            "Documents/huggingface/models",
            "argmaxinc/speakerkit-coreml/speaker_segmenter",
            "whisperkit",
            ("pyannote-v3/W8A16/SpeakerSegmenter",),
        ),
        (
            "Documents/huggingface/models",
            "argmaxinc/ttskit-coreml/qwen3_tts",
            "whisperkit",
            ("code_decoder/12hz-0.6b-customvoice/W8A16-stateful/CodeDecoder",),
        ),
        (FLUID, "parakeet-of-tomorrow", "fluidaudio", PARAKEET),
        (FLUID, "ls-eend/dih3/300ms", "fluidaudio", ("ls_eend_dih3_300ms",)),
        (FLUID, "sortformer/v3/fp16", "fluidaudio", ("Sortformer_v2.1",)),
        (
            ".cache/fluidaudio/Models",
            "kokoro-82m-coreml/ANE",
            "fluidaudio",
            ("KokoroAlbert", "KokoroVocoder"),
        ),
        (".cache/fluidaudio/Models", "supertonic-3", "fluidaudio", ("TextEncoder", "Vocoder")),
    ],
)
def test_bundles_without_a_row_are_recognised_and_checked(
    root: str, name: str, engine: str, parts: tuple[str, ...], home: Path, mac: Host
) -> None:
    """Cut weights are an error, and whole ones none."""
    folder = bundles(home / root / name, *parts)
    (folder / "parakeet_vocab.json").write_text("{}")
    if "large-v3" in name:
        tokenizer = home / root / "openai" / "whisper-large-v3"
        tokenizer.mkdir(parents=True)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (tokenizer / file).write_text("{}")
    report = scanning.scan(mac)
    assert claims(report)[name] == ((engine,), "shape")
    assert [f for f in report.findings if f.severity != "note"] == []
    cut(folder / f"{parts[-1]}.mlmodelc")
    (finding,) = [f for f in scanning.scan(mac).findings if f.severity == "error"]
    assert finding.code == "CD201"


def test_of_an_unknown_parakeet_a_missing_bundle_is_a_warning(home: Path, mac: Host) -> None:
    """Its form tells what it needs; nothing is fetched for it."""
    folder = parakeet(home / FLUID / "parakeet-of-tomorrow")
    os.rename(folder / "Decoder.mlmodelc", home / "elsewhere")
    (finding,) = scanning.scan(mac).findings
    assert (finding.code, finding.severity) == ("CD101", "warning")
    assert finding.repair is None


def test_another_programs_bundles_are_nobodys(home: Path, mac: Host) -> None:
    """A diffusion model in an app's folder is no speech model."""
    bundles(home / SUPPORT / "Painter" / "models" / "stable-diffusion", "Unet", "VAEDecoder")
    bundles(home / "Documents/huggingface/models/apple/sd", "Unet", "VAEDecoder")
    assert claims(scanning.scan(mac)) == {}


@pytest.mark.parametrize("below", ["", "Models", "models", "Models/FluidAudio"])
def test_an_unknown_apps_parakeet_is_found_and_the_app_named(
    below: str, home: Path, mac: Host
) -> None:
    """What else the app keeps there is nobody's entry."""
    base = home / SUPPORT / "Newcomer"
    parakeet(base / below / "parakeet-tdt-0.6b-v3")
    (base / below / "Sessions").mkdir()
    (base / below / "Sessions" / "notes.json").write_text("{}")
    report = scanning.scan(mac)
    assert claims(report) == {"parakeet-tdt-0.6b-v3": (("fluidaudio",), "name")}
    assert len(report.entries) == 1
    assert apps.owner(mac, report.entries[0].path) == "Newcomer"


def test_a_ggml_file_of_any_name_is_checked(home: Path, mac: Host) -> None:
    """By its header; the tests' own stubs and other programs' files are not."""
    folder = home / SUPPORT / "com.prakashjoshipax.VoiceInk" / "WhisperModels"
    folder.mkdir(parents=True)
    whole = builders_models.ggml_whisper()
    (folder / "mine.bin").write_bytes(whole)
    (folder / "for-tests-ggml-tiny.bin").write_bytes(whole[:3000])
    (folder / "state.bin").write_bytes(b"bplist00" + bytes(99))
    report = scanning.scan(mac)
    assert claims(report) == {"mine.bin": (("whisper.cpp",), "shape")}
    assert report.findings == ()
    (folder / "mine.bin").write_bytes(whole[:-9])
    (finding,) = scanning.scan(mac).findings
    assert (finding.code, finding.severity) == ("CD201", "error")


def test_a_model_of_no_row_is_ready_by_its_path(home: Path, mac: Host) -> None:
    """Preflight takes the folder."""
    folder = parakeet(home / FLUID / "parakeet-of-tomorrow")
    command = ("preflight", "fluidaudio", "--home", str(home), "--platform", "darwin", "--model")
    assert cachedoctor(*command, str(folder)).code == 0
    cut(folder / "Encoder.mlmodelc")
    told = cachedoctor(*command, str(folder))
    assert told.code == 1
    assert "CD201" in told.output


def test_nothing_is_fetched_for_a_shape_unless_its_model_is_named(home: Path, host: Host) -> None:
    """A download of somebody's own model is a question of its own."""
    hub = worlds.hub_of(home)
    files = {
        **worlds.whisper_files(),
        "config.json": b'{"alignment_heads": [], "lang_ids": []}\n',
    }
    snapshot = worlds.repository(hub, "somebody/faster-whisper-mine", files) / "snapshots"
    lost = (snapshot / worlds.COMMIT / "vocabulary.txt").resolve()
    lost.unlink()

    def found(*models: str) -> Finding:
        report = scanning.scan(host, ("faster-whisper",), models=models)
        (one,) = [f for f in report.findings if f.code in ("CD101", "CD103") and f.entries]
        return one

    assert found().repair is None
    named = found("somebody/faster-whisper-mine").repair
    assert named is not None
    assert named.safety == "fetches"
