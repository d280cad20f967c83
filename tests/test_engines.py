"""What each engine of the hub cache needs, in which order it looks, and what it shares."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cachedoctor import engines, preflight
from cachedoctor.doctor import scanning
from cachedoctor.findings import Severity
from cachedoctor.host import Host
from cachedoctor.vocabulary import Status
from tests.support import builders, builders_models, worlds
from tests.support.command import cachedoctor

JSON = b'{"model_type": "whisper"}'
INDEX = "model.safetensors.index.json"
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
    "generation_config.json": b'{"no_timestamps_token_id": 50362}',
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
        return sorted(f.code for f in scanning.scan(self.host, deep=deep).findings)


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
    (entry,) = scanning.scan(world.host).entries
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


def sharded(files: Mapping[str, bytes], *shards: str) -> dict[str, bytes]:
    """Split a model's weights into these files."""
    index = {INDEX: builders_models.shard_index(shards)}
    parts = dict.fromkeys(shards, builders.safetensors_file())
    return {**without(files, "model.safetensors"), **index, **parts}


def indexed(content: bytes) -> Damage:
    """Return what puts an index of these bytes in place of whole weights."""
    return lambda files: {**sharded(files), INDEX: content}


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
            ("faster-whisper", "model.bin"),
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
        lambda files: {
            **without(files, "tokenizer.json"), "vocab.json": b'{"!": 0}', "merges.txt": b"#",
        },
        [],
    ),
    "weights.safetensors in place of weights.npz": (
        "mlx-whisper",
        lambda files: {
            **without(files, "weights.npz"), "weights.safetensors": builders.safetensors_file(),
        },
        [],
    ),
    "the first of two weights is cut": (
        "mlx-whisper",
        lambda files: {**files, "weights.safetensors": builders.safetensors_file()[:-7]},
        ["CD201"],
    ),
    "the first of two weights is whole": (
        "mlx-whisper",
        lambda files: {
            **files, "weights.safetensors": builders.safetensors_file(), "README.md": b"",
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
            INDEX: builders_models.shard_index(SHARDS)[:-5],
        },
        ["CD201"],
    ),
    **{
        f"the index {what}": (
            "insanely-fast-whisper", indexed(content), [code],
        )
        for what, content, code in (
            ("leads out", builders_models.shard_index(["../../../../x"]), "CD203"),
            ("names a folder above", builders_models.shard_index([".."]), "CD203"),
            ("is absolute", builders_models.shard_index(["/etc/passwd"]), "CD203"),
            ("names nothing", builders_models.shard_index([]), "CD203"),
            ("is no JSON", b'{"weight_map": oops}', "CD203"),
            ("is a word", b"not an index at all", "CD202"),
            ("is a page", builders.HTML_PAGE, "CD202"),
            ("is empty", b"", "CD201"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_of_an_engine_has_its_code(fault: str, world: World) -> None:
    """What an engine cannot do without stands in the way of `preflight`, and nothing else does."""
    engine, damage, codes = FAULTS[fault]
    sample = SAMPLES[engine]
    world.put(sample.repository, damage(sample.files), trees=False)
    report = scanning.scan(world.host)
    assert sorted(finding.code for finding in report.findings) == codes
    (entry,) = report.entries
    broken = codes not in ([], ["CD204"])
    assert (report.statuses[entry.id] is Status.READY) is not broken
    refused = fault == "insanely-fast-whisper: model.safetensors goes on"  # by its Rust reader
    verdict = preflight(engine, model=sample.model, host=world.host)
    assert verdict.ready is not (broken or refused)


@pytest.mark.parametrize("name", ["README.md", "pytorch_model.bin", "other.safetensors"])
@pytest.mark.parametrize("engine", SAMPLES)
def test_a_file_that_nobody_reads_is_at_most_a_warning(
    engine: str, name: str, world: World
) -> None:
    """A page in place of something else in the repository keeps no engine from its model."""
    sample = SAMPLES[engine]
    world.put(sample.repository, {**sample.files, name: builders.HTML_PAGE}, trees=False)
    findings = scanning.scan(world.host, deep=True).findings
    assert all(finding.severity is not Severity.ERROR for finding in findings)
    assert preflight(engine, model=sample.model, host=world.host).ready


def test_nothing_that_an_index_leads_to_outside_is_opened(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the file of that name is there, and also in a deep scan."""
    sample = SAMPLES["insanely-fast-whisper"]
    snapshot = world.put(
        sample.repository,
        indexed(builders_models.shard_index(["../../../../secret"]))(sample.files),
        trees=False,
    )
    secret = (snapshot / "../../../../secret").resolve()
    secret.write_bytes(builders.safetensors_file())
    opened: list[str] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(path: Any, *more: Any, **named: Any) -> Any:
            if not isinstance(path, int):
                opened.append(os.path.realpath(os.fsdecode(path)))
            return real(path, *more, **named)

        return noted

    monkeypatch.setattr(builtins, "open", noting(builtins.open))
    monkeypatch.setattr(os, "open", noting(os.open))
    assert world.codes() == ["CD203"]
    report = scanning.scan(world.host, deep=True)
    assert str((snapshot / INDEX).resolve()) in opened
    assert str(secret) not in opened
    assert not any(".." in a.name for entry in report.entries for a in entry.artifacts)


def test_a_missing_shard_is_named(world: World) -> None:
    """The finding is about the shard, not about the index."""
    sample = SAMPLES["insanely-fast-whisper"]
    world.put(sample.repository, without(sharded(sample.files, *SHARDS), SHARDS[1]), trees=False)
    (finding,) = scanning.scan(world.host).findings
    assert SHARDS[1] in finding.message


def test_a_tokenizer_that_another_engine_took_is_no_broken_model(world: World) -> None:
    """faster-whisper takes one file of `openai/whisper-tiny`, without a manifest."""
    world.put("openai/whisper-tiny", {"tokenizer.json": b"{}"}, trees=False)
    assert world.codes() == []
    verdict = preflight("insanely-fast-whisper", size="tiny", host=world.host)
    assert (verdict.ready, verdict.why) == (False, "missing")


def test_an_english_model_is_named_where_the_size_is_asked_for(world: World) -> None:
    """It answers no size, but whoever has it should hear so; broken ones are not offered."""
    snapshot = world.put(worlds.TINY, worlds.whisper_files())
    asked = ("faster-whisper", "--size", "tiny", "--home", world.host.home)
    said = cachedoctor("preflight", *asked)
    assert said.code == 1
    assert "tiny: missing, only `tiny.en` (`--model tiny.en`); `cachedoctor fix" in said.output
    verdict = cachedoctor("preflight", *asked, "--json").data["verdict"]
    assert (verdict["why"], verdict["others"]) == ("missing", ["tiny.en"])
    assert (
        "is missing, only `tiny.en` (`--model tiny.en`); it" in cachedoctor("where", *asked).errors
    )
    benched = " ".join(cachedoctor("bench", *asked[1:]).output.split())
    assert "faster-whisper CD101 no model, only `tiny.en` (`--model tiny.en`) cache" in benched
    for other in ("base", "small"):  # whose names hold nothing of `tiny`
        assert preflight("faster-whisper", size=other, host=world.host).others == ()
    worlds.cut(worlds.blob_of(snapshot / "model.bin"), 60)
    assert preflight("faster-whisper", size="tiny", host=world.host).others == ()


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
    table = engines.find(engine).table
    files = dict(SAMPLES[engine].files)
    if engine == "faster-whisper":
        files["preprocessor_config.json"] = b'{"feature_size": 128}'
    for name in reversed(names):
        snapshot = world.put(table.models[name].repository, files)
        verdict = preflight(engine, size=size, host=world.host)
        assert (verdict.ready, verdict.model, verdict.path) == (True, name, str(snapshot))
    (snapshot / "config.json").unlink()
    verdict = preflight(engine, size=size, host=world.host)
    assert (verdict.ready, verdict.model) == (True, names[1])
    for name in names[1:]:
        path = worlds.hub_of(world.home) / f"models--{table.models[name].repository}".replace(
            "/", "--"
        )
        (path / "snapshots" / worlds.COMMIT / "config.json").unlink()
    verdict = preflight(engine, size=size, host=world.host)
    assert (verdict.ready, verdict.model, verdict.code) == (False, names[0], "CD101")


# the design's table "size -> models, in order"
ANSWERS = {
    "faster-whisper": [
        ["tiny"], ["base"], ["small"], ["medium"], ["large-v3-turbo", "large-v3"],
    ],
    "insanely-fast-whisper": [
        ["tiny"], ["base"], ["small"], ["medium"], ["large-v3-turbo", "large-v3"],
    ],
    "mlx-whisper": [
        ["tiny-mlx-q4", "tiny-mlx", "tiny"], ["base-mlx"], ["small-mlx-4bit", "small-mlx"],
        ["medium-mlx"], ["large-v3-turbo", "large-v3-mlx"],
    ],
    "lightning-whisper-mlx": [
        ["tiny@4bit", "tiny"], ["base@4bit", "base"], ["small@4bit", "small"],
        ["medium@4bit", "medium"], ["large-v3", "large-v3@4bit"],
    ],
    "whisper.cpp": [
        ["tiny-q5_1", "tiny"], ["base-q5_1", "base"], ["small", "small-q5_1"],
        ["medium-q5_0", "medium"], ["large-v3-turbo-q5_0", "large-v3-turbo", "large-v3"],
    ],
    "whisper-mps": [
        ["tiny"], ["base"], ["small"], ["medium"], ["large-v3", "large-v3-turbo"],
    ],
    "openai-whisper": [
        ["tiny"], ["base"], ["small"], ["medium"], ["large-v3", "large-v3-turbo"],
    ],
    "whisperkit": [
        ["openai_whisper-tiny"], ["openai_whisper-base"], ["openai_whisper-small"],
        ["openai_whisper-medium"],
        ["openai_whisper-large-v3", "openai_whisper-large-v3-v20240930"],
    ],
    "parakeet-mlx": [["tdt-0.6b-v2", "tdt-0.6b-v3"]] * 5,
    "fluidaudio": [["parakeet-tdt-0.6b-v3", "parakeet-tdt-0.6b-v2"]] * 5,
}  # fmt: skip


@pytest.mark.parametrize("engine", ANSWERS)
def test_the_order_is_the_designs(engine: str) -> None:
    """Each size names these models and no `.en` one."""
    sizes = ("tiny", "base", "small", "medium", "large")
    wanted = dict(zip(sizes, map(tuple, ANSWERS[engine]), strict=True))
    assert dict(engines.find(engine).table.sizes) == wanted


def test_every_engine_has_an_order() -> None:
    """No engine is left out of the table above."""
    assert sorted(ANSWERS) == sorted(engines.names())


@pytest.mark.parametrize(
    ("engine", "size", "model"),
    [
        ("faster-whisper", "tiny", "tiny"),
        ("mlx-whisper", "tiny", "tiny-mlx-q4"),
        ("insanely-fast-whisper", "base", "base"),
        ("parakeet-mlx", "small", "tdt-0.6b-v2"),
    ],
)
def test_the_shell_is_told_which_folder(engine: str, size: str, model: str, world: World) -> None:
    """`preflight ENGINE --size S` ends with 0 and names the path; the text is one line."""
    repository = engines.find(engine).table.models[model].repository
    snapshot = world.put(repository, SAMPLES[engine].files)
    told = cachedoctor("preflight", engine, "--size", size, "--json")
    verdict = told.data["verdict"]
    assert (told.code, verdict["ready"], verdict["model"]) == (0, True, model)
    assert verdict["path"] == str(snapshot)
    shown = cachedoctor("preflight", engine, "--size", size)
    shortened = str(snapshot).replace(str(world.home), "~", 1)
    assert (shown.code, shown.output.split()) == (0, ["ready", engine, model, shortened])
    (snapshot / "config.json").unlink()
    refused = cachedoctor("preflight", engine, "--size", size)
    assert (refused.code, refused.output.split()[0]) == (1, "broken")
    assert refused.output.count("\n") == 1


def test_two_engines_of_one_repository_each_need_their_own(world: World) -> None:
    """lightning-whisper-mlx keeps its own folder; what lies in the hub is mlx-whisper's alone."""
    sample = SAMPLES["mlx-whisper"]
    world.put(sample.repository, sample.files)
    (entry,) = scanning.scan(world.host).entries
    assert entry.engines == ("mlx-whisper",)
    assert not preflight("lightning-whisper-mlx", size="tiny", host=world.host).ready


def test_whisper_cpp_is_ready_where_a_published_file_lies(home: Path, host: Host) -> None:
    """Of a GGML file of Parakeet only the header is known, and no length is published for one."""
    folder = home / ".local" / "share" / "pywhispercpp" / "models"
    folder.mkdir(parents=True)
    path = folder / "ggml-parakeet-tdt-0.6b-v3-f32.bin"
    path.write_bytes(builders_models.ggml_parakeet())
    assert scanning.scan(host).findings == ()
    verdict = preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=host)
    assert (verdict.ready, verdict.path) == (True, str(path))
    path.write_bytes(b"")
    assert preflight("whisper.cpp", model="parakeet-tdt-0.6b-v3-f32", host=host).code == "CD201"
