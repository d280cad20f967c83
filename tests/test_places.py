"""Every place in which a model may lie by the facts is looked at, and no other."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from cachedoctor import doctor
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests import builders, builders_models, coreml_bundles, worlds

NOBODY = 65534
GGML = "ggml-parakeet-tdt-0.6b-v3-f32.bin"
KIT = "argmaxinc/whisperkit-coreml/openai_whisper-tiny"


def ready(host: Host) -> set[tuple[tuple[str, ...], str]]:
    """Return engines and models that are ready; nothing else may be said."""
    report = doctor.scan(host)
    assert report.findings == ()
    return {
        (entry.engines, entry.model or "")
        for entry in report.entries
        if entry.claims and report.statuses[entry.id] is Status.READY
    }


def whisperkit(models: Path) -> Path:
    """Put a variant, without its tokenizer, into a folder of the Swift Hub's layout."""
    folder = models / KIT
    folder.mkdir(parents=True)
    for seed, name in enumerate(("AudioEncoder", "MelSpectrogram", "TextDecoder")):
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    return folder


def tokenizer(folder: Path) -> None:
    """Put WhisperKit's tokenizer into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}")


@pytest.mark.parametrize(
    "base",
    [
        "Documents/huggingface/models",
        "Library/Application Support/MacWhisper/models/whisperkit/models",
        "Library/Application Support/TypeWhisper/models",
        "Library/Caches/huggingface/models",
        "Library/Containers/com.some.app/Data/Documents/huggingface/models",
    ],
)
def test_whisperkit_in_each_base(base: str, home: Path, mac: Host) -> None:
    """Apps choose the base; below it the layout is the same."""
    whisperkit(home / base)
    tokenizer(home / base / "openai" / "whisper-tiny")
    assert ready(mac) == {(("whisperkit",), "openai_whisper-tiny")}


@pytest.mark.parametrize(
    ("version", "beside", "inside"),
    [("0.13.0", True, False), ("0.13.1", False, True), ("0.18.0", True, True), ("", True, True)],
)
def test_whisperkits_tokenizer_by_version(
    version: str, beside: bool, inside: bool, home: Path
) -> None:
    """One version looks only below the model, older ones only beside it, newer ones in both."""
    versions = {"whisperkit": version} if version else {}
    mac = Host.look(home=str(home), platform="darwin", engine_versions=versions)
    models = home / "Documents" / "huggingface" / "models"
    variant = whisperkit(models)
    below = variant / "models" / "openai" / "whisper-tiny"
    tokenizer(below)
    assert ("CD104" in {f.code for f in doctor.scan(mac).findings}) is not inside
    for path in below.iterdir():
        path.unlink()
    tokenizer(models / "openai" / "whisper-tiny")
    assert ("CD104" in {f.code for f in doctor.scan(mac).findings}) is not beside


def test_fluidaudio_in_a_sandboxed_app(home: Path, mac: Host) -> None:
    """A container has an Application Support of its own."""
    data = home / "Library/Containers/com.some.app/Data"
    folder = data / "Library/Application Support/FluidAudio/Models/silero-vad"
    folder.mkdir(parents=True)
    name = "silero-vad-unified-256ms-v6.2.1.mlmodelc"
    coreml_bundles.make_bundle(folder / name, weights=[8], seed=1)
    assert ready(mac) == {(("fluidaudio",), "silero-vad")}


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, ".local/share/pywhispercpp/models"),
        ("linux", {"XDG_DATA_HOME": "{home}/data"}, "data/pywhispercpp/models"),
        ("darwin", {}, "Library/Application Support/pywhispercpp/models"),
        ("darwin", {"XDG_DATA_HOME": "{home}/data"}, "data/pywhispercpp/models"),
        (
            "darwin",
            {"XDG_DATA_HOME": "{home}/data"},
            "Library/Application Support/pywhispercpp/models",
        ),
        ("linux", {}, ".cache/whisper.cpp"),
        (
            "linux",
            {},
            ".cache/whisper.cpp/huggingface.co/ggerganov/whisper.cpp/resolve/main",
        ),
        ("darwin", {}, "Library/Caches/whisper.cpp"),
        ("linux", {}, ".cache/whisper"),
        ("linux", {"XDG_CACHE_HOME": "{home}/cache"}, "cache/whisper"),
        ("darwin", {}, "Library/Caches/whisper"),
        ("linux", {}, "whisper.cpp/models"),
    ],
)
def test_whisper_cpp_in_each_folder(
    platform: str, variables: dict[str, str], folder: str, home: Path
) -> None:
    """Bindings and scripts choose each their own."""
    variables = {name: value.format(home=home) for name, value in variables.items()}
    (home / folder).mkdir(parents=True)
    (home / folder / GGML).write_bytes(builders_models.ggml_parakeet())
    host = Host.look(home=str(home), platform=platform, environment=variables)
    assert ready(host) == {(("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32")}


def test_a_project_with_everything_in_models(home: Path, tmp_path: Path) -> None:
    """`.pt`, GGML, its encoder and the hub's layout lie together, as in the project that asked."""
    models = tmp_path / "project" / "models"
    worlds.repository(models, worlds.TINY, worlds.whisper_files())
    (models / GGML).write_bytes(builders_models.ggml_parakeet())
    coreml_bundles.make_bundle(
        models / "ggml-parakeet-tdt-0.6b-v3-f32-encoder.mlmodelc", weights=[8], seed=1
    )
    (models / "mine.pt").write_bytes(builders.torch_zip_file())
    host = Host.look(project=str(tmp_path / "project"))
    assert ready(host) == {
        (("faster-whisper",), "tiny.en"),
        (("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32"),
    }


def test_an_encoder_beside_a_ggml_file_is_checked_and_never_missed(home: Path) -> None:
    """Builds with Core ML open it; what is wrong with it is a warning."""
    folder = home / "whisper.cpp" / "models"
    folder.mkdir(parents=True)
    (folder / "ggml-tiny-q5_1.bin").write_bytes(builders_models.ggml_whisper())
    encoder = folder / "ggml-tiny-encoder.mlmodelc"
    coreml_bundles.make_bundle(encoder, weights=[8], seed=1)
    host = Host.look()
    assert {f.code for f in doctor.scan(host).findings} == {"CD302"}
    (encoder / "weights" / "weight.bin").unlink()
    found = {f.code: f.severity for f in doctor.scan(host).findings}
    assert found == {"CD302": "warning", "CD102": "warning"}


def test_other_folders_are_not_looked_into(home: Path, host: Host) -> None:
    """A file of a model's name in a place that is nobody's is nobody's model."""
    for folder in ("Downloads", "models", ".cache/other", "src/whisper.cpp/models"):
        (home / folder).mkdir(parents=True)
        (home / folder / GGML).write_bytes(b"")
        (home / folder / "tiny.pt").write_bytes(b"")
    report = doctor.scan(host)
    assert (report.entries, report.findings) == ((), ())


def test_totals_count_every_file_once(home: Path, host: Host) -> None:
    """What a scan says it saw is what the files of the cache take up, links counted once."""
    from cachedoctor import held

    hub = worlds.hub_of(home)
    files = {**worlds.whisper_files(), "again.json": worlds.whisper_files()["config.json"]}
    path = worlds.repository(hub, worlds.TINY, files)
    worlds.repository(hub, worlds.TINY, files, commit="d" * 40, ref="old")
    (path / "blobs" / ("7" * 64)).write_bytes(b"an orphan")
    blobs = [file for file in (path / "blobs").iterdir() if file.is_file()]
    seen = held.held_everywhere(doctor.scan(host).survey)
    assert seen.bytes == sum(file.stat().st_size for file in blobs)
    assert seen.files == len(blobs)


def test_javas_file_lies_beside_openais(home: Path, host: Host) -> None:
    """One folder, two layouts: each engine takes its own files."""
    folder = home / ".cache" / "whisper"
    folder.mkdir(parents=True)
    (folder / GGML).write_bytes(builders_models.ggml_parakeet())
    (folder / "tiny.pt").write_bytes(builders.torch_zip_file()[:-9])
    report = doctor.scan(host)
    found = {(e.engines, e.model, report.statuses[e.id]) for e in report.entries if e.claims}
    assert found == {
        (("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32", Status.READY),
        (("openai-whisper", "whisper-mps"), "tiny", Status.CORRUPT),
    }
    assert {f.code for f in report.findings} == {"CD201"}


def test_lightnings_folder_lies_in_the_current_one(tmp_path: Path) -> None:
    """No `--project` is needed: wherever it was run from is where it looks."""
    folder = tmp_path / "cwd" / "mlx_models" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"n_mels": 80}')
    (folder / "weights.npz").write_bytes(builders_models.npz_file())
    assert ready(Host.look()) == {(("lightning-whisper-mlx",), "tiny")}


def test_bin_files_in_a_projects_other_folder_are_nobodys(tmp_path: Path) -> None:
    """Only the folders of `models/` that a layout knows count; the rest is not even listed."""
    project = tmp_path / "project"
    for folder in ("models/mine", "data", "weights"):
        (project / folder).mkdir(parents=True)
        (project / folder / GGML).write_bytes(b"")
        (project / folder / "model.bin").write_bytes(b"")
    report = doctor.scan(Host.look(project=str(project)))
    assert (report.entries, report.findings) == ((), ())


def test_a_container_that_may_not_be_looked_into_is_passed_over() -> None:
    """MacOS refuses other apps' containers; those that are open are read all the same."""
    name = "silero-vad-unified-256ms-v6.2.1.mlmodelc"
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are closed to others
        os.chmod(place, 0o755)
        containers = Path(place) / "Library" / "Containers"
        for app in ("com.closed.app", "com.open.app"):
            data = containers / app / "Data/Library/Application Support/FluidAudio/Models"
            (data / "silero-vad").mkdir(parents=True)
            coreml_bundles.make_bundle(data / "silero-vad" / name, weights=[8], seed=1)
        host = Host.look(home=place, platform="darwin")
        assert len([e for e in doctor.scan(host).entries if e.claims]) == 2
        closed = containers / "com.closed.app"
        closed.chmod(0)
        try:
            if user == 0:
                os.seteuid(NOBODY)
            report = doctor.scan(Host.look(home=place, platform="darwin"))
        finally:
            os.seteuid(user)
            closed.chmod(0o755)
    (note,) = report.findings
    assert (note.code, note.severity) == ("CD108", "note")
    assert note.path == str(containers)
    (entry,) = [entry for entry in report.entries if entry.claims]
    assert "com.open.app" in entry.path
    assert (entry.engines, entry.model) == (("fluidaudio",), "silero-vad")
    assert report.statuses[entry.id] is Status.READY
