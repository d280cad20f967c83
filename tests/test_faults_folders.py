"""Fault → damage → exact codes → fix, for engines that keep folders and files of their own.

A Mac's home with WhisperKit, FluidAudio, whisper.cpp and lightning-whisper-mlx; everything true in
form and small. What is whole stays silent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from cachedoctor.doctor import scanning
from cachedoctor.errors import RepairError
from cachedoctor.host import Host
from cachedoctor.plans import cures
from cachedoctor.runs import applying
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import Status
from tests.conftest import fingerprint
from tests.support import builders, builders_models, coreml_bundles, worlds
from tests.support.command import cachedoctor

if TYPE_CHECKING:
    from collections.abc import Callable

VARIANT = "openai_whisper-tiny"
KIT = "argmaxinc/whisperkit-coreml"
FLUID = "FluidInference/parakeet-tdt-0.6b-v3-coreml"
COMMIT = "0a" * 20
PARTS = ("AudioEncoder", "MelSpectrogram", "TextDecoder")


class Mac(NamedTuple):
    """A Mac's home and a project with models of every kind that is no hub cache."""

    home: Path
    project: Path

    @property
    def host(self) -> Host:
        """Return the home as a Mac's, examined from here."""
        return Host.look(
            home=str(self.home),
            platform="darwin",
            project=str(self.project),
            environment={"TMPDIR": str(self.temporary)},
        )

    @property
    def documents(self) -> Path:
        """Return the Swift Hub's folder of repositories."""
        return self.home / "Documents" / "huggingface" / "models"

    @property
    def variant(self) -> Path:
        """Return WhisperKit's only model."""
        return self.documents / KIT / VARIANT

    @property
    def support(self) -> Path:
        """Return FluidAudio's folder of models."""
        return self.home / "Library" / "Application Support" / "FluidAudio" / "Models"

    @property
    def ggml(self) -> Path:
        """Return whisper.cpp's only model."""
        return self.project / "models" / "ggml-parakeet-tdt-0.6b-v3-f32.bin"

    @property
    def lightning(self) -> Path:
        """Return lightning-whisper-mlx's only model."""
        return self.project / "mlx_models" / "base"

    @property
    def temporary(self) -> Path:
        """Return the temporary folder."""
        return self.home / "T"

    def note(self, name: str) -> Path:
        """Return what the Swift client wrote down of a file of the variant."""
        return self.documents / KIT / ".cache/huggingface/download" / VARIANT / f"{name}.metadata"

    def codes(self, *, deep: bool = False) -> list[str]:
        """Return the codes of a scan, sorted."""
        return sorted(f.code for f in scanning.scan(self.host, deep=deep).findings)

    def fix(self) -> None:
        """Repair everything and waste too, without a network."""
        report = scanning.scan(self.host)
        network = Network(self.host, offline=True)
        applying.apply(cures.plan(report, waste=True, network=network), report, network)


def annotate(folder: Path, books: Path, *, time_s: float) -> None:
    """Write the three lines that clients write of each file that they download."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".cache" not in path.parts:
            content = path.read_bytes()
            large = path.name in ("weight.bin", "coremldata.bin", "weights.npz")
            etag = hashlib.sha256(content).hexdigest() if large else worlds.git_sha1(content)
            note = books / f"{path.relative_to(folder)}.metadata"
            note.parent.mkdir(parents=True, exist_ok=True)
            note.write_text(f"{COMMIT}\n{etag}\n{time_s}\n")


def in_hub(
    mac: Mac, repository: str, folder: Path, prefix: str = "", *, trees: bool = True
) -> None:
    """Put every file of a folder into the hub cache, as a revision of a repository."""
    files = {
        prefix + str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    worlds.repository(worlds.hub_of(mac.home), repository, files, trees=trees)


@pytest.fixture
def mac(home: Path, tmp_path: Path) -> Mac:
    """Build the healthy world in the test's home."""
    return build(home, tmp_path / "project")


def build(home: Path, project: Path) -> Mac:
    """Build the healthy world."""
    made = Mac(home, project)
    made.temporary.mkdir()
    made.variant.mkdir(parents=True)
    for seed, name in enumerate(PARTS):
        coreml_bundles.make_bundle(made.variant / f"{name}.mlmodelc", weights=[64], seed=seed)
    (made.variant / "config.json").write_text("{}")
    in_hub(made, KIT, made.variant, f"{VARIANT}/")
    annotate(made.variant, made.note("x").parent, time_s=time.time())
    tokenizer = made.documents / "openai" / "whisper-tiny"
    tokenizer.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tokenizer / name).write_text('{"version": "1.0"}')
    in_hub(made, "openai/whisper-tiny", tokenizer, trees=False)  # as others take just these
    folder = made.support / "parakeet-tdt-0.6b-v3"
    folder.mkdir(parents=True)
    coreml_bundles.fluidaudio_v3(folder)
    shutil.rmtree(folder / "JointDecision.mlmodelc", ignore_errors=True)
    in_hub(made, FLUID, folder)
    made.ggml.parent.mkdir(parents=True)
    made.ggml.write_bytes(builders_models.ggml_parakeet())
    made.lightning.mkdir(parents=True)
    (made.lightning / "config.json").write_text('{"n_mels": 80}')
    (made.lightning / "weights.npz").write_bytes(builders_models.npz_file())
    annotate(made.lightning, made.lightning / ".cache/huggingface/download", time_s=time.time() + 5)
    return made


def bundle(mac: Mac, name: str = "AudioEncoder") -> Path:
    """Return one of WhisperKit's bundles."""
    return mac.variant / f"{name}.mlmodelc"


def weights(mac: Mac, name: str = "AudioEncoder") -> Path:
    """Return the weights in one of WhisperKit's bundles."""
    return bundle(mac, name) / "weights" / "weight.bin"


def tokenizer(mac: Mac) -> Path:
    """Return the file without which WhisperKit goes to the network."""
    return mac.documents / "openai" / "whisper-tiny" / "tokenizer.json"


def whisper(mac: Mac, content: bytes, name: str = "ggml-medium.en-q8_0.bin") -> Path:
    """Put a GGML file of a model of Whisper's beside the other."""
    path = mac.ggml.with_name(name)
    path.write_bytes(content)
    return path


def stuck(mac: Mac) -> None:
    """Leave a complete partial in place of the weights, as an app that was closed does."""
    path = weights(mac)
    etag = hashlib.sha256(path.read_bytes()).hexdigest()
    name = str(path.relative_to(mac.variant))
    path.rename(mac.note(name).with_name(f"{path.name}.{etag}.incomplete"))


def begun(mac: Mac) -> None:
    """Leave the partial of a download that was killed half-way, for a file that is there."""
    path = weights(mac)
    name = str(path.relative_to(mac.variant))
    left = mac.note(name).with_name(f"{path.name}.{'5e' * 32}.incomplete")
    left.write_bytes(path.read_bytes()[:100])
    old(left)


def old(path: Path, age_s: int = 3600) -> Path:
    """Make a file look as if nothing touched it since."""
    then = time.time() - age_s
    os.utime(path, (then, then))
    return path


def retired(mac: Mac) -> None:
    """Leave the folder of a model that FluidAudio gave up."""
    folder = mac.support / "magpie-tts"
    folder.mkdir()
    (folder / "x.json").write_text("{}")


def compiled(mac: Mac, size: int) -> None:
    """Leave what Core ML compiled for an app."""
    cache = mac.home / "Library/Caches/com.some.app/com.apple.e5rt.e5bundlecache/24A335/AB"
    cache.mkdir(parents=True)
    builders.write_sparse(cache / "AB.bundle", [size])


# fault: damage, exact codes, whether local bytes cure it
FAULTS: dict[str, tuple[Callable[[Mac], object], list[str], bool]] = {
    "nothing": (lambda _: None, [], True),
    "WhisperKit: a bundle is gone": (lambda m: shutil.rmtree(bundle(m)), ["CD101"], True),
    "WhisperKit: `weights/` is empty": (lambda m: weights(m).unlink(), ["CD102"], True),
    "WhisperKit: the weights are cut": (
        lambda m: worlds.cut(weights(m), weights(m).stat().st_size - 9), ["CD201"], True,
    ),
    "WhisperKit: a page in place of the bundle's data": (
        lambda m: (bundle(m) / "coremldata.bin").write_bytes(builders.HTML_PAGE), ["CD202"], True,
    ),
    "WhisperKit: a pointer in place of the weights": (
        lambda m: weights(m).write_bytes(builders.LFS_POINTER), ["CD202"], True,
    ),
    "WhisperKit: no tokenizer": (lambda m: tokenizer(m).unlink(), ["CD104"], True),
    "WhisperKit: the tokenizer is cut": (
        lambda m: worlds.cut(tokenizer(m), 9), ["CD201"], True,
    ),
    "WhisperKit: a config that nobody reads is cut": (
        lambda m: (m.variant / "config.json").write_text("{"), ["CD201"], True,
    ),
    "WhisperKit: a stuck partial": (stuck, ["CD102", "CD413"], True),
    "WhisperKit: a partial of a killed download": (begun, ["CD502"], True),
    "WhisperKit: metadata in two lines": (
        lambda m: m.note("config.json").write_text(f"{COMMIT}\nabc\n"), ["CD412"], False,
    ),
    "WhisperKit: one file's metadata is gone": (
        lambda m: m.note("config.json").unlink(), ["CD419"], False,
    ),
    "WhisperKit: no metadata at all, as old versions leave it": (
        lambda m: shutil.rmtree(m.documents / KIT / ".cache"), [], True,
    ),
    "WhisperKit: what only old versions read": (
        lambda m: coreml_bundles.make_bundle(
            m.variant / "TextDecoderContextPrefill.mlmodelc", weights=[8], seed=9
        ),
        ["CD419"], False,  # little that older versions read is not worth a word
    ),
    "FluidAudio: a bundle is gone": (
        lambda m: shutil.rmtree(m.support / "parakeet-tdt-0.6b-v3" / "Decoder.mlmodelc"),
        ["CD101"], True,
    ),
    "FluidAudio: the folder of older versions": (
        lambda m: (m.support / "parakeet-tdt-0.6b-v3").rename(
            m.support / "parakeet-tdt-0.6b-v3-coreml"
        ),
        ["CD410"], True,
    ),
    "FluidAudio: a model that it gave up": (retired, ["CD507"], True),
    "FluidAudio: whole for older versions": (
        lambda m: (m.support / "parakeet-tdt-0.6b-v3" / "JointDecisionv3.mlmodelc").rename(
            m.support / "parakeet-tdt-0.6b-v3" / "JointDecision.mlmodelc"
        ),
        ["CD106"], False,
    ),
    "whisper.cpp: a model of a known name, whole": (
        lambda m: whisper(m, builders_models.ggml_whisper(), "ggml-mine.bin"), [], True,
    ),
    "whisper.cpp: no tensors": (
        lambda m: whisper(m, builders_models.ggml_stub()), ["CD205"], False,
    ),
    "whisper.cpp: cut": (
        lambda m: whisper(m, builders_models.ggml_whisper()[:-9]), ["CD201"], False,
    ),
    "whisper.cpp: another length than is published": (
        lambda m: whisper(m, builders_models.ggml_whisper()), ["CD302"], False,
    ),
    "Finder's own files": (
        lambda m: [
            (folder / ".DS_Store").write_bytes(b"Bud1")
            for folder in (m.variant, bundle(m), m.support, m.lightning, m.documents)
        ],
        [], True,
    ),
    "whisper.cpp: an error body": (
        lambda m: whisper(m, builders.TEXT_ERROR), ["CD202"], False,
    ),
    "whisper.cpp: the Ruby binding was killed": (
        lambda m: old(whisper(m, b"lmgg", "ggml-tiny.bin.downloading")), ["CD101", "CD502"], False,
    ),
    "whisper.cpp: an encoder without weights": (
        lambda m: (m.ggml.parent / "ggml-tiny-encoder.mlmodelc").mkdir(), [], True,
    ),
    "lightning: the weights are cut": (
        lambda m: worlds.cut(m.lightning / "weights.npz", 400), ["CD201"], False,
    ),
    "lightning: no weights": (lambda m: (m.lightning / "weights.npz").unlink(), ["CD101"], False),
    "lightning: configuration and weights of two models": (
        lambda m: (
            (m.lightning / "config.json").write_text('{"quantization": {"bits": 4}}'),
            (m.lightning / ".cache/huggingface/download/config.json.metadata").unlink(),
        ),
        ["CD414"], False,
    ),
    "lightning: a file was changed after it was downloaded": (
        lambda m: old(m.lightning / "config.json", -60), ["CD412"], True,
    ),
    "a download in the temporary folder": (
        lambda m: old(builders_tmp(m)), ["CD503"], True,
    ),
    "what Core ML compiled": (lambda m: compiled(m, 200 << 20), ["CD506"], True),
    "little that Core ML compiled": (lambda m: compiled(m, 1 << 20), [], True),
}  # fmt: skip


def builders_tmp(mac: Mac) -> Path:
    """Leave a download that nobody moved to its place."""
    path = mac.temporary / "CFNetworkDownload_a1b2c3.tmp"
    path.write_bytes(b"left")
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_its_code_and_its_cure(fault: str, mac: Mac) -> None:
    """The damage gives exactly these codes; where local bytes cure it, the second scan is clean."""
    damage, codes, curable = FAULTS[fault]
    assert mac.codes(deep=True) == []
    damage(mac)
    before = fingerprint(mac.home), fingerprint(mac.project)
    assert mac.codes() == codes
    assert (fingerprint(mac.home), fingerprint(mac.project)) == before
    if curable:
        mac.fix()
        assert mac.codes() == []
        while applying.undo(mac.host):
            pass
        assert (fingerprint(mac.home), fingerprint(mac.project)) == before


def test_every_model_is_ready(mac: Mac) -> None:
    """Each engine finds its model in the healthy world, by its own name."""
    report = scanning.scan(mac.host)
    ready = {
        (entry.engines, entry.model)
        for entry in report.entries
        if report.statuses[entry.id] is Status.READY and entry.claims
    }
    assert ready == {
        (("whisperkit",), VARIANT),
        (("fluidaudio",), "parakeet-tdt-0.6b-v3"),
        (("whisper.cpp",), "parakeet-tdt-0.6b-v3-f32"),
        (("lightning-whisper-mlx",), "base"),
    }


def test_the_offline_diarizer_alone_is_whole(mac: Mac) -> None:
    """Two diarizers share a folder; whichever has its bundles there is the one that is meant."""
    folder = mac.support / "speaker-diarization"
    folder.mkdir()
    for seed, name in enumerate(("Segmentation", "FBank", "Embedding", "PldaRho")):
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    (folder / "plda-parameters.json").write_text("{}")
    report = scanning.scan(mac.host)
    assert report.findings == ()
    assert "speaker-diarization-offline" in {entry.model for entry in report.entries}
    shutil.rmtree(folder / "PldaRho.mlmodelc")
    assert mac.codes() == ["CD101"]


def test_a_diarizer_gets_the_note_that_says_its_commit(mac: Mac) -> None:
    """FluidAudio since 0.17.0 fetches the folder anew without it; a repair writes it, offline."""
    folder = mac.support / "speaker-diarization"
    folder.mkdir()
    for seed, name in enumerate(("Segmentation", "FBank", "Embedding", "PldaRho")):
        coreml_bundles.make_bundle(folder / f"{name}.mlmodelc", weights=[8], seed=seed)
    (folder / "plda-parameters.json").write_text("{}")
    assert mac.codes() == []
    newer = mac.host._replace(engine_versions={"fluidaudio": "0.17.0"})
    (missing,) = scanning.scan(newer).findings
    assert missing.code == "CD101"
    assert ".fluidaudio-revision" in missing.message
    network = Network(newer, offline=True)
    report = scanning.scan(newer)
    applying.apply(cures.plan(report, network=network), report, network)
    note = folder / ".fluidaudio-revision"
    assert note.read_text() == "df2625ac79a7ac6b65ad868fee6d80f320da4232\n"
    assert scanning.scan(newer).findings == ()
    assert mac.codes() == []


def test_metadata_proves_the_content(mac: Mac) -> None:
    """A flipped bit in what a client wrote the etag of is found by a deep scan alone."""
    worlds.flip(weights(mac), weights(mac).stat().st_size - 1)
    assert mac.codes() == []
    assert mac.codes(deep=True) == ["CD301"]


def test_the_quantised_model_of_a_shared_folder_is_told_by_its_configuration(mac: Mac) -> None:
    """One folder, three names: `config.json` says which was downloaded last."""
    (mac.lightning / "config.json").write_text(json.dumps({"quantization": {"bits": 4}}))
    (mac.lightning / "weights.npz").write_bytes(builders_models.npz_file(quantized=True))
    shutil.rmtree(mac.lightning / ".cache")
    report = scanning.scan(mac.host)
    assert report.findings == ()
    assert "base@4bit" in {entry.model for entry in report.entries}


def test_a_finished_partial_takes_its_place_without_any_other_copy(mac: Mac) -> None:
    """What was downloaded and never renamed is proven by the digest in its name, and used."""
    whole = fingerprint(mac.variant)
    shutil.rmtree(worlds.hub_of(mac.home) / f"models--{KIT.replace('/', '--')}")
    stuck(mac)
    assert mac.codes() == ["CD102", "CD502"]  # nothing here tells how long it must be
    mac.fix()
    assert mac.codes(deep=True) == []
    now = fingerprint(mac.variant)
    assert {name: row[2] for name, row in now.items()} == {n: row[2] for n, row in whole.items()}


def test_a_partial_of_other_content_is_not_used(mac: Mac) -> None:
    """Offline and without another copy, nothing is changed when the digest is wrong."""
    shutil.rmtree(worlds.hub_of(mac.home) / f"models--{KIT.replace('/', '--')}")
    stuck(mac)
    (partial,) = mac.documents.rglob("*.incomplete")
    worlds.flip(partial, 70)
    before = fingerprint(mac.home)
    with pytest.raises(RepairError):
        mac.fix()
    assert {n: r for n, r in fingerprint(mac.home).items() if ".cachedoctor" not in n} == before


def test_a_compile_cache_in_use_is_left_alone(mac: Mac) -> None:
    """While a program has any of it open, it is not set aside."""
    compiled(mac, 200 << 20)
    (bundle_,) = mac.home.rglob("AB.bundle")
    program = "import sys; file = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(bundle_)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == b"open\n"
        (finding,) = scanning.scan(mac.host).findings
        assert (finding.code, finding.repair) == ("CD506", None)
        mac.fix()
        assert bundle_.exists()
        user.communicate()
    mac.fix()
    assert not bundle_.exists()


def test_lock_files_of_models_that_are_folders(mac: Mac, tmp_path: Path) -> None:
    """Bundles are locked file by file, at the commit that the client noted."""
    path = tmp_path / "models.lock"
    where = ("--home", str(mac.home), "--platform", "darwin", "--project", str(mac.project))
    questions = (
        "whisperkit:tiny",
        "fluidaudio:parakeet-tdt-0.6b-v3",
        "lightning-whisper-mlx:base",
    )
    ended = cachedoctor("lock", *questions, "-o", str(path), *where)
    assert ended.code == 0, ended.errors
    models = {model["engine"]: model for model in tomllib.loads(path.read_text())["model"]}
    assert models["whisperkit"]["revision"] == COMMIT
    assert "AudioEncoder.mlmodelc/weights/weight.bin" in models["whisperkit"]["files"]
    assert "whisperkit openai_whisper-tiny: locked as they are" in ended.errors  # its tokenizer
    assert cachedoctor("preflight", "--lock", str(path), *where).code == 0
    assert cachedoctor("verify", "--lock", str(path), *where).code == 0
    worlds.flip(mac.variant / "AudioEncoder.mlmodelc" / "weights" / "weight.bin", 70)
    wrong = cachedoctor("verify", "--lock", str(path), "--json", *where)
    assert [f["evidence"] for f in wrong.data["files"] if f["verdict"] == "bad"] == ["lock file"]
    assert cachedoctor("preflight", "whisperkit", "--lock", str(path), *where).code == 1
