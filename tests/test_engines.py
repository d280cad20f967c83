"""What each engine of the hub cache needs, in which order it looks, and what it shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from cachedoctor import doctor, preflight
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests import builders, builders_models, worlds
from tests.command import cachedoctor

JSON = b'{"model_type": "whisper"}'
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


class Sample(NamedTuple):
    """One engine's model: its repository, and small true files."""

    model: str
    size: str
    repository: str
    files: Mapping[str, bytes]


TRANSFORMERS = {
    "config.json": JSON,
    "model.safetensors": builders.safetensors_file(),
    "preprocessor_config.json": b'{"feature_size": 80}',
    "tokenizer.json": b'{"version": "1.0"}',
}
SAMPLES = {
    "faster-whisper": Sample("tiny.en", "", worlds.TINY, worlds.whisper_files()),
    "mlx-whisper": Sample(
        "tiny-mlx",
        "tiny",
        "mlx-community/whisper-tiny-mlx",
        {"config.json": JSON, "weights.npz": builders_models.npz_file()},
    ),
    "insanely-fast-whisper": Sample("tiny", "tiny", "openai/whisper-tiny", TRANSFORMERS),
    "parakeet-mlx": Sample(
        "tdt-0.6b-v2",
        "large",
        "mlx-community/parakeet-tdt-0.6b-v2",
        {"config.json": JSON, "model.safetensors": builders.safetensors_file()},
    ),
}


class World(NamedTuple):
    """A hub cache in which a model can be put and looked at."""

    home: Path
    host: Host

    def put(self, repository: str, files: Mapping[str, bytes], *, trees: bool = True) -> Path:
        """Put a repository into the cache, and return its only revision."""
        made = worlds.repository(worlds.hub_of(self.home), repository, files, trees=trees)
        return made / "snapshots" / worlds.COMMIT

    def codes(self, *, deep: bool = False) -> list[str]:
        """Return the codes of a scan, sorted."""
        return sorted(f.code for f in doctor.scan(self.host, deep=deep).findings)


@pytest.fixture
def world(home: Path, host: Host) -> World:
    """Begin with an empty cache."""
    return World(home, host)


def without(files: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
    """Return the files but for `names`."""
    return {name: content for name, content in files.items() if name not in names}


@pytest.mark.parametrize("trees", [True, False], ids=["manifest", "no manifest"])
@pytest.mark.parametrize("engine", SAMPLES)
def test_a_whole_model_is_ready_and_silent(engine: str, trees: bool, world: World) -> None:
    """With the hub's manifest or without, also when every byte is read."""
    sample = SAMPLES[engine]
    snapshot = world.put(sample.repository, {**sample.files, "README.md": b"# x"}, trees=trees)
    assert world.codes(deep=True) == []
    (entry,) = doctor.scan(world.host).entries
    assert (entry.engines, entry.model) == ((engine,), sample.model)
    verdict = preflight(engine, model=sample.model, host=world.host)
    assert (verdict.ready, verdict.path) == (True, str(snapshot))


Damage = Callable[[Mapping[str, bytes]], Mapping[str, bytes]]


def dropped(name: str) -> Damage:
    """Return what takes one file away."""
    return lambda files: without(files, name)


def altered(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Return what changes one file."""
    return lambda files: {**files, name: change(files[name])}


# damage to the files of an engine's model, and the exact codes
FAULTS: dict[str, tuple[str, Damage, list[str]]] = {
    **{
        f"{engine}: no {name}": (engine, dropped(name), [code])
        for engine, name, code in (
            ("faster-whisper", "model.bin", "CD101"),
            ("faster-whisper", "config.json", "CD101"),
            ("faster-whisper", "tokenizer.json", "CD104"),
            ("mlx-whisper", "weights.npz", "CD101"),
            ("mlx-whisper", "config.json", "CD101"),
            ("insanely-fast-whisper", "model.safetensors", "CD101"),
            ("insanely-fast-whisper", "preprocessor_config.json", "CD101"),
            ("insanely-fast-whisper", "tokenizer.json", "CD104"),
            ("parakeet-mlx", "model.safetensors", "CD101"),
            ("parakeet-mlx", "config.json", "CD101"),
        )
    },
    **{
        f"{engine}: {name} {what}": (
            engine,
            altered(name, change),
            [code],
        )
        for engine, name in (
            ("mlx-whisper", "weights.npz"),
            ("insanely-fast-whisper", "model.safetensors"),
            ("parakeet-mlx", "model.safetensors"),
        )
        for what, change, code in (
            ("is cut", lambda content: content[:-7], "CD201"),
            ("is a page", lambda _: builders.HTML_PAGE, "CD202"),
            ("is a pointer", lambda _: builders.LFS_POINTER, "CD202"),
            ("goes on", lambda content: content + b"more of it" * 9, "CD204"),
        )
    },
    "vocab.json in place of tokenizer.json": (
        "insanely-fast-whisper",
        lambda files: {**without(files, "tokenizer.json"), "vocab.json": b"{}", "merges.txt": b""},
        [],
    ),
    "weights.safetensors in place of weights.npz": (
        "mlx-whisper",
        lambda files: {
            **without(files, "weights.npz"), "weights.safetensors": builders.safetensors_file(),
        },
        [],
    ),
    "mlx-audio's layout": (
        "mlx-whisper",
        lambda files: {
            **without(files, "weights.npz"), "model.safetensors": builders.safetensors_file(),
        },
        ["CD421"],
    ),
    "weights in shards": (
        "insanely-fast-whisper", lambda files: sharded(files, *SHARDS), [],
    ),
    "a shard is missing": (
        "insanely-fast-whisper", lambda files: without(sharded(files, *SHARDS), SHARDS[1]),
        ["CD101"],
    ),
    "a shard is cut": (
        "insanely-fast-whisper",
        lambda files: {**sharded(files, *SHARDS), SHARDS[0]: builders.safetensors_file()[:-3]},
        ["CD201"],
    ),
    "the index is cut": (
        "insanely-fast-whisper",
        lambda files: {
            **sharded(files, *SHARDS),
            "model.safetensors.index.json": builders_models.shard_index(SHARDS)[:-5],
        },
        ["CD201"],
    ),
    "the index leads out": (
        "insanely-fast-whisper",
        lambda files: {
            **sharded(files),
            "model.safetensors.index.json": builders_models.shard_index(["../../../../x"]),
        },
        ["CD203"],
    ),
    "weights that nobody reads are a page": (
        "insanely-fast-whisper",
        lambda files: {**files, "pytorch_model.bin": builders.HTML_PAGE},
        ["CD202"],
    ),
}  # fmt: skip


def sharded(files: Mapping[str, bytes], *shards: str) -> dict[str, bytes]:
    """Split a model's weights into these files."""
    index = {"model.safetensors.index.json": builders_models.shard_index(shards)}
    parts = dict.fromkeys(shards, builders.safetensors_file())
    return {**without(files, "model.safetensors"), **index, **parts}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_an_engine_has_its_code(fault: str, world: World) -> None:
    """What an engine needs is missed, what it does not is at most a warning."""
    engine, damage, codes = FAULTS[fault]
    sample = SAMPLES[engine]
    world.put(sample.repository, damage(sample.files), trees=False)
    report = doctor.scan(world.host)
    assert sorted(finding.code for finding in report.findings) == codes
    (entry,) = report.entries
    needed = codes and "nobody reads" not in fault and codes != ["CD204"]
    assert (report.statuses[entry.id] is Status.READY) is not bool(needed)


def test_a_missing_shard_is_named(world: World) -> None:
    """The finding is about the shard, not about the index."""
    sample = SAMPLES["insanely-fast-whisper"]
    world.put(sample.repository, without(sharded(sample.files, *SHARDS), SHARDS[1]), trees=False)
    (finding,) = doctor.scan(world.host).findings
    assert SHARDS[1] in finding.message


def test_a_tokenizer_that_another_engine_took_is_no_broken_model(world: World) -> None:
    """faster-whisper takes one file of `openai/whisper-tiny`, without a manifest."""
    world.put("openai/whisper-tiny", {"tokenizer.json": b"{}"}, trees=False)
    assert world.codes() == []
    verdict = preflight("insanely-fast-whisper", size="tiny", host=world.host)
    assert (verdict.ready, verdict.why) == (False, "not there")


@pytest.mark.parametrize(
    ("engine", "size", "names"),
    [
        ("mlx-whisper", "tiny", ["tiny-mlx-q4", "tiny-mlx", "tiny"]),
        ("mlx-whisper", "small", ["small-mlx-4bit", "small-mlx"]),
        ("mlx-whisper", "large", ["large-v3-turbo", "large-v3-mlx"]),
        ("insanely-fast-whisper", "large", ["large-v3-turbo", "large-v3"]),
        ("parakeet-mlx", "medium", ["tdt-0.6b-v2", "tdt-0.6b-v3"]),
        ("faster-whisper", "large", ["large-v3-turbo", "large-v3"]),
    ],
)
def test_a_size_is_answered_by_the_first_that_is_ready(
    engine: str, size: str, names: list[str], world: World
) -> None:
    """From the last to the first: each one that comes takes over, and a broken one gives way."""
    from cachedoctor import engines

    table = engines.find(engine).table
    files = dict(SAMPLES[engine].files)
    if engine == "faster-whisper":
        files["preprocessor_config.json"] = b"{}"
    for name in reversed(names):
        snapshot = world.put(table.models[name].repository, files)
        verdict = preflight(engine, size=size, host=world.host)
        assert (verdict.ready, verdict.model, verdict.path) == (True, name, str(snapshot))
    (snapshot / "config.json").unlink()
    verdict = preflight(engine, size=size, host=world.host)
    assert (verdict.ready, verdict.model) == (True, names[1])
    shown = cachedoctor("preflight", engine, "--size", size)
    assert (shown.code, shown.output.split()[:3]) == (0, ["ready", engine, names[1]])


def test_two_engines_of_one_repository_each_need_their_own(world: World) -> None:
    """lightning-whisper-mlx keeps its own folder; what lies in the hub is mlx-whisper's alone."""
    sample = SAMPLES["mlx-whisper"]
    world.put(sample.repository, sample.files)
    (entry,) = doctor.scan(world.host).entries
    assert entry.engines == ("mlx-whisper",)
    assert not preflight("lightning-whisper-mlx", size="tiny", host=world.host).ready


def test_whisper_cpp_is_ready_where_a_published_file_lies(home: Path, host: Host) -> None:
    """Of a GGML file of Parakeet only the header is known, and no length is published for one."""
    folder = home / ".local" / "share" / "pywhispercpp" / "models"
    folder.mkdir(parents=True)
    path = folder / "ggml-parakeet-tdt-0.6b-v3-f32.bin"
    path.write_bytes(builders_models.ggml_parakeet())
    assert doctor.scan(host).findings == ()
    verdict = preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=host)
    assert (verdict.ready, verdict.path) == (True, str(path))
    path.write_bytes(b"")
    assert preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=host).code == "CD201"
