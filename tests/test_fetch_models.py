"""A model that is not there is fetched by name, from the real protocol, and taken back."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from cachedoctor.errors import CancelledError, FetchError
from cachedoctor.findings import HubFetch
from cachedoctor.host import Host
from cachedoctor.system.network import Network
from cachedoctor.vocabulary import SILENT
from tests.conftest import fingerprint
from tests.support import builders, builders_models, coreml_bundles, worlds
from tests.support.command import Ended, cachedoctor
from tests.support.loopback import Hub
from tests.test_engines import INDEX, SAMPLES, SHARDS, TRANSFORMERS, sharded

VARIANT = "openai_whisper-tiny"


def contents(folder: Path, prefix: str = "") -> dict[str, bytes | Path]:
    """Return every file of a folder, by the name that it has in a repository."""
    return {
        prefix + str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fetched(hub: Hub, engine: str, model: str, *place: str) -> Ended:
    """Run a fix for a model that is not there."""
    question = ("--model", model, "--yes", "--mirror", f"hub={hub.url}", *place)
    return cachedoctor("fix", engine, *question)


@pytest.mark.parametrize("engine", SAMPLES)
def test_a_model_of_the_hub_cache(engine: str, home: Path) -> None:
    """Only what the engine reads is fetched; then it is ready, clean, and undone to the byte."""
    sample = SAMPLES[engine]
    before = fingerprint(home)
    with Hub() as hub:
        hub.add(sample.repository, {**sample.files, "README.md": b"# much more", "x.bin": b"y"})
        ended = fetched(hub, engine, sample.model)
    assert ended.code == 0, ended.output + ended.errors
    ready = cachedoctor("preflight", engine, "--model", sample.model)
    assert (ready.code, ready.output.split()[0]) == (0, "ready")
    assert cachedoctor("scan", "--deep", "--json", "--fail-on", "note").codes == []
    (snapshot,) = worlds.hub_of(home).glob("models--*/snapshots/*")
    assert contents(snapshot) == sample.files
    assert str(snapshot).replace(str(home), "~", 1) in ready.output
    assert cachedoctor("undo").code == 0
    assert fingerprint(home) == before


def test_weights_in_shards_come_with_their_index(home: Path) -> None:
    """A repository that has only an index and shards is fetched whole."""
    shards = ("model-1.safetensors", "model-2.safetensors")
    files = {name: data for name, data in TRANSFORMERS.items() if name != "model.safetensors"}
    files |= dict.fromkeys(shards, builders.safetensors_file())
    files["model.safetensors.index.json"] = builders_models.shard_index(shards)
    with Hub() as hub:
        hub.add("openai/whisper-tiny", files)
        ended = fetched(hub, "insanely-fast-whisper", "tiny")
    assert ended.code == 0, ended.output + ended.errors
    assert cachedoctor("preflight", "insanely-fast-whisper", "--model", "tiny").code == 0


def test_a_folder_of_lightning_whisper_mlx(home: Path, tmp_path: Path) -> None:
    """It is put where the engine, started in the project, looks."""
    project = tmp_path / "project"
    project.mkdir()
    before = fingerprint(project)
    place = ("--project", str(project))
    files = {"config.json": b'{"n_mels": 80}', "weights.npz": builders_models.npz_file()}
    with Hub() as hub:
        hub.add("mlx-community/whisper-base-mlx", {**files, "README.md": b"# x"})
        ended = fetched(hub, "lightning-whisper-mlx", "base", *place)
    assert ended.code == 0, ended.output + ended.errors
    folder = project / "mlx_models" / "base"
    found = contents(folder)
    notes = {name for name in found if name.startswith(".cache/")}
    assert notes == {f".cache/huggingface/download/{name}.metadata" for name in files}
    assert {name: data for name, data in found.items() if name not in notes} == files
    ready = cachedoctor("preflight", "lightning-whisper-mlx", "--model", "base", *place)
    assert ready.code == 0, ready.output
    assert str(folder) in ready.output
    assert cachedoctor("scan", "--deep", "--json", "--fail-on", "note", *place).codes == []
    assert cachedoctor("undo", *place).code == 0
    assert fingerprint(project) == before


@pytest.mark.parametrize("model", ["v3", "silero-vad"])
def test_a_folder_of_fluidaudio(model: str, home: Path, tmp_path: Path) -> None:
    """Only the bundles that the newest version reads come, below Application Support."""
    official = tmp_path / "official"
    official.mkdir()
    if model == "v3":
        name = "parakeet-tdt-0.6b-v3"
        coreml_bundles.fluidaudio_v3(official)
    else:
        name = "silero-vad"
        bundle = official / "silero-vad-unified-256ms-v6.2.1.mlmodelc"
        coreml_bundles.make_bundle(bundle, weights=[64], seed=1)
        coreml_bundles.make_bundle(official / "old.mlmodelc", weights=[64], seed=2)
    unread = ("JointDecision.mlmodelc/", "old.mlmodelc/", "config.json")
    wanted = {f: data for f, data in contents(official).items() if not f.startswith(unread)}
    mac = ("--home", str(home), "--platform", "darwin")
    before = fingerprint(home)
    with Hub() as hub:
        hub.add(f"FluidInference/{name}-coreml", contents(official))
        ended = fetched(hub, "fluidaudio", model, *mac)
    assert ended.code == 0, ended.output + ended.errors
    folder = home / "Library/Application Support/FluidAudio/Models" / name
    assert contents(folder) == wanted
    ready = cachedoctor("preflight", "fluidaudio", "--model", model, *mac)
    assert (ready.code, ready.output.split()[0]) == (0, "ready")
    assert cachedoctor("scan", "--deep", "--json", "--fail-on", "note", *mac).codes == []
    assert cachedoctor("undo", *mac).code == 0
    assert fingerprint(home) == before


def test_fluidaudios_own_registry_is_asked(home: Path, tmp_path: Path) -> None:
    """A variable of the examined home leads to another hub, for FluidAudio's repositories alone."""
    official = tmp_path / "official"
    official.mkdir()
    coreml_bundles.fluidaudio_v3(official)
    with Hub() as hub:
        hub.add("FluidInference/parakeet-tdt-0.6b-v3-coreml", contents(official))
        where = ("--home", str(home), "--platform", "darwin", "--env", f"REGISTRY_URL={hub.url}")
        ask = ("--model", "parakeet-tdt-0.6b-v3", "--yes", *where)
        ended = cachedoctor("fix", "fluidaudio", *ask)
        assert ended.code == 0, ended.output + ended.errors
        assert hub.requests
    assert cachedoctor("preflight", "fluidaudio", *ask[:2], *where).code == 0


def test_a_variant_of_whisperkit_with_its_tokenizer(home: Path, tmp_path: Path) -> None:
    """The bundles come from one repository, the tokenizer from another."""
    official = tmp_path / "official"
    official.mkdir()
    for seed, name in enumerate(("AudioEncoder", "MelSpectrogram", "TextDecoder")):
        coreml_bundles.make_bundle(official / f"{name}.mlmodelc", weights=[64], seed=seed)
    mac = ("--home", str(home), "--platform", "darwin")
    before = fingerprint(home)
    with Hub() as hub:
        hub_commit = hub.add("argmaxinc/whisperkit-coreml", contents(official, f"{VARIANT}/"))
        tokenizer = {"tokenizer.json": b'{"a": 1}', "tokenizer_config.json": b"{}"}
        hub.add("openai/whisper-tiny", {**tokenizer, "model.safetensors": b"large"})
        ended = fetched(hub, "whisperkit", "tiny", *mac)
        assert ended.code == 0, ended.output + ended.errors
        models = home / "Documents/huggingface/models"
        assert contents(models / "argmaxinc/whisperkit-coreml" / VARIANT) == contents(official)
        books = models / "argmaxinc/whisperkit-coreml/.cache/huggingface/download" / VARIANT
        for name, content in contents(official).items():  # as the engine's own client leaves them
            commit, etag, when = (books / f"{name}.metadata").read_text().splitlines()
            assert commit == hub_commit
            assert etag == hub.etag("argmaxinc/whisperkit-coreml", f"{VARIANT}/{name}"), content
            assert time.time() - float(when) < 60
        found = contents(models / "openai/whisper-tiny")
        assert {n: data for n, data in found.items() if not n.startswith(".cache")} == tokenizer
        assert cachedoctor("preflight", "whisperkit", "--size", "tiny", *mac).code == 0
        lost = models / "openai/whisper-tiny/tokenizer.json"
        aside = lost.rename(tmp_path / "aside")
        assert cachedoctor("scan", "--json", *mac).codes == ["CD104"]
        question = ("--yes", "--mirror", f"hub={hub.url}", *mac)
        again = cachedoctor("fix", "whisperkit", *question)
        assert again.code == 0, again.output + again.errors
    assert lost.read_bytes() == tokenizer["tokenizer.json"]
    assert cachedoctor("scan", "--json", "--fail-on", "note", *mac).codes == []
    assert cachedoctor("undo", *mac).code == 0
    aside.rename(lost)
    assert cachedoctor("undo", *mac).code == 0
    assert fingerprint(home) == before


def test_wrong_content_under_a_published_name_is_refused(home: Path) -> None:
    """Every GGML file of Whisper's has a published digest; nothing else is put in its place."""
    before = fingerprint(home)
    with Hub() as hub:
        hub.add("ggerganov/whisper.cpp", {"ggml-tiny.bin": builders_models.ggml_whisper()})
        ended = fetched(hub, "whisper.cpp", "tiny")
    assert ended.code == 4
    assert "expected 77691713" in ended.errors
    assert "nothing was changed" in ended.errors
    assert fingerprint(home) == before
    assert cachedoctor("preflight", "whisper.cpp", "--model", "tiny").code == 1


def test_a_revision_without_a_branch_gets_one(home: Path) -> None:
    """Downloaded by its commit, a model is not found by name until `main` leads to it."""
    worlds.repository(worlds.hub_of(home), worlds.TINY, worlds.whisper_files(), ref=None)
    before = fingerprint(home)
    refused = cachedoctor("preflight", "faster-whisper", "--model", "tiny.en")
    assert refused.code == 1
    assert "no branch `main`" in refused.output
    fixed = cachedoctor("fix", "faster-whisper", "--model", "tiny.en", "--yes", "--offline")
    assert fixed.code == 0, fixed.output + fixed.errors
    assert cachedoctor("preflight", "faster-whisper", "--model", "tiny.en").code == 0
    assert cachedoctor("undo").code == 0
    assert fingerprint(home) == before


@pytest.mark.parametrize(
    ("engine", "lost"),
    [
        ("faster-whisper", "config.json"),
        ("mlx-whisper", "weights.npz"),
        ("insanely-fast-whisper", "tokenizer.json"),
        ("parakeet-mlx", "model.safetensors"),
    ],
)
def test_a_repository_that_lacks_what_is_needed_is_no_success(
    engine: str, lost: str, home: Path
) -> None:
    """What cannot be made ready ends in exit 4, as for any other repair that cannot be made."""
    sample = SAMPLES[engine]
    with Hub() as hub:
        hub.add(sample.repository, {n: data for n, data in sample.files.items() if n != lost})
        ended = fetched(hub, engine, sample.model)
    assert cachedoctor("preflight", engine, "--model", sample.model).code == 1
    assert ended.code == 4, ended.output


@pytest.mark.parametrize("trees", [True, False], ids=["manifest", "no manifest"])
@pytest.mark.parametrize(
    ("engine", "lost"),
    [
        ("faster-whisper", "vocabulary.txt"),
        ("mlx-whisper", "weights.npz"),
        ("insanely-fast-whisper", "vocab.json"),
        ("insanely-fast-whisper", SHARDS[1]),
        ("insanely-fast-whisper", INDEX),
    ],
)
def test_one_of_several_names_comes_back_under_the_one_that_the_hub_has(
    engine: str, lost: str, trees: bool, home: Path
) -> None:
    """A file that lies under its second name on the hub is not asked for under its first."""
    sample = SAMPLES[engine]
    files = dict(sample.files)
    if lost in (INDEX, SHARDS[1]):
        files = sharded(files, *SHARDS)
        files[SHARDS[1]] = builders.safetensors_file(metadata={"format": "pt"})
    if lost == "vocab.json":
        del files["tokenizer.json"]
        files |= {"vocab.json": b'{"!": 0}', "merges.txt": b"a b"}
    with Hub() as hub:
        commit = hub.add(sample.repository, files)
        hub_folder = worlds.hub_of(home)
        made = worlds.repository(hub_folder, sample.repository, files, commit=commit, trees=trees)
        link = made / "snapshots" / commit / lost
        worlds.blob_of(link).unlink()
        link.unlink()
        assert cachedoctor("preflight", engine, "--model", sample.model).code == 1
        ended = cachedoctor("fix", engine, "--yes", "--mirror", f"hub={hub.url}")
    assert ended.code == 0, ended.output + ended.errors
    assert link.read_bytes() == files[lost]
    assert cachedoctor("preflight", engine, "--model", sample.model).code == 0


@pytest.mark.parametrize("variable", ["HOME", "HF_HOME"])
def test_through_a_link_to_another_disk_it_can_be_taken_back(
    variable: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home or a cache whose path goes through a link is fetched into, and undone, as any."""
    disk = home if variable == "HOME" else tmp_path / "disk"
    disk.mkdir(exist_ok=True)
    link = tmp_path / "link"
    link.symlink_to(disk)
    monkeypatch.setenv(variable, str(link))
    sample = SAMPLES["faster-whisper"]
    before = fingerprint(disk)
    with Hub() as hub:
        hub.add(sample.repository, sample.files)
        ended = fetched(hub, "faster-whisper", sample.model)
    assert ended.code == 0, ended.output + ended.errors
    assert cachedoctor("preflight", "faster-whisper", "--model", sample.model).code == 0
    undone = cachedoctor("undo")
    assert (undone.code, "is taken back" in undone.output) == (0, True), undone.output
    assert fingerprint(disk) == before


def clients_of(parent: int) -> list[int]:
    """Return the process ids of the hub's clients that a process has started."""
    children = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(pid) for each in children for pid in each.read_text().split()]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found}
    return [pid for pid, command in commands.items() if b"hub_client" in command]


class Impatient:
    """Progress whose caller gives up at the first chance."""

    def start(self, label: str, total_bytes: int | None) -> None:
        """Start a piece of work."""

    def advance(self, count_bytes: int) -> None:
        """Give up."""
        raise CancelledError("enough")

    def finish(self) -> None:
        """End a piece of work."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_client_serves_a_run(home: Path, tmp_path: Path) -> None:
    """It lists a model once; who gives up ends it, the next request starts another."""
    files = {name: name.encode() for name in ("one.bin", "two.bin", "three.bin")}
    with Hub() as served:
        served.add("org/name", files)
        network = Network.of(Host.look(home=str(home)), mirrors={"hub": served.url})
        scratch = tmp_path / "scratch"
        with network.hub(str(scratch)) as hub:
            assert clients_of(os.getpid()) == []
            listing = hub.listing("org/name", "main")
            first = clients_of(os.getpid())
            for name, content in files.items():
                source = HubFetch("org/name", listing.commit, name, 7)
                hub.fetch(source, str(tmp_path / "got"), SILENT)
                assert (tmp_path / "got" / name).read_bytes() == content
            assert len(first) == 1
            assert clients_of(os.getpid()) == first
            asked = [each.path for each in served.requests if "/revision/" in each.path]
            assert len(asked) == 2  # of `main`, and of the commit
            held = served.hold("three.bin", 1)
            with pytest.raises(CancelledError):
                hub.fetch(source, str(tmp_path / "again"), Impatient())
            held.set()
            assert clients_of(os.getpid()) == []
            assert hub.listing("org/name", "main") == listing
            scratch.mkdir(exist_ok=True)
        assert clients_of(os.getpid()) == []
        assert not scratch.exists()


def test_what_a_library_prints_is_no_answer(home: Path, tmp_path: Path) -> None:
    """A printed line, from a user's `sitecustomize` for example, does no harm; noise is told."""
    printed = tmp_path / "sitecustomize.py"
    host = Host.look(home=str(home), environment={"PYTHONPATH": str(tmp_path)})
    with Hub() as served:
        served.add("org/name", {"one.bin": b"1"})
        network = Network.of(host, mirrors={"hub": served.url})
        printed.write_text("print('hello there')\n")
        with network.hub() as hub:
            assert [file.path for file in hub.listing("org/name", "main").files] == ["one.bin"]
        printed.write_text("print('hello there', flush=True)\n")
        with network.hub() as hub, pytest.raises(FetchError, match="no JSON: hello there"):
            hub.listing("org/name", "main")
